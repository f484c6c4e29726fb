//! `portico_billing::ports`.

use std::collections::BTreeMap;

use portico_billing::{
    limits::{Allowance, Overrides, RequestRates},
    period::Period,
    plan::Plan,
    plan_edit::{ManagedPlan, PlanVersion},
    ports::BillingRepositories,
    subscription::{Subscription, SubscriptionStatus},
};
use portico_kernel::{Env, Meter, PageRequest, StoreError, TenantId, Timestamp};
use portico_sql::SqlStore;
use portico_tenancy::ports::TenancyRepositories;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, plan_of, stored_tenant, tenant};

fn plan(id: &str, position: i32) -> Plan {
    let limits = BTreeMap::from([(Meter::Sites, 3), (Meter::Storage, 5_000_000_000)]);
    Plan { limits, ..plan_of(id, position) }
}

/// A plan since a time, without anything that was agreed on instead.
fn as_planned(plan: Plan, period_anchor: Timestamp) -> Allowance {
    Allowance {
        plan,
        overrides: Overrides::default(),
        period_anchor,
        bandwidth_spent_until: None,
        overage: None,
    }
}

/// Stores what one unit of work does to the plans.
async fn store_plans(store: &SqlStore, plans: &[Plan]) {
    let mut work = store.begin().await.unwrap();
    for plan in plans {
        work.plans().upsert(plan).await.unwrap();
    }
    work.commit().await.unwrap();
}

