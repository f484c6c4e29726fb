//! The life of subscriptions, on moved clocks.

use serde_json::{Value, json};
use time::macros::datetime;

use crate::harness::{Shop, text};

fn sub(shop: &mut Shop, id: &Value) -> Value {
    shop.get(&format!("/v1/subscriptions/{}?expand[]=latest_invoice", text(id)))
}

fn start(shop: &mut Shop, customer: &str, price: &str, extra: Value) -> Value {
    let mut fields = json!({"customer": customer, "items": [{"price": price}]});
    for (name, value) in extra.as_object().unwrap() {
        fields[name] = value.clone();
    }
    shop.post("/v1/subscriptions", fields)
}

/// Trial, payment, upgrade with proration, failed renewal, retries, recovery, downgrade by a schedule, end.
#[test]
fn the_whole_life() {
    let mut shop = Shop::new();
    let (starter, professional) = (shop.price(2000, Some("month")), shop.price(5000, Some("month")));
    let customer = shop.customer("pm_card_visa");
    let trial = start(&mut shop, &customer, &starter, json!({"trial_period_days": 14}));
    assert_eq!((&trial["status"], &trial["latest_invoice"].is_string()), (&json!("trialing"), &true));
    let id = trial["id"].clone();
    let path = format!("/v1/subscriptions/{}", text(&id));

    shop.days(12);
    assert_eq!(shop.events()["customer.subscription.trial_will_end"], 1);
    shop.days(3);
    let active = sub(&mut shop, &id);
    assert_eq!((&active["status"], &active["latest_invoice"]["status"]), (&json!("active"), &json!("paid")));
    assert_eq!(active["latest_invoice"]["billing_reason"], "subscription_cycle");
    let item = &active["items"]["data"][0];
    let (from, until) =
        (item["current_period_start"].as_i64().unwrap(), item["current_period_end"].as_i64().unwrap());
    assert_eq!(until, datetime!(2027-03-14 12:00 UTC).unix_timestamp());

    // What the preview says is what the upgrade costs.
    shop.days(9);
    let moment = shop.sandbox.time(shop.now).unix_timestamp();
    let items = json!([{"id": item["id"], "price": professional}]);
    let details = json!({"items": items, "proration_behavior": "always_invoice", "proration_date": moment});
    let preview = shop.post(
        "/v1/invoices/create_preview",
        json!({"customer": customer, "subscription": id, "subscription_details": details}),
    );
    let (rest, whole) = ((until - moment) as f64, (until - from) as f64);
    let expected = (5000.0 * rest / whole).round() as i64 - (2000.0 * rest / whole).round() as i64;
    assert_eq!(preview["amount_due"], expected);
    assert_eq!(preview["lines"]["data"][0]["parent"]["subscription_item_details"]["proration"], true);
    let change = json!({"items": items, "proration_behavior": "always_invoice", "proration_date": moment, "payment_behavior": "pending_if_incomplete"});
    shop.post(&path, change);
    let upgraded = sub(&mut shop, &id);
    assert_eq!(upgraded["latest_invoice"]["amount_paid"], expected);
    assert_eq!(upgraded["items"]["data"][0]["price"]["unit_amount"], 5000);

    // The renewal fails, and is paid at the second retry with another card.
    shop.set_card(&customer, "pm_card_chargeCustomerFail");
    shop.days(20);
    let late = sub(&mut shop, &id);
    assert_eq!(late["status"], "past_due");
    assert_eq!(late["latest_invoice"]["amount_due"], 5000);
    shop.days(3);
    assert_eq!(sub(&mut shop, &id)["latest_invoice"]["attempt_count"], 2);
    shop.set_card(&customer, "pm_card_mastercard");
    shop.days(6);
    let well = sub(&mut shop, &id);
    assert_eq!((&well["status"], &well["latest_invoice"]["status"]), (&json!("active"), &json!("paid")));

    // The downgrade waits for the end of the period.
    let schedule = shop.post("/v1/subscription_schedules", json!({"from_subscription": id}));
    let phase = &schedule["phases"][0];
    let now = json!({"items": [{"price": professional, "quantity": 1}], "start_date": phase["start_date"], "end_date": phase["end_date"]});
    let next = json!({"items": [{"price": starter, "quantity": 1}], "duration": {"interval": "month", "interval_count": 1}, "proration_behavior": "none"});
    let schedule = shop.post(
        &format!("/v1/subscription_schedules/{}", text(&schedule["id"])),
        json!({"phases": [now, next], "end_behavior": "release"}),
    );
    shop.refused(400, &path, json!({"cancel_at_period_end": true}));
    shop.days(31);
    let lower = sub(&mut shop, &id);
    assert_eq!(lower["items"]["data"][0]["price"]["unit_amount"], 2000);
    assert_eq!(lower["latest_invoice"]["amount_paid"], 2000);
    shop.days(31);
    let schedule = shop.get(&format!("/v1/subscription_schedules/{}", text(&schedule["id"])));
    assert_eq!((&schedule["status"], &schedule["released_subscription"]), (&json!("released"), &id));

    shop.post(&path, json!({"cancel_at_period_end": true}));
    assert_eq!(shop.post(&path, json!({"cancel_at_period_end": false}))["cancel_at"], Value::Null);
    shop.post(&path, json!({"cancel_at_period_end": true}));
    shop.days(31);
    assert_eq!(sub(&mut shop, &id)["status"], "canceled");
    let events = shop.events();
    assert_eq!(events["customer.subscription.deleted"], 1);
    assert_eq!(events["subscription_schedule.released"], 1);
    assert_eq!(events["invoice.payment_failed"], 2);
    assert!(events["invoice.finalized"] >= 6 && events["invoice.paid"] >= 6, "{events:?}");
}

