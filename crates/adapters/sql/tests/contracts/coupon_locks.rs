//! Coupons of plans that several tenants change at once: none waits for another one that waits for it.

use portico_billing::{
    checkout::{CheckoutRule, ReturnPages},
    coupon::Coupon,
    order::ReturnRule,
    paid::BillingAccount,
    payment::Provider,
    plan::{BillingInterval, Plan, PlanPrice},
    plan_call::PlanCall,
    plan_change::PlanWish,
    plan_changes::{Begun, PlanChanges},
    plan_discount::PlanDiscount,
    ports::BillingRepositories,
    subscription::SubscriptionStatus,
};
use portico_kernel::Permission;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    coupons::coupon,
    fixtures::{at_once, member_scope, plan_of, stored_tenant, subscribe},
    paid_plans::{account, call},
};

#[tokio::test(flavor = "multi_thread")]
async fn tenants_that_change_to_the_coupon_of_each_other_do_not_wait_in_a_circle() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let unlimited = |code| {
            let plans = Vec::new();
            Coupon { max_redemptions: None, plans, ..coupon(&env, code) }
        };
        let coupons = [unlimited("SUMMER"), unlimited("WINTER")];
        let price = PlanPrice { interval: BillingInterval::Month, amount: 2000, currency: "usd".to_owned() };
        let starter = Plan { amount: 2000, prices: vec![price], ..plan_of("starter", 5) };
        let mut work = store.begin().await.unwrap();
        work.plans().upsert(&starter).await.unwrap();
        for coupon in &coupons {
            work.coupons().insert(coupon).await.unwrap();
        }
        work.commit().await.unwrap();

        let mut tenants = Vec::new();
        for number in 0..8 {
            let tenant = stored_tenant(store, &env, &format!("tenant{number}")).await.id;
            subscribe(store, &env, tenant, "free", SubscriptionStatus::Active).await;
            let customer_id = Some(format!("cus_{number}"));
            // Its call got no answer, and is too old to be repeated: the next one takes its place.
            let held = &coupons[number % 2];
            let discount = call(&env, tenant).discount.map(|discount| PlanDiscount {
                coupon_id: held.id,
                code: held.code.clone(),
                ..discount
            });
            let created_at = env.now() - Duration::DAY;
            let stale = PlanCall { discount, created_at, ..call(&env, tenant) };
            let mut work = store.begin().await.unwrap();
            let account = BillingAccount { customer_id, ..account(&env, tenant) };
            assert!(work.accounts().insert_missing(&account).await.unwrap());
            work.plan_calls().insert(&stale).await.unwrap();
            work.coupons().redeem_plan(tenant, stale.id, held.id, env.now()).await.unwrap();
            work.commit().await.unwrap();
            tenants.push(tenant);
        }
        let codes = coupons.each_ref().map(|coupon| coupon.code.clone());
        let begun = at_once(store, 8, |store, number| {
            let (env, tenant, code) = (env.clone(), tenants[number], codes[(number + 1) % 2].clone());
            async move {
                let scope = member_scope(&env, tenant, &[Permission::BillingWrite]);
                let rule = CheckoutRule {
                    provider: Provider::Stripe,
                    live: false,
                    returns: ReturnRule::Anywhere,
                    home: ReturnPages::default(),
                };
                let wish =
                    PlanWish { plan: "starter".to_owned(), coupon_code: Some(code), ..PlanWish::default() };
                let mut work = store.begin().await.unwrap();
                let mut changes = PlanChanges::new(&mut work, &scope, &env);
                let begun = changes.upgrade(&wish, &rule, true, false).await.unwrap();
                work.commit().await.unwrap();
                begun
            }
        })
        .await;
        assert!(begun.iter().all(|begun| matches!(begun, Begun::Call(_))), "{begun:?}");
        let mut reader = store.reader();
        for coupon in &coupons {
            let stored = reader.coupons().find(coupon.id).await.unwrap().unwrap();
            assert_eq!(stored.redemptions, 4, "each has changed to the other one");
        }
    })
    .await;
}
