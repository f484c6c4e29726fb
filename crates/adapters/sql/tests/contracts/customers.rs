//! Customers: every MUST of their port, and the rates that were agreed on with them.

use std::collections::BTreeMap;

use portico_billing::{
    limits::{Overrides, RequestRates},
    ports::BillingRepositories,
    subscription::SubscriptionStatus,
};
use portico_identity::ports::IdentityRepositories;
use portico_kernel::{PageRequest, PlatformRole, TenantId, TenantRole};
use portico_sql::SqlStore;
use portico_tenancy::{
    customer_note::CustomerNote,
    membership::Membership,
    ports::TenancyRepositories,
    tenant::{Tenant, TenantFilter, TenantSortKey, TenantStatus},
};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{join, session, stored_tenant, stored_user, subscribe};

async fn names(store: &SqlStore, all: bool, filter: TenantFilter) -> Vec<String> {
    let page = PageRequest::default();
    let found = store.reader().customers().list(all, filter, page).await.unwrap();
    assert_eq!(found.total, found.items.len() as u64);
    found.items.into_iter().map(|customer| customer.name).collect()
}

fn by_name(filter: TenantFilter) -> TenantFilter {
    TenantFilter { sort: Some((TenantSortKey::Name, false)), ..filter }
}

fn q(part: &str) -> TenantFilter {
    by_name(TenantFilter { q: Some(part.to_owned()), ..TenantFilter::default() })
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_found_by_name_and_owner_and_operators_are_none() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let mut owned = Vec::new();
        for (name, email) in
            [("acme", "ada@example.com"), ("bread", "Bo_b@example.com"), ("office", "staff@example.com")]
        {
            let tenant = stored_tenant(store, &env, name).await.id;
            let user = stored_user(store, &env, &email.to_lowercase()).await;
            join(store, &env, user.id, tenant, TenantRole::Owner).await;
            owned.push((tenant, user));
        }
        let (acme, ada) = owned[0].clone();
        let (bread, bob) = owned[1].clone();
        let (office, mut staff) = owned[2].clone();
        staff.role = PlatformRole::Staff;
        let mut work = store.begin().await.unwrap();
        work.users().update(&staff).await.unwrap();
        work.sessions().insert(&session(&env, bob.id, Some(bread))).await.unwrap();
        let mut foreign = session(&env, ada.id, Some(acme));
        foreign.impersonator = Some(staff.id);
        foreign.last_used_at = env.now() + Duration::days(3);
        work.sessions().insert(&foreign).await.unwrap();
        let later = Membership {
            tenant: bread,
            user: ada.id,
            role: TenantRole::Owner,
            joined_at: env.now() + Duration::SECOND,
        };
        work.memberships().insert(&later).await.unwrap();
        work.commit().await.unwrap();
        // Staff who only helps is no owner.
        join(store, &env, staff.id, acme, TenantRole::Editor).await;
        subscribe(store, &env, acme, "starter", SubscriptionStatus::Active).await;

        let every = by_name(TenantFilter::default());
        assert_eq!(names(store, false, every.clone()).await, ["acme ltd", "bread ltd"]);
        assert_eq!(names(store, true, every).await, ["acme ltd", "bread ltd", "office ltd"]);
        assert_eq!(names(store, false, q("CME")).await, ["acme ltd"], "by name");
        assert_eq!(names(store, false, q("ADA@")).await, ["acme ltd", "bread ltd"], "by any owner");
        assert_eq!(names(store, false, q("bo_b@")).await, ["bread ltd"]);
        assert_eq!(names(store, false, q("bo%b")).await, [""; 0], "wildcards are letters");
        assert_eq!(names(store, false, q("staff@")).await, [""; 0], "a helper is not the owner");
        let plan =
            |plan: &str| by_name(TenantFilter { plan: Some(plan.to_owned()), ..TenantFilter::default() });
        assert_eq!(names(store, false, plan("starter")).await, ["acme ltd"]);
        assert_eq!(names(store, false, plan("free")).await, ["bread ltd"]);
        let suspended = TenantFilter { status: Some(TenantStatus::Suspended), ..TenantFilter::default() };
        assert_eq!(names(store, true, suspended).await, [""; 0]);

        let mut reader = store.reader();
        let found = reader.customers().find(bread, false).await.unwrap().unwrap();
        let owner = found.owner.unwrap();
        assert_eq!((owner.user_id, owner.email.as_str()), (bob.id, "bo_b@example.com"), "the first one");
        assert_eq!((found.members, found.sites, found.plan.as_str()), (2, 0, "free"));
        assert_eq!(found.last_activity_at, Some(env.now()));
        let found = reader.customers().find(acme, false).await.unwrap().unwrap();
        assert_eq!((found.members, found.last_activity_at), (2, None), "impersonation is not activity");

        for (id, all, there) in [
            (acme, false, true),
            (office, false, false),
            (office, true, true),
            (TenantId::PLATFORM, true, false),
            (env.new_id(), true, false),
        ] {
            assert_eq!(reader.customers().exists(id, all).await.unwrap(), there);
            assert!(!there || reader.customers().existed(id, all).await.unwrap());
            assert_eq!(reader.customers().find(id, all).await.unwrap().is_some(), there);
        }
        for id in [acme, office] {
            let mut work = store.begin().await.unwrap();
            let tenant = work.tenants().find(id).await.unwrap().unwrap();
            let gone = Tenant { status: TenantStatus::Deleted, ..tenant };
            work.tenants().update(&gone).await.unwrap();
            work.commit().await.unwrap();
            assert!(!reader.customers().exists(id, true).await.unwrap());
            assert!(reader.customers().existed(id, true).await.unwrap());
            assert_eq!(reader.customers().existed(id, false).await.unwrap(), id == acme);
        }
        assert!(!reader.customers().existed(env.new_id(), true).await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agreed_rates_come_with_the_caller() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let tenant = stored_tenant(store, &env, "acme").await.id;
        let user = stored_user(store, &env, "ada@example.com").await;
        join(store, &env, user.id, tenant, TenantRole::Viewer).await;
        subscribe(store, &env, tenant, "starter", SubscriptionStatus::Active).await;
        let session = session(&env, user.id, Some(tenant));
        let mut work = store.begin().await.unwrap();
        work.sessions().insert(&session).await.unwrap();
        work.commit().await.unwrap();
        for rate in [None, Some(7)] {
            let overrides = Overrides {
                limits: BTreeMap::new(),
                requests_per_minute: RequestRates { per_user: rate, per_key: Some(8) },
                ..Overrides::default()
            };
            let mut work = store.begin().await.unwrap();
            work.subscriptions().set_overrides(tenant, &overrides).await.unwrap();
            work.commit().await.unwrap();
            let mut reader = store.reader();
            let caller =
                reader.sessions().caller(session.id, Some(tenant), env.now()).await.unwrap().unwrap();
            assert_eq!((caller.requests_per_minute, caller.plan.as_deref()), (rate, Some("starter")));
            let elsewhere = reader.sessions().caller(session.id, None, env.now()).await.unwrap().unwrap();
            assert_eq!(elsewhere.requests_per_minute, None);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_belongs_to_one_customer_and_is_deleted_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenants =
            [stored_tenant(store, &env, "acme").await.id, stored_tenant(store, &env, "bread").await.id];
        let author = stored_user(store, &env, "staff@example.com").await.id;
        let note = |tenant: TenantId, text: &str| CustomerNote {
            id: env.new_id(),
            customer_id: tenant,
            author_id: author,
            text: text.to_owned(),
            created_at: env.now(),
        };
        let (first, second, other) = (note(tenants[0], "1"), note(tenants[0], "2"), note(tenants[1], "3"));
        let mut work = store.begin().await.unwrap();
        for note in [&first, &second, &other] {
            work.customer_notes().insert(note).await.unwrap();
        }
        work.commit().await.unwrap();
        let list = async |tenant, page, limit| {
            let page = PageRequest { page, limit };
            let found = store.reader().customer_notes().list(tenant, page).await.unwrap();
            (found.items, found.total)
        };
        assert_eq!(list(tenants[0], 1, 10).await, (vec![second.clone(), first.clone()], 2), "newest first");
        assert_eq!(list(tenants[0], 2, 1).await, (vec![first.clone()], 2));
        let mut work = store.begin().await.unwrap();
        assert!(!work.customer_notes().delete(tenants[1], first.id).await.unwrap(), "about another");
        assert!(work.customer_notes().delete(tenants[0], first.id).await.unwrap());
        assert!(!work.customer_notes().delete(tenants[0], first.id).await.unwrap());
        work.commit().await.unwrap();
        assert_eq!(list(tenants[0], 1, 10).await, (vec![second], 1));
    })
    .await;
}
