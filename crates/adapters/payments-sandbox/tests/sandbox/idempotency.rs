//! Keys, faults, authentication, versions.

use portico_payments_sandbox::{ApiResponse, Fault};
use serde_json::{Value, json};

use crate::harness::{Shop, VERSION, form, text};

const CHARGE: &str = "amount=1000&currency=usd&confirm=true&payment_method=pm_card_visa";

fn with_key(shop: &mut Shop, key: &str, body: &str) -> ApiResponse {
    let headers =
        [("authorization", "Bearer sk_test_shop"), ("stripe-version", VERSION), ("idempotency-key", key)];
    shop.raw("POST", "/v1/payment_intents", &headers, body)
}

fn header<'a>(response: &'a ApiResponse, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
}

fn charges(shop: &mut Shop) -> usize {
    shop.get("/v1/charges?limit=100")["data"].as_array().unwrap().len()
}

#[test]
fn a_key_is_replayed_for_a_day() {
    let mut shop = Shop::new();
    let first = with_key(&mut shop, "k1", CHARGE);
    let again = with_key(&mut shop, "k1", CHARGE);
    let turned =
        with_key(&mut shop, "k1", "currency=usd&amount=1000&payment_method=pm_card_visa&confirm=true");
    assert_eq!((&first.body, first.status), (&again.body, again.status));
    assert_eq!(first.body, turned.body, "the order of parameters does not matter");
    assert_eq!(header(&first, "idempotent-replayed"), None);
    assert_eq!(header(&again, "idempotent-replayed"), Some("true"));
    assert_eq!(header(&again, "original-request"), header(&first, "request-id"));
    assert_eq!(charges(&mut shop), 1);
    let other = with_key(&mut shop, "k1", "amount=2000&currency=usd");
    let error: Value = serde_json::from_slice(&other.body).unwrap();
    assert_eq!((other.status, &error["error"]["type"]), (400, &json!("idempotency_error")));
    shop.hours(25);
    with_key(&mut shop, "k1", CHARGE);
    assert_eq!(charges(&mut shop), 2, "after a day the key is free");
}

#[test]
fn a_decline_is_kept_and_a_wrong_parameter_is_not() {
    let mut shop = Shop::new();
    let declined = CHARGE.replace("pm_card_visa", "pm_card_chargeCustomerFail");
    assert_eq!(with_key(&mut shop, "k1", &declined).status, 402);
    let again = with_key(&mut shop, "k1", &declined);
    assert_eq!((again.status, header(&again, "idempotent-replayed")), (402, Some("true")));
    assert_eq!(charges(&mut shop), 1);
    assert_eq!(with_key(&mut shop, "k2", "amount=x&currency=usd").status, 400);
    assert_eq!(with_key(&mut shop, "k2", CHARGE).status, 200);
    assert_eq!(with_key(&mut shop, &"k".repeat(256), CHARGE).status, 400);
}

#[test]
fn faults_and_keys() {
    let mut shop = Shop::new();
    shop.sandbox.inject(Fault::Timeout);
    assert!(with_key(&mut shop, "k1", CHARGE).lost);
    let again = with_key(&mut shop, "k1", CHARGE);
    assert_eq!((again.lost, again.status, charges(&mut shop)), (false, 200, 1));

    shop.sandbox.inject(Fault::RateLimit);
    assert_eq!(with_key(&mut shop, "k2", CHARGE).status, 429);
    assert_eq!(with_key(&mut shop, "k2", CHARGE).status, 200);

    shop.sandbox.inject(Fault::ServerError);
    assert_eq!(with_key(&mut shop, "k3", CHARGE).status, 500);
    let again = with_key(&mut shop, "k3", CHARGE);
    assert_eq!(
        (again.status, header(&again, "idempotent-replayed")),
        (500, Some("true")),
        "a 500 is kept, too"
    );
    assert_eq!(charges(&mut shop), 2);

    shop.sandbox.inject(Fault::Slow(10));
    assert_eq!(with_key(&mut shop, "k4", CHARGE).delay.as_secs(), 10);
    assert_eq!(with_key(&mut shop, "k4", CHARGE).status, 409);
    shop.now += time::Duration::seconds(10);
    assert_eq!(with_key(&mut shop, "k4", CHARGE).status, 200);
    assert_eq!(charges(&mut shop), 3);
}

#[test]
fn keys_are_checked() {
    let mut shop = Shop::new();
    let mut status = |authorization: &str, method: &str, path: &str, body: &str| {
        shop.raw(method, path, &[("Authorization", authorization)], body).status
    };
    assert_eq!(status("Bearer sk_test_other", "GET", "/v1/charges", ""), 401);
    assert_eq!(status("Bearer sk_live_shop", "GET", "/v1/charges", ""), 401);
    assert_eq!(status("", "GET", "/v1/charges", ""), 401);
    assert_eq!(status("Basic c2tfdGVzdF9zaG9wOg==", "GET", "/v1/charges", ""), 200);
    assert_eq!(status("Bearer pk_test_shop", "GET", "/v1/charges", ""), 403);
    assert_eq!(
        status("Bearer pk_test_shop", "POST", "/v1/payment_methods", "type=card&card[token]=tok_visa"),
        200
    );
    let account = [("Authorization", "Bearer sk_test_shop"), ("Stripe-Account", "acct_1")];
    assert_eq!(shop.raw("GET", "/v1/charges", &account, "").status, 403);
}

