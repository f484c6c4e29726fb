//! Checkout sessions and their page.

use serde_json::{Value, json};

use crate::harness::{Shop, text};

const DONE: &str = "https://shop.example/done?session={CHECKOUT_SESSION_ID}";

fn open(shop: &mut Shop, extra: Value) -> Value {
    let mut fields = json!({
        "mode": "payment", "success_url": DONE, "cancel_url": "https://shop.example/cart", "client_reference_id": "order-1",
        "metadata": {"order": "1"},
        "line_items": [{"quantity": 2, "price_data": {"currency": "usd", "unit_amount": 35900, "product_data": {"name": "Base <licence>"}}}],
    });
    for (name, value) in extra.as_object().unwrap() {
        fields[name] = value.clone();
    }
    shop.post("/v1/checkout/sessions", fields)
}

fn seen(shop: &mut Shop, session: &Value) -> Value {
    shop.get(&format!(
        "/v1/checkout/sessions/{}?expand[]=line_items&expand[]=payment_intent.latest_charge",
        text(&session["id"])
    ))
}

#[test]
fn paying_completes_the_session() {
    let mut shop = Shop::new();
    let session = open(&mut shop, json!({"payment_intent_data": {"metadata": {"order": "1"}}}));
    assert_eq!(
        (&session["status"], &session["amount_total"], &session["payment_intent"]),
        (&json!("open"), &json!(71800), &Value::Null)
    );
    let url = text(&session["url"]).to_owned();
    let page = String::from_utf8(shop.page("GET", &url, json!({})).body).unwrap();
    assert!(page.contains("Base &lt;licence&gt;") && page.contains("718.00 USD"), "{page}");
    let back = shop.click(&url, json!({"action": "pay", "card": "visa", "email": "ana@shop.example"}));
    assert_eq!(back, format!("https://shop.example/done?session={}", text(&session["id"])));
    let now = seen(&mut shop, &session);
    assert_eq!(
        (&now["status"], &now["payment_status"], &now["url"]),
        (&json!("complete"), &json!("paid"), &Value::Null)
    );
    assert_eq!(now["payment_intent"]["metadata"]["order"], "1");
    assert_eq!(now["payment_intent"]["latest_charge"]["amount"], 71800);
    assert_eq!(now["line_items"]["data"][0]["quantity"], 2);
    assert_eq!(now["customer_details"]["email"], "ana@shop.example");
    assert_eq!(shop.click(&url, json!({"action": "pay"})), back, "paying twice is not possible");
    assert_eq!(shop.events()["checkout.session.completed"], 1);
}

#[test]
fn a_decline_leaves_the_session_open() {
    let mut shop = Shop::new();
    let session = open(&mut shop, json!({"customer_email": "ana@shop.example"}));
    let url = text(&session["url"]).to_owned();
    let page = shop.page("POST", &url, json!({"action": "pay", "number": "4000 0000 0000 9995"}));
    assert_eq!(page.status, 402);
    assert!(String::from_utf8(page.body).unwrap().contains("insufficient funds"));
    assert_eq!(seen(&mut shop, &session)["status"], "open");
    let real = shop.page("POST", &url, json!({"action": "pay", "number": "4111 1111 1111 1111"}));
    assert!(String::from_utf8(real.body).unwrap().contains("non test card"));
    assert_eq!(shop.click(&url, json!({"action": "close"})), "https://shop.example/cart");
    assert_eq!(seen(&mut shop, &session)["status"], "open");
    shop.click(&url, json!({"action": "pay", "card": "visa"}));
    assert_eq!(seen(&mut shop, &session)["payment_status"], "paid");
}

#[test]
fn the_bank_asks_and_is_answered() {
    let mut shop = Shop::new();
    let session = open(&mut shop, json!({"customer_email": "ana@shop.example"}));
    let url = text(&session["url"]).to_owned();
    let bank = shop.click(&url, json!({"action": "pay", "card": "threeDSecure2Required"}));
    let failed = shop.page("POST", &bank, json!({"action": "fail"}));
    assert!(String::from_utf8(failed.body).unwrap().contains("unable to authenticate"));
    let bank = shop.click(&url, json!({"action": "pay", "card": "threeDSecure2Required"}));
    assert!(shop.click(&bank, json!({"action": "confirm"})).contains("done?session="));
    assert_eq!(seen(&mut shop, &session)["payment_status"], "paid");
}