#[test]
fn anchors_keep_the_31st() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop.customer("pm_card_visa");
    let made = start(&mut shop, &customer, &price, json!({}));
    let ends = [
        datetime!(2027-02-28 12:00 UTC),
        datetime!(2027-03-31 12:00 UTC),
        datetime!(2027-04-30 12:00 UTC),
        datetime!(2027-05-31 12:00 UTC),
    ];
    for end in ends {
        assert_eq!(
            sub(&mut shop, &made["id"])["items"]["data"][0]["current_period_end"],
            end.unix_timestamp()
        );
        shop.now = end;
    }
}

#[test]
fn nobody_pays_until_the_subscription_ends() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop.customer("pm_card_visa");
    let made = start(&mut shop, &customer, &price, json!({}));
    shop.set_card(&customer, "pm_card_chargeCustomerFail");
    shop.days(29);
    assert_eq!(sub(&mut shop, &made["id"])["status"], "past_due");
    shop.days(16);
    let gone = sub(&mut shop, &made["id"]);
    assert_eq!(
        (&gone["status"], &gone["cancellation_details"]["reason"]),
        (&json!("canceled"), &json!("payment_failed"))
    );
    assert_eq!(gone["latest_invoice"]["attempt_count"], 4);
}

/// `aborted` is for want of money only ("Types of events" in Stripe's reference).
#[test]
fn a_schedule_is_aborted_for_want_of_money_and_canceled_by_wish() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop.customer("pm_card_visa");
    let scheduled = |shop: &mut Shop| {
        let made = start(shop, &customer, &price, json!({}));
        let schedule = shop.post("/v1/subscription_schedules", json!({"from_subscription": made["id"]}));
        let phase = &schedule["phases"][0];
        let items = json!([{"price": price, "quantity": 1}]);
        let now = json!({"items": items, "start_date": phase["start_date"], "end_date": phase["end_date"]});
        let next = json!({"items": items, "duration": {"interval": "month", "interval_count": 6}});
        let path = format!("/v1/subscription_schedules/{}", text(&schedule["id"]));
        shop.post(&path, json!({"phases": [now, next]}));
        (format!("/v1/subscriptions/{}", text(&made["id"])), path)
    };
    let (wished, schedule) = scheduled(&mut shop);
    assert_eq!(shop.call("DELETE", &wished, json!({})).0, 200);
    assert_eq!(shop.get(&schedule)["status"], "canceled");
    let events = shop.events();
    assert_eq!(events["subscription_schedule.canceled"], 1);
    assert_eq!(events.get("subscription_schedule.aborted"), None);

    let (poor, schedule) = scheduled(&mut shop);
    shop.set_card(&customer, "pm_card_chargeCustomerFail");
    shop.days(45);
    assert_eq!(shop.get(&poor)["status"], "canceled");
    assert_eq!(shop.get(&schedule)["status"], "canceled");
    let events = shop.events();
    assert_eq!((events["subscription_schedule.canceled"], events["subscription_schedule.aborted"]), (1, 1));
}

