//! POST /v1/invoices/create_preview: worked out on a copy of everything by the same rules as the real change, so that with
//! the same `proration_date` the sums are the same.

use serde_json::{Value, json};

use super::{
    discounts, invoice_items, invoices, proration, subscription_updates, subscriptions, world::World,
};
use crate::{
    calendar,
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// See the module.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    for name in ["schedule", "schedule_details", "customer_account"] {
        if p.has(name) {
            return Err(ApiError::param(name, "The sandbox previews customers and subscriptions only."));
        }
    }
    let mut copy = w.clone();
    let mut invoice = match p.text("subscription") {
        Some(id) => of_subscription(&mut copy, id, p)?,
        None => of_customer(&mut copy, p)?,
    };
    let id = format!("upcoming_{}", invoice.owned("id"));
    let mut lines = invoice.list("lines.data").to_vec();
    for line in &mut lines {
        line.put("id", format!("il_tmp_{}", line.owned("id").trim_start_matches("il_")));
        line.put("invoice", id.clone());
    }
    invoice.put("lines.data", lines);
    invoice.put("lines.url", format!("/v1/invoices/{id}/lines"));
    invoice.put("id", id);
    Ok(invoice)
}

fn of_subscription(w: &mut World, id: &str, p: &Value) -> Answer {
    let sub = w.need("subscription", id, "subscription")?;
    w.enter_owner(&sub);
    if p.text("customer").is_some_and(|customer| !sub.is("customer", customer)) {
        return Err(ApiError::param("customer", "The subscription belongs to another customer."));
    }
    let details = p.get("subscription_details").cloned().unwrap_or_else(|| json!({}));
    let cancels =
        sub.flag("cancel_at_period_end") && details.at("cancel_at_period_end").as_bool() != Some(false);
    if subscriptions::is_over(&sub)
        || cancels
        || details.flag("cancel_at_period_end")
        || details.flag("cancel_now")
    {
        return Err(none());
    }
    if details.is("billing_cycle_anchor.type", "timestamp") {
        let message = "The sandbox previews the anchors now and unchanged.";
        return Err(ApiError::param("subscription_details[billing_cycle_anchor]", message));
    }
    let customer = w.need("customer", &sub.owned("customer"), "customer")?;
    let change = subscription_updates::plan(w, &sub, &details)?;
    let after = change.sub;
    let reason = if change.bills_now { "subscription_update" } else { "upcoming" };
    let mut invoice = invoices::make(w, &customer, &sub.owned("currency"), reason, Some(&sub));
    let given = discounts_of(w, p, &sub, &invoice)?;
    invoice.put("discounts", given);
    let waiting = invoice_items::pending(w, &sub.owned("customer"), Some(id));
    let mut lines = invoice_items::collect(w, &invoice, waiting);
    lines.extend(change.lines);
    if !change.bills_now {
        let start = subscriptions::period_end(&after);
        let recurring = after.at("items.data.0.price.recurring").clone();
        let end = calendar::next_end(after.num("billing_cycle_anchor"), &recurring, start);
        invoice.put("period_start", after.at("items.data.0.current_period_start").clone());
        invoice.put("period_end", start);
        invoice.put("created", start);
        invoice.put("next_payment_attempt", start + w.config.draft_seconds);
        let items = after.list("items.data").to_vec();
        lines.extend(items.iter().map(|item| proration::whole(w, &after, item, start, end)));
    }
    invoices::add_lines(w, &mut invoice, &lines);
    Ok(invoice)
}

fn of_customer(w: &mut World, p: &Value) -> Answer {
    let customer = match p.text("customer") {
        Some(id) => w.enter(id, "customer")?,
        None => json!({"id": null, "balance": 0, "tax_exempt": "none"}),
    };
    let details = p.at("subscription_details").clone();
    if details.list("items").is_empty() {
        let id = customer.owned("id");
        let waiting = invoice_items::pending(w, &id, None);
        let Some(currency) = waiting.first().map(|item| item.owned("currency")) else { return Err(none()) };
        let mut invoice = invoices::make(w, &customer, &currency, "upcoming", None);
        let lines = invoice_items::collect(w, &invoice, waiting);
        invoices::add_lines(w, &mut invoice, &lines);
        return Ok(invoice);
    }
    let mut items = Vec::new();
    for given in details.list("items") {
        items.push(subscriptions::new_item(w, "sub_preview", given)?);
    }
    subscriptions::check_items(&items)?;
    let currency = items.first().map(|item| item.owned("price.currency")).unwrap_or_default();
    let recurring = items.first().map(|item| item.at("price.recurring").clone()).unwrap_or_default();
    let sub = json!({"id": "sub_preview", "metadata": {}});
    let mut invoice = invoices::make(w, &customer, &currency, "upcoming", None);
    let given = discounts_of(w, p, &json!({"discounts": []}), &invoice)?;
    invoice.put("discounts", given);
    let trial = details.int("trial_end").filter(|end| *end > w.now);
    let end = trial.unwrap_or_else(|| calendar::next_end(w.now, &recurring, w.now));
    let lines: Vec<_> = items
        .iter()
        .map(|item| match trial {
            Some(_) => proration::trial(w, &sub, item, w.now, end),
            None => proration::whole(w, &sub, item, w.now, end),
        })
        .collect();
    invoices::add_lines(w, &mut invoice, &lines);
    Ok(invoice)
}

fn discounts_of(w: &mut World, p: &Value, sub: &Value, invoice: &Value) -> Answer {
    match p.get("discounts") {
        Some(given) => {
            let id = invoice.owned("id");
            let made = discounts::redeem(w, given, invoice.at("customer"), ("invoice", &id))?;
            Ok(made.into())
        }
        None => Ok(sub.at("discounts").clone()),
    }
}

fn none() -> ApiError {
    let mut error = ApiError::invalid("No upcoming invoices for customer").code("invoice_upcoming_none");
    error.status = 404;
    error
}
