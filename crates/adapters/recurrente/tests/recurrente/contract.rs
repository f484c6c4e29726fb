//! What the port `PaymentProvider` says that an implementation must do, as far as this provider can.

use portico_billing::payment::{
    CheckoutState, NewCheckout, NewRefund, PaymentError, PaymentProvider, RefundState,
};
use portico_kernel::Money;
use portico_recurrente::stand_in::Act;
use time::Duration;

use crate::{
    order,
    server::{Fault, Server},
};

async fn act(server: &Server, id: &str, act: Act) {
    server.stand_in.act(id, act).await.unwrap().unwrap();
}

fn gtq(amount: i64) -> Money {
    Money { amount, currency: "gtq".to_owned() }
}

#[tokio::test]
async fn a_checkout_is_made_as_asked_for() {
    let server = Server::start().await;
    let provider = server.provider();
    let new = order("tenant_checkout", server.env.now());
    let made = provider.create_checkout(&new, "checkout_1").await.unwrap();
    assert_eq!((made.state.clone(), &made.amount), (CheckoutState::Open, &new.amount));
    assert_eq!((made.reference.as_deref(), made.expires_at), (Some("tenant_checkout"), new.expires_at));
    assert!(!made.live && made.customer_id.is_none());
    let page = format!("http://127.0.0.1/dev/recurrente/checkout-session/{}", made.id);
    assert_eq!(made.url.as_deref(), Some(page.as_str()));
    let seen = provider.checkout(&made.id).await.unwrap();
    assert!(seen.url.as_deref().is_some_and(|url| url.ends_with(&format!("/checkout-session/{}", made.id))));
    assert_eq!(portico_billing::payment::Checkout { url: made.url.clone(), ..seen }, made);
    let shown = server.stand_in.page(&made.id).await.unwrap().unwrap();
    assert_eq!(
        (shown.lines[0].name.as_str(), shown.total, shown.currency.as_str()),
        ("Panadería Luz", 150_000, "GTQ")
    );
    assert_eq!(shown.success_url.as_deref(), Some("https://app.example.com/thanks"));
}

#[tokio::test]
async fn it_is_paid_only_once_the_money_is_there() {
    let server = Server::start().await;
    let provider = server.provider();
    let card = provider.create_checkout(&order("a_1", server.env.now()), "k1").await.unwrap().id;
    act(&server, &card, Act::Decline).await;
    assert_eq!(provider.checkout(&card).await.unwrap().state, CheckoutState::Open, "they may try again");
    act(&server, &card, Act::Pay).await;
    let paid = provider.checkout(&card).await.unwrap();
    assert_eq!((paid.state, paid.url), (CheckoutState::Paid { payment_id: card.clone() }, None));

    let transfer = provider.create_checkout(&order("a_2", server.env.now()), "k2").await.unwrap().id;
    act(&server, &transfer, Act::Transfer).await;
    server.advance(Duration::days(2));
    assert_eq!(provider.checkout(&transfer).await.unwrap().state, CheckoutState::Processing);
    act(&server, &transfer, Act::TransferArrives).await;
    assert!(matches!(provider.checkout(&transfer).await.unwrap().state, CheckoutState::Paid { .. }));
    assert_eq!(provider.checkout("ch_unknown").await, Err(PaymentError::NotFound));
    assert_eq!(provider.checkout("../test").await, Err(PaymentError::NotFound));
}

#[tokio::test]
async fn it_ends_by_itself_and_when_it_is_ended_and_never_when_it_is_paid() {
    let server = Server::start().await;
    let provider = server.provider();
    let make = async |reference: &str| {
        provider.create_checkout(&order(reference, server.env.now()), reference).await.unwrap().id
    };
    let (left, ended, paid, pending) =
        (make("a_1").await, make("a_2").await, make("a_3").await, make("a_4").await);
    act(&server, &paid, Act::Pay).await;
    act(&server, &pending, Act::Transfer).await;

    let after = provider.expire_checkout(&ended).await.unwrap();
    assert_eq!((after.state, after.url), (CheckoutState::Expired, None));
    assert_eq!(server.stand_in.act(&ended, Act::Pay).await.unwrap(), None, "nobody can pay it");
    assert_eq!(provider.expire_checkout(&ended).await.unwrap().state, CheckoutState::Expired);
    assert!(matches!(provider.expire_checkout(&paid).await.unwrap().state, CheckoutState::Paid { .. }));
    assert_eq!(provider.expire_checkout(&pending).await.unwrap().state, CheckoutState::Processing);
    let patches = server.calls().iter().filter(|call| call.line.starts_with("PATCH")).count();
    assert_eq!(patches, 1, "the others are left alone");

    server.advance(Duration::minutes(31));
    assert_eq!(provider.checkout(&left).await.unwrap().state, CheckoutState::Expired);
    assert_eq!(provider.expire_checkout("ch_unknown").await, Err(PaymentError::NotFound));
}