#[test]
fn the_first_payment_can_fail_wait_and_expire() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop.customer("pm_card_chargeCustomerFail");
    let made = start(&mut shop, &customer, &price, json!({}));
    assert_eq!(made["status"], "incomplete");
    shop.refused(
        402,
        "/v1/subscriptions",
        json!({"customer": customer, "items": [{"price": price}], "payment_behavior": "error_if_incomplete"}),
    );
    assert_eq!(
        shop.get("/v1/subscriptions")["data"].as_array().unwrap().len(),
        1,
        "the refused one left nothing"
    );
    shop.hours(22);
    assert_eq!(sub(&mut shop, &made["id"])["status"], "incomplete");
    shop.hours(2);
    let expired = sub(&mut shop, &made["id"]);
    assert_eq!(
        (&expired["status"], &expired["latest_invoice"]["status"]),
        (&json!("incomplete_expired"), &json!("void"))
    );

    let asked = shop.customer("pm_card_authenticationRequired");
    let made = start(&mut shop, &asked, &price, json!({"expand": ["latest_invoice.confirmation_secret"]}));
    assert_eq!(made["status"], "incomplete");
    let secret = text(&made["latest_invoice"]["confirmation_secret"]["client_secret"]).to_owned();
    let intent = shop.get(&format!("/v1/payment_intents/{}", secret.split("_secret_").next().unwrap()));
    let bank = text(&intent["next_action"]["redirect_to_url"]["url"]).to_owned();
    assert!(shop.click(&bank, json!({"action": "confirm"})).contains("/invoices/in_"));
    assert_eq!(sub(&mut shop, &made["id"])["status"], "active");
    let bare = shop_customer(&mut shop);
    let error =
        shop.refused(400, "/v1/subscriptions", json!({"customer": bare, "items": [{"price": price}]}));
    assert_eq!(error["code"], "resource_missing", "no payment method");
}

fn shop_customer(shop: &mut Shop) -> String {
    text(&shop.post("/v1/customers", json!({}))["id"]).to_owned()
}

#[test]
fn a_change_that_is_not_paid_is_pending_and_expires_or_is_applied() {
    let mut shop = Shop::new();
    let (starter, professional) = (shop.price(2000, Some("month")), shop.price(5000, Some("month")));
    let customer = shop.customer("pm_card_visa");
    let made = start(&mut shop, &customer, &starter, json!({}));
    let path = format!("/v1/subscriptions/{}", text(&made["id"]));
    shop.set_card(&customer, "pm_card_chargeCustomerFail");
    let change = json!({"items": [{"id": made["items"]["data"][0]["id"], "price": professional}], "proration_behavior": "always_invoice", "payment_behavior": "pending_if_incomplete"});
    let error = {
        let mut with_words = change.clone();
        with_words["metadata"] = json!({"a": "b"});
        shop.refused(400, &path, with_words)
    };
    assert_eq!(error["param"], "metadata");
    let pending = shop.post(&path, change.clone());
    assert_eq!(pending["items"]["data"][0]["price"]["id"], starter, "the plan stays");
    assert_eq!(pending["status"], "active");
    assert_eq!(pending["pending_update"]["subscription_items"][0]["price"]["id"], professional);
    shop.hours(24);
    assert_eq!(sub(&mut shop, &made["id"])["pending_update"], Value::Null);
    assert_eq!(shop.events()["customer.subscription.pending_update_expired"], 1);

    let pending = shop.post(&path, change);
    shop.set_card(&customer, "pm_card_visa");
    shop.post(&format!("/v1/invoices/{}/pay", text(&pending["latest_invoice"])), json!({}));
    let applied = sub(&mut shop, &made["id"]);
    assert_eq!(
        (&applied["items"]["data"][0]["price"]["id"], &applied["pending_update"]),
        (&json!(professional), &Value::Null)
    );
    assert_eq!(shop.events()["customer.subscription.pending_update_applied"], 1);
}

