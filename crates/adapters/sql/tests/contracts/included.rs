//! `portico_billing::ports::MeterRepository::add_included`: what a plan includes is counted by one statement.

use std::collections::BTreeMap;

use portico_billing::{
    limits::Overrides,
    period::Period,
    plan::Plan,
    ports::BillingRepositories,
    subscription::{Subscription, SubscriptionStatus},
};
use portico_identity::{ports::IdentityRepositories, user::User};
use portico_kernel::{Env, Fault, Meter, TenantId, TenantRole};
use portico_sites::{ports::SiteRepositories, site::Frozen};
use portico_sql::SqlStore;
use portico_testkit::{TestDatabase, env, on_each_database};

use crate::{
    fixtures::{at_once, join, plan_of, stored_tenant, stored_user, subscribe},
    usage::site_of,
};

/// A tenant on a plan with these limits, with an owner who has verified their address.
async fn tenant_with(store: &SqlStore, env: &Env, name: &str, limits: &[(Meter, u64)]) -> TenantId {
    let tenant = stored_tenant(store, env, name).await.id;
    let owner = stored_user(store, env, &format!("{name}@example.com")).await;
    join(store, env, owner.id, tenant, TenantRole::Owner).await;
    let plan = Plan { limits: limits.iter().copied().collect(), ..plan_of(name, 1) };
    let subscription = Subscription {
        tenant_id: tenant,
        plan: plan.id.clone(),
        plan_version: 1,
        status: SubscriptionStatus::Active,
        created_at: env.now(),
        updated_at: env.now(),
    };
    let mut work = store.begin().await.unwrap();
    work.users().update(&User { email_verified: true, ..owner }).await.unwrap();
    work.plans().upsert(&plan).await.unwrap();
    work.subscriptions().insert(&subscription).await.unwrap();
    work.commit().await.unwrap();
    tenant
}

/// Counts so much in a unit of work of its own; answers whether it fitted.
async fn add(store: &SqlStore, tenant: TenantId, meter: Meter, amount: u64, margin: u64) -> bool {
    let mut work = store.begin().await.unwrap();
    let added = work.meters().add_included(tenant, meter, amount, margin).await.unwrap();
    work.commit().await.unwrap();
    added
}

async fn used(store: &SqlStore, tenant: TenantId, meter: Meter) -> u64 {
    store.reader().meters().used(tenant, meter, Period::Standing).await.unwrap()
}

