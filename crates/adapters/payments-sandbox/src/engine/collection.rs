//! Collecting invoices: finalizing, paying, trying again.

use serde_json::{Value, json};

use super::{
    clock::Task,
    invoices,
    payment_intents::{self, Attempt, How},
    payment_methods, subscriptions,
    world::World,
};
use crate::{
    calendar::DAY,
    errors::{Answer, ApiError},
    money,
    value::{Read, Write},
};

/// How collecting went.
pub(crate) enum Collected {
    Paid,
    /// The customer has to authenticate, or the money comes later.
    Waits,
    Failed(ApiError),
}

/// Finalizes a draft: it gets its number and its intent, and the customer's balance is settled with it. One without an
/// amount due is paid.
pub(crate) fn finalize(w: &mut World, mut invoice: Value) -> Value {
    if !invoice.is("status", "draft") {
        return invoice;
    }
    invoices::sum_up(w, &mut invoice);
    invoices::name(w, &mut invoice);
    let due = invoice.num("amount_due");
    settle_balance(w, &mut invoice);
    invoice.put("status", "open");
    invoice.put("effective_at", w.now);
    invoice.put("automatically_finalizes_at", Value::Null);
    invoice.put("status_transitions.finalized_at", w.now);
    if due > 0 {
        let currency = invoice.owned("currency");
        let mut intent = payment_intents::make(w, due, &currency, invoice.at("customer"));
        intent.put("_invoice", invoice.owned("id"));
        intent.put(
            "description",
            if invoice.at("parent").is_null() { "Payment for Invoice" } else { "Subscription update" },
        );
        intent.put("receipt_email", invoice.at("customer_email").clone());
        w.save(&intent);
        w.emit("payment_intent.created", &intent);
        invoice.put("_payment_intent", intent.owned("id"));
        let payment = json!({
            "id": w.id("inpay"),
            "object": "invoice_payment",
            "amount_paid": null,
            "amount_requested": due,
            "created": w.now,
            "currency": currency,
            "invoice": invoice.at("id"),
            "is_default": true,
            "livemode": false,
            "payment": {"payment_intent": intent.at("id"), "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": null, "paid_at": null},
        });
        w.save(&payment);
    }
    w.save(&invoice);
    w.emit("invoice.finalized", &invoice);
    if due == 0 {
        mark_paid(w, &mut invoice, 0);
    }
    invoice
}

/// A credit (a negative balance) pays; a negative total becomes one.
fn settle_balance(w: &mut World, invoice: &mut Value) {
    let Some(mut customer) = w.find("customer", &invoice.owned("customer")) else { return };
    let ending = (invoice.num("total") + customer.num("balance")).min(0);
    invoice.put("ending_balance", ending);
    if !customer.flag("deleted") && customer.num("balance") != ending {
        let before = customer.clone();
        customer.put("balance", ending);
        w.save(&customer);
        w.emit_update("customer.updated", &before, &customer);
    }
}

/// The payment method that an invoice is charged to.
fn method_of(w: &World, invoice: &Value) -> Option<Value> {
    let sub = w
        .find("subscription", &invoice.owned("parent.subscription_details.subscription"))
        .unwrap_or_default();
    let customer = w.find("customer", &invoice.owned("customer")).unwrap_or_default();
    let ids = [
        invoice.at("default_payment_method"),
        sub.at("default_payment_method"),
        customer.at("invoice_settings.default_payment_method"),
    ];
    let found = ids.into_iter().find_map(Value::as_str)?;
    w.find("payment_method", found)
}

/// Whether something could be charged for this customer and subscription.
pub(crate) fn has_method(customer: &Value, sub: &Value) -> bool {
    sub.at("default_payment_method").is_string()
        || customer.at("invoice_settings.default_payment_method").is_string()
}

