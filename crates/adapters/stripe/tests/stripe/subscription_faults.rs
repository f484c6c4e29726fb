//! Subscriptions, where calls are doubled and answers are lost.

use portico_billing::{
    payment::PaymentError, plan::BillingInterval, subscription::SubscriptionStatus,
    subscription_provider::SubscriptionProvider,
};
use portico_payments_sandbox::ApiRequest;
use portico_stripe::StripeSubscriptions;
use serde_json::Value;

use crate::{
    shop::{KEY, PATIENCE, Shop, client, config},
    subscription_life::{Tenant, new_customer, new_price},
};

/// The answer to the next call of this method and path is lost.
fn lose(shop: &Shop, method: &'static str, path: &'static str) {
    shop.server().losing.lock().unwrap().push((method, path));
}

fn is_unavailable<T: std::fmt::Debug>(answer: Result<T, PaymentError>) {
    assert!(matches!(&answer, Err(error) if error.is_passing()), "{answer:?}");
}

fn count(shop: &Shop, path: &str) -> usize {
    let list: Value = shop.stored(&format!("{path}limit=100"));
    list["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn what_was_made_is_found_again_with_the_key() {
    let shop = Shop::over_http().await;
    let provider = &shop.subscriptions;
    lose(&shop, "POST", "/v1/customers");
    is_unavailable(provider.create_customer(&new_customer(), "customer_1").await);
    lose(&shop, "POST", "/v1/prices");
    let price = new_price("starter-1-month", 1200, BillingInterval::Month);
    is_unavailable(provider.price(&price).await);
    let tenant = Tenant::new(&shop).await;
    assert_eq!((count(&shop, "/v1/customers?"), count(&shop, "/v1/prices?")), (1, 2));

    lose(&shop, "POST", "/v1/checkout/sessions");
    let new = tenant.checkout(0);
    is_unavailable(provider.create_checkout(&new, "checkout_1").await);
    let page = provider.create_checkout(&new, "checkout_1").await.unwrap();
    assert_eq!(count(&shop, "/v1/checkout/sessions?"), 1);
    shop.pay(page.url.as_ref().unwrap(), "visa").await;

    let first = tenant.now().await;
    provider.cancel(&first.id).await.unwrap();
    lose(&shop, "POST", "/v1/subscriptions");
    is_unavailable(provider.create(&tenant.again(), "plan_1").await);
    let begun = provider.create(&tenant.again(), "plan_1").await.unwrap();
    assert_eq!(count(&shop, "/v1/subscriptions?status=all&"), 2, "the one that ended, and one more");
    assert_eq!(provider.invoices(&tenant.customer).await.unwrap().len(), 2);

    lose(&shop, "POST", "/v1/subscriptions/");
    let change = tenant.upgrade(&begun, begun.period_start);
    is_unavailable(provider.change(&change, "plan_2").await);
    let changed = provider.change(&change, "plan_2").await.unwrap();
    assert_eq!(changed.price.as_deref(), Some("professional-1-month"));
    assert_eq!(provider.invoices(&tenant.customer).await.unwrap().len(), 3, "charged once");
}

#[tokio::test]
async fn a_schedule_is_one_wherever_its_calls_break_off() {
    let shop = Shop::over_http().await;
    let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
    tenant.subscribe("visa").await;
    let before = tenant.now().await;
    let ask = || provider.schedule(&before.id, &tenant.professional, "plan_1");
    for (method, path) in [
        ("POST", "/v1/subscription_schedules"),
        ("GET", "/v1/subscription_schedules/"),
        ("POST", "/v1/subscription_schedules/"),
        ("GET", "/v1/subscriptions/"),
    ] {
        lose(&shop, method, path);
        is_unavailable(ask().await);
    }
    let planned = ask().await.unwrap();
    assert_eq!(planned.scheduled.unwrap().reference.as_deref(), Some("professional-1-month"));
    assert_eq!(count(&shop, "/v1/subscription_schedules?"), 1);

    // To take it back is harmless when it is repeated.
    lose(&shop, "POST", "/v1/subscription_schedules/");
    is_unavailable(provider.cancel_at_end(&before.id).await);
    lose(&shop, "POST", "/v1/subscriptions/");
    is_unavailable(provider.cancel_at_end(&before.id).await);
    let ending = provider.cancel_at_end(&before.id).await.unwrap();
    assert_eq!((ending.ends_at, ending.scheduled), (Some(before.period_end), None));
    lose(&shop, "DELETE", "/v1/subscriptions/");
    is_unavailable(provider.cancel(&before.id).await);
    assert_eq!(provider.cancel(&before.id).await.unwrap().status, SubscriptionStatus::Canceled);
}

#[tokio::test]
async fn calls_at_once_charge_once() {
    let [over_http, in_process] = Shop::each().await;
    for shop in [&over_http, &in_process] {
        let (tenant, provider) = (Tenant::new(shop).await, &shop.subscriptions);
        tenant.subscribe("visa").await;
        let before = tenant.now().await;
        let change = tenant.upgrade(&before, before.period_start);
        let calls = || provider.change(&change, "plan_1");
        let (one, two, three) = tokio::join!(calls(), calls(), calls());
        for answer in [one, two, three] {
            assert_eq!(answer.unwrap().price.as_deref(), Some("professional-1-month"));
        }
        assert_eq!(provider.invoices(&tenant.customer).await.unwrap().len(), 2);
        let other = provider.create(&tenant.again(), "plan_1").await;
        assert!(matches!(other, Err(PaymentError::Refused(_))), "the key of another call: {other:?}");
        provider.cancel(&before.id).await.unwrap();
        let begin = tenant.again();
        let calls = || provider.create(&begin, "plan_2");
        let (one, two) = tokio::join!(calls(), calls());
        assert_eq!(one.unwrap(), two.unwrap());
        assert_eq!(provider.invoices(&tenant.customer).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for shop in Shop::each().await {
        let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
        for id in ["sub_never", "", "../customers", "a?b"] {
            assert_eq!(provider.cancel(id).await, Err(PaymentError::NotFound), "{id}");
            assert_eq!(provider.resume(id).await, Err(PaymentError::NotFound), "{id}");
            assert_eq!(provider.cancel_at_end(id).await, Err(PaymentError::NotFound), "{id}");
            let later = provider.schedule(id, &tenant.starter, "plan_1").await;
            assert_eq!(later, Err(PaymentError::NotFound), "{id}");
        }
        tenant.subscribe("visa").await;
        let running = tenant.now().await;
        for price in ["price_never", ""] {
            let later = provider.schedule(&running.id, price, "plan_2").await;
            assert_eq!(later, Err(PaymentError::NotFound), "{price}");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_nothing_is_taken_for_done() {
    let shop = Shop::over_http().await;
    let config = config(&shop.server().url(), "sk_test_of_another_account");
    let wrong = StripeSubscriptions::new(&config, client(PATIENCE));
    for refused in [
        wrong.create_customer(&new_customer(), "customer_1").await.map(drop),
        wrong.expire_checkout("cs_test_1").await,
        wrong.subscription("cus_1").await.map(drop),
        wrong.cancel("sub_1").await.map(drop),
        wrong.set_default("cus_1", "pm_1").await,
        wrong.portal_page("cus_1", "https://shop.example/").await.map(drop),
    ] {
        let Err(PaymentError::Refused(text)) = refused else { panic!("{refused:?}") };
        assert!(text.starts_with("status 401") && !text.contains("another"), "{text}");
    }
}

#[tokio::test]
async fn a_customer_that_was_deleted_is_told_from_one_that_never_was() {
    let shop = Shop::over_http().await;
    let (tenant, provider) = (Tenant::new(&shop).await, &shop.subscriptions);
    tenant.subscribe("visa").await;
    assert_eq!(provider.is_deleted(&tenant.customer).await, Ok(false));

    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    let path = format!("/v1/customers/{}", tenant.customer);
    let call = ApiRequest { method: "DELETE", path: &path, headers: &headers, body: b"" };
    let answer = shop.server().sandbox.lock().unwrap().handle(call, shop.hands.time());
    assert_eq!(answer.status, 200);
    assert_eq!(provider.is_deleted(&tenant.customer).await, Ok(true));
    let goes_on = match provider.subscription(&tenant.customer).await {
        Ok(seen) => seen.is_some_and(|seen| seen.status != SubscriptionStatus::Canceled),
        Err(error) => error != PaymentError::NotFound,
    };
    assert!(!goes_on);
    for never in ["cus_never", ""] {
        assert_ne!(provider.is_deleted(never).await, Ok(true), "{never}");
    }
}