#[test]
fn prorations_can_wait_be_left_out_or_become_credit() {
    let mut shop = Shop::new();
    let (starter, professional, year) =
        (shop.price(2000, Some("month")), shop.price(5000, Some("month")), shop.price(50_000, Some("year")));
    let customer = shop.customer("pm_card_visa");
    let made = start(&mut shop, &customer, &starter, json!({}));
    let path = format!("/v1/subscriptions/{}", text(&made["id"]));
    let item = made["items"]["data"][0]["id"].clone();
    shop.days(14);
    shop.post(&path, json!({"items": [{"id": item, "price": professional}]}));
    let waiting = shop.get(&format!("/v1/invoiceitems?customer={customer}&pending=true"));
    assert_eq!(waiting["data"].as_array().unwrap().len(), 2);
    // Down again at once: what was charged for the rest of the period comes back as credit.
    shop.post(
        &path,
        json!({"items": [{"id": item, "price": starter}], "proration_behavior": "always_invoice"}),
    );
    let invoice = sub(&mut shop, &made["id"])["latest_invoice"].clone();
    assert_eq!((&invoice["status"], &invoice["total"]), (&json!("paid"), &json!(0)));

    // Without proration a yearly plan is billed whole, from now on.
    shop.post(&path, json!({"items": [{"id": item, "price": year}], "proration_behavior": "none"}));
    let yearly = sub(&mut shop, &made["id"]);
    assert_eq!(yearly["latest_invoice"]["total"], 50_000);
    assert_eq!(
        yearly["items"]["data"][0]["current_period_end"],
        datetime!(2028-02-14 12:00 UTC).unix_timestamp()
    );
    // Back to a month with proration: the rest of the year is credit on later invoices.
    shop.post(
        &path,
        json!({"items": [{"id": item, "price": starter}], "proration_behavior": "always_invoice"}),
    );
    let invoice = sub(&mut shop, &made["id"])["latest_invoice"].clone();
    assert_eq!((&invoice["amount_due"], &invoice["total"]), (&json!(0), &json!(-48_000)));
    assert_eq!(shop.get(&format!("/v1/customers/{customer}"))["balance"], -48_000);
    shop.days(32);
    let next = sub(&mut shop, &made["id"])["latest_invoice"].clone();
    assert_eq!(
        (&next["starting_balance"], &next["ending_balance"], &next["amount_due"]),
        (&json!(-48_000), &json!(-46_000), &json!(0))
    );
}

#[test]
fn a_renewal_can_need_authentication() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop.customer("pm_card_visa");
    let made = start(&mut shop, &customer, &price, json!({}));
    shop.set_card(&customer, "pm_card_threeDSecure2Required");
    shop.days(29);
    let late = sub(&mut shop, &made["id"]);
    assert_eq!(late["status"], "past_due");
    assert_eq!(shop.events()["invoice.payment_action_required"], 1);
    let url = text(&late["latest_invoice"]["hosted_invoice_url"]).to_owned();
    let bank = shop.click(&url, json!({"action": "pay", "card": "threeDSecure2Required"}));
    shop.click(&bank, json!({"action": "confirm"}));
    assert_eq!(sub(&mut shop, &made["id"])["status"], "active");
}

