//! Changing a subscription: items with proration, trials, cancellation.

use serde_json::{Value, json};

use super::{
    billing_cycle,
    collection::{self, Collected},
    discounts, invoice_items,
    invoices::{self, Line},
    payment_intents::How,
    pending_updates, proration, subscriptions,
    world::World,
};
use crate::{
    calendar,
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// What a change makes of a subscription, and what it costs.
pub(crate) struct Change {
    /// The subscription afterwards; not saved.
    pub sub: Value,
    pub lines: Vec<Line>,
    /// The lines are billed now; otherwise they wait for the next invoice.
    pub bills_now: bool,
    /// The period begins anew.
    pub resets: bool,
}

/// Parameters that `pending_if_incomplete` allows ("Pending updates" in Stripe's documentation).
const PENDING: [&str; 9] = [
    "add_invoice_items",
    "billing_cycle_anchor",
    "expand",
    "items",
    "payment_behavior",
    "proration_behavior",
    "proration_date",
    "trial_end",
    "trial_from_plan",
];

/// POST /v1/subscriptions/{id}.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let sub = w.need("subscription", id, "id")?;
    w.enter_owner(&sub);
    check(&sub, p)?;
    let behavior = p.text("payment_behavior").unwrap_or("allow_incomplete").to_owned();
    // Until it is known whether it may stay, everything can be taken back.
    let saved = w.clone();
    match apply(w, sub, p, &behavior) {
        Ok(sub) => Ok(sub),
        Err(error) => {
            *w = saved;
            Err(error)
        }
    }
}

fn check(sub: &Value, p: &Value) -> Result<(), ApiError> {
    let names = || p.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let words = ["cancellation_details", "expand", "metadata"];
    if subscriptions::is_over(sub) && names().any(|name| !words.contains(&name)) {
        let message = "A canceled subscription can only update its cancellation_details and metadata.";
        return Err(ApiError::invalid(message));
    }
    if p.is("payment_behavior", "pending_if_incomplete")
        && let Some(name) = names().find(|name| !PENDING.contains(name))
    {
        let message = format!(
            "Pending updates do not support `{name}`: only items, proration and trial can be pending."
        );
        return Err(ApiError::param(name, message));
    }
    if let Some(schedule) = sub.text("schedule")
        && let Some(name) = names().find(|name| matches!(*name, "cancel_at_period_end" | "cancel_at"))
    {
        let message = format!(
            "The subscription is managed by the subscription schedule `{schedule}`, and updating any cancelation behavior directly is not allowed. Please update the schedule instead."
        );
        return Err(ApiError::param(name, message));
    }
    Ok(())
}

fn apply(w: &mut World, sub: Value, p: &Value, behavior: &str) -> Answer {
    let before = sub.clone();
    let id = sub.owned("id");
    let mut changed = sub;
    set_words(w, &mut changed, p)?;
    let is_change = ["items", "trial_end", "billing_cycle_anchor"]
        .iter()
        .any(|name| p.get(*name).is_some_and(|value| !value.is_null()));
    if is_change || p.has("add_invoice_items") {
        pending_updates::discard(w, &mut changed);
        let change = plan(w, &changed, p)?;
        if p.is("trial_end", "now") && before.is("status", "trialing") {
            let mut ended = change.sub.clone();
            // No period follows on the trial, as when its time is over.
            billing_cycle::set_period(&mut ended, before.num("items.data.0.current_period_start"), w.now);
            if billing_cycle::trial_ended_without_method(w, &before, &mut ended) {
                return w.need("subscription", &id, "id");
            }
        }
        return carry_out(w, &before, change, p, behavior);
    }
    w.save(&changed);
    subscriptions::plan_timers(w, &changed);
    w.emit_update("customer.subscription.updated", &before, &changed);
    w.need("subscription", &id, "id")
}

