//! Disputes: a chargeback takes the money when it is made; an inquiry takes none.

use serde_json::{Map, Value, json};

use super::{charges, clock::Task, world::World};
use crate::{
    calendar::DAY,
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// What the bank takes besides the amount.
const FEE: i64 = 1500;
/// Days to answer.
const DAYS: i64 = 9;

const EVIDENCE: [&str; 27] = [
    "access_activity_log",
    "billing_address",
    "cancellation_policy",
    "cancellation_policy_disclosure",
    "cancellation_rebuttal",
    "customer_communication",
    "customer_email_address",
    "customer_name",
    "customer_purchase_ip",
    "customer_signature",
    "duplicate_charge_documentation",
    "duplicate_charge_explanation",
    "duplicate_charge_id",
    "product_description",
    "receipt",
    "refund_policy",
    "refund_policy_disclosure",
    "refund_refusal_explanation",
    "service_date",
    "service_documentation",
    "shipping_address",
    "shipping_carrier",
    "shipping_date",
    "shipping_documentation",
    "shipping_tracking_number",
    "uncategorized_file",
    "uncategorized_text",
];

/// A bank disputes a charge, or inquires about it.
pub(crate) fn open(w: &mut World, charge: &Value, brand: &str, inquiry: bool) {
    let mut evidence: Map<String, Value> =
        EVIDENCE.iter().map(|name| ((*name).to_owned(), Value::Null)).collect();
    evidence.insert("enhanced_evidence".into(), json!({}));
    let due = w.now + DAYS * DAY;
    let mut dispute = json!({
        "id": w.id("dp"),
        "object": "dispute",
        "amount": charge.at("amount"),
        "balance_transactions": [],
        "charge": charge.at("id"),
        "created": w.now,
        "currency": charge.at("currency"),
        "customer": charge.at("customer"),
        "enhanced_eligibility_types": [],
        "evidence": evidence,
        "evidence_details": {"due_by": due, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false, "submission_count": 0},
        "is_charge_refundable": inquiry,
        "livemode": false,
        "metadata": {},
        "payment_intent": charge.at("payment_intent"),
        "payment_method_details": {"card": {
            "brand": brand, "case_type": if inquiry { "inquiry" } else { "chargeback" }, "network": brand, "network_reason_code": "10.4",
        }, "type": "card"},
        "reason": if inquiry { "general" } else { "fraudulent" },
        "status": if inquiry { "warning_needs_response" } else { "needs_response" },
    });
    let mut charge = charge.clone();
    charge.put("disputed", true);
    charge.put("_refundable", inquiry);
    w.save(&charge);
    if !inquiry {
        take(w, &mut dispute, -charge.num("amount"), FEE);
    }
    w.save(&dispute);
    w.emit("charge.dispute.created", &dispute);
    if !inquiry {
        w.emit("charge.dispute.funds_withdrawn", &dispute);
    }
    w.later(&dispute, due, Task::DisputeDue);
}

fn take(w: &mut World, dispute: &mut Value, amount: i64, fee: i64) {
    let transaction = charges::transact(w, "adjustment", dispute, amount, fee);
    if let Some(transactions) = dispute.get_mut("balance_transactions").and_then(Value::as_array_mut) {
        transactions.push(transaction);
    }
}

fn answerable(w: &mut World, id: &str) -> Answer {
    let dispute = w.need("dispute", id, "id")?;
    w.enter_owner(&dispute);
    if matches!(dispute.text("status"), Some("needs_response" | "warning_needs_response")) {
        return Ok(dispute);
    }
    Err(ApiError::invalid("This dispute is already closed or under review; it can no longer be changed."))
}

/// POST /v1/disputes/{id}: evidence is staged, and submitted unless `submit` is false. As in Stripe's test mode the text
/// `winning_evidence` wins, `losing_evidence` loses, and anything else stays under review.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut dispute = answerable(w, id)?;
    let before = dispute.clone();
    dispute.merge_metadata(p);
    if let Some(evidence) = p.get("evidence").filter(|evidence| evidence.is_object()) {
        let mut given = dispute.at("evidence").clone();
        for name in EVIDENCE {
            if let Some(value) = evidence.get(name) {
                given.put(name, value.clone());
            }
        }
        dispute.put("evidence", given);
        dispute.put("evidence_details.has_evidence", true);
    }
    let is_submitted = p.has("evidence") && p.at("submit").as_bool().unwrap_or(true) || p.flag("submit");
    if is_submitted {
        let count = dispute.num("evidence_details.submission_count") + 1;
        dispute.put("evidence_details.submission_count", count);
        let inquiry = dispute.is("status", "warning_needs_response");
        dispute.put("status", if inquiry { "warning_under_review" } else { "under_review" });
    }
    w.save(&dispute);
    w.emit_update("charge.dispute.updated", &before, &dispute);
    if is_submitted {
        match dispute.text("evidence.uncategorized_text") {
            Some("winning_evidence") => decide(w, dispute, true),
            Some("losing_evidence") => decide(w, dispute, false),
            _ => {}
        }
    }
    w.need("dispute", id, "id")
}

/// POST …/close: accepting the loss.
pub(crate) fn close(w: &mut World, id: &str) -> Answer {
    let dispute = answerable(w, id)?;
    decide(w, dispute, false);
    w.need("dispute", id, "id")
}

/// Nobody answered in time.
pub(crate) fn overdue(w: &mut World, id: &str) {
    let Some(mut dispute) = w.find("dispute", id) else { return };
    if matches!(dispute.text("status"), Some("needs_response" | "warning_needs_response")) {
        dispute.put("evidence_details.past_due", true);
        decide(w, dispute, false);
    }
}

/// The bank has decided.
pub(crate) fn decide(w: &mut World, mut dispute: Value, won: bool) {
    let inquiry = dispute.text("status").is_some_and(|status| status.starts_with("warning_"));
    let status = if inquiry {
        "warning_closed"
    } else if won {
        "won"
    } else {
        "lost"
    };
    dispute.put("status", status);
    if won && !inquiry {
        let amount = dispute.num("amount");
        take(w, &mut dispute, amount, 0);
        w.emit("charge.dispute.funds_reinstated", &dispute);
    }
    w.save(&dispute);
    if let Some(mut charge) = w.find("charge", &dispute.owned("charge")) {
        charge.put("_refundable", won || inquiry);
        w.save(&charge);
    }
    w.emit("charge.dispute.closed", &dispute);
}
