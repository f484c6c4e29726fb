use proptest::prelude::*;

use super::*;

const BODY: &[u8] = br#"{"id": "evt_1", "type": "checkout.session.completed", "data": {"object": {"id": "cs_test_1", "object": "checkout.session"}}}"#;
const TIME: i64 = 1_800_000_000;

/// HMAC-SHA256 of `1800000000.` and the body, computed by another implementation.
const FIRST: &str = "7ffae4a34e392570e8884fb9d0e04685aed1710a0bb89d5e051d319c54ce30fc";
const SECOND: &str = "a3622f1393ff5127044b1215429c9d8d8dd2ec5545d145f2e6ef65fdc0e2112b";
const WITH_NOTHING: &str = "ef66812f7f13a369f270a0d99ba5e738eab7d18d6bfbc33949f9dc89fb505909";

fn endpoint(secrets: &[&str]) -> Webhooks {
    let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
    Webhooks::new(&secrets)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix_seconds(seconds).unwrap()
}

fn verify(secrets: &[&str], header: &str, body: &[u8], now: i64) -> Result<InboundEvent, SignatureError> {
    let headers =
        [("content-type".to_owned(), "application/json".to_owned()), (HEADER.to_owned(), header.to_owned())];
    endpoint(secrets).verify(&headers, body, at(now))
}

#[test]
fn a_signature_by_any_secret_in_any_place_is_good() {
    for (secrets, header) in [
        (&["whsec_first"][..], format!("t={TIME},v1={FIRST}")),
        (&["whsec_first", "whsec_second"], format!("t={TIME},v1={SECOND}")),
        (&["whsec_second"], format!("t={TIME},v1={FIRST},v1={SECOND}")),
        (&["whsec_first"], format!("t={TIME},v1={SECOND},v1={FIRST},v0={SECOND}")),
        (&["whsec_first"], format!("v1={FIRST}, t={TIME}")),
        (&["whsec_first"], format!("t={TIME},v1=none,v1={}", FIRST.to_uppercase())),
    ] {
        let event = verify(secrets, &header, BODY, TIME).unwrap_or_else(|_| panic!("{header}"));
        assert_eq!((event.id.as_str(), event.kind.as_str()), ("evt_1", "checkout.session.completed"));
        assert_eq!(event.subject, InboundSubject::Checkout { id: "cs_test_1".to_owned() });
    }
}

#[test]
fn everything_else_is_refused() {
    let good = format!("t={TIME},v1={FIRST}");
    for (header, why) in [
        (String::new(), "nothing"),
        (format!("t={TIME}"), "no signature"),
        (format!("v1={FIRST}"), "no time"),
        (format!("t=,v1={FIRST}"), "an empty time"),
        (format!("t={},v1={FIRST}", TIME + 1), "another time than was signed"),
        (format!("t={TIME},v0={FIRST}"), "another scheme"),
        (format!("t={TIME},v1={SECOND}"), "another secret"),
        (format!("t={TIME},v1={}", &FIRST[..62]), "the beginning of one"),
        (format!("t={TIME},v1={FIRST}00"), "more than one"),
        (format!("t={TIME},v1="), "an empty one"),
        (format!("t={TIME},v1={WITH_NOTHING}"), "signed with nothing"),
        (format!("t={TIME};v1={FIRST}"), "another form"),
    ] {
        assert!(verify(&["whsec_first"], &header, BODY, TIME).is_err(), "{why}: {header}");
    }
    let changed = String::from_utf8(BODY.to_vec()).unwrap().replace("cs_test_1", "cs_test_2");
    assert!(verify(&["whsec_first"], &good, changed.as_bytes(), TIME).is_err(), "a changed body");
    let none = endpoint(&["whsec_first"]).verify(&[], BODY, at(TIME));
    assert!(none.is_err(), "no header");
}

#[test]
fn it_is_good_for_five_minutes_to_both_sides() {
    let header = format!("t={TIME},v1={FIRST}");
    for (away, good) in [(0, true), (300, true), (-300, true), (301, false), (-301, false)] {
        assert_eq!(verify(&["whsec_first"], &header, BODY, TIME + away).is_ok(), good, "{away}");
    }
    for time in [i64::MIN, i64::MAX] {
        assert!(verify(&["whsec_first"], &format!("t={time},v1={FIRST}"), BODY, TIME).is_err());
    }
}

#[test]
fn an_empty_secret_opens_nothing() {
    let header = format!("t={TIME},v1={WITH_NOTHING}");
    for secrets in [&[][..], &[""], &["", "  "], &["whsec_first", ""]] {
        assert!(verify(secrets, &header, BODY, TIME).is_err(), "{secrets:?}");
    }
}

fn signed(body: &str) -> Result<InboundEvent, SignatureError> {
    let mac = sign("whsec_first", &TIME.to_string(), body.as_bytes()).unwrap();
    let mac: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    verify(&["whsec_first"], &format!("t={TIME},v1={mac}"), body.as_bytes(), TIME)
}

