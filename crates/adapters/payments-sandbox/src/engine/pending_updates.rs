//! Changes that wait for their payment, 23 hours at most ("Pending updates" in Stripe's documentation).

use serde_json::{Value, json};

use super::{clock::Task, invoices, subscription_start, subscriptions, world::World};
use crate::value::{Read, Write};

/// Fields that a change of items, trial or anchor touches.
const CHANGED: [&str; 7] =
    ["billing_cycle_anchor", "discounts", "items", "latest_invoice", "status", "trial_end", "trial_start"];

/// Keeps what the subscription will be, before its invoice is collected.
pub(crate) fn prepare(w: &mut World, before: &Value, after: &Value, invoice: &str) {
    let mut kept = before.clone();
    kept.put("latest_invoice", invoice);
    kept.put("_pending", json!({"invoice": invoice}));
    for name in CHANGED {
        kept.put(&format!("_pending.after.{name}"), after.at(name).clone());
    }
    w.save(&kept);
}

/// The payment failed or waits: the change is pending.
pub(crate) fn begin(w: &mut World, id: &str, p: &Value, resets: bool) {
    let Some(mut sub) = w.find("subscription", id).filter(|sub| sub.at("_pending").is_object()) else {
        return;
    };
    let before = sub.clone();
    let expires = w.now + subscription_start::HOURS_TO_PAY;
    let items = sub.at("_pending.after.items.data").clone();
    let anchor = if resets { sub.at("_pending.after.billing_cycle_anchor").clone() } else { Value::Null };
    let trial = if p.is("trial_end", "now") { json!(w.now) } else { Value::Null };
    sub.put(
        "pending_update",
        json!({
            "billing_cycle_anchor": anchor, "discounts": null, "expires_at": expires, "metadata": null,
            "subscription_items": items, "trial_end": trial, "trial_from_plan": null,
        }),
    );
    w.save(&sub);
    w.later(&sub, expires, Task::ExpirePending);
    w.emit_update("customer.subscription.updated", &before, &sub);
}

/// The invoice of a change is paid: the change is made.
pub(crate) fn invoice_paid(w: &mut World, id: &str, invoice: &Value) {
    let Some(mut sub) = w.find("subscription", id) else { return };
    if !sub.is("_pending.invoice", &invoice.owned("id")) {
        return;
    }
    let before = sub.clone();
    let was_pending = sub.at("pending_update").is_object();
    for name in CHANGED {
        let value = sub.at("_pending.after").at(name).clone();
        sub.put(name, value);
    }
    sub.put("pending_update", Value::Null);
    sub.put("_pending", Value::Null);
    w.save(&sub);
    subscriptions::plan_timers(w, &sub);
    w.emit_update("customer.subscription.updated", &before, &sub);
    if was_pending {
        w.emit("customer.subscription.pending_update_applied", &sub);
    }
}

/// Nobody paid in time.
pub(crate) fn expire(w: &mut World, id: &str, at: i64) {
    let Some(mut sub) = w.find("subscription", id) else { return };
    if sub.int("pending_update.expires_at") != Some(at) {
        return;
    }
    let before = sub.clone();
    discard(w, &mut sub);
    w.save(&sub);
    w.emit_update("customer.subscription.updated", &before, &sub);
    w.emit("customer.subscription.pending_update_expired", &sub);
}

/// Takes a pending change back: its invoice is void.
pub(crate) fn discard(w: &mut World, sub: &mut Value) {
    let invoice = sub.owned("_pending.invoice");
    sub.put("_pending", Value::Null);
    sub.put("pending_update", Value::Null);
    if let Some(invoice) = w.find("invoice", &invoice).filter(|invoice| invoice.is("status", "open")) {
        w.save(sub);
        invoices::make_void(w, invoice);
    }
}
