//! Entries of the audit trail that are not sealed, and events that are none.

use portico_kernel::{
    Env, Event, EventDeclaration, Outbox, RequestInfo, Scope, StoreError, TenantId,
    event::{Audience, AuditClass},
};
use portico_tenancy::{audit::AuditFilter, chain::SEALER, ports::TenancyRepositories};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    audit::{append, read_all, seal_all, verify},
    audit_lists::list,
    fixtures::{event, stored_tenant},
    taking::take_within_soon,
};

/// An event of another class than [`AuditClass::Sealed`].
fn unsealed(env: &Env, tenant: TenantId, audit: AuditClass) -> Event {
    let declaration = EventDeclaration {
        name: audit.as_str(),
        when: "A test says so.",
        audience: Audience::Internal,
        invalidates: &[],
        audit,
    };
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    Event::new(env, &scope, Box::leak(Box::new(declaration)), env.random_uuid())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_to_be_sealed_is_and_what_is_not_kept_is_no_entry() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "acme").await.id;
        let entry = event(&env, tenant, "page.updated");
        let recorded = unsealed(&env, tenant, AuditClass::Recorded);
        let passing = unsealed(&env, tenant, AuditClass::NotKept);
        append(store, &[recorded.clone(), entry.clone(), passing.clone()]).await;
        assert_eq!(verify(store, tenant).await.unsealed, 1, "the others do not wait for a seal");
        let found = seal_all(store, &env, tenant).await;
        assert!(found.intact, "{found:?}");
        assert_eq!((found.entries, found.head.number, found.unsealed), (1, 1, 0));

        // Readers get all of them, with what was declared.
        let mut work = store.begin().await.unwrap();
        let read = take_within_soon(&mut work, "mail", 10).await.events;
        work.commit().await.unwrap();
        assert_eq!(read, [&recorded, &entry, &passing].map(Event::clone));
        assert_eq!(
            read.iter().map(|event| event.kind.audit()).collect::<Vec<_>>(),
            [AuditClass::Recorded, AuditClass::Sealed, AuditClass::NotKept]
        );
        // The trail shows two, to the tenant and to the operator.
        for of in [Some(tenant), None] {
            let kinds: Vec<_> =
                list(store, of, AuditFilter::default()).await.into_iter().map(|entry| entry.kind).collect();
            assert_eq!(kinds, ["recorded", "page.updated"], "newest first");
        }
        // What was read from the log is not appended again.
        let mut work = store.begin().await.unwrap();
        let again = Event { id: env.new_id(), ..read[1].clone() };
        assert!(matches!(work.events().append(again).await, Err(StoreError::Internal(_))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_without_a_seal_and_what_is_not_kept_go_once_all_have_read_them() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (one, other) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "other").await.id);
        let begun = env.now();
        for _ in 0..3 {
            let events = [
                event(&env, one, "page.updated"),
                unsealed(&env, one, AuditClass::Recorded),
                unsealed(&env, one, AuditClass::NotKept),
                unsealed(&env, other, AuditClass::NotKept),
            ];
            append(store, &events).await;
            env.clock.advance(Duration::days(1));
        }
        let cutoff = begun + Duration::days(2);
        let expire = async |tenant, limit| {
            let mut work = store.begin().await.unwrap();
            let readers = vec![SEALER, "mail"];
            let count = work.seals().expire_recorded(tenant, readers, cutoff, limit).await.unwrap();
            work.commit().await.unwrap();
            count
        };
        let forget = async |limit| {
            let mut work = store.begin().await.unwrap();
            let count = work.seals().forget(vec![SEALER, "mail"], cutoff, limit).await.unwrap();
            work.commit().await.unwrap();
            count
        };
        seal_all(store, &env, one).await;
        assert_eq!((expire(one, 10).await, forget(10).await), (0, 0), "a reader was given nothing");
        read_all(database, "mail", 12).await;

        let due = store.reader().seals().recorded(None, 10).await.unwrap();
        assert_eq!((due.len(), due[0].tenant, due[0].at), (1, one, Some(begun)));
        assert!(store.reader().seals().recorded(Some(one), 10).await.unwrap().is_empty());
        assert_eq!(expire(other, 10).await, 0);
        assert_eq!(
            (expire(one, 1).await, expire(one, 10).await, expire(one, 10).await),
            (1, 1, 0),
            "in batches"
        );
        assert_eq!((forget(3).await, forget(10).await, forget(10).await), (3, 1, 0));

        let kinds: Vec<_> = list(store, Some(one), AuditFilter::default()).await;
        assert_eq!(kinds.iter().filter(|entry| entry.kind == "recorded").count(), 1, "the young one stays");
        let found = verify(store, one).await;
        assert!(found.intact, "{found:?}");
        assert_eq!((found.entries, found.checkpoint), (3, None));
        let mut work = store.begin().await.unwrap();
        let left = take_within_soon(&mut work, "late", 100).await.events;
        let count = |audit| left.iter().filter(|event| event.kind.audit() == audit).count();
        let classes = [AuditClass::Sealed, AuditClass::Recorded, AuditClass::NotKept];
        assert_eq!(classes.map(count), [3, 1, 2]);
    })
    .await;
}