#[test]
fn an_event_is_about_a_checkout_a_payment_or_a_customer() {
    let checkout = |id: &str| InboundSubject::Checkout { id: id.to_owned() };
    let payment = |id: &str| InboundSubject::Payment { id: id.to_owned() };
    let customer = |id: &str| InboundSubject::Customer { id: id.to_owned() };
    for (kind, object, subject) in [
        ("checkout.session.expired", r#"{"id": "cs_9"}"#, checkout("cs_9")),
        (
            "checkout.session.completed",
            r#"{"id": "cs_9", "mode": "payment", "customer": "cus_1"}"#,
            checkout("cs_9"),
        ),
        (
            "checkout.session.completed",
            r#"{"id": "cs_9", "mode": "subscription", "customer": "cus_1"}"#,
            customer("cus_1"),
        ),
        (
            "checkout.session.expired",
            r#"{"id": "cs_9", "mode": "setup", "customer": "cus_1"}"#,
            customer("cus_1"),
        ),
        (
            "charge.refunded",
            r#"{"id": "ch_1", "payment_intent": "pi_1", "customer": null, "metadata": {}}"#,
            payment("pi_1"),
        ),
        (
            "charge.refunded",
            r#"{"payment_intent": "pi_1", "customer": "cus_1", "metadata": {"portico_reference": "a_b"}}"#,
            payment("pi_1"),
        ),
        (
            "charge.refunded",
            r#"{"payment_intent": "pi_1", "customer": "cus_1", "metadata": {}}"#,
            customer("cus_1"),
        ),
        ("charge.refund.updated", r#"{"id": "re_1", "payment_intent": "pi_1"}"#, payment("pi_1")),
        ("refund.failed", r#"{"id": "re_1", "payment_intent": "pi_1"}"#, payment("pi_1")),
        ("refund.created", r#"{"id": "re_1", "payment_intent": null}"#, InboundSubject::Other),
        (
            "charge.dispute.closed",
            r#"{"id": "dp_1", "payment_intent": "pi_1", "charge": "ch_1"}"#,
            payment("pi_1"),
        ),
        ("charge.succeeded", r#"{"id": "ch_1", "payment_intent": "pi_1"}"#, InboundSubject::Other),
        ("customer.updated", r#"{"id": "cus_1"}"#, customer("cus_1")),
        ("customer.deleted", r#"{"id": "cus_1"}"#, customer("cus_1")),
        ("customer.created", r#"{"id": "cus_1"}"#, InboundSubject::Other),
        ("customer.subscription.deleted", r#"{"id": "sub_1", "customer": "cus_1"}"#, customer("cus_1")),
        ("invoice.payment_failed", r#"{"id": "in_1", "customer": "cus_1"}"#, customer("cus_1")),
        ("invoiceitem.created", r#"{"id": "ii_1", "customer": "cus_1"}"#, InboundSubject::Other),
        ("payment_method.attached", r#"{"id": "pm_1", "customer": "cus_1"}"#, customer("cus_1")),
        ("subscription_schedule.released", r#"{"id": "x", "customer": "cus_1"}"#, customer("cus_1")),
        ("invoice.paid", r#"{"id": "in_1", "customer": {"id": "cus_1"}}"#, InboundSubject::Other),
        ("invoice.paid", "[1]", InboundSubject::Other),
    ] {
        let body = format!(r#"{{"id": "evt_2", "type": "{kind}", "data": {{"object": {object}}}}}"#);
        assert_eq!(signed(&body).unwrap().subject, subject, "{body}");
    }
    let detached = r#"{"id": "evt_2", "type": "payment_method.detached", "data": {
        "object": {"id": "pm_1", "customer": null}, "previous_attributes": {"customer": "cus_1"}}}"#;
    assert_eq!(signed(detached).unwrap().subject, customer("cus_1"), "whose it was");
}

#[test]
fn events_of_every_kind_are_taken() {
    for (body, kind) in [
        (
            r#"{"id": "evt_2", "type": "v9.never.heard", "data": {"object": [1]}, "more": {}}"#,
            "v9.never.heard",
        ),
        (r#"{"id": "evt_2", "type": "checkout.session.x"}"#, "checkout.session.x"),
        (r#"{"id": "evt_2", "type": "v2.core.event", "data": 7}"#, "v2.core.event"),
    ] {
        let event = signed(body).unwrap();
        assert_eq!((event.kind.as_str(), event.subject), (kind, InboundSubject::Other), "{body}");
    }
    for body in ["", "{}", "[]", r#"{"id": 7, "type": "x"}"#, r#"{"id": "evt_2"}"#] {
        assert!(signed(body).is_err(), "{body}");
    }
}

proptest! {
    #[test]
    fn no_header_and_no_body_breaks_it(header in ".{0,200}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(verify(&["whsec_first"], &header, &body, TIME).is_err());
    }

    #[test]
    fn what_was_signed_is_read_from_the_bytes_as_they_came(id in "[a-z0-9_]{1,30}", note in ".{0,60}") {
        let note = serde_json::to_string(&note).unwrap();
        let event = signed(&format!(r#"{{ "note":{note},  "id":"{id}","type":"x" }}"#)).unwrap();
        prop_assert_eq!(event.id, id);
    }
}
