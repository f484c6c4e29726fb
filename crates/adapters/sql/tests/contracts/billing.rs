//! `portico_billing::ports`.

use std::collections::BTreeMap;

use portico_billing::{
    limits::{Allowance, Overrides, RequestRates},
    period::Period,
    plan::Plan,
    ports::BillingRepositories,
    subscription::{Subscription, SubscriptionStatus},
};
use portico_kernel::{Meter, StoreError};
use portico_testkit::{env, on_each_database};

use crate::fixtures::{at_once, stored_tenant};

fn plan(id: &str, position: i32) -> Plan {
    Plan {
        id: id.to_owned(),
        name: id.to_uppercase(),
        amount: 1900,
        currency: "usd".to_owned(),
        limits: BTreeMap::from([(Meter::Sites, 3), (Meter::Storage, 5_000_000_000)]),
        premium_templates: false,
        position,
    }
}

/// A plan without anything that was agreed on instead.
fn as_planned(plan: Plan) -> Allowance {
    Allowance { plan, overrides: Overrides::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_of_the_same_id_is_replaced() {
    on_each_database(async |database| {
        let mut work = database.store().begin().await.unwrap();
        work.plans().upsert(&plan("starter", 2)).await.unwrap();
        work.plans().upsert(&plan("free", 1)).await.unwrap();
        let dearer = Plan { amount: 2900, limits: BTreeMap::new(), ..plan("starter", 2) };
        work.plans().upsert(&dearer).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(database.store().reader().plans().list().await.unwrap(), [plan("free", 1), dearer]);
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
            Some(as_planned(plan("starter", 2)))
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
        let unknown = Subscription { plan: "gold".to_owned(), ..free };
        let refused = work.subscriptions().update(&unknown).await.unwrap_err();
        assert!(matches!(refused, StoreError::MissingReference(_)), "{refused:?}");
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
            assert_eq!(read, Some(Allowance { plan: plan("starter", 2), overrides }));
            assert_eq!(reader.meters().storage(ours, 0).await.unwrap().limit, storage);
            let others = reader.subscriptions().allowance(theirs).await.unwrap();
            assert_eq!(others, Some(as_planned(plan("starter", 2))));
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
