//! Deliveries: signatures, doubles, delays, shuffling, tries; snapshots of the whole.

use std::{collections::BTreeMap, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use portico_payments_sandbox::{Config, Delivery, Sandbox, WebhookDelivery};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{HOOK, SECRET, Shop, config, text};

/// By the rules of Stripe's documentation, "Verify webhook signatures manually".
fn verifies(delivery: &WebhookDelivery, secret: &str, now: i64) -> bool {
    let header = &delivery.headers.iter().find(|(name, _)| name == "Stripe-Signature").unwrap().1;
    let parts: Vec<(&str, &str)> = header.split(',').map(|part| part.split_once('=').unwrap()).collect();
    let moment = parts.iter().find(|(name, _)| *name == "t").unwrap().1;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(format!("{moment}.").as_bytes());
    mac.update(&delivery.body);
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    (now - moment.parse::<i64>().unwrap()).abs() <= 300 && parts.contains(&("v1", expected.as_str()))
}

fn types(deliveries: &[WebhookDelivery]) -> Vec<String> {
    deliveries
        .iter()
        .map(|one| text(&serde_json::from_slice::<Value>(&one.body).unwrap()["type"]).to_owned())
        .collect()
}

fn buy(shop: &mut Shop) {
    shop.post(
        "/v1/payment_intents",
        json!({"amount": 1000, "currency": "usd", "confirm": true, "payment_method": "pm_card_visa"}),
    );
}

#[test]
fn deliveries_are_signed_and_come_until_acknowledged() {
    let mut shop = Shop::new();
    buy(&mut shop);
    let due = shop.sandbox.due_webhooks(shop.now);
    assert_eq!(types(&due), ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]);
    for one in &due {
        assert!(
            verifies(one, SECRET, shop.now.unix_timestamp())
                && !verifies(one, "whsec_other", shop.now.unix_timestamp())
        );
        assert_eq!(one.url, HOOK);
        let event: Value = serde_json::from_slice(&one.body).unwrap();
        assert_eq!(
            (&event["api_version"], &event["pending_webhooks"]),
            (&json!("2026-09-30.endive"), &json!(1))
        );
        assert!(text(&event["request"]["id"]).starts_with("req_"));
        super::schema::check(&event);
    }
    assert!(shop.sandbox.due_webhooks(shop.now).is_empty(), "not again at once");
    shop.sandbox.acknowledge(&due[0].id, true);
    shop.sandbox.acknowledge(&due[1].id, false);
    assert_eq!(shop.get("/v1/events?delivery_success=false")["data"].as_array().unwrap().len(), 2);
    shop.hours(1);
    let again = shop.sandbox.due_webhooks(shop.now);
    assert_eq!(types(&again), ["charge.succeeded", "payment_intent.succeeded"]);
    shop.sandbox.acknowledge(&again[0].id, false);
    shop.sandbox.acknowledge(&again[1].id, true);
    shop.hours(1);
    let again = shop.sandbox.due_webhooks(shop.now);
    assert_eq!(types(&again), ["charge.succeeded"]);
    shop.sandbox.acknowledge(&again[0].id, false);
    shop.hours(1);
    assert!(shop.sandbox.due_webhooks(shop.now).is_empty(), "three tries are enough");
    let missed = shop.get("/v1/events?delivery_success=false");
    assert_eq!(missed["data"].as_array().unwrap().len(), 1);
    assert_eq!(missed["data"][0]["type"], "charge.succeeded");
}

#[test]
fn it_tells_when_to_ask_again() {
    let delivery = Delivery { late_seconds: 600, ..Delivery::default() };
    let mut shop = Shop::with(Config { delivery, ..config() });
    assert_eq!(shop.sandbox.next_due(), None, "nothing is to come");
    shop.days(3);
    buy(&mut shop);
    for _ in 0..3 {
        let next = shop.sandbox.next_due().unwrap();
        assert!((0..=600).contains(&(next - shop.now).whole_seconds()), "{next}");
        assert!(shop.sandbox.due_webhooks(next - time::Duration::seconds(1)).is_empty());
        for due in shop.sandbox.due_webhooks(next) {
            shop.sandbox.acknowledge(&due.id, true);
        }
        if shop.sandbox.next_due().is_none() {
            return;
        }
    }
    assert_eq!(shop.sandbox.next_due(), None, "three events have three moments at most");
}

