use miniserde::json::from_str;
use portico_kernel::Timestamp;
use serde_json::{Value, json};

use super::*;

const START: i64 = 1_800_000_000;
const END: i64 = START + 2_592_000;

fn at(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_unix_seconds(seconds)
}

fn price(key: Value) -> Value {
    json!({
        "id": "price_1", "active": true, "currency": "usd", "unit_amount": 1200, "lookup_key": key,
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"}, "product": "prod_1",
    })
}

fn subscription(change: Value) -> SubscriptionObject {
    let mut object = json!({
        "id": "sub_1", "object": "subscription", "status": "active", "currency": "usd", "livemode": true,
        "customer": {"id": "cus_1", "invoice_settings": {"default_payment_method": "pm_of_customer"}},
        "items": {"object": "list", "url": "/v1/x", "has_more": false, "data": [{
            "id": "si_1", "price": price(json!("starter-1-month")), "quantity": 1,
            "current_period_start": START, "current_period_end": END,
        }]},
        "default_payment_method": null, "schedule": null, "trial_end": null, "cancel_at": null,
        "cancel_at_period_end": false, "ended_at": null,
    });
    for (name, value) in change.as_object().unwrap() {
        object[name] = value.clone();
    }
    from_str(&object.to_string()).unwrap()
}

#[test]
fn statuses_are_those_of_the_port() {
    for (status, expected) in [
        ("trialing", SubscriptionStatus::Trialing),
        ("active", SubscriptionStatus::Active),
        ("past_due", SubscriptionStatus::PastDue),
        ("unpaid", SubscriptionStatus::Unpaid),
        ("paused", SubscriptionStatus::Unpaid),
        ("incomplete", SubscriptionStatus::Incomplete),
        ("incomplete_expired", SubscriptionStatus::Canceled),
        ("canceled", SubscriptionStatus::Canceled),
    ] {
        let read = subscription(json!({"status": status})).read(None).unwrap();
        assert_eq!(read.status, expected, "{status}");
    }
    let odd = subscription(json!({"status": "v9"})).read(None);
    assert!(matches!(&odd, Err(error) if error.is_passing()), "{odd:?}");
    let bare = json!({"object": "list", "url": "", "has_more": false, "data": []});
    assert!(subscription(json!({"items": bare})).read(None).is_err());
}

#[test]
fn ends_and_means_of_payment_are_found_where_they_are() {
    let plain = subscription(json!({})).read(None).unwrap();
    assert_eq!((plain.price.as_deref(), plain.live), (Some("starter-1-month"), true));
    assert_eq!((Some(plain.period_start), Some(plain.period_end)), (at(START), at(END)));
    assert_eq!((plain.ends_at, plain.trial_ends_at, plain.scheduled), (None, None, None));
    assert_eq!(plain.payment_method_id.as_deref(), Some("pm_of_customer"));
    for (change, ends_at) in [
        (json!({"cancel_at": END, "cancel_at_period_end": true}), at(END)),
        (json!({"cancel_at_period_end": true}), at(END)),
        (json!({"cancel_at": START + 9}), at(START + 9)),
        (json!({"cancel_at": END, "ended_at": START + 5, "status": "canceled"}), at(START + 5)),
    ] {
        assert_eq!(subscription(change.clone()).read(None).unwrap().ends_at, ends_at, "{change}");
    }
    let own = subscription(json!({"default_payment_method": "pm_own", "trial_end": END})).read(None).unwrap();
    assert_eq!((own.payment_method_id.as_deref(), own.trial_ends_at), (Some("pm_own"), at(END)));
    let deleted = json!({"customer": {"id": "cus_1", "deleted": true}});
    assert_eq!(subscription(deleted).read(None).unwrap().payment_method_id, None);
}

#[test]
fn the_phase_after_the_running_one_is_what_follows() {
    let phase = |start: i64, key: Value| {
        let items = json!([{"price": price(key), "quantity": 1}]);
        json!({"start_date": start, "end_date": start + 100, "items": items, "metadata": {}})
    };
    let schedule = |status: &str, present: i64| {
        let phases = [phase(0, json!("a-1-month")), phase(100, json!("b-1-month")), phase(200, Value::Null)];
        let present = json!({"start_date": present, "end_date": present + 100});
        let object = json!({"id": "s", "status": status, "current_phase": present, "phases": phases});
        from_str::<ScheduleObject>(&object.to_string()).unwrap().next().unwrap()
    };
    let next = schedule("active", 0).unwrap();
    assert_eq!((next.reference.as_deref(), Some(next.at)), (Some("b-1-month"), at(100)));
    let unknown = schedule("active", 100).unwrap();
    assert_eq!((unknown.reference, Some(unknown.at)), (None, at(200)));
    assert_eq!(schedule("active", 200), None, "it is the last one");
    assert_eq!(schedule("released", 0), None);
}