/// Charges an open invoice.
pub(crate) fn attempt(w: &mut World, id: &str, method: Option<Value>, how: How) -> Collected {
    let Some(mut invoice) = w.find("invoice", id).filter(|invoice| invoice.is("status", "open")) else {
        let paid = w.find("invoice", id).is_some_and(|invoice| invoice.is("status", "paid"));
        return if paid { Collected::Paid } else { Collected::Failed(not_payable()) };
    };
    let method = method.or_else(|| method_of(w, &invoice));
    let Some(mut intent) = w.find("payment_intent", &invoice.owned("_payment_intent")) else {
        return Collected::Failed(not_payable());
    };
    if intent.is("status", "processing") {
        // A debit is on its way; a second one would charge twice.
        return Collected::Waits;
    }
    invoice.put("attempted", true);
    invoice.put("attempt_count", invoice.num("attempt_count") + 1);
    w.save(&invoice);
    let Some(method) = method else {
        let message = "This customer has no attached payment source or default payment method. Please consider adding a default payment method.";
        failed(w, &mut invoice, false);
        return Collected::Failed(ApiError::invalid(message).code("resource_missing"));
    };
    match payment_intents::attempt(w, &mut intent, &method, how) {
        Attempt::Paid => {
            let due = invoice.num("amount_due");
            mark_paid(w, &mut invoice, due);
            Collected::Paid
        }
        Attempt::Delayed => Collected::Waits,
        Attempt::Action => {
            if how.off_session {
                failed(w, &mut invoice, true);
            } else {
                w.emit("invoice.payment_action_required", &invoice);
            }
            Collected::Waits
        }
        Attempt::Declined(error) => {
            failed(w, &mut invoice, false);
            Collected::Failed(error)
        }
    }
}

fn not_payable() -> ApiError {
    ApiError::invalid("This invoice is not open and cannot be paid.").code("invoice_not_open")
}

/// Notes a payment that failed, and when it is tried again.
fn failed(w: &mut World, invoice: &mut Value, wants_action: bool) {
    let is_cycle =
        matches!(invoice.text("billing_reason"), Some("subscription_cycle" | "subscription_update"));
    let tried = usize::try_from(invoice.num("attempt_count")).unwrap_or(usize::MAX);
    let next = w.config.retry_days.get(tried.saturating_sub(1)).copied();
    let is_last = is_cycle && next.is_none();
    match next.filter(|_| is_cycle && invoice.flag("auto_advance")) {
        Some(days) => {
            let due = w.now + i64::from(days.max(1)) * DAY;
            invoice.put("next_payment_attempt", due);
            w.later(invoice, due, Task::Retry);
        }
        None => invoice.put("next_payment_attempt", Value::Null),
    }
    w.save(invoice);
    w.emit("invoice.payment_failed", invoice);
    if wants_action {
        w.emit("invoice.payment_action_required", invoice);
    }
    delinquent(w, invoice, true);
    subscriptions::invoice_failed(w, invoice, is_last);
}

fn delinquent(w: &mut World, invoice: &Value, is: bool) {
    let Some(mut customer) = w.find("customer", &invoice.owned("customer")) else { return };
    if !customer.flag("deleted") && customer.flag("delinquent") != is && !invoice.at("parent").is_null() {
        customer.put("delinquent", is);
        w.save(&customer);
    }
}

/// An invoice is paid: what it was for goes on.
pub(crate) fn mark_paid(w: &mut World, invoice: &mut Value, amount: i64) {
    invoice.put("status", "paid");
    invoice.put("attempted", true);
    invoice.put("amount_paid", amount);
    invoice.put("amount_remaining", invoice.num("amount_due") - amount);
    invoice.put("next_payment_attempt", Value::Null);
    invoice.put("status_transitions.paid_at", w.now);
    w.save(invoice);
    if amount > 0 {
        invoices::set_payment(w, invoice, "paid", "paid_at");
    }
    delinquent(w, invoice, false);
    w.emit("invoice.paid", invoice);
    w.emit("invoice.payment_succeeded", invoice);
    subscriptions::invoice_paid(w, invoice);
}

/// The intent of an invoice has moved without the invoice: a customer authenticated, a debit was settled.
pub(crate) fn intent_changed(w: &mut World, intent: &Value) {
    let Some(mut invoice) =
        w.find("invoice", &intent.owned("_invoice")).filter(|invoice| invoice.is("status", "open"))
    else {
        return;
    };
    match intent.text("status") {
        Some("succeeded") => {
            let due = invoice.num("amount_due");
            mark_paid(w, &mut invoice, due);
        }
        Some("requires_payment_method") => {
            invoice.put("attempted", true);
            invoice.put("attempt_count", invoice.num("attempt_count") + 1);
            failed(w, &mut invoice, false);
        }
        Some("requires_action") => w.emit("invoice.payment_action_required", &invoice),
        _ => {}
    }
}