#[test]
fn retired_parameters_are_refused_where_the_version_says_so() {
    let mut shop = Shop::new();
    let body = "amount=500&currency=usd&payment_method_types[]=card";
    let lenient = shop.raw("POST", "/v1/payment_intents", &[("Authorization", "Bearer sk_test_shop")], body);
    assert_eq!(lenient.status, 200);
    let error = shop.refused(
        400,
        "/v1/payment_intents",
        json!({"amount": 500, "currency": "usd", "payment_method_types": ["card"]}),
    );
    assert_eq!(
        (&error["code"], &error["param"]),
        (&json!("parameter_unknown"), &json!("payment_method_types"))
    );
    let older = [("Authorization", "Bearer sk_test_shop"), ("Stripe-Version", "2025-03-31.basil")];
    assert_eq!(shop.raw("POST", "/v1/payment_intents", &older, body).status, 200);
    let wrong = [("Authorization", "Bearer sk_test_shop"), ("Stripe-Version", "latest")];
    assert_eq!(shop.raw("GET", "/v1/charges", &wrong, "").status, 400);
    let session = json!({"mode": "setup", "currency": "usd", "ui_mode": "hosted", "success_url": "https://shop.example"});
    assert_eq!(shop.refused(400, "/v1/checkout/sessions", session)["param"], "ui_mode");
    let sub = shop.refused(400, "/v1/subscriptions/sub_1", json!({"billing_cycle_anchor": "now"}));
    assert_eq!(sub["param"], "billing_cycle_anchor");
}

#[test]
fn parameters_are_checked() {
    let mut shop = Shop::new();
    for (path, fields, param, code) in [
        ("/v1/customers", json!({"nick": "x"}), "nick", "parameter_unknown"),
        ("/v1/customers", json!({"address": {"street": "x"}}), "address[street]", "parameter_unknown"),
        ("/v1/customers", json!({"email": "nobody"}), "email", "email_invalid"),
        ("/v1/prices", json!({"unit_amount": 5}), "currency", "parameter_missing"),
        (
            "/v1/payment_intents",
            json!({"amount": "ten", "currency": "usd"}),
            "amount",
            "parameter_invalid_integer",
        ),
        ("/v1/payment_intents", json!({"amount": 49, "currency": "usd"}), "amount", "amount_too_small"),
        (
            "/v1/payment_intents",
            json!({"amount": "", "currency": "usd"}),
            "amount",
            "parameter_invalid_empty",
        ),
        (
            "/v1/subscriptions",
            json!({"customer": "cus_x", "items": [{"price": "p"}]}),
            "customer",
            "resource_missing",
        ),
    ] {
        let error = shop.refused(400, path, fields);
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!(code)), "{path}");
    }
    let (status, _) = shop.call("GET", "/v1/customers/cus_x", json!({}));
    assert_eq!(status, 404);
    let (status, error) = shop.call("GET", "/v1/payouts", json!({}));
    assert_eq!((status, &error["error"]["type"]), (404, &json!("invalid_request_error")));
    let (status, _) = shop.call("GET", "/v1/charges", json!({"limit": 101}));
    assert_eq!(status, 400);
}

#[test]
fn lists_have_pages_and_filters() {
    let mut shop = Shop::new();
    let ids: Vec<String> =
        (0..7).map(|_| text(&shop.post("/v1/customers", json!({}))["id"]).to_owned()).collect();
    let mut seen = Vec::new();
    let mut fields = json!({"limit": 3});
    loop {
        let (_, page) = shop.call("GET", "/v1/customers", fields.clone());
        seen.extend(page["data"].as_array().unwrap().iter().map(|one| text(&one["id"]).to_owned()));
        if page["has_more"] == false {
            break;
        }
        fields["starting_after"] = json!(seen.last());
    }
    seen.reverse();
    assert_eq!(seen, ids);
    let before = shop.get(&format!("/v1/customers?limit=2&ending_before={}", ids[2]));
    let before: Vec<&str> = before["data"].as_array().unwrap().iter().map(|one| text(&one["id"])).collect();
    assert_eq!(before, [ids[4].as_str(), ids[3].as_str()]);
    assert_eq!(shop.get("/v1/customers?created[gt]=4000000000")["data"], json!([]));
}

#[test]
fn prices_are_immutable_and_hand_their_lookup_key_on() {
    let mut shop = Shop::new();
    let product = shop.post("/v1/products", json!({"name": "Plan"}));
    let fields = json!({"product": product["id"], "currency": "usd", "unit_amount": 2000, "recurring": {"interval": "month"}, "lookup_key": "starter"});
    let old = shop.post("/v1/prices", fields.clone());
    shop.refused(400, &format!("/v1/prices/{}", text(&old["id"])), json!({"unit_amount": 3000}));
    shop.refused(400, "/v1/prices", fields.clone());
    let mut fields = fields;
    fields["transfer_lookup_key"] = json!(true);
    fields["tax_behavior"] = json!("exclusive");
    let new = shop.post("/v1/prices", fields);
    let found = shop.get("/v1/prices?lookup_keys[]=starter&expand[]=data.product");
    assert_eq!((&found["data"][0]["id"], found["data"].as_array().unwrap().len()), (&new["id"], 1));
    assert_eq!(found["data"][0]["product"]["name"], "Plan");
    shop.refused(400, &format!("/v1/prices/{}", text(&new["id"])), json!({"tax_behavior": "inclusive"}));
    assert_eq!(form(&json!({"a": [{"b": 1}]})), "a[0][b]=1");
}
