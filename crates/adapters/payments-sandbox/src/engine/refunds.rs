//! Refunds: several partial ones, never more than was paid; some banks answer later.

use serde_json::{Value, json};

use super::{
    charges,
    clock::Task,
    payment_methods,
    world::{World, metadata},
};
use crate::{
    cards::Acts,
    errors::{Answer, ApiError},
    money,
    value::{Read, Write},
};

/// POST /v1/refunds.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let charge = match (p.text("payment_intent"), p.text("charge")) {
        (Some(id), _) => {
            let intent = w.need("payment_intent", id, "payment_intent")?;
            let charge = w.find("charge", &intent.owned("latest_charge"));
            charge.filter(|charge| charge.flag("paid")).ok_or_else(|| {
                let message =
                    format!("This PaymentIntent ({id}) does not have a successful charge to refund.");
                ApiError::invalid(message).code("payment_intent_unexpected_state")
            })?
        }
        (None, Some(id)) => w.need("charge", id, "charge")?,
        (None, None) => return Err(ApiError::missing("payment_intent")),
    };
    w.enter_owner(&charge);
    check(&charge, p)?;
    let left = charge.num("amount") - charge.num("amount_refunded");
    let amount = p.int("amount").unwrap_or(left);
    let method = w.find("payment_method", &charge.owned("payment_method")).unwrap_or_default();
    let acts = payment_methods::card(&method).map_or(Acts::Pays, |card| card.acts);
    let status = if acts == Acts::RefundPends { "pending" } else { "succeeded" };
    let mut refund = json!({
        "id": w.id("re"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": null,
        "charge": charge.at("id"),
        "created": w.now,
        "currency": charge.at("currency"),
        "customer": charge.at("customer"),
        "customer_account": null,
        "description": null,
        "destination_details": {"card": {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}, "type": "card"},
        "metadata": metadata(p),
        "payment_intent": charge.at("payment_intent"),
        "payment_method": charge.at("payment_method"),
        "reason": p.at("reason"),
        "receipt_number": null,
        "source_transfer_reversal": null,
        "status": status,
        "transfer_reversal": null,
    });
    if payment_methods::card(&method).is_some_and(crate::cards::Card::is_debit) {
        refund.put(
            "destination_details",
            json!({"sepa_bank_transfer": {"reference": null}, "type": "sepa_bank_transfer"}),
        );
    }
    // The fee of the charge stays with Stripe.
    if let Some(fields) = refund.as_object_mut() {
        fields.remove("description");
    }
    let transaction = charges::transact(w, "refund", &refund, -amount, 0);
    refund.put("balance_transaction", transaction.owned("id"));
    w.save(&refund);
    moved(w, charge, amount);
    w.emit("refund.created", &refund);
    if matches!(acts, Acts::RefundPends | Acts::RefundFails) {
        let due = w.now + w.config.settle_seconds;
        w.later(&refund, due, Task::SettleRefund);
    }
    Ok(refund)
}

fn check(charge: &Value, p: &Value) -> Result<(), ApiError> {
    let id = charge.owned("id");
    let currency = charge.owned("currency");
    if !charge.flag("paid") {
        return Err(ApiError::invalid(format!("Charge {id} was not paid and cannot be refunded.")));
    }
    if charge.flag("disputed") && !charge.flag("_refundable") {
        let message = format!("Charge {id} has been charged back; cannot issue a refund.");
        return Err(ApiError::invalid(message).code("charge_disputed"));
    }
    let left = charge.num("amount") - charge.num("amount_refunded");
    if left == 0 {
        let message = format!("Charge {id} has already been refunded.");
        return Err(ApiError::invalid(message).code("charge_already_refunded"));
    }
    if let Some(amount) = p.int("amount") {
        money::priced(amount, &currency, "amount")?;
        if amount < 1 {
            let message = "Invalid positive integer";
            return Err(ApiError::param("amount", message).code("parameter_invalid_integer"));
        }
        if amount > left {
            let message = format!(
                "Refund amount ({}) is greater than unrefunded amount on charge ({})",
                money::text(amount, &currency),
                money::text(left, &currency)
            );
            return Err(ApiError::param("amount", message));
        }
    }
    Ok(())
}

fn moved(w: &mut World, mut charge: Value, amount: i64) {
    let before = charge.clone();
    let refunded = charge.num("amount_refunded") + amount;
    charge.put("amount_refunded", refunded);
    charge.put("refunded", refunded >= charge.num("amount"));
    w.save(&charge);
    if amount > 0 {
        w.emit_update("charge.refunded", &before, &charge);
    } else {
        w.emit_update("charge.updated", &before, &charge);
    }
}

/// The bank has answered.
pub(crate) fn settle(w: &mut World, id: &str) {
    let Some(mut refund) = w.find("refund", id) else { return };
    let method = w.find("payment_method", &refund.owned("payment_method")).unwrap_or_default();
    let before = refund.clone();
    match payment_methods::card(&method).map(|card| card.acts) {
        Some(Acts::RefundPends) if refund.is("status", "pending") => {
            refund.put("status", "succeeded");
            w.save(&refund);
            changed(w, &before, &refund);
        }
        Some(Acts::RefundFails) if refund.is("status", "succeeded") => {
            back(w, &mut refund, "failed");
            refund.put("failure_reason", "lost_or_stolen_card");
            w.save(&refund);
            changed(w, &before, &refund);
            w.emit("refund.failed", &refund);
        }
        _ => {}
    }
}

/// The money comes back to the account.
fn back(w: &mut World, refund: &mut Value, status: &str) {
    refund.put("status", status);
    let transaction = charges::transact(w, "refund_failure", refund, refund.num("amount"), 0);
    refund.put("failure_balance_transaction", transaction.owned("id"));
    if let Some(charge) = w.find("charge", &refund.owned("charge")) {
        moved(w, charge, -refund.num("amount"));
    }
}

/// A refund has changed: Stripe tells of it twice, by the present event and by an older one.
fn changed(w: &mut World, before: &Value, refund: &Value) {
    w.emit_update("refund.updated", before, refund);
    w.emit_update("charge.refund.updated", before, refund);
}

/// POST /v1/refunds/{id}.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut refund = w.need("refund", id, "id")?;
    let before = refund.clone();
    refund.merge_metadata(p);
    w.save(&refund);
    changed(w, &before, &refund);
    Ok(refund)
}

/// POST …/cancel: only one that waits for the customer can be, which card refunds never do.
pub(crate) fn cancel(w: &mut World, id: &str) -> Answer {
    let refund = w.need("refund", id, "id")?;
    let message =
        format!("Refund {id} cannot be canceled because it has a status of {}.", refund.owned("status"));
    Err(ApiError::invalid(message))
}