#[tokio::test]
async fn one_that_is_paid_while_it_is_ended_is_paid() {
    let server = Server::start().await;
    let provider = server.provider();
    let id = provider.create_checkout(&order("a_1", server.env.now()), "k").await.unwrap().id;
    server.fail_next(Fault::Status(422, r#"{"error": "the checkout cannot be changed any more"}"#));
    let refused = provider.expire_checkout(&id).await.unwrap_err();
    assert!(matches!(refused, PaymentError::Refused(_)), "it is open and cannot be ended: {refused}");
    server.fail_next(Fault::LostAnswer);
    assert!(provider.expire_checkout(&id).await.unwrap_err().is_passing());
    assert_eq!(provider.expire_checkout(&id).await.unwrap().state, CheckoutState::Expired);
}

#[tokio::test]
async fn a_call_whose_answer_was_lost_is_not_made_again() {
    let server = Server::start().await;
    let provider = server.provider();
    let new = order("tenant_checkout", server.env.now());
    server.fail_next(Fault::LostAnswer);
    assert!(provider.create_checkout(&new, "checkout_1").await.unwrap_err().is_passing());
    assert_eq!(server.made("checkouts"), 1);
    server.advance(Duration::minutes(5));
    let found = provider.create_checkout(&new, "checkout_1").await.unwrap();
    assert_eq!((found.state.clone(), server.made("checkouts")), (CheckoutState::Open, 1));
    assert!(found.url.is_some(), "its page can be shown");
    // Another process, and the same answer again.
    assert_eq!(server.provider().create_checkout(&new, "checkout_1").await.unwrap(), found);
    // Another reference is another checkout.
    let other = NewCheckout { reference: "tenant_other".to_owned(), ..new.clone() };
    assert_ne!(provider.create_checkout(&other, "checkout_2").await.unwrap().id, found.id);
    server.advance(Duration::days(2));
    let late = provider.create_checkout(&new, "checkout_1").await.unwrap();
    assert_ne!(late.id, found.id, "after a day nothing is promised");
}

#[tokio::test]
async fn it_is_found_among_many() {
    let server = Server::start().await;
    let provider = server.provider();
    let first = provider.create_checkout(&order("t_first", server.env.now()), "k").await.unwrap();
    for number in 0..45 {
        server.advance(Duration::seconds(1));
        let new = order(&format!("t_{number}"), server.env.now());
        provider.create_checkout(&new, "k").await.unwrap();
    }
    let made = server.made("checkouts");
    let again = order("t_first", first.expires_at - Duration::minutes(30));
    assert_eq!(provider.create_checkout(&again, "k").await.unwrap().id, first.id);
    assert_eq!(server.made("checkouts"), made);
}

#[tokio::test]
async fn amounts_are_passed_on_as_they_are() {
    let server = Server::start().await;
    let provider = server.provider();
    let new = order("t_1", server.env.now());
    let dollars =
        NewCheckout { amount: Money { amount: 150_000, currency: "usd".to_owned() }, ..new.clone() };
    assert_eq!(provider.create_checkout(&dollars, "k").await.unwrap().amount, dollars.amount);
    let mut many = order("t_2", server.env.now());
    many.lines[0].quantity = 9;
    many.amount.amount = 9 * 150_000;
    assert_eq!(provider.create_checkout(&many, "k").await.unwrap().amount, many.amount);
    many.lines[0].quantity = 10;
    assert_eq!(provider.create_checkout(&many, "k").await, Err(PaymentError::Unsupported));
    let euros = NewCheckout { amount: Money { amount: 150_000, currency: "eur".to_owned() }, ..new.clone() };
    assert_eq!(provider.create_checkout(&euros, "k").await, Err(PaymentError::Unsupported));
    let other = NewCheckout { amount: gtq(150_001), ..new };
    assert!(matches!(provider.create_checkout(&other, "k").await, Err(PaymentError::Refused(_))));
}

#[tokio::test]
async fn the_whole_of_a_payment_is_given_back_once() {
    let server = Server::start().await;
    let provider = server.provider();
    let id = provider.create_checkout(&order("t_1", server.env.now()), "k").await.unwrap().id;
    let back = |amount: Money| NewRefund { reference: "r_1".to_owned(), payment_id: id.clone(), amount };
    assert!(
        matches!(provider.refund(&back(gtq(150_000)), "r").await, Err(PaymentError::Refused(_))),
        "not paid"
    );
    act(&server, &id, Act::Pay).await;
    assert_eq!(provider.refund(&back(gtq(100)), "r").await, Err(PaymentError::Unsupported), "a part");
    for wrong in [gtq(150_001), Money { amount: 150_000, currency: "usd".to_owned() }] {
        assert!(matches!(provider.refund(&back(wrong), "r").await, Err(PaymentError::Refused(_))));
    }
    assert_eq!(server.made("refunds"), 0);
    let refund = provider.refund(&back(gtq(150_000)), "r").await.unwrap();
    assert_eq!((refund.amount, refund.state), (gtq(150_000), RefundState::Succeeded));
    assert_eq!(refund.reference.as_deref(), Some("r_1"));
    let now = provider.refund_now(&refund.id).await.unwrap();
    assert_eq!((now.amount, now.state, now.reference), (gtq(150_000), RefundState::Succeeded, None));
    for unknown in ["re_unknown", "../checkouts"] {
        assert_eq!(provider.refund_now(unknown).await, Err(PaymentError::NotFound), "{unknown}");
    }
    assert_eq!(provider.payment(&id).await, Err(PaymentError::Unsupported), "there is no list of refunds");
    assert!(matches!(provider.refund(&back(gtq(150_000)), "r2").await, Err(PaymentError::Refused(_))));
    let unknown = NewRefund { payment_id: "ch_unknown".to_owned(), ..back(gtq(1)) };
    assert_eq!(provider.refund(&unknown, "r").await, Err(PaymentError::NotFound));
}
