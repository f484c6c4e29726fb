//! `portico_tenancy::ports`.

use portico_billing::{
    ports::BillingRepositories,
    subscription::{Subscription, SubscriptionStatus},
};
use portico_identity::user::User;
use portico_kernel::name::Subdomain;
use portico_kernel::{CursorRequest, Event, Outbox, PageRequest, StoreError, TenantId, TenantRole};
use portico_sql::SqlStore;
use portico_tenancy::{
    audit::AuditFilter,
    branding::{Branding, Colors, Fonts},
    dealer::Dealer,
    member::TenantSummary,
    membership::Membership,
    ports::TenancyRepositories,
    tenant::{Tenant, TenantFilter, TenantStatus},
};
use portico_testkit::{TestEnv, env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, event, join, plan_of, stored_event, stored_tenant, stored_user, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_comes_back_as_stored() {
    on_each_database(async |database| {
        let env = env();
        let stored = stored_tenant(database.store(), &env, "acme").await;
        let mut reader = database.store().reader();
        assert_eq!(reader.tenants().find(stored.id).await.unwrap(), Some(stored));
        assert_eq!(reader.tenants().find(env.new_id()).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subdomain_is_taken_once_also_under_concurrency() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let tenants: Vec<Tenant> = (0..16).map(|_| tenant(&env, "acme")).collect();
        let outcomes = at_once(store, 16, |store, number| {
            let tenant = tenants[number].clone();
            async move {
                let mut work = store.begin().await?;
                work.tenants().insert(&tenant).await?;
                work.commit().await
            }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        let conflicts =
            outcomes.iter().filter(|outcome| matches!(outcome, Err(StoreError::Conflict(_)))).count();
        assert_eq!(conflicts, 15, "{outcomes:?}");

        let mut other = stored_tenant(store, &env, "other").await;
        other.subdomain = Subdomain::trusted("acme".to_owned());
        let mut work = store.begin().await.unwrap();
        assert!(matches!(work.tenants().update(&other).await, Err(StoreError::Conflict(_))));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_subdomain_is_claimed_and_the_old_one_given_up() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let mut moved = stored_tenant(store, &env, "before").await;
        moved.subdomain = Subdomain::trusted("after".to_owned());
        moved.name = "Moved".to_owned();
        let mut work = store.begin().await.unwrap();
        work.tenants().update(&moved).await.unwrap();
        assert!(matches!(work.tenants().update(&moved).await, Err(StoreError::Stale)), "it is version 2 now");
        work.commit().await.unwrap();
        moved.version = 2;
        assert_eq!(store.reader().tenants().find(moved.id).await.unwrap(), Some(moved));

        stored_tenant(store, &env, "before").await;
        let mut work = store.begin().await.unwrap();
        let taken = work.tenants().insert(&tenant(&env, "after")).await;
        assert!(matches!(taken, Err(StoreError::Conflict(_))), "{taken:?}");
    })
    .await;
}

/// Three tenants, the newest first; the oldest is on the plan `starter`.
async fn three_tenants(store: &SqlStore, env: &TestEnv) -> [Tenant; 3] {
    let mut oldest = stored_tenant(store, env, "optica").await;
    env.clock.advance(Duration::seconds(1));
    let middle = stored_tenant(store, env, "bakery").await;
    env.clock.advance(Duration::seconds(1));
    let newest = stored_tenant(store, env, "percent").await;
    oldest.name = "Óptica 50%".to_owned();
    let plan = plan_of("starter", 2);
    let mut work = store.begin().await.unwrap();
    work.tenants().update(&oldest).await.unwrap();
    work.plans().upsert(&plan).await.unwrap();
    let subscription = Subscription {
        tenant_id: oldest.id,
        plan: plan.id.clone(),
        plan_version: 1,
        status: SubscriptionStatus::Active,
        created_at: env.now(),
        updated_at: env.now(),
    };
    work.subscriptions().insert(&subscription).await.unwrap();
    work.commit().await.unwrap();
    oldest.version = 2;
    oldest.plan = plan.id;
    [newest, middle, oldest]
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_listed_newest_first_and_by_member() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let [newest, middle, oldest] = three_tenants(store, &env).await;
        let ada = stored_user(store, &env, "ada@example.com").await;
        join(store, &env, ada.id, oldest.id, TenantRole::Owner).await;
        let mut reader = store.reader();
        let all = reader.tenants().list(None, TenantFilter::default(), PageRequest::default()).await.unwrap();
        assert_eq!((all.items, all.total), (vec![newest.clone(), middle.clone(), oldest.clone()], 3));
        let second = reader
            .tenants()
            .list(None, TenantFilter::default(), PageRequest { page: 2, limit: 2 })
            .await
            .unwrap();
        assert_eq!((second.items, second.total), (vec![oldest.clone()], 3));
        let mine = reader
            .tenants()
            .list(Some(ada.id), TenantFilter::default(), PageRequest::default())
            .await
            .unwrap();
        assert_eq!((mine.items, mine.total), (vec![oldest.clone()], 1));

        let mut gone = middle;
        gone.status = TenantStatus::Deleted;
        let mut work = store.begin().await.unwrap();
        work.tenants().update(&gone).await.unwrap();
        work.commit().await.unwrap();
        let rest =
            reader.tenants().list(None, TenantFilter::default(), PageRequest::default()).await.unwrap();
        assert_eq!((rest.items, rest.total), (vec![newest, oldest], 2), "deleted ones are not listed");
        assert_eq!(reader.tenants().find(gone.id).await.unwrap().unwrap().status, TenantStatus::Deleted);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_ignores_case_and_takes_wildcards_as_they_are() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let [newest, middle, oldest] = three_tenants(store, &env).await;
        let mut reader = store.reader();
        for (q, expected) in [
            ("BAKE", vec![middle.id]),
            ("óptica", vec![oldest.id]),
            ("ÓPTICA", vec![oldest.id]),
            ("0%", vec![oldest.id]),
            ("%", vec![oldest.id]),
            ("_", vec![]),
            ("\\", vec![]),
            ("ercen", vec![newest.id]),
            ("'; drop table tenants; --", vec![]),
        ] {
            let found = reader
                .tenants()
                .list(
                    None,
                    TenantFilter { q: Some(q.to_owned()), ..TenantFilter::default() },
                    PageRequest::default(),
                )
                .await
                .unwrap();
            let ids: Vec<TenantId> = found.items.iter().map(|tenant| tenant.id).collect();
            assert_eq!(ids, expected, "{q}");
            assert_eq!(found.total, expected.len() as u64, "{q}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_are_unique_and_listed_oldest_first() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let (first, second) =
            (stored_tenant(store, &env, "one").await, stored_tenant(store, &env, "two").await);
        join(store, &env, ada.id, second.id, TenantRole::Owner).await;
        env.clock.advance(Duration::seconds(1));
        join(store, &env, ada.id, first.id, TenantRole::Viewer).await;
        let again =
            Membership { tenant: first.id, user: ada.id, role: TenantRole::Admin, joined_at: env.now() };
        let mut work = store.begin().await.unwrap();
        let twice = work.memberships().insert(&again).await;
        assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
        drop(work);
        let summary = |tenant: &Tenant, role| TenantSummary {
            id: tenant.id,
            name: tenant.name.clone(),
            role,
            status: tenant.status,
            dealer: None,
        };
        let mine = store.reader().memberships().of_user(ada.id).await.unwrap();
        assert_eq!(mine, [summary(&second, TenantRole::Owner), summary(&first, TenantRole::Viewer)]);
        let dealer = Dealer {
            tenant: first.id,
            name: "Elm".to_owned(),
            email: None,
            phone: None,
            updated_at: env.now(),
            version: 0,
        };
        let mut work = store.begin().await.unwrap();
        work.dealers().save(&dealer).await.unwrap();
        work.commit().await.unwrap();
        let mine = store.reader().memberships().of_user(ada.id).await.unwrap();
        let dealers: Vec<_> = mine.into_iter().map(|tenant| (tenant.id, tenant.dealer)).collect();
        assert_eq!(dealers, [(second.id, None), (first.id, Some(Dealer { version: 1, ..dealer }))]);

        let mut work = store.begin().await.unwrap();
        let stranger = Membership { tenant: env.new_id(), ..again };
        let missing = work.memberships().insert(&stranger).await;
        assert!(matches!(missing, Err(StoreError::MissingReference(_))), "{missing:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn branding_is_updated_at_the_stored_version() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let tenant = stored_tenant(store, &env, "acme").await;
        let color = || "#102030".to_owned();
        let mut branding = Branding {
            tenant: tenant.id,
            colors: Colors {
                primary: color(),
                secondary: color(),
                accent: color(),
                background: color(),
                text: color(),
            },
            fonts: Fonts { heading: "serif".to_owned(), body: "sans".to_owned() },
            logo_asset_id: Some(env.new_id()),
            favicon_asset_id: None,
            updated_at: env.now(),
            version: 1,
        };
        let mut work = store.begin().await.unwrap();
        work.branding().insert(&branding).await.unwrap();
        branding.colors.primary = "#ffffff".to_owned();
        branding.logo_asset_id = None;
        work.branding().update(&branding).await.unwrap();
        assert!(matches!(work.branding().update(&branding).await, Err(StoreError::Stale)));
        work.commit().await.unwrap();
        branding.version = 2;
        let mut reader = store.reader();
        assert_eq!(reader.branding().find(tenant.id).await.unwrap(), Some(branding));
        assert_eq!(reader.branding().find(env.new_id()).await.unwrap(), None);
    })
    .await;
}

/// Five events of `tenant` by `actor`, newest first.
async fn five_events(store: &SqlStore, env: &TestEnv, tenant: TenantId, actor: &User) -> Vec<Event> {
    let mut events = Vec::new();
    for kind in ["page.created", "page.updated", "site.created", "page.updated", "page.deleted"] {
        env.clock.advance(Duration::seconds(1));
        let mut event = event(env, tenant, kind).before(&serde_json::json!({"title": "old"}));
        if kind == "site.created" {
            event = event.by_user(actor.id);
        }
        let mut work = store.begin().await.unwrap();
        work.events().append(event.clone()).await.unwrap();
        work.commit().await.unwrap();
        events.push(event);
    }
    events.reverse();
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_is_read_in_pieces_newest_first() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let (ours, theirs): (TenantId, TenantId) = (env.new_id(), env.new_id());
        let events = five_events(store, &env, ours, &ada).await;
        env.clock.advance(Duration::seconds(1));
        let foreign = stored_event(store, &env, theirs, "page.created").await;

        let mut reader = store.reader();
        let mut request = CursorRequest { cursor: None, limit: 2 };
        let mut read = Vec::new();
        loop {
            let piece =
                reader.audit().list(Some(ours), AuditFilter::default(), request.clone()).await.unwrap();
            assert!(piece.items.len() <= 2);
            read.extend(piece.items);
            request.cursor = piece.next_cursor;
            if request.cursor.is_none() {
                break;
            }
        }
        let ids: Vec<_> = read.iter().map(|entry| entry.id).collect();
        assert_eq!(ids, events.iter().map(|event| event.id).collect::<Vec<_>>());
        for (entry, event) in read.iter().zip(&events) {
            assert_eq!(entry.kind, event.kind.as_str());
            assert_eq!(entry.resource, event.resource);
            assert_eq!((&entry.before, &entry.after), (&event.before, &event.after));
            assert_eq!((&entry.address, &entry.user_agent), (&event.address, &event.user_agent));
            assert_eq!(
                (entry.method.as_deref(), entry.path.as_deref()),
                (Some("POST"), Some("/api/v1/sites"))
            );
            assert_eq!((entry.created_at, &entry.request_id), (event.at, &event.request_id));
        }
        assert_eq!(read[2].actor.name.as_deref(), Some("Ada Lovelace"));
        assert_eq!(read[0].actor.name, None);

        let whole =
            reader.audit().list(None, AuditFilter::default(), CursorRequest::default()).await.unwrap();
        assert_eq!(whole.items.len(), 6);
        assert_eq!(whole.items[0].id, foreign.id);

        for cursor in [foreign.id.to_string(), env.random_uuid().to_string(), "nonsense".to_owned()] {
            let request = CursorRequest { cursor: Some(cursor), limit: 2 };
            let piece = reader.audit().list(Some(ours), AuditFilter::default(), request).await.unwrap();
            assert!(piece.items.is_empty() && piece.next_cursor.is_none());
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_is_narrowed_by_every_filter() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let ada = stored_user(store, &env, "ada@example.com").await;
        let ours: TenantId = env.new_id();
        let events = five_events(store, &env, ours, &ada).await;
        let none = AuditFilter::default;
        let text = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (AuditFilter { resource_type: text("site"), ..none() }, vec![2]),
            (AuditFilter { resource_id: text(&events[1].resource.id.to_string()), ..none() }, vec![1]),
            (AuditFilter { resource_id: text("no id"), ..none() }, vec![]),
            (AuditFilter { kind: text("page.updated"), ..none() }, vec![1, 3]),
            (AuditFilter { actor_id: text(&ada.id.to_string()), ..none() }, vec![2]),
            (AuditFilter { request_id: text("request-1"), ..none() }, vec![0, 1, 2, 3, 4]),
            (AuditFilter { request_id: text("request-2"), ..none() }, vec![]),
            (AuditFilter { from: Some(events[1].at), ..none() }, vec![0, 1]),
            (AuditFilter { to: Some(events[1].at), ..none() }, vec![2, 3, 4]),
            (AuditFilter { kind: text("page.updated"), to: Some(events[1].at), ..none() }, vec![3]),
        ] {
            let found = store
                .reader()
                .audit()
                .list(Some(ours), filter.clone(), CursorRequest::default())
                .await
                .unwrap();
            let ids: Vec<_> = found.items.iter().map(|entry| entry.id).collect();
            let expected: Vec<_> = expected.into_iter().map(|position: usize| events[position].id).collect();
            assert_eq!(ids, expected, "{filter:?}");
        }
    })
    .await;
}
