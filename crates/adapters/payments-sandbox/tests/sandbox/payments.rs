//! Cards, intents, refunds, disputes.

use serde_json::{Value, json};

use crate::harness::{Shop, text};

fn pay(shop: &mut Shop, card: &str) -> Value {
    shop.post(
        "/v1/payment_intents",
        json!({"amount": 35900, "currency": "usd", "confirm": true, "payment_method": card}),
    )
}

#[test]
fn a_payment_leaves_charge_fee_and_receipt() {
    let mut shop = Shop::new();
    let paid = pay(&mut shop, "pm_card_visa");
    assert_eq!((&paid["status"], &paid["amount_received"]), (&json!("succeeded"), &json!(35900)));
    let path = format!(
        "/v1/payment_intents/{}?expand[]=latest_charge.balance_transaction&expand[]=payment_method",
        text(&paid["id"])
    );
    let seen = shop.get(&path);
    let transaction = &seen["latest_charge"]["balance_transaction"];
    assert_eq!((&transaction["fee"], &transaction["net"]), (&json!(1071), &json!(34829)));
    assert_eq!(seen["payment_method"]["card"]["last4"], "4242");
    let receipt = shop.page("GET", text(&seen["latest_charge"]["receipt_url"]), json!({}));
    assert!(String::from_utf8(receipt.body).unwrap().contains("359.00 USD"));
}

#[test]
fn declines_carry_their_codes_and_the_intent_can_be_tried_again() {
    let mut shop = Shop::new();
    for (number, code, decline) in [
        ("4000000000000002", "card_declined", json!("generic_decline")),
        ("4000000000009995", "card_declined", json!("insufficient_funds")),
        ("4000000000000069", "expired_card", Value::Null),
    ] {
        let method = shop.post("/v1/payment_methods", json!({"type": "card", "card": {"number": number, "exp_month": 5, "exp_year": 2030, "cvc": "123"}}));
        let intent = shop.post("/v1/payment_intents", json!({"amount": 1000, "currency": "usd"}));
        let path = format!("/v1/payment_intents/{}", text(&intent["id"]));
        let error = shop.refused(402, &format!("{path}/confirm"), json!({"payment_method": method["id"]}));
        assert_eq!((&error["type"], &error["code"]), (&json!("card_error"), &json!(code)));
        assert_eq!(error["decline_code"], decline);
        assert_eq!(error["payment_intent"]["status"], "requires_payment_method");
        let paid = shop.post(&format!("{path}/confirm"), json!({"payment_method": "pm_card_visa"}));
        assert_eq!(paid["status"], "succeeded");
    }
    let state = serde_json::to_string(&shop.sandbox).unwrap();
    for number in ["4000000000000002", "4242424242424242", "4000000000009995"] {
        assert!(!state.contains(number), "a card number is stored");
    }
}

#[test]
fn authentication_is_asked_for_and_answered_on_the_page() {
    let mut shop = Shop::new();
    for (answer, status) in [("confirm", "succeeded"), ("fail", "requires_payment_method")] {
        let asked = shop.post(
            "/v1/payment_intents",
            json!({"amount": 1000, "currency": "usd", "confirm": true, "payment_method": "pm_card_authenticationRequired", "return_url": "https://shop.example/back"}),
        );
        assert_eq!(asked["status"], "requires_action");
        let url = text(&asked["next_action"]["redirect_to_url"]["url"]).to_owned();
        assert_eq!(shop.page("GET", &url, json!({})).status, 200);
        assert_eq!(shop.page("GET", url.split('?').next().unwrap(), json!({})).status, 404);
        let back = shop.click(&url, json!({"action": answer}));
        assert!(back.starts_with("https://shop.example/back?payment_intent=pi_"), "{back}");
        assert_eq!(shop.get(&format!("/v1/payment_intents/{}", text(&asked["id"])))["status"], status);
    }
}

#[test]
fn a_card_saved_with_authentication_pays_while_the_customer_is_away() {
    let mut shop = Shop::new();
    let customer = shop.post("/v1/customers", json!({}));
    let setup = shop.post(
        "/v1/setup_intents",
        json!({"customer": customer["id"], "usage": "off_session", "confirm": true, "payment_method": "pm_card_authenticationRequired"}),
    );
    assert_eq!(setup["status"], "requires_action");
    let url = text(&setup["next_action"]["redirect_to_url"]["url"]).to_owned();
    shop.page("POST", &url, json!({"action": "confirm"}));
    let saved = shop.get(&format!("/v1/setup_intents/{}", text(&setup["id"])));
    assert_eq!(saved["status"], "succeeded");
    let away = json!({"amount": 900, "currency": "usd", "confirm": true, "off_session": true, "customer": customer["id"], "payment_method": saved["payment_method"]});
    assert_eq!(shop.post("/v1/payment_intents", away.clone())["status"], "succeeded");

    // A bare attach skips authentication, and the bank declines while the customer is away.
    let bare = shop.post(
        "/v1/payment_methods/pm_card_authenticationRequired/attach",
        json!({"customer": customer["id"]}),
    );
    let mut away = away;
    away["payment_method"] = bare["id"].clone();
    assert_eq!(shop.refused(402, "/v1/payment_intents", away)["code"], "authentication_required");
}