fn set_words(w: &mut World, sub: &mut Value, p: &Value) -> Result<(), ApiError> {
    if let Some(method) = p.text("default_payment_method") {
        let method = w.need("payment_method", method, "default_payment_method")?;
        if method.at("customer") != sub.at("customer") {
            let message = "The customer does not have a payment method with this ID. The payment method must be attached to the customer.";
            return Err(ApiError::param("default_payment_method", message).code("resource_missing"));
        }
    }
    sub.copy_from(
        p,
        &["default_payment_method", "description", "collection_method", "days_until_due", "pause_collection"],
    );
    if sub.is("collection_method", "send_invoice") && sub.at("days_until_due").is_null() {
        return Err(ApiError::missing("days_until_due"));
    }
    if let Some(given) = p.get("discounts") {
        let (customer, id) = (sub.at("customer").clone(), sub.owned("id"));
        let made = discounts::redeem(w, given, &customer, ("subscription", &id))?;
        sub.put("discounts", made);
    }
    for path in
        ["trial_settings.end_behavior.missing_payment_method", "payment_settings.save_default_payment_method"]
    {
        if !p.at(path).is_null() {
            sub.put(path, p.at(path).clone());
        }
    }
    for name in ["comment", "feedback"] {
        if let Some(value) = p.at("cancellation_details").get(name) {
            sub.put(&format!("cancellation_details.{name}"), value.clone());
        }
    }
    sub.merge_metadata(p);
    set_cancellation(w, sub, p)
}

fn set_cancellation(w: &World, sub: &mut Value, p: &Value) -> Result<(), ApiError> {
    let ends = p.at("cancel_at_period_end").as_bool();
    let at = match p.get("cancel_at") {
        Some(Value::String(_)) => Some(Some(subscriptions::period_end(sub))),
        Some(given) => Some(given.as_i64()),
        None => None,
    };
    if ends == Some(true) && at.flatten().is_some() {
        return Err(ApiError::invalid(
            "You may only specify one of these parameters: cancel_at, cancel_at_period_end.",
        ));
    }
    if at.flatten().is_some_and(|at| at <= w.now) {
        return Err(ApiError::param("cancel_at", "cancel_at must be in the future."));
    }
    let end = match (ends, at) {
        (Some(true), _) => Some(subscriptions::period_end(sub)),
        (_, Some(at)) => at,
        (Some(false), None) if sub.flag("cancel_at_period_end") => None,
        _ => return Ok(()),
    };
    sub.put("cancel_at_period_end", ends == Some(true));
    sub.put("cancel_at", end);
    sub.put("canceled_at", end.map(|_| w.now));
    sub.put("cancellation_details.reason", end.map(|_| "cancellation_requested"));
    Ok(())
}