/// POST …/pay.
pub(crate) fn pay(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut invoice = w.need("invoice", id, "id")?;
    w.enter_owner(&invoice);
    match invoice.text("status") {
        Some("draft") => invoice = finalize(w, invoice),
        Some("open" | "uncollectible") => {}
        Some("paid") => return Err(ApiError::invalid("Invoice is already paid").code("invoice_already_paid")),
        _ => return Err(not_payable()),
    }
    if invoice.is("status", "paid") {
        return Ok(invoice);
    }
    if p.flag("paid_out_of_band") {
        if let Some(mut intent) = w.find("payment_intent", &invoice.owned("_payment_intent")) {
            payment_intents::stop(w, &mut intent, Value::Null);
        }
        let due = invoice.num("amount_due");
        mark_paid(w, &mut invoice, due);
        return Ok(invoice);
    }
    if invoice.is("status", "uncollectible") {
        invoice.put("status", "open");
        w.save(&invoice);
    }
    let method =
        p.text("payment_method").map(|id| payment_methods::resolve(w, id, "payment_method")).transpose()?;
    payment_intents::check_owner(method.as_ref(), invoice.at("customer"))?;
    // Stripe takes this call as made without the customer, unless told otherwise.
    let off_session = p.at("off_session").as_bool().unwrap_or(true);
    // Stripe's recipe attaches a card and pays without naming it.
    let method = method.or_else(|| method_of(w, &invoice)).or_else(|| {
        let customer = invoice.owned("customer");
        w.store
            .newest("payment_method", |one| one.is("customer", &customer))
            .first()
            .map(|one| (*one).clone())
    });
    match attempt(w, id, method, How { off_session, authenticated: false }) {
        Collected::Failed(error) => Err(error),
        Collected::Paid => w.need("invoice", id, "id"),
        Collected::Waits => {
            let now = w.need("invoice", id, "id")?;
            let intent = w.find("payment_intent", &now.owned("_payment_intent")).unwrap_or_default();
            if intent.is("status", "requires_action") {
                let message = "Payment for this invoice requires additional user action before it can be completed successfully. Payment can be completed using the PaymentIntent associated with the invoice.";
                return Err(ApiError::card("invoice_payment_intent_requires_action", None, message));
            }
            Ok(now)
        }
    }
}

/// POST …/finalize.
pub(crate) fn finalize_call(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut invoice = w.need("invoice", id, "id")?;
    w.enter_owner(&invoice);
    if !invoice.is("status", "draft") {
        let message = "This invoice is already finalized, you can't re-finalize a non-draft invoice.";
        return Err(ApiError::invalid(message).code("invoice_not_editable"));
    }
    if invoice.num("total") > 0 && invoice.num("amount_due") > 0 {
        money::chargeable(invoice.num("amount_due"), &invoice.owned("currency"), "amount_due")?;
    }
    invoice.copy_from(p, &["auto_advance"]);
    let invoice = finalize(w, invoice);
    if invoice.flag("auto_advance")
        && invoice.is("status", "open")
        && invoice.is("collection_method", "charge_automatically")
    {
        let _ = attempt(w, id, None, How { off_session: true, authenticated: false });
    }
    w.need("invoice", id, "id")
}

/// The hour as a draft is over.
pub(crate) fn draft_ended(w: &mut World, id: &str) {
    let Some(invoice) = w.find("invoice", id) else { return };
    if !invoice.is("status", "draft") || !invoice.flag("auto_advance") {
        return;
    }
    let invoice = finalize(w, invoice);
    if invoice.is("status", "open") && invoice.is("collection_method", "charge_automatically") {
        let _ = attempt(w, id, None, How { off_session: true, authenticated: false });
    }
}

/// A failed payment is tried again.
pub(crate) fn retry(w: &mut World, id: &str, at: i64) {
    let Some(invoice) = w.find("invoice", id) else { return };
    if invoice.is("status", "open") && invoice.int("next_payment_attempt") == Some(at) {
        let _ = attempt(w, id, None, How { off_session: true, authenticated: false });
    }
}
