//! Charges, and the balance transactions that they and others leave.

use serde_json::{Value, json};

use super::{lists, world::World};
use crate::{
    cards::Card,
    errors::Answer,
    value::{Read, Write},
};

/// What Stripe takes of a charge: 2.9 % and 30 of the smallest unit.
pub(crate) fn fee(amount: i64) -> i64 {
    crate::money::share(amount, 29, 1000) + 30
}

/// How a charge went.
pub(crate) enum Went<'a> {
    Succeeded,
    Pending,
    /// Code, decline code and message.
    Failed(&'a str, Option<&'a str>, &'a str),
}

/// The charge of a payment intent.
pub(crate) fn make(w: &mut World, intent: &Value, method: &Value, card: &Card, went: &Went<'_>) -> Value {
    let id = w.id("ch");
    let amount = intent.num("amount");
    let (paid, status) = match went {
        Went::Succeeded => (true, "succeeded"),
        Went::Pending => (false, "pending"),
        Went::Failed(..) => (false, "failed"),
    };
    let outcome = match went {
        Went::Failed(code, reason, message) => json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "declined_by_network", "reason": reason.unwrap_or(code), "risk_level": "normal",
            "seller_message": message, "type": "issuer_declined",
        }),
        _ => json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
            "seller_message": "Payment complete.", "type": "authorized",
        }),
    };
    let details = if card.is_debit() {
        json!({"type": "sepa_debit", "sepa_debit": method.at("sepa_debit").clone()})
    } else {
        json!({"type": "card", "card": {
            "amount_authorized": amount, "authorization_code": null, "brand": card.brand,
            "checks": method.at("card.checks"), "country": "US", "exp_month": method.at("card.exp_month"),
            "exp_year": method.at("card.exp_year"), "fingerprint": method.at("card.fingerprint"),
            "funding": card.funding, "installments": null, "last4": card.last4(), "mandate": null,
            "network": card.brand, "network_transaction_id": null, "regulated_status": "unregulated",
            "three_d_secure": null, "wallet": null,
        }})
    };
    let mut details = details;
    if let Some(debit) = details.get_mut("sepa_debit") {
        debit.put("mandate", Value::Null);
        if let Some(fields) = debit.as_object_mut() {
            fields.remove("generated_from");
        }
    }
    let (failure_code, failure_message) = match went {
        Went::Failed(code, _, message) => (Some(*code), Some(*message)),
        _ => (None, None),
    };
    let mut charge = json!({
        "id": id,
        "object": "charge",
        "amount": amount,
        "amount_captured": if paid { amount } else { 0 },
        "amount_refunded": 0,
        "application": null,
        "application_fee": null,
        "application_fee_amount": null,
        "balance_transaction": null,
        "billing_details": method.at("billing_details"),
        "calculated_statement_descriptor": "PORTICO SANDBOX",
        "captured": paid,
        "created": w.now,
        "currency": intent.at("currency"),
        "customer": intent.at("customer"),
        "description": intent.at("description"),
        "disputed": false,
        "failure_balance_transaction": null,
        "failure_code": failure_code,
        "failure_message": failure_message,
        "fraud_details": {},
        "livemode": false,
        "metadata": intent.at("metadata"),
        "on_behalf_of": null,
        "outcome": outcome,
        "paid": paid,
        "payment_intent": intent.at("id"),
        "payment_method": method.at("id"),
        "payment_method_details": details,
        "receipt_email": intent.at("receipt_email"),
        "receipt_number": null,
        "receipt_url": w.url(&format!("/receipts/{id}")),
        "refunded": false,
        "review": null,
        "shipping": intent.at("shipping"),
        "source_transfer": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": status,
        "transfer_data": null,
        "transfer_group": null,
    });
    match went {
        Went::Succeeded => book(w, &mut charge),
        Went::Pending => w.emit("charge.pending", &charge),
        Went::Failed(..) => w.emit("charge.failed", &charge),
    }
    w.save(&charge);
    charge
}

/// Books a charge that is paid.
pub(crate) fn book(w: &mut World, charge: &mut Value) {
    let amount = charge.num("amount");
    charge.put("paid", true);
    charge.put("captured", true);
    charge.put("amount_captured", amount);
    charge.put("status", "succeeded");
    let transaction = transact(w, "charge", charge, amount, fee(amount));
    charge.put("balance_transaction", transaction.owned("id"));
    w.save(charge);
    w.emit("charge.succeeded", charge);
}

/// A movement of the account's balance for a charge, refund or dispute.
pub(crate) fn transact(w: &mut World, kind: &str, source: &Value, amount: i64, fee: i64) -> Value {
    let currency = source.owned("currency");
    let details = if fee == 0 {
        json!([])
    } else {
        let what = if kind == "charge" { "Stripe processing fees" } else { "Dispute fee" };
        json!([{"amount": fee, "application": null, "currency": currency, "description": what, "type": "stripe_fee"}])
    };
    let transaction = json!({
        "id": w.id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": w.now + 2 * crate::calendar::DAY,
        "balance_type": "payments",
        "created": w.now,
        "currency": currency,
        "description": source.at("description"),
        "exchange_rate": null,
        "fee": fee,
        "fee_details": details,
        "net": amount - fee,
        "reporting_category": if kind == "adjustment" { "dispute" } else { kind },
        "source": source.at("id"),
        "status": "pending",
        "type": kind,
    });
    w.save(&transaction);
    transaction
}

/// GET /v1/balance_transactions.
pub(crate) fn transactions(w: &World, p: &Value) -> Answer {
    lists::page(w, "balance_transaction", p, "/v1/balance_transactions", &[], |_| true)
}