/// Works a change of items, trial or anchor out; saves nothing but prices that come with it.
pub(crate) fn plan(w: &mut World, sub: &Value, p: &Value) -> Result<Change, ApiError> {
    let old = sub.list("items.data").to_vec();
    let mut items = changed_items(w, sub, p)?;
    subscriptions::check_items(&items)?;
    if let (Some(before), Some(after)) = (old.first(), items.first())
        && before.at("price.currency") != after.at("price.currency")
    {
        return Err(ApiError::param("items", "The currency of a subscription cannot be changed."));
    }
    let behavior = p.text("proration_behavior").unwrap_or("create_prorations").to_owned();
    let moment = p.int("proration_date").unwrap_or(w.now);
    let (start, end) = (
        old.iter().map(|item| item.num("current_period_start")).max().unwrap_or(0),
        subscriptions::period_end(sub),
    );
    if moment < start || moment > end {
        let message = "Invalid proration_date: it must be within the current period of the subscription.";
        return Err(ApiError::param("proration_date", message));
    }
    let mut changed = sub.clone();
    let ends_trial = p.is("trial_end", "now") && sub.is("status", "trialing");
    let same_interval = |a: &Value, b: &Value| {
        ["interval", "interval_count"]
            .iter()
            .all(|name| a.at("price.recurring").at(name) == b.at("price.recurring").at(name))
    };
    let is_other_interval = old.first().zip(items.first()).is_some_and(|(a, b)| !same_interval(a, b));
    let is_trialing = sub.is("status", "trialing") && !ends_trial;
    let anchor_now = p.is("billing_cycle_anchor.type", "now") || p.is("billing_cycle_anchor", "now");
    let resets = ends_trial || (is_other_interval && !is_trialing) || anchor_now;
    if let Some(trial) = p.int("trial_end") {
        return extend_trial(w, changed, items, trial);
    }
    let mut lines = Vec::new();
    let is_same = |item: &Value| old.iter().any(|before| same_item(before, item));
    if behavior != "none" && !is_trialing {
        for before in &old {
            let stays = items.iter().any(|item| same_item(before, item));
            if !stays || resets {
                lines.extend(proration::credit(w, sub, before, moment));
            }
        }
    }
    if resets {
        changed.put("billing_cycle_anchor", w.now);
        let recurring = items.first().map(|item| item.at("price.recurring").clone()).unwrap_or_default();
        let next = calendar::next_end(w.now, &recurring, w.now);
        changed.put("items.data", items);
        billing_cycle::set_period(&mut changed, w.now, next);
        if ends_trial {
            changed.put("status", "active");
            changed.put("trial_end", w.now);
        } else {
            changed.put(
                "status",
                if is_trialing { "active" } else { changed.text("status").unwrap_or("active") }.to_owned(),
            );
        }
        items = changed.list("items.data").to_vec();
        lines.extend(items.iter().map(|item| proration::whole(w, &changed, item, w.now, next)));
    } else {
        for item in &mut items {
            item.put("current_period_start", start);
            item.put("current_period_end", end);
        }
        if behavior != "none" && !is_trialing {
            lines.extend(
                items
                    .iter()
                    .filter(|item| !is_same(item))
                    .filter_map(|item| proration::debit(w, &changed, item, moment)),
            );
        }
        changed.put("items.data", items);
    }
    for one in p.list("add_invoice_items") {
        let price = subscriptions::price_of(w, one)?;
        let quantity = subscriptions::quantity(one)?;
        let name = super::catalog::product_name(w, &price);
        let mut line = Line::plain(price.num("unit_amount").saturating_mul(quantity), name, w.now);
        line.quantity = quantity;
        line.price = price;
        lines.push(line);
    }
    let bills_now = !lines.is_empty() && (resets || behavior == "always_invoice");
    Ok(Change { sub: changed, lines, bills_now, resets })
}

fn same_item(a: &Value, b: &Value) -> bool {
    a.at("id") == b.at("id") && a.at("price.id") == b.at("price.id") && a.at("quantity") == b.at("quantity")
}

/// A trial that is given or moved: free until then, and the anchor moves with it.
fn extend_trial(w: &World, mut sub: Value, items: Vec<Value>, end: i64) -> Result<Change, ApiError> {
    if end <= w.now || end > w.now + 730 * calendar::DAY {
        return Err(ApiError::param(
            "trial_end",
            "Invalid timestamp: must be an integer Unix timestamp in the future.",
        ));
    }
    sub.put("items.data", items);
    let start = w.now;
    billing_cycle::set_period(&mut sub, start, end);
    if !sub.is("status", "trialing") {
        sub.put("trial_start", start);
    }
    sub.put("status", "trialing");
    sub.put("trial_end", end);
    sub.put("billing_cycle_anchor", end);
    Ok(Change { sub, lines: Vec::new(), bills_now: false, resets: true })
}

/// The items after a change: by id they are changed or deleted, without one they are added.
fn changed_items(w: &mut World, sub: &Value, p: &Value) -> Result<Vec<Value>, ApiError> {
    let mut items = sub.list("items.data").to_vec();
    let (start, end) = items
        .first()
        .map_or((0, 0), |item| (item.num("current_period_start"), item.num("current_period_end")));
    for given in p.list("items") {
        let Some(id) = given.text("id") else {
            let mut item = subscriptions::new_item(w, &sub.owned("id"), given)?;
            item.put("current_period_start", start);
            item.put("current_period_end", end);
            items.push(item);
            continue;
        };
        let place = items.iter().position(|item| item.is("id", id));
        let place = place.ok_or_else(|| ApiError::no_such("subscription_item", id, "items[0][id]"))?;
        if given.flag("deleted") {
            items.remove(place);
            continue;
        }
        let item = &mut items[place];
        if given.has("price") || given.has("price_data") {
            let fresh = subscriptions::new_item(w, &sub.owned("id"), given)?;
            item.put("price", fresh.at("price").clone());
        }
        if given.has("quantity") {
            item.put("quantity", subscriptions::quantity(given)?);
        }
        item.merge_metadata(given);
    }
    if items.len() > 20 {
        return Err(ApiError::param("items", "A subscription has at most 20 items."));
    }
    Ok(items)
}

