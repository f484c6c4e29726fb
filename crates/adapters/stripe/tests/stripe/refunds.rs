//! Money that goes back.

use portico_billing::payment::{
    CheckoutState, DisputeStatus, NewRefund, Payment, PaymentError, PaymentProvider, RefundState,
};
use portico_kernel::Money;

use crate::shop::{DAY, Shop};

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
    let amount = Money { amount, currency: currency.to_owned() };
    NewRefund { reference: "tenant_refund".to_owned(), payment_id: payment_id.to_owned(), amount }
}

async fn asked(shop: &Shop, id: &str) -> Payment {
    shop.provider.payment(id).await.unwrap()
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

#[tokio::test]
async fn what_became_of_a_payment_is_told() {
    for shop in Shop::each().await {
        let id = paid(&shop, "checkout_1", "visa", 35900, "usd").await;
        let usd = |amount: i64| Money { amount, currency: "usd".to_owned() };
        let payment = asked(&shop, &id).await;
        assert_eq!((&payment.id, &payment.amount, payment.live), (&id, &usd(35900), false));
        assert_eq!(payment.reference, Some(shop.new_checkout(1, "usd").reference));
        assert_eq!(payment.fee, Some(usd(1071)), "2.9 % and 30");
        assert!(payment.refunds.is_empty() && payment.disputes.is_empty());

        let part = back(&id, 10000, "usd");
        let refund = shop.provider.refund(&part, "refund_1").await.unwrap();
        assert_eq!(
            (refund.state, refund.reference.as_ref()),
            (RefundState::Succeeded, Some(&part.reference))
        );
        assert_eq!(asked(&shop, &id).await.refunds, std::slice::from_ref(&refund));
        // Somebody gives the rest back in the dashboard.
        shop.call("/v1/refunds", &format!("payment_intent={id}")).await;
        let after = asked(&shop, &id).await;
        assert_eq!((after.amount, after.refunds.len()), (usd(35900), 2));
        let by_hand = after.refunds.iter().find(|one| one.id != refund.id).unwrap();
        assert_eq!((&by_hand.amount, &by_hand.reference), (&usd(25900), &None));

        for unknown in ["pi_never", "", "pi_1/cancel", "cs_test_never"] {
            let asked = shop.provider.payment(unknown).await;
            assert_eq!(asked, Err(PaymentError::NotFound), "{unknown}");
        }
        let session = shop.provider.create_checkout(&shop.new_checkout(100, "usd"), "checkout_2").await;
        let open = shop.provider.payment(&session.unwrap().id).await;
        assert_eq!(open, Err(PaymentError::NotFound), "nothing was paid there");
        let free = paid(&shop, "checkout_3", "", 0, "usd").await;
        let nothing = asked(&shop, &free).await;
        assert_eq!((nothing.amount, nothing.fee, nothing.refunds.len()), (usd(0), None, 0));
        assert_eq!(nothing.reference, Some(shop.new_checkout(1, "usd").reference));
    }
}

#[tokio::test]
async fn a_refund_goes_on_and_can_fail_days_later() {
    for shop in Shop::each().await {
        for (card, key, first, last) in [
            ("pendingRefund", "checkout_1", RefundState::Pending, RefundState::Succeeded),
            ("refundFail", "checkout_2", RefundState::Succeeded, RefundState::Failed),
        ] {
            let id = paid(&shop, key, card, 5000, "usd").await;
            let whole = back(&id, 5000, "usd");
            let refund = shop.provider.refund(&whole, &format!("{key}_back")).await.unwrap();
            assert_eq!(refund.state, first, "{card}");
            shop.advance(2 * DAY).await;
            let after = asked(&shop, &id).await;
            let [now] = after.refunds.as_slice() else { panic!("{card}: {after:?}") };
            assert_eq!((&now.id, now.state), (&refund.id, last), "{card}");
        }
    }
}

#[tokio::test]
async fn more_refunds_than_a_page_are_named() {
    let shop = Shop::in_process();
    let id = paid(&shop, "checkout_1", "visa", 35900, "usd").await;
    for number in 0..103 {
        shop.provider.refund(&back(&id, 1 + number, "usd"), &format!("refund_{number}")).await.unwrap();
    }
    let mut amounts: Vec<i64> =
        asked(&shop, &id).await.refunds.into_iter().map(|refund| refund.amount.amount).collect();
    amounts.sort_unstable();
    assert_eq!(amounts, (1..=103).collect::<Vec<i64>>());
}

#[tokio::test]
async fn a_dispute_is_told_until_it_is_decided_and_an_enquiry_is_none() {
    for shop in Shop::each().await {
        for (evidence, key, end) in [
            ("winning_evidence", "checkout_1", DisputeStatus::Won),
            ("losing_evidence", "checkout_2", DisputeStatus::Lost),
        ] {
            let id = paid(&shop, key, "createDispute", 5000, "usd").await;
            let payment = asked(&shop, &id).await;
            let [open] = payment.disputes.as_slice() else { panic!("{payment:?}") };
            assert_eq!((open.amount.amount, open.status), (5000, DisputeStatus::NeedsAnswer));
            assert!(open.answer_by.is_some(), "{open:?}");
            assert_eq!(open.fee, Some(Money { amount: 1500, currency: "usd".to_owned() }));
            let path = format!("/v1/disputes/{}", open.id);
            shop.call(&path, "evidence%5Bproduct_description%5D=software&submit=false").await;
            assert_eq!(asked(&shop, &id).await.disputes[0].status, DisputeStatus::NeedsAnswer);
            shop.call(&path, &format!("evidence%5Buncategorized_text%5D={evidence}")).await;
            let decided = asked(&shop, &id).await.disputes.remove(0);
            assert_eq!((decided.status, decided.answer_by), (end, None), "{evidence}");
        }
        let unanswered = paid(&shop, "checkout_3", "createDispute", 5000, "usd").await;
        shop.advance(10 * DAY).await;
        assert_eq!(asked(&shop, &unanswered).await.disputes[0].status, DisputeStatus::Lost);
        let enquiry = paid(&shop, "checkout_4", "createDisputeInquiry", 5000, "usd").await;
        assert!(asked(&shop, &enquiry).await.disputes.is_empty(), "no money was taken");
    }
}