#[test]
fn sessions_expire_in_time_or_when_told_to() {
    let mut shop = Shop::new();
    let soon = shop.now.unix_timestamp() + 1800;
    let session = open(&mut shop, json!({"expires_at": soon}));
    let other = open(&mut shop, json!({}));
    let fields = json!({"mode": "payment", "success_url": DONE, "expires_at": soon - 1, "line_items": [{"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 100, "product_data": {"name": "x"}}}]});
    assert_eq!(shop.refused(400, "/v1/checkout/sessions", fields)["param"], "expires_at");
    shop.hours(1);
    assert_eq!(seen(&mut shop, &session)["status"], "expired");
    let path = format!("/v1/checkout/sessions/{}/expire", text(&other["id"]));
    assert_eq!(shop.post(&path, json!({}))["status"], "expired");
    shop.refused(400, &path, json!({}));
    assert_eq!(shop.events()["checkout.session.expired"], 2);
    let page = shop.page("GET", text(&other["url"]), json!({}));
    assert!(String::from_utf8(page.body).unwrap().contains("expired"));
}

#[test]
fn a_shop_whose_clock_was_not_moved_on_still_sells() {
    let mut shop = Shop::new();
    shop.days(40);
    let soon = shop.now.unix_timestamp() + 3600;
    let session = open(&mut shop, json!({"expires_at": soon, "customer_email": "ana@shop.example"}));
    assert_eq!(session["expires_at"], soon);
    let by_default = open(&mut shop, json!({}));
    assert_eq!(by_default["expires_at"], shop.now.unix_timestamp() + 86_400);
    shop.click(text(&session["url"]), json!({"action": "pay", "card": "visa"}));
    assert_eq!(seen(&mut shop, &session)["payment_status"], "paid");
    shop.now += time::Duration::hours(23);
    assert_eq!(seen(&mut shop, &by_default)["status"], "open");
    shop.hours(2);
    assert_eq!(seen(&mut shop, &by_default)["status"], "expired");
}

#[test]
fn a_delayed_payment_completes_unpaid_and_is_settled_later() {
    let mut shop = Shop::new();
    for (card, status, event) in [
        ("sepa", "paid", "checkout.session.async_payment_succeeded"),
        ("sepa_fail", "unpaid", "checkout.session.async_payment_failed"),
    ] {
        let session = open(&mut shop, json!({"customer_email": "ana@shop.example"}));
        shop.click(text(&session["url"]), json!({"action": "pay", "card": card}));
        let now = seen(&mut shop, &session);
        assert_eq!((&now["status"], &now["payment_status"]), (&json!("complete"), &json!("unpaid")));
        shop.days(2);
        assert_eq!(seen(&mut shop, &session)["payment_status"], status);
        assert_eq!(shop.events()[event], 1);
    }
}

/// As Stripe's CLI pays: with an account that the API is told of.
#[test]
fn a_debit_of_a_test_account_is_settled_later() {
    let mut shop = Shop::new();
    let account = |iban: &str| json!({"type": "sepa_debit", "sepa_debit": {"iban": iban}, "billing_details": {"email": "ana@shop.example", "name": "Ana"}});
    let mut last = Value::Null;
    for (iban, status, event) in [
        ("AT611904300234573201", "paid", "checkout.session.async_payment_succeeded"),
        ("AT861904300235473202", "unpaid", "checkout.session.async_payment_failed"),
    ] {
        let session = open(&mut shop, json!({"payment_intent_data": {"setup_future_usage": "off_session"}}));
        let method = shop.post("/v1/payment_methods", account(iban));
        assert_eq!(
            (&method["sepa_debit"]["country"], &method["sepa_debit"]["last4"]),
            (&json!("AT"), &json!(&iban[16..]))
        );
        let path = format!("/v1/payment_pages/{}/confirm", text(&session["id"]));
        let done = shop.post(&path, json!({"payment_method": method["id"], "expected_amount": 71800}));
        assert_eq!((&done["status"], &done["payment_status"]), (&json!("complete"), &json!("unpaid")));
        assert_eq!(shop.events().get(event), None);
        shop.days(2);
        let now = seen(&mut shop, &session);
        assert_eq!(now["payment_status"], status);
        assert_eq!(now["payment_intent"]["latest_charge"]["payment_method_details"]["type"], "sepa_debit");
        assert_eq!(shop.events()[event], 1);
        last = method["id"].clone();
    }
    assert!(!serde_json::to_string(&shop.sandbox).unwrap().contains("AT611904300234573201"));

    let other = account("FR1420041010050500013M02606");
    assert_eq!(shop.refused(400, "/v1/payment_methods", other)["param"], "sepa_debit[iban]");
    let nobody = json!({"type": "sepa_debit", "sepa_debit": {"iban": "AT611904300234573201"}});
    assert_eq!(shop.refused(400, "/v1/payment_methods", nobody)["param"], "billing_details[email]");
    let price = shop.price(2000, Some("month"));
    let plan = json!({"mode": "subscription", "line_items": [{"price": price, "quantity": 1}]});
    let session = open(&mut shop, plan);
    let path = format!("/v1/payment_pages/{}/confirm", text(&session["id"]));
    assert_eq!(shop.refused(400, &path, json!({"payment_method": last}))["param"], "payment_method");
}

#[test]
fn an_invoice_comes_with_a_single_payment_when_asked_for() {
    let mut shop = Shop::new();
    let session =
        open(&mut shop, json!({"customer_email": "ana@shop.example", "invoice_creation": {"enabled": true}}));
    shop.click(text(&session["url"]), json!({"action": "pay", "card": "mastercard"}));
    let now = seen(&mut shop, &session);
    let invoice = shop.get(&format!("/v1/invoices/{}?expand[]=payments", text(&now["invoice"])));
    assert_eq!((&invoice["status"], &invoice["total"]), (&json!("paid"), &json!(71800)));
    assert_eq!(invoice["payments"]["data"][0]["payment"]["payment_intent"], now["payment_intent"]["id"]);
    let pdf = shop.page("GET", text(&invoice["invoice_pdf"]), json!({}));
    assert!(pdf.body.starts_with(b"%PDF-1.4"));
    let page = shop.page("GET", text(&invoice["hosted_invoice_url"]), json!({}));
    assert!(String::from_utf8(page.body).unwrap().contains("718.00 USD"));
}

#[test]
fn subscribing_saves_the_card_on_the_subscription() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let fields = json!({"mode": "subscription", "line_items": [{"price": price, "quantity": 1}], "customer_email": "ana@shop.example", "subscription_data": {"metadata": {"tenant": "7"}}});
    let session = open(&mut shop, fields.clone());
    let url = text(&session["url"]).to_owned();
    assert_eq!(shop.page("POST", &url, json!({"action": "pay", "card": "chargeCustomerFail"})).status, 402);
    assert_eq!(
        shop.get("/v1/subscriptions?status=all")["data"],
        json!([]),
        "a declined checkout leaves nothing"
    );
    shop.click(&url, json!({"action": "pay", "card": "visa"}));
    let now = seen(&mut shop, &session);
    let sub = shop.get(&format!(
        "/v1/subscriptions/{}?expand[]=latest_invoice.payments&expand[]=default_payment_method",
        text(&now["subscription"])
    ));
    assert_eq!((&sub["status"], &sub["metadata"]["tenant"]), (&json!("active"), &json!("7")));
    assert_eq!(sub["latest_invoice"]["payments"]["data"][0]["status"], "paid");
    assert_eq!(sub["default_payment_method"]["card"]["last4"], "4242");

    let asked = open(&mut shop, fields);
    let bank = shop.click(text(&asked["url"]), json!({"action": "pay", "card": "authenticationRequired"}));
    shop.click(&bank, json!({"action": "confirm"}));
    assert_eq!(seen(&mut shop, &asked)["payment_status"], "paid");
    let trial = json!({"mode": "subscription", "line_items": [{"price": price, "quantity": 1}], "customer_email": "b@shop.example", "subscription_data": {"trial_period_days": 14}, "payment_method_collection": "if_required"});
    let free = open(&mut shop, trial);
    shop.click(text(&free["url"]), json!({"action": "pay"}));
    let now = seen(&mut shop, &free);
    assert_eq!((&now["payment_status"], &now["amount_total"]), (&json!("no_payment_required"), &json!(0)));
}

#[test]
fn setup_mode_saves_a_card() {
    let mut shop = Shop::new();
    let customer = shop.post("/v1/customers", json!({"email": "ana@shop.example"}));
    let fields = json!({"mode": "setup", "currency": "usd", "customer": customer["id"], "success_url": DONE});
    let session = shop.post("/v1/checkout/sessions", fields);
    shop.click(text(&session["url"]), json!({"action": "pay", "card": "visa"}));
    let now = shop
        .get(&format!("/v1/checkout/sessions/{}?expand[]=setup_intent.payment_method", text(&session["id"])));
    assert_eq!(now["setup_intent"]["payment_method"]["customer"], customer["id"]);
    assert_eq!(shop.events()["setup_intent.succeeded"], 1);
}

#[test]
fn coupons_and_promotion_codes_take_something_off() {
    let mut shop = Shop::new();
    let coupon = shop.post("/v1/coupons", json!({"percent_off": 25, "duration": "once"}));
    shop.post("/v1/promotion_codes", json!({"promotion": {"type": "coupon", "coupon": coupon["id"]}, "code": "SPRING", "max_redemptions": 1}));
    let session =
        open(&mut shop, json!({"allow_promotion_codes": true, "customer_email": "ana@shop.example"}));
    let url = text(&session["url"]).to_owned();
    assert_eq!(shop.page("POST", &url, json!({"action": "pay", "card": "visa", "code": "NO"})).status, 402);
    shop.click(&url, json!({"action": "pay", "card": "visa", "code": "spring"}));
    let now = seen(&mut shop, &session);
    assert_eq!(
        (&now["amount_total"], &now["total_details"]["amount_discount"]),
        (&json!(53850), &json!(17950))
    );
    assert_eq!(now["payment_intent"]["amount"], 53850);
    assert_eq!(shop.get(&format!("/v1/coupons/{}", text(&coupon["id"])))["times_redeemed"], 1);
}

/// The calls of Stripe's CLI for `checkout.session.completed`: without a version, with retired parameters.
#[test]
fn the_recipe_of_the_cli_is_played() {
    let mut shop = Shop::new();
    let headers = [("Authorization", "Bearer sk_test_shop")];
    let mut call = |method: &str, path: &str, body: &str| -> Value {
        let response = shop.raw(method, path, &headers, body);
        let answer: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.status, 200, "{path}: {answer:#}");
        answer
    };
    let product = call("POST", "/v1/products", "name=myproduct&description=x");
    let price = call(
        "POST",
        "/v1/prices",
        &format!("product={}&unit_amount=1500&currency=usd", text(&product["id"])),
    );
    let session = call(
        "POST",
        "/v1/checkout/sessions",
        &format!(
            "success_url=https%3A%2F%2Fhttpbin.org%2Fpost&cancel_url=https%3A%2F%2Fhttpbin.org%2Fpost&mode=payment&payment_method_types[]=card&line_items[0][price]={}&line_items[0][quantity]=2",
            text(&price["id"])
        ),
    );
    let id = text(&session["id"]);
    let page = call("GET", &format!("/v1/payment_pages/{id}"), "");
    let method = call(
        "POST",
        "/v1/payment_methods",
        "type=card&card[token]=tok_visa&billing_details[email]=stripe%40example.com&billing_details[name]=X",
    );
    let confirm = format!("payment_method={}&expected_amount={}", text(&method["id"]), page["amount_total"]);
    let done = call("POST", &format!("/v1/payment_pages/{id}/confirm"), &confirm);
    assert_eq!(done["payment_status"], "paid");
    let customer = call("POST", "/v1/customers", "source=tok_visa");
    let body = format!(
        "customer={}&start_date=now&phases[0][items][0][price]={}&phases[0][iterations]=12",
        text(&customer["id"]),
        text(
            &call(
                "POST",
                "/v1/prices",
                &format!(
                    "product={}&unit_amount=1500&currency=usd&recurring[interval]=month",
                    text(&product["id"])
                )
            )["id"]
        )
    );
    let schedule = call("POST", "/v1/subscription_schedules", &body);
    assert_eq!(schedule["status"], "active");
    let released = call("POST", &format!("/v1/subscription_schedules/{}/release", text(&schedule["id"])), "");
    assert_eq!(released["status"], "released");
    let fails = call(
        "POST",
        "/v1/customers",
        "payment_method=pm_card_visa&invoice_settings[default_payment_method]=pm_card_visa",
    );
    call("POST", "/v1/invoiceitems", &format!("customer={}&amount=2000&currency=usd", text(&fails["id"])));
    let invoice = call(
        "POST",
        "/v1/invoices",
        &format!("customer={}&pending_invoice_items_behavior=include", text(&fails["id"])),
    );
    assert_eq!(call("POST", &format!("/v1/invoices/{}/pay", text(&invoice["id"])), "")["amount_paid"], 2000);
}
