//! Coupons for plans: what they take off, for how long, and what is left of them after a change.

use std::time::Duration;

use portico_billing::{
    coupon_scope::CouponDuration,
    payment::PaymentError,
    subscription_provider::{
        InvoiceStatus, NewChange, NewCoupon, NewSubscription, NewSubscriptionCheckout, RunningDiscount,
        SubscriptionProvider,
    },
};
use portico_kernel::Money;

use crate::{shop::Shop, subscription_life::Tenant};

fn quarter(duration: CouponDuration, months: Option<i64>) -> NewCoupon {
    NewCoupon {
        reference: "portico_019a0000000070008000000000000001".to_owned(),
        name: "SUMMER25".to_owned(),
        percent_off: Some(25),
        amount_off: None,
        duration,
        months,
    }
}

fn five_off(amount: i64) -> NewCoupon {
    NewCoupon {
        reference: "portico_019a0000000070008000000000000002".to_owned(),
        percent_off: None,
        amount_off: Some(Money { amount, currency: "usd".to_owned() }),
        ..quarter(CouponDuration::Once, None)
    }
}

/// What was due by the newest invoice, and what was taken off it by which code. Its lines sum to what was due.
async fn newest(tenant: &Tenant<'_>) -> (i64, Option<(String, i64)>) {
    let newest = tenant.shop.subscriptions.invoices(&tenant.customer).await.unwrap().remove(0);
    assert_eq!(newest.status, InvoiceStatus::Paid, "{newest:?}");
    assert_eq!(newest.lines.iter().map(|line| line.amount).sum::<i64>(), newest.amount_due, "{newest:?}");
    let alone = tenant.shop.subscriptions.invoice(&tenant.customer, &newest.id).await.unwrap();
    assert_eq!(alone.lines, newest.lines);
    let taken = newest.lines.last().filter(|line| line.description == "SUMMER25");
    (newest.amount_due, taken.map(|line| (line.description.clone(), line.amount)))
}

#[tokio::test]
async fn a_coupon_is_one_and_the_same_and_keeps_its_terms() {
    for shop in Shop::each().await {
        let provider = &shop.subscriptions;
        let new = quarter(CouponDuration::Repeating, Some(2));
        // Of those who use it first at the same moment, one makes it.
        let (one, other) = tokio::join!(provider.coupon(&new), provider.coupon(&new));
        let id = one.unwrap();
        assert_eq!(other.unwrap(), id);
        assert_eq!(provider.coupon(&new).await.unwrap(), id);
        let off = provider.coupon(&five_off(500)).await.unwrap();
        assert_ne!(off, id);
        for other in [
            quarter(CouponDuration::Forever, None),
            quarter(CouponDuration::Repeating, Some(3)),
            NewCoupon { percent_off: Some(30), ..new.clone() },
            five_off(501),
        ] {
            let refused = provider.coupon(&other).await;
            assert!(matches!(refused, Err(PaymentError::Refused(_))), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn a_discount_goes_on_through_changes_until_its_end() {
    for shop in Shop::each().await {
        let (provider, mut passed) = (&shop.subscriptions, Duration::ZERO);
        let tenant = Tenant::new(&shop).await;
        let coupon_id = Some(provider.coupon(&quarter(CouponDuration::Repeating, Some(2))).await.unwrap());
        let new = NewSubscriptionCheckout { coupon_id, ..tenant.checkout(0) };
        let page = provider.create_checkout(&new, "checkout_1").await.unwrap();
        assert_eq!(shop.pay(&page.url.unwrap(), "visa").await.0, 303);
        let begun = tenant.now().await;
        let discount = begun.discount.clone().unwrap();
        let expected = RunningDiscount {
            code: "SUMMER25".to_owned(),
            percent_off: Some(25),
            amount_off: None,
            currency: None,
            once: false,
            ends_at: discount.ends_at,
        };
        assert_eq!(discount, expected);
        assert!(discount.ends_at.unwrap() > begun.period_end + time::Duration::days(27), "{discount:?}");
        assert_eq!(newest(&tenant).await, (900, Some(("SUMMER25".to_owned(), -300))));

        // An upgrade without another coupon keeps it.
        let change = tenant.upgrade(&begun, begun.period_start + time::Duration::days(10));
        let quote = provider.quote(&change).await.unwrap();
        let sum = quote.lines.iter().map(|line| line.amount).sum::<i64>() - quote.discount;
        assert!(quote.discount > 0 && sum == quote.amount_due.amount, "{quote:?}");
        let upgraded = provider.change(&change, "plan_1").await.unwrap();
        assert_eq!(upgraded.discount.as_ref(), Some(&discount));
        assert_eq!(
            newest(&tenant).await,
            (quote.amount_due.amount, Some(("SUMMER25".to_owned(), -quote.discount)))
        );

        // And so does a plan that follows.
        let planned = provider.schedule(&upgraded.id, &tenant.starter, "plan_2").await.unwrap();
        assert_eq!(planned.discount.as_ref(), Some(&discount));
        tenant.renew(&upgraded, &mut passed).await;
        let less = tenant.now().await;
        assert_eq!(
            (less.price.as_deref(), less.discount.as_ref()),
            (Some("starter-1-month"), Some(&discount))
        );
        assert_eq!(newest(&tenant).await, (900, Some(("SUMMER25".to_owned(), -300))));
        tenant.renew(&less, &mut passed).await;
        assert_eq!(tenant.now().await.discount, None);
        assert_eq!(newest(&tenant).await, (1200, None));
    }
}

#[tokio::test]
async fn what_is_taken_off_once_is_taken_off_the_next_invoice_only() {
    for shop in Shop::each().await {
        let (provider, mut passed) = (&shop.subscriptions, Duration::ZERO);
        let tenant = Tenant::new(&shop).await;
        tenant.subscribe("visa").await;
        let before = tenant.now().await;
        provider.cancel(&before.id).await.unwrap();
        let coupon_id = Some(provider.coupon(&five_off(500)).await.unwrap());
        let new = NewSubscription { coupon_id: coupon_id.clone(), ..tenant.again() };
        let begun = provider.create(&new, "plan_1").await.unwrap();
        assert_eq!(provider.create(&new, "plan_1").await.unwrap(), begun);
        assert_eq!((&begun.discount, newest(&tenant).await.0), (&None, 700));

        // On a change it is taken off what is charged for the change.
        let moment = begun.period_start + time::Duration::days(10);
        let plain = provider.quote(&tenant.upgrade(&begun, moment)).await.unwrap();
        let change = NewChange { coupon_id, ..tenant.upgrade(&begun, moment) };
        let quote = provider.quote(&change).await.unwrap();
        assert_eq!((quote.discount, quote.amount_due.amount), (500, plain.amount_due.amount - 500));
        let upgraded = provider.change(&change, "plan_2").await.unwrap();
        assert_eq!(upgraded.discount, None);
        assert_eq!(newest(&tenant).await, (quote.amount_due.amount, Some(("SUMMER25".to_owned(), -500))));
        tenant.renew(&upgraded, &mut passed).await;
        assert_eq!(newest(&tenant).await, (4900, None));
    }
}
