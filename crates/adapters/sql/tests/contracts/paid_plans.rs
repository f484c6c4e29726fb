//! The ports of `portico_billing` that paid plans need: accounts at providers, calls to those, and invoices.

mod invoices;

use portico_billing::{
    coupon_scope::CouponDuration,
    inbound::{InboundStatus, StoredEvent},
    paid::{BillingAccount, PriceReference},
    payment::Provider,
    plan::BillingInterval,
    plan_call::{PlanCall, PlanCallKind, PlanCallStage},
    plan_discount::PlanDiscount,
    ports::{BillingRepositories, PaymentInbox},
    subscription::SubscriptionStatus,
    subscription_provider::{ProviderSubscription, RunningDiscount, ScheduledPrice},
};
use portico_kernel::{Env, Money, StoreError, TenantId};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::fixtures::{at_once, stored_tenant, subscribe};

/// An account without a customer.
pub fn account(env: &Env, tenant: TenantId) -> BillingAccount {
    BillingAccount {
        tenant_id: tenant,
        provider: Provider::Stripe,
        live: false,
        customer_id: None,
        keyed_at: env.now(),
        subscription: None,
        revision: 0,
        had_trial: false,
        past_due_since: None,
        reminders: 0,
        cancel_reason: None,
        ends_with_tenant: false,
        check_at: None,
        created_at: env.now(),
        updated_at: env.now(),
    }
}

fn subscription(env: &Env) -> ProviderSubscription {
    ProviderSubscription {
        id: "sub_1".to_owned(),
        status: SubscriptionStatus::PastDue,
        price: Some("starter-1-month".to_owned()),
        period_start: env.now(),
        period_end: env.now() + Duration::days(30),
        trial_ends_at: None,
        ends_at: Some(env.now() + Duration::days(30)),
        scheduled: Some(ScheduledPrice { reference: None, at: env.now() + Duration::days(30) }),
        payment_method_id: Some("pm_ñ".to_owned()),
        discount: Some(RunningDiscount {
            code: "SUMMER".to_owned(),
            percent_off: None,
            amount_off: Some(500),
            currency: Some("usd".to_owned()),
            once: false,
            ends_at: Some(env.now() + Duration::days(60)),
        }),
        live: false,
    }
}