#[test]
fn a_trial_without_a_card_pauses_and_resumes() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop_customer(&mut shop);
    let settings = json!({"trial_period_days": 7, "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}}});
    let made = start(&mut shop, &customer, &price, settings);
    shop.days(8);
    assert_eq!(sub(&mut shop, &made["id"])["status"], "paused");
    shop.set_card(&customer, "pm_card_visa");
    shop.post(&format!("/v1/subscriptions/{}/resume", text(&made["id"])), json!({}));
    let back = sub(&mut shop, &made["id"]);
    assert_eq!((&back["status"], &back["latest_invoice"]["amount_paid"]), (&json!("active"), &json!(2000)));
    let events = shop.events();
    assert_eq!((events["customer.subscription.paused"], events["customer.subscription.resumed"]), (1, 1));
}

#[test]
fn a_trial_that_is_ended_at_once_without_a_card_bills_nothing() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop_customer(&mut shop);
    let settings = |behavior: &str| json!({"trial_period_days": 7, "trial_settings": {"end_behavior": {"missing_payment_method": behavior}}});
    for (behavior, status) in [("pause", "paused"), ("cancel", "canceled")] {
        let made = start(&mut shop, &customer, &price, settings(behavior));
        shop.days(2);
        let moment = shop.sandbox.time(shop.now).unix_timestamp();
        let path = format!("/v1/subscriptions/{}", text(&made["id"]));
        let ended = shop.post(&path, json!({"trial_end": "now"}));
        assert_eq!((&ended["status"], &ended["trial_end"]), (&json!(status), &json!(moment)));
        assert_eq!(ended["items"]["data"][0]["current_period_end"], moment);
        assert_eq!(ended["latest_invoice"], made["latest_invoice"], "that of the trial");
        shop.days(40);
        assert_eq!(shop.get(&path)["status"], status);
    }
    let events = shop.events();
    assert_eq!((events["customer.subscription.paused"], events["customer.subscription.deleted"]), (1, 1));
    assert_eq!(events.get("invoice.payment_failed"), None);

    shop.set_card(&customer, "pm_card_visa");
    let made = start(&mut shop, &customer, &price, settings("pause"));
    let path = format!("/v1/subscriptions/{}", text(&made["id"]));
    assert_eq!(shop.post(&path, json!({"trial_end": "now"}))["status"], "active");
    assert_eq!(sub(&mut shop, &made["id"])["latest_invoice"]["amount_paid"], 2000);
}

#[test]
fn discounts_last_as_long_as_they_say() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let coupon = shop
        .post("/v1/coupons", json!({"percent_off": 50, "duration": "repeating", "duration_in_months": 2}));
    let once = shop.post("/v1/coupons", json!({"amount_off": 500, "currency": "usd", "duration": "once"}));
    let customer = shop.customer("pm_card_visa");
    let two = start(
        &mut shop,
        &customer,
        &price,
        json!({"discounts": [{"coupon": coupon["id"]}], "expand": ["discounts"]}),
    );
    assert_eq!(two["discounts"][0]["source"]["coupon"], coupon["id"]);
    let one = start(&mut shop, &customer, &price, json!({"discounts": [{"coupon": once["id"]}]}));
    for (of_two, of_one) in [(1000, 1500), (1000, 2000), (2000, 2000)] {
        assert_eq!(sub(&mut shop, &two["id"])["latest_invoice"]["amount_paid"], of_two);
        assert_eq!(sub(&mut shop, &one["id"])["latest_invoice"]["amount_paid"], of_one);
        shop.days(31);
    }
}

#[test]
fn test_clocks_move_their_customers_only() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let frozen = datetime!(2027-01-31 00:00 UTC).unix_timestamp();
    let clock = shop.post("/v1/test_helpers/test_clocks", json!({"frozen_time": frozen}));
    let customer =
        shop.post("/v1/customers", json!({"test_clock": clock["id"], "payment_method": "pm_card_visa"}));
    let method =
        shop.get(&format!("/v1/customers/{}/payment_methods", text(&customer["id"])))["data"][0]["id"]
            .clone();
    let made = start(&mut shop, text(&customer["id"]), &price, json!({"default_payment_method": method}));
    assert_eq!(made["created"], frozen);
    let other = shop.customer("pm_card_visa");
    let other = start(&mut shop, &other, &price, json!({}));
    let path = format!("/v1/test_helpers/test_clocks/{}", text(&clock["id"]));
    shop.refused(400, &format!("{path}/advance"), json!({"frozen_time": frozen + 100 * 86_400}));
    let moving = shop.post(&format!("{path}/advance"), json!({"frozen_time": frozen + 29 * 86_400}));
    assert_eq!(moving["status"], "advancing");
    assert_eq!(shop.get(&path)["status"], "ready");
    let renewed = sub(&mut shop, &made["id"]);
    assert_eq!(renewed["latest_invoice"]["billing_reason"], "subscription_cycle");
    assert_eq!(renewed["latest_invoice"]["status"], "paid");
    assert_eq!(renewed["latest_invoice"]["created"], datetime!(2027-02-28 00:00 UTC).unix_timestamp());
    assert_eq!(sub(&mut shop, &other["id"])["latest_invoice"]["billing_reason"], "subscription_create");
}