/// A subscription in force.
fn on(env: &Env, tenant: TenantId, plan: &str, plan_version: i32) -> Subscription {
    Subscription {
        tenant_id: tenant,
        plan: plan.to_owned(),
        plan_version,
        status: SubscriptionStatus::Active,
        created_at: env.now(),
        updated_at: env.now(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_replaced_and_the_last_one_stored_is_the_current_one() {
    on_each_database(async |database| {
        let store = database.store();
        store_plans(store, &[plan("starter", 2), plan("free", 1)]).await;
        let dearer = Plan { amount: 2900, limits: BTreeMap::new(), ..plan("starter", 2) };
        store_plans(store, std::slice::from_ref(&dearer)).await;
        assert_eq!(store.reader().plans().list().await.unwrap(), [plan("free", 1), dearer.clone()]);

        let second = Plan { version: 2, trial_days: 7, ..plan("starter", 2) };
        store_plans(store, std::slice::from_ref(&second)).await;
        let mut reader = store.reader();
        assert_eq!(reader.plans().list().await.unwrap(), [plan("free", 1), second.clone()]);
        assert_eq!(reader.plans().current("starter").await.unwrap(), Some(second.clone()));
        assert_eq!(reader.plans().current("gold").await.unwrap(), None);
        assert_eq!(reader.plans().ids().await.unwrap(), ["free", "starter"]);
        let version = |plan| PlanVersion { plan, subscriptions: 0 };
        assert_eq!(
            reader.plans().versions("starter", 10).await.unwrap(),
            [version(second.clone()), version(dearer)],
            "the version before stays as it is"
        );
        assert_eq!(reader.plans().versions("starter", 1).await.unwrap(), [version(second)]);
        assert!(reader.plans().versions("gold", 10).await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_new_plans_of_one_id_one_is_stored() {
    on_each_database(async |database| {
        let outcomes = at_once(database.store(), 8, |store, number| async move {
            let mut work = store.begin().await.unwrap();
            let stored = work.plans().insert(&plan("agency", number as i32)).await;
            match stored {
                Ok(()) => work.commit().await.map(|()| true).unwrap(),
                Err(StoreError::Conflict(_)) => false,
                Err(error) => panic!("{error:?}"),
            }
        })
        .await;
        assert_eq!(outcomes.into_iter().filter(|stored| *stored).count(), 1);
        // The id of a retired plan is not free again, and neither is that of a plan with later versions.
        store_plans(database.store(), &[Plan { version: 2, ..plan("agency", 1) }]).await;
        let mut work = database.store().begin().await.unwrap();
        work.plans().retire("agency", env().now()).await.unwrap();
        work.commit().await.unwrap();
        let mut work = database.store().begin().await.unwrap();
        let again = work.plans().insert(&plan("agency", 1)).await;
        assert!(matches!(again, Err(StoreError::Conflict(_))), "{again:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_offer_is_of_public_plans_and_staff_see_all_with_their_tenants() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let hidden = Plan { is_public: false, ..plan("hidden", 1) };
        let (sold, old) = (plan("sold", 2), plan("old", 3));
        store_plans(store, &[old.clone(), sold.clone(), hidden.clone()]).await;
        let mut work = store.begin().await.unwrap();
        for (name, plan) in [("one", "old"), ("two", "old"), ("three", "sold")] {
            let tenant = tenant(&env, name);
            work.tenants().insert(&tenant).await.unwrap();
            work.subscriptions().insert(&on(&env, tenant.id, plan, 1)).await.unwrap();
        }
        // One that is not in force does not count.
        let gone = tenant(&env, "gone");
        work.tenants().insert(&gone).await.unwrap();
        let canceled = Subscription { status: SubscriptionStatus::Canceled, ..on(&env, gone.id, "sold", 1) };
        work.subscriptions().insert(&canceled).await.unwrap();
        work.plans().retire("old", env.now()).await.unwrap();
        work.commit().await.unwrap();
        let second = Plan { version: 2, ..sold.clone() };
        store_plans(store, std::slice::from_ref(&second)).await;

        let mut reader = store.reader();
        assert_eq!(reader.plans().list().await.unwrap(), std::slice::from_ref(&second));
        assert_eq!(reader.plans().current("old").await.unwrap(), None);
        assert_eq!(reader.plans().current("hidden").await.unwrap(), Some(hidden.clone()));
        assert_eq!(reader.plans().ids().await.unwrap(), ["hidden", "old", "sold"]);
        let expected = [
            ManagedPlan { plan: hidden, retired_at: None, subscriptions: 0 },
            // On any version.
            ManagedPlan { plan: second.clone(), retired_at: None, subscriptions: 1 },
            ManagedPlan { plan: old, retired_at: Some(env.now()), subscriptions: 2 },
        ];
        let all = reader.plans().managed(PageRequest { page: 1, limit: 10 }).await.unwrap();
        assert_eq!((&all.items[..], all.total), (&expected[..], 3));
        let last = reader.plans().managed(PageRequest { page: 2, limit: 2 }).await.unwrap();
        assert_eq!((&last.items[..], last.total), (&expected[2..], 3));
        for plan in expected {
            let found = reader.plans().find(&plan.plan.id).await.unwrap();
            assert_eq!(found, Some(plan));
        }
        assert_eq!(reader.plans().find("gold").await.unwrap(), None);
        assert_eq!(
            reader.plans().versions("sold", 10).await.unwrap(),
            [PlanVersion { plan: second, subscriptions: 0 }, PlanVersion { plan: sold, subscriptions: 1 }]
        );
        // Who is on the retired plan stays.
        assert!(reader.plans().find("old").await.unwrap().is_some_and(|plan| plan.subscriptions == 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_changes_a_plan_waits_for_the_others() {
    on_each_database(async |database| {
        let store = database.store();
        store_plans(store, &[plan("starter", 2)]).await;
        at_once(store, 8, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let found = work.plans().lock("starter").await.unwrap().unwrap();
            let next = Plan { version: found.plan.version + 1, ..found.plan };
            work.plans().upsert(&next).await.unwrap();
            work.commit().await.unwrap();
        })
        .await;
        let current = store.reader().plans().current("starter").await.unwrap().unwrap();
        assert_eq!(current.version, 9, "each has seen what the one before has stored");
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.plans().lock("gold").await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_keeps_the_version_that_it_has_until_it_is_moved() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let (early, late) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let first = plan("starter", 2);
        let mut second = Plan { version: 2, ..first.clone() };
        second.limits = BTreeMap::from([(Meter::Sites, 9), (Meter::Storage, 7_000_000_000)]);
        store_plans(store, &[first.clone(), plan("free", 1)]).await;
        let mut work = store.begin().await.unwrap();
        let named = on(&env, early, "starter", 7);
        let version = work.subscriptions().insert_current(&named).await.unwrap();
        assert_eq!(version, Some(1), "whichever version is named");
        let nothing = work.subscriptions().insert_current(&on(&env, late, "gold", 1)).await.unwrap();
        assert_eq!(nothing, None, "there is no such plan");
        assert_eq!(work.subscriptions().find(late).await.unwrap(), None);
        work.commit().await.unwrap();
        store_plans(store, std::slice::from_ref(&second)).await;
        let mut work = store.begin().await.unwrap();
        assert_eq!(
            work.subscriptions().insert_current(&on(&env, late, "starter", 1)).await.unwrap(),
            Some(2)
        );
        work.commit().await.unwrap();

        let before = on(&env, early, "starter", 1);
        let mut reader = store.reader();
        assert_eq!(reader.subscriptions().find(early).await.unwrap(), Some(before.clone()));
        for (tenant, plan, storage) in [(early, &first, 5_000_000_000_u64), (late, &second, 7_000_000_000)] {
            let allowance = reader.subscriptions().allowance(tenant).await.unwrap();
            assert_eq!(allowance, Some(as_planned(plan.clone(), before.created_at)));
            assert_eq!(reader.meters().storage(tenant, 0).await.unwrap().limit, Some(storage));
        }

        env.clock.advance(Duration::seconds(1));
        let mut work = store.begin().await.unwrap();
        let moved = work.subscriptions().move_to("starter", 2, env.now()).await.unwrap();
        assert_eq!(moved, std::slice::from_ref(&before), "as they were, and nobody else");
        let again = work.subscriptions().move_to("starter", 2, env.now()).await.unwrap();
        assert!(again.is_empty(), "{again:?}");
        work.commit().await.unwrap();
        let bought_at = before.created_at;
        let after = Subscription { plan_version: 2, updated_at: env.now(), ..before };
        let mut reader = store.reader();
        assert_eq!(reader.subscriptions().find(early).await.unwrap(), Some(after));
        assert_eq!(
            reader.subscriptions().allowance(early).await.unwrap(),
            Some(as_planned(second, bought_at))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_a_tenant_is_that_of_its_active_subscription() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let (first, second) =
            (stored_tenant(store, &env, "one").await, stored_tenant(store, &env, "two").await);
        let subscription = |tenant, status| Subscription {
            tenant_id: tenant,
            plan: "starter".to_owned(),
            plan_version: 1,
            status,
            created_at: env.now(),
            updated_at: env.now(),
        };
        let mut work = store.begin().await.unwrap();
        let early = work.subscriptions().insert(&subscription(first.id, SubscriptionStatus::Active)).await;
        assert!(matches!(early, Err(StoreError::MissingReference(_))), "there is no such plan: {early:?}");
        drop(work);

        let mut work = store.begin().await.unwrap();
        work.plans().upsert(&plan("starter", 2)).await.unwrap();
        work.subscriptions().insert(&subscription(first.id, SubscriptionStatus::Active)).await.unwrap();
        work.subscriptions().insert(&subscription(second.id, SubscriptionStatus::Canceled)).await.unwrap();
        work.commit().await.unwrap();
        let mut reader = store.reader();
        assert_eq!(
            reader.subscriptions().allowance(first.id).await.unwrap(),
            Some(as_planned(plan("starter", 2), env.now()))
        );
        assert_eq!(reader.subscriptions().allowance(second.id).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_changes_to_plans_that_exist() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let (tenant, other) =
            (stored_tenant(store, &env, "one").await, stored_tenant(store, &env, "two").await);
        let mut work = store.begin().await.unwrap();
        for (id, position) in [("free", 1), ("starter", 2)] {
            work.plans().upsert(&plan(id, position)).await.unwrap();
        }
        let free = Subscription {
            tenant_id: tenant.id,
            plan: "free".to_owned(),
            plan_version: 1,
            status: SubscriptionStatus::Active,
            created_at: env.now(),
            updated_at: env.now(),
        };
        work.subscriptions().insert(&free).await.unwrap();
        work.subscriptions().insert(&Subscription { tenant_id: other.id, ..free.clone() }).await.unwrap();
        work.commit().await.unwrap();

        let mut work = store.begin().await.unwrap();
        assert_eq!(work.subscriptions().lock(env.new_id()).await.unwrap(), None);
        assert_eq!(work.subscriptions().lock(tenant.id).await.unwrap(), Some(free.clone()));
        let starter = Subscription { plan: "starter".to_owned(), ..free.clone() };
        work.subscriptions().update(&starter).await.unwrap();
        assert_eq!(work.subscriptions().lock(tenant.id).await.unwrap(), Some(starter));
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let unknown = Subscription { plan: "gold".to_owned(), ..free.clone() };
        let refused = work.subscriptions().update(&unknown).await.unwrap_err();
        assert!(matches!(refused, StoreError::MissingReference(_)), "{refused:?}");
        drop(work);
        let mut work = store.begin().await.unwrap();
        let unknown = Subscription { plan_version: 2, ..free };
        let refused = work.subscriptions().update(&unknown).await.unwrap_err();
        assert!(matches!(refused, StoreError::MissingReference(_)), "no such version: {refused:?}");
        drop(work);
        let mut reader = store.reader();
        assert_eq!(reader.subscriptions().allowance(tenant.id).await.unwrap().unwrap().plan.id, "starter");
        assert_eq!(reader.subscriptions().allowance(other.id).await.unwrap().unwrap().plan.id, "free");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_agreed_on_holds_for_one_tenant() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let mut work = store.begin().await.unwrap();
        work.plans().upsert(&plan("starter", 2)).await.unwrap();
        for tenant_id in [ours, theirs] {
            let subscription = Subscription {
                tenant_id,
                plan: "starter".to_owned(),
                plan_version: 1,
                status: SubscriptionStatus::Active,
                created_at: env.now(),
                updated_at: env.now(),
            };
            work.subscriptions().insert(&subscription).await.unwrap();
        }
        work.commit().await.unwrap();
        let agreed = |storage| Overrides {
            limits: BTreeMap::from([(Meter::Sites, Some(9)), (Meter::Storage, storage)]),
            requests_per_minute: RequestRates { per_user: Some(7), per_key: None },
            reason: Some("Why not".to_owned()),
            set_at: Some(env.now()),
        };
        for (overrides, storage) in
            [(agreed(Some(77)), Some(77)), (agreed(None), None), (Overrides::default(), Some(5_000_000_000))]
        {
            let mut work = store.begin().await.unwrap();
            work.subscriptions().set_overrides(ours, &overrides).await.unwrap();
            work.commit().await.unwrap();
            let mut reader = store.reader();
            let read = reader.subscriptions().allowance(ours).await.unwrap();
            assert_eq!(read, Some(Allowance { overrides, ..as_planned(plan("starter", 2), env.now()) }));
            assert_eq!(reader.meters().storage(ours, 0).await.unwrap().limit, storage);
            let others = reader.subscriptions().allowance(theirs).await.unwrap();
            assert_eq!(others, Some(as_planned(plan("starter", 2), env.now())));
            assert_eq!(reader.meters().storage(theirs, 0).await.unwrap().limit, Some(5_000_000_000));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meter_stops_at_its_limit_and_at_zero() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await, stored_tenant(store, &env, "two").await);
        let mut work = store.begin().await.unwrap();
        let mut meters = work.meters();
        assert!(
            !meters.add(ours.id, Meter::Sites, Period::Standing, 4, Some(3)).await.unwrap(),
            "over the limit at once"
        );
        assert!(meters.add(ours.id, Meter::Sites, Period::Standing, 2, Some(3)).await.unwrap());
        assert!(!meters.add(ours.id, Meter::Sites, Period::Standing, 2, Some(3)).await.unwrap());
        assert_eq!(
            meters.used(ours.id, Meter::Sites, Period::Standing).await.unwrap(),
            2,
            "a refusal changes nothing"
        );
        assert!(meters.add(ours.id, Meter::Sites, Period::Standing, 1, Some(3)).await.unwrap());
        assert!(
            !meters.add(ours.id, Meter::Sites, Period::Standing, 1, Some(1)).await.unwrap(),
            "the limit went down"
        );
        assert!(meters.add(ours.id, Meter::Sites, Period::Standing, 7, None).await.unwrap());
        assert!(
            !meters.add(ours.id, Meter::Sites, Period::Standing, u64::MAX, None).await.unwrap(),
            "does not overflow"
        );
        assert_eq!(meters.used(ours.id, Meter::Sites, Period::Standing).await.unwrap(), 10);
        assert_eq!(meters.used(ours.id, Meter::Storage, Period::Standing).await.unwrap(), 0);
        assert_eq!(meters.used(theirs.id, Meter::Sites, Period::Standing).await.unwrap(), 0);

        let (this, last) = (Period::Month { year: 2026, month: 11 }, Period::Month { year: 2026, month: 10 });
        assert!(meters.add(ours.id, Meter::AiGenerations, this, 3, None).await.unwrap());
        assert!(meters.add(ours.id, Meter::Storage, Period::Standing, 5, None).await.unwrap());
        let asked = |month| {
            [
                (Meter::Bandwidth, month),
                (Meter::Storage, Period::Standing),
                (Meter::AiGenerations, month),
                (Meter::Sites, Period::Standing),
            ]
        };
        assert_eq!(meters.used_of_all(ours.id, &asked(this)).await.unwrap(), [0, 5, 3, 10]);
        assert_eq!(
            meters.used_of_all(ours.id, &asked(last)).await.unwrap(),
            [0, 5, 0, 10],
            "periods are kept apart"
        );
        assert_eq!(meters.used_of_all(theirs.id, &asked(this)).await.unwrap(), [0; 4]);

        meters.subtract(ours.id, Meter::Sites, Period::Standing, 4).await.unwrap();
        assert_eq!(meters.used(ours.id, Meter::Sites, Period::Standing).await.unwrap(), 6);
        meters.subtract(ours.id, Meter::Sites, Period::Standing, 100).await.unwrap();
        assert_eq!(meters.used(ours.id, Meter::Sites, Period::Standing).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_64_at_once_for_the_last_unit_one_gets_it() {
    on_each_database(async |database| {
        let env = env();
        let store = database.store();
        let tenant = stored_tenant(store, &env, "one").await.id;
        // The first unit of a meter makes its row, the last one changes it: both are raced for.
        for limit in [1, 2] {
            let outcomes = at_once(store, 64, |store, _| async move {
                let mut work = store.begin().await.unwrap();
                let added =
                    work.meters().add(tenant, Meter::Sites, Period::Standing, 1, Some(limit)).await.unwrap();
                work.commit().await.unwrap();
                added
            })
            .await;
            assert_eq!(outcomes.into_iter().filter(|added| *added).count(), 1, "limit {limit}");
            assert_eq!(
                store.reader().meters().used(tenant, Meter::Sites, Period::Standing).await.unwrap(),
                limit
            );
        }
    })
    .await;
}
