//! Lists of the audit trail: what entries name, and what is asked for.

use portico_kernel::{
    Actor, ApiKeyId, CursorRequest, Event, Permissions, RequestInfo, Scope, TenantId, Timestamp,
    event::ActorKind,
};
use portico_sql::SqlStore;
use portico_tenancy::{
    audit::{AuditEntry, AuditFilter},
    ports::TenancyRepositories,
};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    audit::append,
    fixtures::{declared, event, stored_tenant, stored_user},
};

pub async fn list(store: &SqlStore, tenant: Option<TenantId>, filter: AuditFilter) -> Vec<AuditEntry> {
    store.reader().audit().list(tenant, filter, CursorRequest::default()).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_name_both_actors_and_keys() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "acme").await.id;
        let (ada, staff) = (
            stored_user(store, &env, "ada@example.com").await,
            stored_user(store, &env, "staff@example.com").await,
        );
        let actor = Actor::User {
            id: ada.id,
            session: env.new_id(),
            email_verified: true,
            role: ada.role,
            impersonator: Some(staff.id),
        };
        let impersonated = Scope::user(actor, Some(tenant), Permissions::NONE, RequestInfo::default());
        let key: ApiKeyId = env.new_id();
        let program = Scope::api_key(key, None, tenant, Permissions::NONE, RequestInfo::default());
        let first = Event::new(&env, &impersonated, declared("page.updated"), env.random_uuid());
        env.clock.advance(Duration::hours(2));
        let second = Event::new(&env, &program, declared("page.updated"), env.random_uuid());
        append(store, &[first.clone(), second.clone()]).await;
        let all = list(store, Some(tenant), AuditFilter::default()).await;
        assert_eq!(all.iter().map(|entry| entry.id).collect::<Vec<_>>(), [second.id, first.id]);
        let both = all[1].impersonator.as_ref().unwrap();
        assert_eq!(
            (both.id.as_str(), both.name.as_ref()),
            (staff.id.to_string().as_str(), Some(&staff.full_name))
        );
        assert_eq!(all[1].actor.name.as_ref(), Some(&ada.full_name));
        assert_eq!((all[0].actor.kind, all[0].impersonator.as_ref()), (ActorKind::ApiKey, None));

        let by = |kind: ActorKind| AuditFilter { actor_kind: Some(kind), ..AuditFilter::default() };
        for tenant in [Some(tenant), None] {
            assert_eq!(list(store, tenant, by(ActorKind::ApiKey)).await, all[..1]);
            assert_eq!(list(store, tenant, by(ActorKind::User)).await, all[1..]);
            assert!(list(store, tenant, by(ActorKind::System)).await.is_empty());
            let at = |from: Option<Timestamp>, to: Option<Timestamp>| AuditFilter {
                from,
                to,
                ..AuditFilter::default()
            };
            let microsecond = Duration::microseconds(1);
            assert_eq!(list(store, tenant, at(Some(second.at), None)).await, all[..1]);
            assert_eq!(list(store, tenant, at(Some(second.at + microsecond), None)).await, []);
            assert_eq!(list(store, tenant, at(None, Some(second.at))).await, all[1..]);
            assert_eq!(list(store, tenant, at(None, Some(second.at + microsecond))).await, all);
            assert_eq!(list(store, tenant, at(Some(first.at), Some(second.at))).await, all[1..]);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_filters_are_no_sql() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "acme").await.id;
        append(store, &[event(&env, tenant, "page.updated")]).await;
        let found = async |filter| list(store, Some(tenant), filter).await.len();
        let kind = |word: &str| AuditFilter { kind: Some(word.to_owned()), ..AuditFilter::default() };
        let resource =
            |word: &str| AuditFilter { resource_type: Some(word.to_owned()), ..AuditFilter::default() };
        let request =
            |word: &str| AuditFilter { request_id: Some(word.to_owned()), ..AuditFilter::default() };
        assert_eq!((found(kind("page.updated")).await, found(kind("page.created")).await), (1, 0));
        for word in
            ["' or '1'='1", "page.updated'--", "page.updated' or ''='", "\\", "$1", "?", "", "ñ", "a\0b"]
        {
            assert_eq!(found(kind(word)).await, 0, "{word:?}");
            assert_eq!(found(resource(word)).await, 0, "{word:?}");
        }
        assert_eq!(found(request("' or '1'='1")).await, 0);
    })
    .await;
}