#[test]
fn the_portal_cancels_undoes_and_changes_the_card() {
    let mut shop = Shop::new();
    let price = shop.price(2000, Some("month"));
    let customer = shop.customer("pm_card_visa");
    let made = start(&mut shop, &customer, &price, json!({}));
    let session = shop.post(
        "/v1/billing_portal/sessions",
        json!({"customer": customer, "return_url": "https://shop.example/account"}),
    );
    let url = text(&session["url"]).to_owned();
    let page = String::from_utf8(shop.page("GET", &url, json!({})).body).unwrap();
    assert!(
        page.contains("Plan 2000")
            && page.contains("visa … 4242")
            && page.contains("https:&#x2f;&#x2f;shop.example&#x2f;account"),
        "{page}"
    );
    shop.click(&url, json!({"action": "cancel", "subscription": made["id"]}));
    assert_eq!(sub(&mut shop, &made["id"])["cancel_at_period_end"], true);
    shop.click(&url, json!({"action": "resume", "subscription": made["id"]}));
    assert_eq!(sub(&mut shop, &made["id"])["cancel_at_period_end"], false);
    shop.click(&url, json!({"action": "add", "card": "mastercard"}));
    let expanded =
        shop.get(&format!("/v1/customers/{customer}?expand[]=invoice_settings.default_payment_method"));
    assert_eq!(expanded["invoice_settings"]["default_payment_method"]["card"]["brand"], "mastercard");
    shop.hours(2);
    assert_eq!(shop.page("GET", &url, json!({})).status, 404, "short-lived");
}

#[test]
fn drafts_are_filled_finalized_voided_and_paid() {
    let mut shop = Shop::new();
    let customer = shop.customer("pm_card_visa");
    let draft = shop.post("/v1/invoices", json!({"customer": customer}));
    shop.post(
        "/v1/invoiceitems",
        json!({"customer": customer, "invoice": draft["id"], "amount": 2500, "currency": "usd"}),
    );
    let path = format!("/v1/invoices/{}", text(&draft["id"]));
    let open = shop.post(&format!("{path}/finalize"), json!({}));
    assert_eq!((&open["status"], &open["amount_due"]), (&json!("open"), &json!(2500)));
    assert!(text(&open["number"]).ends_with("-0001"));
    assert_eq!(shop.get(&format!("{path}/lines"))["data"].as_array().unwrap().len(), 1);
    assert_eq!(shop.post(&format!("{path}/void"), json!({}))["status"], "void");
    shop.refused(400, &format!("{path}/pay"), json!({}));
    assert_eq!(shop.events()["invoice.voided"], 1);
    shop.post("/v1/invoiceitems", json!({"customer": customer, "amount": 700, "currency": "usd"}));
    let second =
        shop.post("/v1/invoices", json!({"customer": customer, "pending_invoice_items_behavior": "include"}));
    let paid =
        shop.post(&format!("/v1/invoices/{}/pay", text(&second["id"])), json!({"expand": ["payments"]}));
    assert_eq!((&paid["status"], &paid["payments"]["data"][0]["amount_paid"]), (&json!("paid"), &json!(700)));
    let list = shop.get(&format!("/v1/invoice_payments?invoice={}", text(&second["id"])));
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
}
