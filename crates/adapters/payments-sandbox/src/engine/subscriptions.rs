//! Subscriptions: their items and periods, how they end, and what invoices make of them.

use serde_json::{Value, json};

use super::{
    catalog,
    clock::Task,
    collection, invoice_items, invoices, lists,
    payment_intents::How,
    payment_methods, pending_updates, proration, schedule_course,
    world::{World, metadata},
};
use crate::{
    calendar::DAY,
    config::AfterRetries,
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// Whether a subscription has ended for good.
pub(crate) fn is_over(sub: &Value) -> bool {
    matches!(sub.text("status"), Some("canceled" | "incomplete_expired"))
}

/// The recurring or one-time price of `price` or `price_data`.
pub(crate) fn price_of(w: &mut World, given: &Value) -> Answer {
    match (given.text("price"), given.get("price_data")) {
        (Some(id), None) => {
            let price = w.need("price", id, "items[0][price]")?;
            if !price.flag("active") {
                let message = "The price specified is inactive. This field only accepts active prices.";
                return Err(ApiError::param("price", message));
            }
            Ok(price)
        }
        (None, Some(data)) => catalog::inline_price(w, data),
        _ => Err(ApiError::param("items", "Each item needs either a price or price_data.")),
    }
}

/// A quantity within bounds.
pub(crate) fn quantity(given: &Value) -> Result<i64, ApiError> {
    let quantity = given.int("quantity").unwrap_or(1);
    if (0..=999_999).contains(&quantity) {
        return Ok(quantity);
    }
    Err(ApiError::param("quantity", "Invalid non-negative integer").code("parameter_invalid_integer"))
}

/// A new item; its period is the caller's to set.
pub(crate) fn new_item(w: &mut World, sub: &str, given: &Value) -> Answer {
    let price = price_of(w, given)?;
    if price.at("recurring").is_null() {
        let message = format!(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`. ({})",
            price.owned("id")
        );
        return Err(ApiError::param("items[0][price]", message));
    }
    Ok(json!({
        "id": w.id("si"),
        "object": "subscription_item",
        "billing_thresholds": null,
        "created": w.now,
        "current_period_end": 0,
        "current_period_start": 0,
        "discounts": [],
        "metadata": metadata(given),
        "price": price,
        "quantity": quantity(given)?,
        "subscription": sub,
        "tax_rates": [],
    }))
}

/// All items have one currency and one interval.
pub(crate) fn check_items(items: &[Value]) -> Result<(), ApiError> {
    let Some(first) = items.first() else {
        return Err(ApiError::param("items", "A subscription must have at least one active plan.")
            .code("resource_missing"));
    };
    for item in items {
        for (field, what) in [
            ("price.currency", "currency"),
            ("price.recurring.interval", "interval"),
            ("price.recurring.interval_count", "interval count"),
        ] {
            if item.at(field) != first.at(field) {
                let message = format!(
                    "All prices of a subscription must have the same {what} (the sandbox knows no mixed intervals)."
                );
                return Err(ApiError::param("items", message));
            }
        }
        if items.iter().filter(|other| other.at("price.id") == item.at("price.id")).count() > 1 {
            let message = format!(
                "Cannot add multiple subscription items with the same plan: {}",
                item.owned("price.id")
            );
            return Err(ApiError::param("items", message));
        }
    }
    let sum = items.iter().fold(0_i64, |sum, item| sum.saturating_add(proration::full(item)));
    crate::money::priced(sum, &first.owned("price.currency"), "quantity")
}

/// Where the present period ends.
pub(crate) fn period_end(sub: &Value) -> i64 {
    sub.list("items.data").iter().map(|item| item.num("current_period_end")).min().unwrap_or(0)
}

/// Sets the timers of the present period.
pub(crate) fn plan_timers(w: &mut World, sub: &Value) {
    w.later(sub, period_end(sub), Task::Renew);
    if let Some(at) = sub.int("cancel_at") {
        w.later(sub, at, Task::CancelAt);
    }
    if let Some(end) =
        sub.int("trial_end").filter(|end| end - 3 * DAY > w.now && sub.is("status", "trialing"))
    {
        w.later(sub, end - 3 * DAY, Task::TrialWillEnd);
    }
}

/// Three days before the end of a trial.
pub(crate) fn trial_will_end(w: &mut World, id: &str) {
    let Some(sub) = w.find("subscription", id).filter(|sub| sub.is("status", "trialing")) else { return };
    if sub.int("trial_end") == Some(w.now + 3 * DAY) {
        w.emit("customer.subscription.trial_will_end", &sub);
    }
}

/// Nobody paid the first invoice.
pub(crate) fn expire_incomplete(w: &mut World, id: &str) {
    let Some(mut sub) = w.find("subscription", id).filter(|sub| sub.is("status", "incomplete")) else {
        return;
    };
    let before = sub.clone();
    sub.put("status", "incomplete_expired");
    sub.put("ended_at", w.now);
    w.save(&sub);
    if let Some(invoice) =
        w.find("invoice", &sub.owned("latest_invoice")).filter(|invoice| invoice.is("status", "open"))
    {
        invoices::make_void(w, invoice);
    }
    w.emit_update("customer.subscription.updated", &before, &sub);
    schedule_course::subscription_ended(w, &sub, true);
}

/// A subscription that was to end on a date ends.
pub(crate) fn cancel_due(w: &mut World, id: &str, at: i64) {
    let Some(sub) = w.find("subscription", id).filter(|sub| !is_over(sub)) else { return };
    if sub.int("cancel_at") == Some(at) {
        end(w, id, "cancellation_requested");
    }
}

/// DELETE /v1/subscriptions/{id}.
pub(crate) fn cancel(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut sub = w.need("subscription", id, "id")?;
    if is_over(&sub) {
        return Err(ApiError::no_such("subscription", id, "id"));
    }
    w.enter_owner(&sub);
    for name in ["comment", "feedback"] {
        if let Some(value) = p.at("cancellation_details").get(name) {
            sub.put(&format!("cancellation_details.{name}"), value.clone());
        }
    }
    w.save(&sub);
    if p.flag("prorate") {
        let lines: Vec<_> = sub
            .list("items.data")
            .iter()
            .filter_map(|item| proration::credit(w, &sub, item, w.now))
            .collect();
        for line in lines {
            let item = invoice_items::make(w, &sub.owned("customer"), &sub.owned("currency"), &line);
            w.save(&item);
            w.emit("invoiceitem.created", &item);
        }
    }
    if p.flag("invoice_now") {
        let customer = w.need("customer", &sub.owned("customer"), "customer")?;
        let items = invoice_items::pending(w, &sub.owned("customer"), Some(id));
        if !items.is_empty() {
            let mut invoice = invoices::make(w, &customer, &sub.owned("currency"), "manual", Some(&sub));
            let lines = invoice_items::collect(w, &invoice, items);
            invoices::add_lines(w, &mut invoice, &lines);
            sub.put("latest_invoice", invoice.owned("id"));
            w.save(&sub);
            w.save(&invoice);
            w.emit("invoice.created", &invoice);
            let invoice = collection::finalize(w, invoice);
            if invoice.is("status", "open") {
                let _ = collection::attempt(
                    w,
                    &invoice.owned("id"),
                    None,
                    How { off_session: true, authenticated: false },
                );
            }
        }
    }
    end(w, id, "cancellation_requested");
    w.need("subscription", id, "id")
}

/// Ends a subscription at once; open invoices are not collected any more.
pub(crate) fn end(w: &mut World, id: &str, reason: &str) {
    let Some(mut sub) = w.find("subscription", id).filter(|sub| !is_over(sub)) else { return };
    pending_updates::discard(w, &mut sub);
    sub.put("status", "canceled");
    sub.put("ended_at", w.now);
    if sub.at("canceled_at").is_null() {
        sub.put("canceled_at", w.now);
    }
    sub.put("cancellation_details.reason", reason);
    w.save(&sub);
    let open: Vec<Value> = w
        .store
        .all("invoice")
        .filter(|invoice| invoice.is("parent.subscription_details.subscription", id))
        .filter(|invoice| matches!(invoice.text("status"), Some("open" | "draft")))
        .cloned()
        .collect();
    for mut invoice in open {
        invoice.put("auto_advance", false);
        invoice.put("next_payment_attempt", Value::Null);
        w.save(&invoice);
    }
    w.emit("customer.subscription.deleted", &sub);
    schedule_course::subscription_ended(w, &sub, reason == "payment_failed");
}

/// POST …/resume: of one that a trial without payment method has paused.
pub(crate) fn resume(w: &mut World, id: &str) -> Answer {
    let mut sub = w.need("subscription", id, "id")?;
    w.enter_owner(&sub);
    if !sub.is("status", "paused") {
        return Err(ApiError::invalid("You can only resume a subscription that is paused."));
    }
    let before = sub.clone();
    sub.put("status", "active");
    w.save(&sub);
    super::billing_cycle::renew(w, &mut sub, true, true);
    let now = w.need("subscription", id, "id")?;
    w.emit("customer.subscription.resumed", &now);
    w.emit_update("customer.subscription.updated", &before, &now);
    Ok(now)
}

/// An invoice of a subscription was paid.
pub(crate) fn invoice_paid(w: &mut World, invoice: &Value) {
    let id = invoice.owned("parent.subscription_details.subscription");
    pending_updates::invoice_paid(w, &id, invoice);
    let Some(mut sub) = w.find("subscription", &id) else { return };
    let before = sub.clone();
    let is_latest = sub.at("latest_invoice") == invoice.at("id");
    match sub.text("status") {
        Some("incomplete") if is_latest => sub.put("status", "active"),
        Some("past_due" | "unpaid") if is_latest || latest_is_settled(w, &sub) => sub.put("status", "active"),
        _ => return,
    }
    if sub.is("payment_settings.save_default_payment_method", "on_subscription") {
        let intent = w.find("payment_intent", &invoice.owned("_payment_intent")).unwrap_or_default();
        if let Some(method) = w.find("payment_method", &intent.owned("payment_method")) {
            let customer = sub.owned("customer");
            if let Ok(method) = payment_methods::attach_to(w, method, &customer) {
                sub.put("default_payment_method", method.owned("id"));
            }
        }
    }
    w.save(&sub);
    w.emit_update("customer.subscription.updated", &before, &sub);
}

fn latest_is_settled(w: &World, sub: &Value) -> bool {
    let latest = w.store.get("invoice", &sub.owned("latest_invoice"));
    latest.is_none_or(|invoice| matches!(invoice.text("status"), Some("paid" | "void" | "draft")))
}

/// The payment of an invoice failed, perhaps for the last time.
pub(crate) fn invoice_failed(w: &mut World, invoice: &Value, is_last: bool) {
    let id = invoice.owned("parent.subscription_details.subscription");
    let Some(mut sub) = w.find("subscription", &id) else { return };
    if sub.is("_pending.invoice", &invoice.owned("id")) {
        return;
    }
    let before = sub.clone();
    if matches!(sub.text("status"), Some("active" | "trialing")) {
        sub.put("status", "past_due");
        w.save(&sub);
        w.emit_update("customer.subscription.updated", &before, &sub);
    }
    if !is_last || !sub.is("status", "past_due") {
        return;
    }
    match w.config.after_retries {
        AfterRetries::Cancel => end(w, &id, "payment_failed"),
        AfterRetries::Unpaid => {
            let before = sub.clone();
            sub.put("status", "unpaid");
            w.save(&sub);
            w.emit_update("customer.subscription.updated", &before, &sub);
        }
        AfterRetries::PastDue => {}
    }
}

/// An invoice of a subscription was voided.
pub(crate) fn invoice_voided(w: &mut World, invoice: &Value) {
    let id = invoice.owned("parent.subscription_details.subscription");
    let Some(mut sub) = w.find("subscription", &id) else { return };
    let before = sub.clone();
    match sub.text("status") {
        Some("incomplete") if sub.at("latest_invoice") == invoice.at("id") => {
            sub.put("status", "incomplete_expired");
            sub.put("ended_at", w.now);
        }
        Some("past_due") if sub.at("latest_invoice") == invoice.at("id") => sub.put("status", "active"),
        _ => return,
    }
    w.save(&sub);
    w.emit_update("customer.subscription.updated", &before, &sub);
}

/// GET /v1/subscriptions: without a status those that are not canceled.
pub(crate) fn list(w: &World, p: &Value) -> Answer {
    lists::page(
        w,
        "subscription",
        p,
        "/v1/subscriptions",
        &["status", "price", "current_period_end", "current_period_start", "automatic_tax"],
        |sub| {
            let status = match p.text("status") {
                None => !sub.is("status", "canceled"),
                Some("all") => true,
                Some("ended") => is_over(sub),
                Some(status) => sub.is("status", status),
            };
            status
                && p.text("price")
                    .is_none_or(|price| sub.list("items.data").iter().any(|item| item.is("price.id", price)))
        },
    )
}

/// GET /v1/subscription_items.
pub(crate) fn items(w: &World, p: &Value) -> Answer {
    let sub = w.need("subscription", p.text("subscription").unwrap_or_default(), "subscription")?;
    let items: Vec<&Value> = sub.list("items.data").iter().collect();
    lists::of(&items, p, "/v1/subscription_items")
}

/// GET /v1/subscription_items/{id}.
pub(crate) fn item(w: &World, id: &str) -> Answer {
    let items = w.store.all("subscription").flat_map(|sub| sub.list("items.data"));
    let found = items.into_iter().find(|item| item.is("id", id)).cloned();
    found.ok_or_else(|| ApiError::no_such("subscription_item", id, "id"))
}