#[test]
fn payment_methods_belong_to_one_customer_and_detaching_is_final() {
    let mut shop = Shop::new();
    let customer = shop.customer("pm_card_visa");
    let other = shop.customer("pm_card_mastercard");
    let list = shop.get(&format!("/v1/customers/{customer}/payment_methods?limit=5"));
    let method = text(&list["data"][0]["id"]).to_owned();
    shop.refused(400, &format!("/v1/payment_methods/{method}/attach"), json!({"customer": other}));
    shop.refused(
        400,
        "/v1/payment_intents",
        json!({"amount": 500, "currency": "usd", "customer": other, "payment_method": method}),
    );
    shop.post(&format!("/v1/payment_methods/{method}/detach"), json!({}));
    assert_eq!(
        shop.get(&format!("/v1/customers/{customer}"))["invoice_settings"]["default_payment_method"],
        Value::Null
    );
    shop.refused(400, &format!("/v1/payment_methods/{method}/attach"), json!({"customer": customer}));
    let events = shop.events();
    assert_eq!((events["payment_method.attached"], events["payment_method.detached"]), (2, 1));
}

#[test]
fn refunds_are_partial_whole_and_never_too_much() {
    let mut shop = Shop::new();
    let paid = pay(&mut shop, "pm_card_visa");
    shop.post(
        "/v1/refunds",
        json!({"payment_intent": paid["id"], "amount": 5900, "reason": "requested_by_customer"}),
    );
    let error = shop.refused(400, "/v1/refunds", json!({"payment_intent": paid["id"], "amount": 30001}));
    assert_eq!(error["param"], "amount");
    shop.post("/v1/refunds", json!({"payment_intent": paid["id"]}));
    let charge = shop.get(&format!("/v1/charges/{}?expand[]=refunds", text(&paid["latest_charge"])));
    assert_eq!((&charge["refunded"], &charge["amount_refunded"]), (&json!(true), &json!(35900)));
    assert_eq!(charge["refunds"]["data"].as_array().unwrap().len(), 2);
    assert_eq!(
        shop.refused(400, "/v1/refunds", json!({"charge": charge["id"]}))["code"],
        "charge_already_refunded"
    );
}

#[test]
fn refunds_can_pend_and_fail_later() {
    let mut shop = Shop::new();
    let pending = pay(&mut shop, "pm_card_pendingRefund");
    let pending = shop.post("/v1/refunds", json!({"payment_intent": pending["id"]}));
    let failing = pay(&mut shop, "pm_card_refundFail");
    let failing = shop.post("/v1/refunds", json!({"payment_intent": failing["id"]}));
    assert_eq!((&pending["status"], &failing["status"]), (&json!("pending"), &json!("succeeded")));
    shop.days(2);
    assert_eq!(shop.get(&format!("/v1/refunds/{}", text(&pending["id"])))["status"], "succeeded");
    assert_eq!(shop.get(&format!("/v1/refunds/{}", text(&failing["id"])))["status"], "failed");
    assert_eq!(shop.get(&format!("/v1/charges/{}", text(&failing["charge"])))["amount_refunded"], 0);
    let named = json!({"metadata": {"order_id": "6735"}});
    let path = format!("/v1/refunds/{}", text(&pending["id"]));
    assert_eq!(shop.post(&path, named.clone())["metadata"]["order_id"], "6735");
    shop.post(&path, named);
    let events = shop.events();
    assert_eq!(events["refund.failed"], 1);
    assert_eq!(
        (events["refund.updated"], events["charge.refund.updated"]),
        (3, 3),
        "what changes nothing is not told"
    );
}

#[test]
fn a_dispute_takes_the_money_and_winning_returns_it() {
    let mut shop = Shop::new();
    let paid = pay(&mut shop, "pm_card_createDispute");
    let list = shop.get(&format!("/v1/disputes?payment_intent={}", text(&paid["id"])));
    let dispute = &list["data"][0];
    assert_eq!(
        (&dispute["status"], &dispute["balance_transactions"][0]["amount"]),
        (&json!("needs_response"), &json!(-35900))
    );
    assert_eq!(
        shop.refused(400, "/v1/refunds", json!({"payment_intent": paid["id"]}))["code"],
        "charge_disputed"
    );
    let path = format!("/v1/disputes/{}", text(&dispute["id"]));
    let staged = shop.post(&path, json!({"evidence": {"customer_name": "Ana"}, "submit": false}));
    assert_eq!(
        (&staged["status"], &staged["evidence_details"]["has_evidence"]),
        (&json!("needs_response"), &json!(true))
    );
    let won =
        shop.post(&path, json!({"evidence": {"uncategorized_text": "winning_evidence"}, "submit": true}));
    assert_eq!((&won["status"], won["balance_transactions"].as_array().unwrap().len()), (&json!("won"), 2));
    assert_eq!(shop.events()["charge.dispute.closed"], 1);

    let inquiry = pay(&mut shop, "pm_card_createDisputeInquiry");
    let list = shop.get(&format!("/v1/disputes?payment_intent={}", text(&inquiry["id"])));
    let inquiry = &list["data"][0];
    assert_eq!(
        (&inquiry["status"], &inquiry["balance_transactions"]),
        (&json!("warning_needs_response"), &json!([]))
    );
    let lost = pay(&mut shop, "pm_card_createDispute");
    shop.days(10);
    let list = shop.get(&format!("/v1/disputes?payment_intent={}", text(&lost["id"])));
    assert_eq!(list["data"][0]["status"], "lost", "nobody answered in time");
}
