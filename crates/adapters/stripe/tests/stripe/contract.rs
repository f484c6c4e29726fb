//! What every MUST of the port comes to, over HTTP and inside the process.

use std::time::Duration;

use portico_billing::payment::{
    Checkout, CheckoutLine, CheckoutState, InboundSubject, NewCheckout, PaymentError, PaymentProvider,
};

use crate::shop::{DAY, Place, Shop};

async fn open(shop: &Shop, key: &str) -> Checkout {
    shop.provider.create_checkout(&shop.new_checkout(35900, "usd"), key).await.unwrap()
}

async fn state(shop: &Shop, checkout: &Checkout) -> CheckoutState {
    shop.provider.checkout(&checkout.id).await.unwrap().state
}

#[tokio::test]
async fn a_checkout_is_what_was_asked_for_and_is_paid_on_its_page() {
    for shop in Shop::each().await {
        let mut new = shop.new_checkout(35900, "usd");
        let more = CheckoutLine { description: "Más & <más>".to_owned(), unit_amount: 100, quantity: 7 };
        new.lines.push(more);
        new.amount.amount += 700;
        let made = shop.provider.create_checkout(&new, "checkout_1").await.unwrap();
        assert!(made.id.starts_with("cs_test_"));
        assert_eq!((&made.state, &made.amount), (&CheckoutState::Open, &new.amount));
        assert_eq!((made.reference.as_ref(), made.live), (Some(&new.reference), false));
        assert_eq!((made.expires_at, &made.customer_id), (new.expires_at, &None));
        let page = made.url.clone().unwrap();
        assert_eq!(shop.provider.checkout(&made.id).await.unwrap(), made, "asked again it is the same");

        let (status, back) = shop.pay(&page, "visa").await;
        assert_eq!((status, back), (303, format!("https://shop.example/paid?session={}", made.id)));
        let paid = shop.provider.checkout(&made.id).await.unwrap();
        let CheckoutState::Paid { payment_id } = &paid.state else { panic!("{paid:?}") };
        assert!(payment_id.starts_with("pi_"));
        assert_eq!((&paid.amount, paid.reference, paid.url), (&new.amount, made.reference, None));
        if let Place::Http(_) = shop.place {
            let payment = shop.stored(&format!("/v1/payment_intents/{payment_id}"));
            assert_eq!(payment["metadata"]["portico_reference"], new.reference);
            let session = shop.stored(&format!("/v1/checkout/sessions/{}", made.id));
            assert_eq!(session["metadata"]["portico_reference"], new.reference);
            let form = String::from_utf8(shop.server().requests()[0].body.clone()).unwrap();
            for nothing_more in ["automatic_tax", "promotion", "discounts", "customer", "invoice"] {
                assert!(!form.contains(nothing_more), "{form}");
            }
            assert!(form.contains("adaptive_pricing"), "{form}");
        }
    }
}