async fn agree(store: &SqlStore, tenant: TenantId, limits: BTreeMap<Meter, Option<u64>>) {
    let mut work = store.begin().await.unwrap();
    let overrides = Overrides { limits, ..Overrides::default() };
    work.subscriptions().set_overrides(tenant, &overrides).await.unwrap();
    work.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn as_much_is_counted_as_the_plan_includes_or_as_was_agreed_on() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (meter, tenant) = (Meter::Sites, tenant_with(store, &env, "one", &[(Meter::Sites, 3)]).await);
        let other = tenant_with(store, &env, "two", &[(Meter::Sites, 0)]).await;
        assert!(!add(store, tenant, meter, 4, 0).await, "too much at once");
        assert!(add(store, tenant, meter, 2, 0).await);
        assert!(!add(store, tenant, meter, 2, 0).await);
        assert!(!add(store, tenant, meter, 1, 1).await, "nothing would be left");
        assert_eq!(used(store, tenant, meter).await, 2, "a refusal changes nothing");
        assert!(add(store, tenant, meter, 1, 0).await);
        assert!(!add(store, tenant, meter, 1, 0).await);
        assert!(!add(store, other, meter, 1, 0).await, "a limit of zero");
        assert!(add(store, tenant, Meter::CustomDomains, 1 << 50, 0).await, "the plan has no limit of these");

        agree(store, tenant, BTreeMap::from([(meter, Some(4))])).await;
        assert!(add(store, tenant, meter, 1, 0).await);
        assert!(!add(store, tenant, meter, 1, 0).await);
        agree(store, tenant, BTreeMap::from([(meter, Some(2))])).await;
        assert!(!add(store, tenant, meter, 1, 0).await, "the limit went down");
        agree(store, tenant, BTreeMap::from([(meter, None)])).await;
        assert!(add(store, tenant, meter, 1000, 0).await);
        assert!(!add(store, tenant, meter, u64::MAX, 0).await, "does not overflow");
        agree(store, tenant, BTreeMap::from([(Meter::Members, Some(7))])).await;
        assert!(!add(store, tenant, meter, 1, 0).await, "the plan counts again");
        assert_eq!(used(store, tenant, meter).await, 1004);
        assert_eq!(used(store, other, meter).await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_in_force_counts_and_nothing_without_one() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = tenant_with(store, &env, "one", &[(Meter::Sites, 1)]).await;
        let larger = Plan { version: 2, limits: BTreeMap::from([(Meter::Sites, 2)]), ..plan_of("one", 1) };
        let mut work = store.begin().await.unwrap();
        work.plans().upsert(&larger).await.unwrap();
        work.commit().await.unwrap();
        assert!(add(store, tenant, Meter::Sites, 1, 0).await);
        assert!(!add(store, tenant, Meter::Sites, 1, 0).await, "a new version is for those who come to it");
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.subscriptions().move_to("one", 2, env.now()).await.unwrap().len(), 1);
        work.commit().await.unwrap();
        assert!(add(store, tenant, Meter::Sites, 1, 0).await);

        let without = stored_tenant(store, &env, "none").await.id;
        assert!(!add(store, without, Meter::Sites, 1, 0).await);
        for status in SubscriptionStatus::ALL {
            let name = status.as_str();
            let tenant = stored_tenant(store, &env, &name.replace('_', "-")).await.id;
            subscribe(store, &env, tenant, "everything", status).await;
            let is_in_force = store.reader().subscriptions().allowance(tenant).await.unwrap().is_some();
            assert_eq!(add(store, tenant, Meter::Sites, 1, 0).await, is_in_force, "{name}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_leave_room_for_texts_and_wait_for_a_verified_address() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (meter, tenant) =
            (Meter::Storage, tenant_with(store, &env, "one", &[(Meter::Storage, 1000)]).await);
        // A part of the count alone can be negative.
        for part in ["40, 500", "41, -100"] {
            let statement = format!("insert into stored_texts (tenant_id, part, bytes) values ($1, {part})");
            database.tamper(&statement, &[tenant.uuid()]).await;
        }
        assert!(!add(store, tenant, meter, 500, 101).await);
        assert!(add(store, tenant, meter, 500, 100).await);
        assert!(!add(store, tenant, meter, 1, 100).await);
        assert!(add(store, tenant, meter, 100, 0).await, "the last ones");
        assert!(!add(store, tenant, meter, 1, 0).await);
        assert_eq!(used(store, tenant, meter).await, 600);
        agree(store, tenant, BTreeMap::from([(meter, None)])).await;
        assert!(add(store, tenant, meter, 1 << 50, 64 << 20).await);

        let unverified = stored_tenant(store, &env, "two").await.id;
        let owner = stored_user(store, &env, "owner@example.com").await;
        join(store, &env, owner.id, unverified, TenantRole::Owner).await;
        subscribe(store, &env, unverified, "everything", SubscriptionStatus::Active).await;
        assert!(!add(store, unverified, meter, 1, 0).await);
        assert!(add(store, unverified, Meter::Sites, 1, 0).await, "nothing else waits for it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_who_take_at_once_as_many_get_one_as_there_are() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let limits = [(Meter::Sites, 3), (Meter::CustomDomains, 3), (Meter::Storage, 3)];
        let tenant = tenant_with(store, &env, "one", &limits).await;
        // Storage is never counted at once with so little room: whoever takes it waits for the others in one order.
        for (meter, limit) in limits {
            let outcomes = at_once(store, 64, |store, _| async move {
                let mut work = store.begin().await.unwrap();
                let taken = work.entitlements().take(tenant, meter, 1).await;
                match taken {
                    Ok(()) => {
                        work.commit().await.unwrap();
                        "taken"
                    }
                    Err(refused) => refused.code(),
                }
            })
            .await;
            let count = |of: &str| outcomes.iter().filter(|outcome| **outcome == of).count() as u64;
            assert_eq!((count("taken"), count("quota_exceeded")), (limit, 64 - limit), "{meter:?}");
            assert_eq!(used(store, tenant, meter).await, limit, "{meter:?}");
        }
        // Some have plenty of room when they begin, and others do not: all of the small ones fit, and sixteen of the large.
        let room = (64 << 20) + 32;
        agree(store, tenant, BTreeMap::from([(Meter::Storage, Some(3 + room))])).await;
        let outcomes = at_once(store, 64, |store, number| async move {
            let mut work = store.begin().await.unwrap();
            let amount = if number.is_multiple_of(2) { 1 } else { 4 << 20 };
            let taken = work.entitlements().take(tenant, Meter::Storage, amount).await;
            match taken {
                Ok(()) => {
                    work.commit().await.unwrap();
                    amount
                }
                Err(refused) => {
                    assert_eq!(refused.code(), "quota_exceeded");
                    0
                }
            }
        })
        .await;
        let taken: u64 = outcomes.iter().sum();
        assert_eq!(taken, room);
        assert_eq!(used(store, tenant, Meter::Storage).await, 3 + taken);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_only_staff_change_is_told_also_where_there_is_plenty_of_room() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = tenant_with(store, &env, "one", &[]).await;
        let site = site_of(&env, tenant, "shop");
        let mut work = store.begin().await.unwrap();
        work.sites().insert(&site).await.unwrap();
        work.commit().await.unwrap();
        for limit in [None, Some(0), None] {
            let frozen = limit.map(|_| Frozen::OverLimit);
            let mut work = store.begin().await.unwrap();
            // What is known of the site before it is changed does not hold after it.
            work.sites().primary(tenant).await.unwrap();
            work.sites().set_over_limit(tenant, limit).await.unwrap();
            assert_eq!(work.frozen_and_room(tenant, &[site.id], &[]).await.unwrap().0, frozen);
            work.commit().await.unwrap();

            // Of a unit of work that has only read: asked for, and as the look-up of the site has told.
            let mut work = store.begin().await.unwrap();
            assert_eq!(work.frozen_and_room(tenant, &[site.id], &[]).await.unwrap().0, frozen);
            assert_eq!(work.sites().primary(tenant).await.unwrap(), Some(site.id));
            assert_eq!(work.frozen_and_room(tenant, &[site.id], &[]).await.unwrap().0, frozen);
        }
    })
    .await;
}

/// Postgres parses the condition of a trigger again for each statement (migration 122).
#[tokio::test(flavor = "multi_thread")]
async fn what_counts_texts_that_are_added_has_no_condition_on_postgres() {
    let database = TestDatabase::postgres().await;
    let counting = "select 1 from pg_trigger where tgname like '%\\_counted\\_insert'";
    assert!(database.tamper(counting, &[]).await > 0, "the triggers are there");
    let with_condition = format!("{counting} and tgqual is not null");
    assert_eq!(database.tamper(&with_condition, &[]).await, 0);
}
