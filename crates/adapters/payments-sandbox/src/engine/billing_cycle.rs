//! The end of a period: a trial is over, a subscription renews, or ends.

use serde_json::{Value, json};

use super::{
    clock::Task, collection, discounts, invoice_items, invoices, payment_intents::How, proration,
    subscriptions, world::World,
};
use crate::{
    calendar,
    value::{Read, Write},
};

/// A period has ended.
pub(crate) fn period_ended(w: &mut World, id: &str, at: i64) {
    let Some(mut sub) = w.find("subscription", id) else { return };
    if subscriptions::is_over(&sub) || subscriptions::period_end(&sub) != at {
        return;
    }
    if matches!(sub.text("status"), Some("incomplete" | "paused")) {
        return;
    }
    if sub.flag("cancel_at_period_end") || sub.int("cancel_at").is_some_and(|end| end <= at) {
        subscriptions::end(w, id, "cancellation_requested");
        return;
    }
    let before = sub.clone();
    if sub.is("status", "trialing") {
        if trial_ended_without_method(w, &before, &mut sub) {
            return;
        }
        sub.put("status", "active");
    }
    renew(w, &mut sub, false, false);
    if let Some(now) = w.find("subscription", id) {
        w.emit_update("customer.subscription.updated", &before, &now);
    }
}

/// Pauses or ends a subscription at the end of its trial, if nothing can be charged and its settings say so. False: it goes on.
pub(crate) fn trial_ended_without_method(w: &mut World, before: &Value, sub: &mut Value) -> bool {
    let customer = w.find("customer", &sub.owned("customer")).unwrap_or_default();
    if collection::has_method(&customer, sub) {
        return false;
    }
    match sub.text("trial_settings.end_behavior.missing_payment_method") {
        Some("pause") => {
            sub.put("status", "paused");
            w.save(sub);
            w.emit("customer.subscription.paused", sub);
            w.emit_update("customer.subscription.updated", before, sub);
        }
        Some("cancel") => {
            w.save(sub);
            subscriptions::end(w, &sub.owned("id"), "payment_failed");
        }
        _ => return false,
    }
    true
}

/// Begins the next period, and makes its invoice: a draft for an hour, or at once. `from_now`: the anchor is now.
pub(crate) fn renew(w: &mut World, sub: &mut Value, from_now: bool, at_once: bool) {
    if from_now {
        sub.put("billing_cycle_anchor", w.now);
    }
    let first = sub.at("items.data.0.price.recurring").clone();
    let end = calendar::next_end(sub.num("billing_cycle_anchor"), &first, w.now);
    set_period(sub, w.now, end);
    w.save(sub);
    let Some(customer) = w.find("customer", &sub.owned("customer")) else { return };
    let mut invoice = invoices::make(w, &customer, &sub.owned("currency"), "subscription_cycle", Some(sub));
    invoice.put(
        "discounts",
        discounts::live(w, sub.list("discounts"), w.now)
            .into_iter()
            .map(|(id, _)| Value::from(id))
            .collect::<Vec<_>>(),
    );
    let waiting = invoice_items::pending(w, &sub.owned("customer"), Some(&sub.owned("id")));
    let mut lines = invoice_items::collect(w, &invoice, waiting);
    lines.extend(sub.list("items.data").iter().map(|item| proration::whole(w, sub, item, w.now, end)));
    invoices::add_lines(w, &mut invoice, &lines);
    proration::note_billed(sub, &invoice);
    sub.put("latest_invoice", invoice.owned("id"));
    sub.put("discounts", discounts::left_after_use(w, sub.list("discounts"), w.now));
    w.save(sub);
    subscriptions::plan_timers(w, sub);
    let held = sub.is("status", "unpaid") || sub.is("pause_collection.behavior", "keep_as_draft");
    if held {
        invoice.put("auto_advance", false);
    }
    let due = w.now + w.config.draft_seconds.max(0);
    if !held && !at_once {
        invoice.put("automatically_finalizes_at", due);
        w.later(&invoice, due, Task::Finalize);
    }
    w.save(&invoice);
    w.emit("invoice.created", &invoice);
    match sub.text("pause_collection.behavior") {
        Some("void") => {
            let mut invoice = invoice;
            invoice.put("auto_advance", false);
            invoice.put("status", "void");
            invoice.put("status_transitions.voided_at", json!(w.now));
            w.save(&invoice);
            w.emit("invoice.voided", &invoice);
        }
        Some("mark_uncollectible") => {
            let mut invoice = invoice;
            invoice.put("auto_advance", false);
            invoice.put("status", "uncollectible");
            w.save(&invoice);
            w.emit("invoice.marked_uncollectible", &invoice);
        }
        _ if at_once && !held => {
            let invoice = collection::finalize(w, invoice);
            if invoice.is("status", "open") {
                let how = How { off_session: true, authenticated: false };
                let _ = collection::attempt(w, &invoice.owned("id"), None, how);
            }
        }
        _ => {}
    }
}

/// Sets the period of every item.
pub(crate) fn set_period(sub: &mut Value, start: i64, end: i64) {
    let items = sub.get_mut("items").and_then(|items| items.get_mut("data")).and_then(Value::as_array_mut);
    for item in items.into_iter().flatten() {
        item.put("current_period_start", start);
        item.put("current_period_end", end);
        if let Some(fields) = item.as_object_mut() {
            fields.remove("_whole_period");
        }
    }
}
