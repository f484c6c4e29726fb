//! Money that goes back.

use portico_billing::payment::{CheckoutState, NewRefund, PaymentError, PaymentProvider};
use portico_kernel::Money;

use crate::shop::Shop;

/// The id of a payment that was made with a card.
async fn paid(shop: &Shop, key: &str, card: &str, amount: i64, currency: &str) -> String {
    let made = shop.provider.create_checkout(&shop.new_checkout(amount, currency), key).await.unwrap();
    shop.pay(made.url.as_ref().unwrap(), card).await;
    match shop.provider.checkout(&made.id).await.unwrap().state {
        CheckoutState::Paid { payment_id } => payment_id,
        other => panic!("{other:?}"),
    }
}

fn back(payment_id: &str, amount: i64, currency: &str) -> NewRefund {
    NewRefund { payment_id: payment_id.to_owned(), amount: Money { amount, currency: currency.to_owned() } }
}

#[tokio::test]
async fn money_goes_back_in_parts_and_never_more_than_there_is() {
    for shop in Shop::each().await {
        let payment = paid(&shop, "checkout_1", "visa", 35900, "usd").await;
        let first = shop.provider.refund(&back(&payment, 10000, "usd"), "refund_1").await.unwrap();
        assert!(first.id.starts_with("re_"));
        assert_eq!(first.amount, Money { amount: 10000, currency: "usd".to_owned() });
        let again = shop.provider.refund(&back(&payment, 10000, "usd"), "refund_1").await.unwrap();
        assert_eq!(again, first, "the same key gives nothing back twice");
        let second = shop.provider.refund(&back(&payment, 10000, "usd"), "refund_2").await.unwrap();
        assert_ne!(second.id, first.id);
        let too_much = shop.provider.refund(&back(&payment, 15901, "usd"), "refund_3").await;
        assert!(matches!(too_much, Err(PaymentError::Refused(_))), "{too_much:?}");
        let calls = || {
            let rest = back(&payment, 15900, "usd");
            let provider = &shop.provider;
            async move { provider.refund(&rest, "refund_4").await }
        };
        let (one, two) = tokio::join!(calls(), calls());
        assert_eq!(one.unwrap(), two.unwrap());
        let nothing_left = shop.provider.refund(&back(&payment, 1, "usd"), "refund_5").await;
        assert!(matches!(nothing_left, Err(PaymentError::Refused(_))), "{nothing_left:?}");
    }
}

#[tokio::test]
async fn what_cannot_go_back_is_refused() {
    for shop in Shop::each().await {
        let yen = paid(&shop, "checkout_1", "visa", 1999, "jpy").await;
        assert_eq!(
            shop.provider.refund(&back(&yen, 999, "jpy"), "refund_1").await.unwrap().amount.amount,
            999
        );
        let dinars = paid(&shop, "checkout_2", "visa", 19990, "kwd").await;
        for (payment, amount, currency) in
            [(&dinars, 1995, "kwd"), (&dinars, 0, "kwd"), (&dinars, -10, "kwd"), (&dinars, 100, "xxx")]
        {
            let refused = shop.provider.refund(&back(payment, amount, currency), "refund_2").await;
            assert!(matches!(refused, Err(PaymentError::Refused(_))), "{amount} {currency}: {refused:?}");
        }
        for unknown in ["pi_never", "", "pi_1/cancel"] {
            let refused = shop.provider.refund(&back(unknown, 100, "usd"), "refund_3").await;
            assert!(matches!(refused, Err(PaymentError::NotFound)), "{unknown}: {refused:?}");
        }
        let disputed = paid(&shop, "checkout_3", "createDispute", 5000, "usd").await;
        let refused = shop.provider.refund(&back(&disputed, 100, "usd"), "refund_4").await;
        assert!(matches!(refused, Err(PaymentError::Refused(_))), "the bank has taken it: {refused:?}");
        let pending = paid(&shop, "checkout_4", "pendingRefund", 5000, "usd").await;
        shop.provider.refund(&back(&pending, 5000, "usd"), "refund_5").await.unwrap();
    }
}