/// A call whose page is to be made.
pub fn call(env: &Env, tenant: TenantId) -> PlanCall {
    PlanCall {
        id: env.new_id(),
        tenant_id: tenant,
        kind: PlanCallKind::Checkout,
        stage: PlanCallStage::Calling,
        price: PriceReference { plan: "starter".to_owned(), version: 2, interval: BillingInterval::Year },
        description: "Básico".to_owned(),
        amount: Money { amount: 12000, currency: "usd".to_owned() },
        customer_id: "cus_1".to_owned(),
        subscription_id: None,
        discount: Some(PlanDiscount {
            coupon_id: env.new_id(),
            code: "SUMMER".to_owned(),
            percent: Some(25),
            amount: None,
            currency: None,
            duration: CouponDuration::Repeating,
            months: Some(3),
        }),
        trial_days: 14,
        prorated_at: env.now(),
        success_url: Some("https://app.example.com/paid".to_owned()),
        cancel_url: Some("https://app.example.com/".to_owned()),
        session_id: None,
        url: None,
        created_at: env.now(),
        expires_at: env.now() + Duration::HOUR,
        check_at: Some(env.now() + Duration::minutes(2)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_one_account_and_a_customer_one_tenant() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let fresh = account(&env, ours);
        let made = at_once(store, 16, {
            let fresh = fresh.clone();
            move |store, _| {
                let fresh = fresh.clone();
                async move {
                    let mut work = store.begin().await.unwrap();
                    let made = work.accounts().insert_missing(&fresh).await.unwrap();
                    work.commit().await.unwrap();
                    made
                }
            }
        })
        .await;
        assert_eq!(made.into_iter().filter(|made| *made).count(), 1);
        let mut reader = store.reader();
        assert_eq!(reader.accounts().find(ours).await.unwrap(), Some(fresh.clone()));
        assert_eq!(reader.accounts().find(theirs).await.unwrap(), None);

        let known = BillingAccount {
            live: true,
            customer_id: Some("cus_1".to_owned()),
            subscription: Some(subscription(&env)),
            revision: 7,
            had_trial: true,
            past_due_since: Some(env.now()),
            reminders: 2,
            cancel_reason: Some("Cerramos".to_owned()),
            ends_with_tenant: true,
            check_at: Some(env.now()),
            updated_at: env.now() + Duration::SECOND,
            ..fresh
        };
        let mut work = store.begin().await.unwrap();
        work.accounts().insert_missing(&account(&env, theirs)).await.unwrap();
        work.accounts().update(&known).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(reader.accounts().find(ours).await.unwrap(), Some(known.clone()));
        let of = async |customer: &str| {
            store.reader().accounts().of_customer(Provider::Stripe, customer).await.unwrap()
        };
        assert_eq!((of("cus_1").await, of("cus_2").await), (Some(ours), None));

        let mut work = store.begin().await.unwrap();
        let stolen = BillingAccount { customer_id: known.customer_id.clone(), ..account(&env, theirs) };
        let refused = work.accounts().update(&stolen).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        drop(work);

        assert_eq!(reader.accounts().due(env.now() - Duration::SECOND, 10).await.unwrap(), []);
        assert_eq!(reader.accounts().due(env.now(), 10).await.unwrap(), [known]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_locks_an_account_sees_what_the_one_before_has_stored() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let mut work = store.begin().await.unwrap();
        work.accounts().insert_missing(&account(&env, tenant)).await.unwrap();
        work.commit().await.unwrap();
        let mut seen = at_once(store, 16, move |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let mut locked = work.accounts().lock(tenant).await.unwrap().unwrap();
            locked.revision += 1;
            work.accounts().update(&locked).await.unwrap();
            work.commit().await.unwrap();
            locked.revision
        })
        .await;
        seen.sort_unstable();
        assert_eq!(seen, (1..=16).collect::<Vec<i64>>());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_call_of_a_tenant_is_under_way_and_stays_the_same() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let (first, other) = (call(&env, ours), call(&env, theirs));
        let mut work = store.begin().await.unwrap();
        work.plan_calls().insert(&first).await.unwrap();
        work.plan_calls().insert(&other).await.unwrap();
        work.commit().await.unwrap();
        let mut work = store.begin().await.unwrap();
        let second = work.plan_calls().insert(&call(&env, ours)).await;
        assert!(matches!(second, Err(StoreError::Conflict(_))), "{second:?}");
        drop(work);
        let mut reader = store.reader();
        assert_eq!(reader.plan_calls().under_way(ours).await.unwrap(), Some(first.clone()));

        let open = PlanCall {
            stage: PlanCallStage::Open,
            session_id: Some("cs_1".to_owned()),
            url: Some("https://pay.example.com/cs_1".to_owned()),
            check_at: Some(env.now() + Duration::minutes(5)),
            ..first.clone()
        };
        let mut work = store.begin().await.unwrap();
        let spoilt = PlanCall {
            trial_days: 0,
            discount: None,
            success_url: None,
            prorated_at: env.now() + Duration::DAY,
            ..open.clone()
        };
        work.plan_calls().update(&spoilt).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(reader.plan_calls().under_way(ours).await.unwrap(), Some(open.clone()));
        let soon = env.now() + Duration::minutes(10);
        let due: Vec<_> =
            reader.plan_calls().due(soon, 10).await.unwrap().into_iter().map(|call| call.id).collect();
        assert_eq!(due, [other.id, first.id], "of all tenants, the one that has waited longest first");
        assert_eq!(reader.plan_calls().due(soon, 1).await.unwrap().len(), 1);

        let ended = PlanCall { stage: PlanCallStage::Ended, check_at: None, ..open };
        let mut work = store.begin().await.unwrap();
        work.plan_calls().update(&ended).await.unwrap();
        work.plan_calls().insert(&call(&env, ours)).await.unwrap();
        work.commit().await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_have_ended_and_old_events_are_swept() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let ended = PlanCall { stage: PlanCallStage::Ended, check_at: None, ..call(&env, ours) };
        let (later, open) = (PlanCall { id: env.new_id(), ..ended.clone() }, call(&env, theirs));
        let event = |id: &str, status| StoredEvent {
            provider: Provider::Stripe,
            id: id.to_owned(),
            kind: "invoice.paid".to_owned(),
            checkout: None,
            payment: None,
            refund: None,
            customer: Some("cus_1".to_owned()),
            status,
            received_at: env.now(),
        };
        let mut work = store.begin().await.unwrap();
        for call in [&ended, &PlanCall { created_at: env.now() + Duration::DAY, ..later }, &open] {
            work.plan_calls().insert(call).await.unwrap();
        }
        work.commit().await.unwrap();
        for (id, status) in [("evt_1", InboundStatus::Done), ("evt_2", InboundStatus::Received)] {
            assert!(store.receive(&event(id, status), None).await.unwrap());
        }
        assert_eq!(store.sweep(env.now() + Duration::days(30)).await.unwrap(), 0);
        let after = env.now() + Duration::days(30) + Duration::HOUR;
        assert_eq!(store.sweep(after).await.unwrap(), 1, "the first call that has ended");
        assert_eq!(store.reader().plan_calls().under_way(theirs).await.unwrap(), Some(open));
        let after = env.now() + Duration::days(60) + Duration::HOUR;
        assert_eq!(store.sweep(after).await.unwrap(), 3, "the second one, and both events");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_read_with_the_account_of_its_tenant() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (ours, theirs) =
            (stored_tenant(store, &env, "one").await.id, stored_tenant(store, &env, "two").await.id);
        let both = async |tenant| store.reader().subscriptions().with_account(tenant).await.unwrap();
        assert_eq!(both(ours).await, None);
        for tenant in [ours, theirs] {
            subscribe(store, &env, tenant, "starter", SubscriptionStatus::Active).await;
        }
        let plan = store.reader().subscriptions().find(ours).await.unwrap().unwrap();
        assert_eq!(both(ours).await, Some((plan.clone(), None)));
        let later = env.now() + Duration::HOUR;
        let paying = BillingAccount {
            customer_id: Some("cus_1".to_owned()),
            subscription: Some(subscription(&env)),
            revision: 3,
            had_trial: true,
            past_due_since: Some(env.now()),
            reminders: 2,
            cancel_reason: Some("Ñandú".to_owned()),
            check_at: Some(later),
            updated_at: later,
            ..account(&env, ours)
        };
        let mut work = store.begin().await.unwrap();
        assert!(work.accounts().insert_missing(&paying).await.unwrap());
        work.commit().await.unwrap();
        assert_eq!(store.reader().accounts().find(ours).await.unwrap(), Some(paying.clone()));
        assert_eq!(both(ours).await, Some((plan, Some(paying))));
        assert_eq!(both(theirs).await.unwrap().1, None);
    })
    .await;
}