#[tokio::test]
async fn the_page_does_not_ask_for_an_address_that_is_known() {
    for shop in Shop::each().await {
        let new =
            NewCheckout { email: Some("ada@example.com".to_owned()), ..shop.new_checkout(35900, "usd") };
        let made = shop.provider.create_checkout(&new, "checkout_1").await.unwrap();
        assert_eq!(made.customer_id, None);
        if let Place::Http(_) = shop.place {
            let session = shop.stored(&format!("/v1/checkout/sessions/{}", made.id));
            assert_eq!(session["customer_email"], "ada@example.com");
        }
        let other = NewCheckout { email: Some("bea@example.com".to_owned()), ..new };
        let refused = shop.provider.create_checkout(&other, "checkout_1").await;
        assert!(matches!(refused, Err(PaymentError::Refused(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_key_makes_one_thing_however_often_and_by_however_many() {
    let [over_http, in_process] = Shop::each().await;
    for shop in [&over_http, &in_process] {
        let new = shop.new_checkout(35900, "usd");
        let made = shop.provider.create_checkout(&new, "checkout_1").await.unwrap();
        assert_eq!(shop.provider.create_checkout(&new, "checkout_1").await.unwrap(), made);
        let calls = || shop.provider.create_checkout(&new, "checkout_2");
        let (one, two, three) = tokio::join!(calls(), calls(), calls());
        let one = one.unwrap();
        assert_eq!((&one, &one), (&two.unwrap(), &three.unwrap()));
        assert_ne!(one.id, made.id, "another key, another checkout");
        let other = shop.provider.create_checkout(&shop.new_checkout(100, "usd"), "checkout_1").await;
        assert!(matches!(other, Err(PaymentError::Refused(_))), "the same key for something else: {other:?}");
        for key in ["", &"k".repeat(256)] {
            let refused = shop.provider.create_checkout(&new, key).await;
            assert!(matches!(refused, Err(PaymentError::Refused(_))), "{refused:?}");
        }
    }
    assert_eq!(over_http.made(), 2);
}

#[tokio::test]
async fn what_is_declined_stays_open_and_3d_secure_is_no_failure() {
    for shop in Shop::each().await {
        let made = open(&shop, "checkout_1").await;
        let page = made.url.clone().unwrap();
        assert_eq!(shop.pay(&page, "visa_chargeDeclinedInsufficientFunds").await.0, 402);
        assert_eq!(state(&shop, &made).await, CheckoutState::Open);
        let (_, bank) = shop.pay(&page, "threeDSecure2Required").await;
        assert_eq!(state(&shop, &made).await, CheckoutState::Open, "the bank asks");
        shop.post(&bank, "action=fail").await;
        assert_eq!(state(&shop, &made).await, CheckoutState::Open);
        assert_eq!(shop.post(&page, "action=close").await.1, "https://shop.example/cart");
        let (_, bank) = shop.pay(&page, "threeDSecure2Required").await;
        shop.post(&bank, "action=confirm").await;
        assert!(matches!(state(&shop, &made).await, CheckoutState::Paid { .. }));
    }
}

#[tokio::test]
async fn money_on_its_way_is_not_paid() {
    for shop in Shop::each().await {
        for (card, key, paid) in [("sepa", "checkout_1", true), ("sepa_fail", "checkout_2", false)] {
            let made = open(&shop, key).await;
            shop.pay(made.url.as_ref().unwrap(), card).await;
            assert_eq!(state(&shop, &made).await, CheckoutState::Processing, "{card}");
            shop.advance(2 * DAY).await;
            let end = state(&shop, &made).await;
            assert_eq!(matches!(end, CheckoutState::Paid { .. }), paid, "{card}: {end:?}");
            assert_eq!(end == CheckoutState::Failed, !paid, "{card}: {end:?}");
        }
    }
}

#[tokio::test]
async fn nothing_to_pay_is_paid_once_the_buyer_says_so() {
    for shop in Shop::each().await {
        let new = shop.new_checkout(0, "usd");
        let made = shop.provider.create_checkout(&new, "checkout_1").await.unwrap();
        assert_eq!(made.state, CheckoutState::Open);
        shop.pay(made.url.as_ref().unwrap(), "").await;
        assert_eq!(state(&shop, &made).await, CheckoutState::Paid { payment_id: made.id.clone() });
    }
}

#[tokio::test]
async fn an_expired_checkout_stays_so_and_a_paid_one_is_left_alone() {
    for shop in Shop::each().await {
        let made = open(&shop, "checkout_1").await;
        let ended = shop.provider.expire_checkout(&made.id).await.unwrap();
        assert_eq!((&ended.state, &ended.url), (&CheckoutState::Expired, &None));
        assert_eq!(ended.reference, made.reference);
        assert_eq!(shop.provider.expire_checkout(&made.id).await.unwrap(), ended);
        shop.pay(made.url.as_ref().unwrap(), "visa").await;
        assert_eq!(state(&shop, &made).await, CheckoutState::Expired, "nothing can be paid any more");

        let paid = open(&shop, "checkout_2").await;
        shop.pay(paid.url.as_ref().unwrap(), "visa").await;
        let left = shop.provider.expire_checkout(&paid.id).await.unwrap();
        assert!(matches!(left.state, CheckoutState::Paid { .. }), "{left:?}");

        let forgotten = open(&shop, "checkout_3").await;
        shop.advance(Duration::from_secs(3601)).await;
        assert_eq!(state(&shop, &forgotten).await, CheckoutState::Expired);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    for shop in Shop::each().await {
        for id in
            ["cs_test_never", "", "a/b", "cs_test_1?expand[]=line_items", "../customers", &"a".repeat(300)]
        {
            let asked = shop.provider.checkout(id).await;
            assert!(matches!(asked, Err(PaymentError::NotFound)), "{id}: {asked:?}");
            let ended = shop.provider.expire_checkout(id).await;
            assert!(matches!(ended, Err(PaymentError::NotFound)), "{id}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn amounts_go_out_as_they_are_and_what_would_be_rounded_is_refused() {
    for shop in Shop::each().await {
        for (amount, currency, taken) in [
            (1999, "jpy", true),
            (1999, "usd", true),
            (1990, "kwd", true),
            (1999, "kwd", false),
            (50_000, "isk", true),
            (50_050, "isk", false),
            (-100, "usd", false),
            (100, "xxx", false),
            (100, "USD", false),
            (100, "", false),
        ] {
            let key = format!("checkout_{currency}_{amount}");
            let made = shop.provider.create_checkout(&shop.new_checkout(amount, currency), &key).await;
            match (made, taken) {
                (Ok(made), true) => {
                    assert_eq!((made.amount.amount, made.amount.currency.as_str()), (amount, currency));
                }
                (Err(PaymentError::Refused(_)), false) => {}
                (other, _) => panic!("{amount} {currency}: {other:?}"),
            }
        }
        let least = shop.provider.create_checkout(&shop.new_checkout(50, "usd"), "checkout_least").await;
        assert!(least.is_ok(), "{least:?}");
        let less = shop.provider.create_checkout(&shop.new_checkout(49, "usd"), "checkout_less").await;
        assert_eq!(less, Err(PaymentError::AmountTooSmall));
        let mut short = shop.new_checkout(100, "usd");
        short.amount.amount = 99;
        let mut empty = shop.new_checkout(0, "usd");
        empty.lines.clear();
        let mut endless = shop.new_checkout(i64::MAX, "usd");
        endless.lines[0].quantity = u32::MAX;
        for (key, wrong) in [("checkout_1", short), ("checkout_2", empty), ("checkout_3", endless)] {
            let refused = shop.provider.create_checkout(&wrong, key).await;
            assert!(matches!(refused, Err(PaymentError::Refused(_))), "{refused:?}");
        }
    }
}

#[tokio::test]
async fn what_the_sandbox_signs_is_believed() {
    for shop in Shop::each().await {
        let made = open(&shop, "checkout_1").await;
        shop.pay(made.url.as_ref().unwrap(), "visa").await;
        shop.hands.pass(10);
        let mut completed = 0;
        for delivery in shop.due_webhooks().await {
            let headers: Vec<(String, String)> =
                delivery.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
            let verify = |body: &[u8], ahead: i64| {
                let now = portico_kernel::Clock::now(&*shop.hands) + time::Duration::seconds(ahead);
                shop.provider.verify(&headers, body, now)
            };
            let event = verify(&delivery.body, 0).unwrap();
            assert!(event.id.starts_with("evt_"));
            if event.kind == "checkout.session.completed" {
                completed += 1;
                assert_eq!(event.subject, InboundSubject::Checkout { id: made.id.clone() });
            } else {
                assert_eq!(event.subject, InboundSubject::Other, "{}", event.kind);
            }
            assert!(verify(&delivery.body, 301).is_err() && verify(&delivery.body, -301).is_err());
            let mut changed = delivery.body.clone();
            changed.push(b' ');
            assert!(verify(&changed, 0).is_err(), "the bytes as they came");
        }
        let times = if matches!(shop.place, Place::Http(_)) { 1 } else { 2 };
        assert_eq!(completed, times);
    }
}