/// The invoice of a change; saved, as a draft.
fn bill(w: &mut World, sub: &mut Value, lines: &[Line]) -> Answer {
    let customer = w.need("customer", &sub.owned("customer"), "customer")?;
    let mut invoice = invoices::make(w, &customer, &sub.owned("currency"), "subscription_update", Some(sub));
    invoice.put("discounts", sub.at("discounts").clone());
    let waiting = invoice_items::pending(w, &sub.owned("customer"), Some(&sub.owned("id")));
    let mut all = invoice_items::collect(w, &invoice, waiting);
    all.extend(lines.iter().cloned());
    invoices::add_lines(w, &mut invoice, &all);
    proration::note_billed(sub, &invoice);
    sub.put("discounts", discounts::left_after_use(w, sub.list("discounts"), w.now));
    w.save(&invoice);
    w.emit("invoice.created", &invoice);
    Ok(invoice)
}

/// Carries a change out: bills it where it must be billed, and makes it once it may be made.
pub(crate) fn carry_out(w: &mut World, before: &Value, change: Change, p: &Value, behavior: &str) -> Answer {
    let Change { mut sub, lines, bills_now, resets } = change;
    let id = sub.owned("id");
    if !bills_now {
        for line in &lines {
            let item = invoice_items::make(w, &sub.owned("customer"), &sub.owned("currency"), line);
            w.save(&item);
            w.emit("invoiceitem.created", &item);
        }
        proration::note_waiting(w, &mut sub, &lines);
        w.save(&sub);
        subscriptions::plan_timers(w, &sub);
        w.emit_update("customer.subscription.updated", before, &sub);
        return w.need("subscription", &id, "id");
    }
    let invoice = bill(w, &mut sub, &lines)?;
    let invoice_id = invoice.owned("id");
    sub.put("latest_invoice", invoice_id.clone());
    let is_pending = behavior == "pending_if_incomplete";
    if is_pending {
        pending_updates::prepare(w, before, &sub, &invoice_id);
    } else {
        w.save(&sub);
        subscriptions::plan_timers(w, &sub);
        w.emit_update("customer.subscription.updated", before, &sub);
    }
    let invoice = collection::finalize(w, invoice);
    if !invoice.is("status", "open") || sub.is("collection_method", "send_invoice") {
        return w.need("subscription", &id, "id");
    }
    if behavior == "default_incomplete" {
        subscriptions::invoice_failed(w, &invoice, false);
        return w.need("subscription", &id, "id");
    }
    let how = How { off_session: p.flag("off_session"), authenticated: false };
    let collected = collection::attempt(w, &invoice_id, None, how);
    match collected {
        Collected::Paid => {}
        Collected::Failed(error) if behavior == "error_if_incomplete" => return Err(error),
        Collected::Waits if behavior == "error_if_incomplete" => {
            let message = "Payment for this subscription requires additional user action before it can be completed successfully.";
            return Err(ApiError::card("subscription_payment_intent_requires_action", None, message));
        }
        _ if is_pending => pending_updates::begin(w, &id, p, resets),
        Collected::Waits => {
            // A change that waits for authentication leaves the subscription past due.
            if let Some(invoice) = w.find("invoice", &invoice_id) {
                subscriptions::invoice_failed(w, &invoice, false);
            }
        }
        Collected::Failed(_) => {}
    }
    let now = w.need("subscription", &id, "id")?;
    Ok(json!(now))
}