#[test]
fn two_secrets_sign_while_one_is_rolled() {
    let mut shop = Shop::new();
    assert!(shop.sandbox.roll_secret(HOOK, "whsec_new", Duration::from_secs(7200), shop.now));
    buy(&mut shop);
    let due = shop.sandbox.due_webhooks(shop.now);
    let now = shop.now.unix_timestamp();
    assert!(verifies(&due[0], SECRET, now) && verifies(&due[0], "whsec_new", now));
    shop.hours(3);
    let due = shop.sandbox.due_webhooks(shop.now);
    assert!(!verifies(&due[0], SECRET, now) && verifies(&due[0], "whsec_new", now));
}

#[test]
fn doubled_late_and_shuffled_by_the_seed() {
    let run = |seed| {
        let delivery = Delivery { twice: true, late_seconds: 600, shuffled: true, ..Delivery::default() };
        let mut shop = Shop::with(Config { seed, delivery, ..config() });
        for _ in 0..5 {
            buy(&mut shop);
        }
        let mut order = Vec::new();
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for _ in 0..12 {
            for one in shop.sandbox.due_webhooks(shop.now) {
                let event: Value = serde_json::from_slice(&one.body).unwrap();
                *counts.entry(text(&event["id"]).to_owned()).or_default() += 1;
                order.push(text(&event["type"]).to_owned());
                shop.sandbox.acknowledge(&one.id, true);
            }
            shop.now += time::Duration::seconds(60);
        }
        assert_eq!(counts.len(), 15);
        assert!(counts.values().all(|count| *count == 2), "each event comes twice");
        order
    };
    let order = run(1);
    assert_eq!(order, run(1), "the same seed, the same disorder");
    assert_ne!(order, run(2));
}

#[test]
fn endpoints_choose_events_and_can_be_changed() {
    let mut shop = Shop::new();
    let made = shop.post("/v1/webhook_endpoints", json!({"url": "https://other.example/hook", "enabled_events": ["charge.succeeded"], "api_version": "2026-09-30.endive"}));
    let secret = text(&made["secret"]).to_owned();
    assert!(secret.starts_with("whsec_"));
    let path = format!("/v1/webhook_endpoints/{}", text(&made["id"]));
    assert!(shop.get(&path).get("secret").is_none(), "the secret is shown once");
    buy(&mut shop);
    let due = shop.sandbox.due_webhooks(shop.now);
    let mine: Vec<_> = due.into_iter().filter(|one| one.url.contains("other")).collect();
    assert_eq!(types(&mine), ["charge.succeeded"]);
    assert!(verifies(&mine[0], &secret, shop.now.unix_timestamp()));
    shop.post(&path, json!({"disabled": true}));
    buy(&mut shop);
    assert!(shop.sandbox.due_webhooks(shop.now).iter().all(|one| one.url == HOOK));
    shop.call("DELETE", &path, json!({}));
    assert_eq!(shop.get("/v1/webhook_endpoints")["data"].as_array().unwrap().len(), 1);
}

#[test]
fn a_restored_sandbox_goes_on_alike() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop.customer("pm_card_visa");
    shop.post("/v1/subscriptions", json!({"customer": customer, "items": [{"price": price}]}));
    let text = serde_json::to_string(&shop.sandbox).unwrap();
    let restored: Sandbox = serde_json::from_str(&text).unwrap();
    let mut twin = Shop { sandbox: restored, now: shop.now };
    for one in [&mut shop, &mut twin] {
        one.days(40);
        buy(one);
    }
    assert_eq!(shop.get("/v1/events?limit=100"), twin.get("/v1/events?limit=100"));
    assert_eq!(types(&shop.sandbox.due_webhooks(shop.now)), types(&twin.sandbox.due_webhooks(twin.now)));
}
