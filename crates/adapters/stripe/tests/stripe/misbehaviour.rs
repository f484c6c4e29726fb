//! Answers that are lost, late, wrong, or not Stripe's.

use std::{sync::atomic::Ordering, time::Duration};

use portico_billing::payment::{CheckoutState, NewRefund, PaymentError, PaymentProvider};
use portico_kernel::Money;
use portico_outbound::{Bounds, GuardedClient, Purpose, Rules};
use portico_payments_sandbox::Fault;

use crate::{
    server::Instead,
    shop::{KEY, PATIENCE, Shop, client, provider},
};

fn inject(shop: &Shop, fault: Fault) {
    shop.server().sandbox.lock().unwrap().inject(fault);
}

fn is_unavailable<T: std::fmt::Debug>(answer: Result<T, PaymentError>) {
    assert!(matches!(&answer, Err(error) if error.is_passing()), "{answer:?}");
}

#[tokio::test]
async fn calls_are_those_of_the_version_with_the_key_of_the_caller_over_one_connection() {
    let shop = Shop::over_http().await;
    let made = shop.provider.create_checkout(&shop.new_checkout(35900, "usd"), "checkout_1").await.unwrap();
    shop.provider.checkout(&made.id).await.unwrap();
    shop.pay(made.url.as_ref().unwrap(), "visa").await;
    let CheckoutState::Paid { payment_id } = shop.provider.checkout(&made.id).await.unwrap().state else {
        panic!("it is paid")
    };
    let amount = Money { amount: 100, currency: "usd".to_owned() };
    let back = NewRefund { reference: "refund_1".to_owned(), payment_id, amount };
    shop.provider.refund(&back, "refund_1").await.unwrap();
    shop.provider.expire_checkout(&made.id).await.unwrap();
    let requests = shop.server().requests();
    let keys: Vec<_> = requests
        .iter()
        .map(|request| (request.method.as_str(), request.headers.get("idempotency-key").map(String::as_str)))
        .collect();
    // To expire something twice is to expire it once: nothing is made, and an error is not to be replayed.
    assert_eq!(
        keys,
        [
            ("POST", Some("checkout_1")),
            ("GET", None),
            ("GET", None),
            ("POST", Some("refund_1")),
            ("POST", None),
            ("GET", None),
        ]
    );
    for request in &requests {
        assert_eq!(request.headers["authorization"], format!("Bearer {KEY}"), "{}", request.path);
        assert_eq!(request.headers["stripe-version"], "2026-09-30.endive", "{}", request.path);
        assert!(request.path.starts_with("/v1/"), "{}", request.path);
        let form = request.headers.get("content-type").map(String::as_str);
        assert_eq!(form.is_some(), request.method == "POST", "{}", request.path);
    }
    assert_eq!(shop.server().connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_is_asked_for_again_with_the_same_key() {
    let shop = Shop::over_http().await;
    let new = shop.new_checkout(35900, "usd");
    inject(&shop, Fault::Timeout);
    is_unavailable(shop.provider.create_checkout(&new, "checkout_1").await);
    assert_eq!(shop.made(), 1, "it was made all the same");
    let made = shop.provider.create_checkout(&new, "checkout_1").await.unwrap();
    assert_eq!(shop.made(), 1, "and once");

    shop.pay(made.url.as_ref().unwrap(), "visa").await;
    let CheckoutState::Paid { payment_id } = shop.provider.checkout(&made.id).await.unwrap().state else {
        panic!("it is paid")
    };
    let amount = Money { amount: 20000, currency: "usd".to_owned() };
    let half = NewRefund { reference: "refund_1".to_owned(), payment_id: payment_id.clone(), amount };
    inject(&shop, Fault::Timeout);
    is_unavailable(shop.provider.refund(&half, "refund_1").await);
    let refund = shop.provider.refund(&half, "refund_1").await.unwrap();
    let list = shop.stored(&format!("/v1/refunds?payment_intent={payment_id}"));
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["id"], refund.id);

    inject(&shop, Fault::Timeout);
    is_unavailable(shop.provider.checkout(&made.id).await);
    inject(&shop, Fault::Timeout);
    is_unavailable(shop.provider.expire_checkout(&made.id).await);
}

#[tokio::test]
async fn too_many_calls_and_faults_of_theirs_are_passing() {
    let shop = Shop::over_http().await;
    let new = shop.new_checkout(35900, "usd");
    inject(&shop, Fault::RateLimit);
    is_unavailable(shop.provider.create_checkout(&new, "checkout_1").await);
    assert_eq!(shop.made(), 0);
    shop.provider.create_checkout(&new, "checkout_1").await.unwrap();
    inject(&shop, Fault::ServerError);
    is_unavailable(shop.provider.create_checkout(&new, "checkout_2").await);
    is_unavailable(shop.provider.create_checkout(&new, "checkout_2").await);
    shop.hands.pass(86_401);
    let later = shop.new_checkout(35900, "usd");
    shop.provider.create_checkout(&later, "checkout_2").await.unwrap();
}

#[tokio::test]
async fn a_slow_answer_is_given_up_and_its_key_is_in_use_meanwhile() {
    let shop = Shop::over_http().await;
    let new = shop.new_checkout(35900, "usd");
    let hasty = provider(&shop.server().url(), KEY, client(Duration::from_millis(700)));
    inject(&shop, Fault::Slow(30));
    let started = std::time::Instant::now();
    is_unavailable(hasty.create_checkout(&new, "checkout_1").await);
    assert!(started.elapsed() < Duration::from_secs(25), "the time of a call is bounded");
    is_unavailable(shop.provider.create_checkout(&new, "checkout_1").await);
    shop.hands.pass(30);
    shop.provider.create_checkout(&new, "checkout_1").await.unwrap();
    assert_eq!(shop.made(), 1);
}

#[tokio::test]
async fn answers_that_cannot_be_read_leave_it_unknown() {
    let shop = Shop::over_http().await;
    let new = shop.new_checkout(35900, "usd");
    let answered = |status: u16, kind: &str, body: &str| {
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        Instead::Bytes(format!("{head}{body}").into_bytes())
    };
    let huge = format!("\"{}\"", "a".repeat(2 << 20));
    let unknown = vec![
        answered(200, "application/json", "{"),
        answered(200, "application/json", "{}"),
        answered(200, "application/json", "null"),
        answered(200, "text/html", "<h1>Welcome to the hotel</h1>"),
        answered(200, "application/json", &huge),
        answered(502, "text/html", "<h1>Bad gateway</h1>"),
        answered(409, "text/plain", ""),
        Instead::Bytes(b"HTTP/1.1 200 X\r\ncontent-length: 100\r\n\r\n{".to_vec()),
        Instead::Bytes(b"SSH-2.0-OpenSSH\r\n".to_vec()),
        Instead::Nothing,
    ];
    for instead in unknown {
        shop.server().instead.lock().unwrap().push_back(instead);
        is_unavailable(shop.provider.create_checkout(&new, "checkout_1").await);
    }
    for refused in [
        answered(302, "text/html", ""),
        answered(401, "text/html", "<h1>Sign in</h1>"),
        answered(404, "text/html", "<h1>Not here</h1>"),
        answered(400, "application/json", r#"{"error": "sk_test_0123456789 is no good"}"#),
    ] {
        shop.server().instead.lock().unwrap().push_back(refused);
        let answer = shop.provider.create_checkout(&new, "checkout_1").await;
        let Err(PaymentError::Refused(text)) = answer else { panic!("{answer:?}") };
        assert!(!text.contains(KEY), "{text}");
    }
    assert_eq!(shop.made(), 0);
    shop.provider.create_checkout(&new, "checkout_1").await.unwrap();
}

#[tokio::test]
async fn a_wrong_key_is_refused_without_a_word_of_it() {
    let shop = Shop::over_http().await;
    let secret = "sk_live_do_not_tell_anybody";
    let wrong = provider(&shop.server().url(), secret, client(PATIENCE));
    for refused in [
        wrong.create_checkout(&shop.new_checkout(35900, "usd"), "checkout_1").await,
        wrong.checkout("cs_test_1").await,
        wrong.expire_checkout("cs_test_1").await,
    ] {
        let Err(PaymentError::Refused(text)) = refused else { panic!("{refused:?}") };
        assert!(text.starts_with("status 401 (invalid_request_error, req_"), "{text}");
        assert!(!text.contains("live") && !text.contains("body"), "{text}");
    }
    assert_eq!(shop.made(), 0);
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_what_may_not_be_called_is_refused() {
    let shop = Shop::over_http().await;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let away = provider(&format!("http://{nobody}"), KEY, client(PATIENCE));
    is_unavailable(away.create_checkout(&shop.new_checkout(35900, "usd"), "checkout_1").await);

    // Without the network of the test, the client calls public addresses only.
    let guarded = GuardedClient::new(Rules::new(Purpose::Payments), Bounds::default());
    let inside = provider(&shop.server().url(), KEY, std::sync::Arc::new(guarded));
    let refused = inside.checkout("cs_test_1").await;
    assert!(
        matches!(&refused, Err(PaymentError::Refused(text)) if text.contains("stripe.base_url")),
        "{refused:?}"
    );
    assert_eq!(shop.server().requests().len(), 0);
}
