//! The beginning of a subscription: what its parameters describe, and its first invoice.

use serde_json::{Value, json};

use super::{
    catalog,
    clock::Task,
    collection::{self, Collected},
    customers, discounts, invoice_items, invoices, lists,
    payment_intents::{self, How},
    proration,
    subscriptions::{check_items, new_item, period_end, plan_timers, price_of, quantity},
    world::{World, metadata},
};
use crate::{
    calendar::{self, DAY},
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// Hours that a customer has for the first payment.
pub(crate) const HOURS_TO_PAY: i64 = 23 * 3600;

/// POST /v1/subscriptions.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let customer = w.enter(p.text("customer").ok_or_else(|| ApiError::missing("customer"))?, "customer")?;
    let before = p.is("payment_behavior", "error_if_incomplete").then(|| w.clone());
    match (start(w, &customer, p, How::default()), before) {
        (Ok((sub, Some(error))), Some(before)) => {
            drop(sub);
            *w = before;
            Err(error)
        }
        (Ok((sub, _)), _) => Ok(sub),
        (Err(error), Some(before)) => {
            *w = before;
            Err(error)
        }
        (Err(error), None) => Err(error),
    }
}

/// Begins a subscription and collects its first invoice. Beside the subscription: why the payment failed.
pub(crate) fn start(
    w: &mut World,
    customer: &Value,
    p: &Value,
    how: How,
) -> Result<(Value, Option<ApiError>), ApiError> {
    let mut sub = build(w, customer, p)?;
    let id = sub.owned("id");
    let behavior = p.text("payment_behavior").unwrap_or("allow_incomplete").to_owned();
    let is_trial = sub.is("status", "trialing");
    let sends = sub.is("collection_method", "send_invoice");
    let (begin, end) = (w.now, period_end(&sub));
    let lines: Vec<_> = sub
        .list("items.data")
        .iter()
        .map(|item| {
            if is_trial {
                return proration::trial(w, &sub, item, begin, end);
            }
            let mut line = proration::whole(w, &sub, item, begin, end);
            // Until an anchor that was asked for, only a part of a period.
            if let Some(length) = item.int("_whole_period") {
                let is_free = p.is("proration_behavior", "none");
                line.amount = if is_free { 0 } else { crate::money::share(line.amount, end - begin, length) };
                line.proration = true;
            }
            line
        })
        .collect();
    let currency = sub.owned("currency");
    let mut invoice = invoices::make(w, customer, &currency, "subscription_create", Some(&sub));
    invoice.put("discounts", sub.at("discounts").clone());
    let waiting = invoice_items::pending(w, &customer.owned("id"), Some(&id));
    let mut all = invoice_items::collect(w, &invoice, waiting);
    all.extend(extra_lines(w, p)?);
    all.extend(lines);
    invoices::add_lines(w, &mut invoice, &all);
    let due = invoice.num("amount_due");
    let can_pay = collection::has_method(customer, &sub);
    if due > 0 && !can_pay && !sends && behavior != "default_incomplete" {
        let message = "This customer has no attached payment source or default payment method. Please consider adding a default payment method. For more information, visit https://stripe.com/docs/billing/subscriptions/payment-methods-setting.";
        // The pending items that were collected wait again.
        invoice_items::set_free(w, &invoice);
        return Err(ApiError::invalid(message).code("resource_missing"));
    }
    customers::bind_currency(w, &customer.owned("id"), &currency)?;
    sub.put("latest_invoice", invoice.owned("id"));
    if !is_trial {
        sub.put("status", if sends { "active" } else { "incomplete" });
    }
    proration::note_billed(&mut sub, &invoice);
    sub.put("discounts", discounts::left_after_use(w, sub.list("discounts"), w.now));
    w.save(&sub);
    w.save(&invoice);
    w.emit("customer.subscription.created", &sub);
    w.emit("invoice.created", &invoice);
    let invoice = collection::finalize(w, invoice);
    let mut failure = None;
    if invoice.is("status", "open") && !sends {
        if behavior != "default_incomplete" {
            match collection::attempt(w, &invoice.owned("id"), None, how) {
                Collected::Failed(error) => failure = Some(error),
                Collected::Waits if behavior == "error_if_incomplete" => {
                    let code = "subscription_payment_intent_requires_action";
                    failure = Some(ApiError::card(
                        code,
                        None,
                        "Payment for this subscription requires additional user action before it can be completed successfully.",
                    ));
                }
                _ => {}
            }
        }
        let due = w.now + HOURS_TO_PAY;
        w.later(&sub, due, Task::ExpireIncomplete);
    }
    plan_timers(w, &sub);
    Ok((w.need("subscription", &id, "id")?, failure))
}

fn extra_lines(w: &mut World, p: &Value) -> Result<Vec<invoices::Line>, ApiError> {
    let mut lines = Vec::new();
    for one in p.list("add_invoice_items") {
        let price = price_of(w, one)?;
        let quantity = quantity(one)?;
        let name = catalog::product_name(w, &price);
        let mut line = invoices::Line::plain(price.num("unit_amount").saturating_mul(quantity), name, w.now);
        line.quantity = quantity;
        line.price = price;
        lines.push(line);
    }
    Ok(lines)
}

/// The subscription that parameters describe; not saved yet.
fn build(w: &mut World, customer: &Value, p: &Value) -> Answer {
    let id = w.id("sub");
    let given = p.list("items").to_vec();
    if given.is_empty() {
        return Err(ApiError::missing("items"));
    }
    if given.len() > 20 {
        return Err(ApiError::param("items", "A subscription has at most 20 items."));
    }
    let trial = trial_end(w, p)?;
    let mut items = Vec::new();
    for one in &given {
        items.push(new_item(w, &id, one)?);
    }
    check_items(&items)?;
    if let Some(method) = p.text("default_payment_method") {
        let method = w.need("payment_method", method, "default_payment_method")?;
        let owner = json!({"customer": customer.at("id")});
        payment_intents::check_owner(Some(&method), owner.at("customer"))?;
        if method.at("customer").is_null() {
            let message = "The customer does not have a payment method with this ID. The payment method must be attached to the customer.";
            return Err(ApiError::param("default_payment_method", message).code("resource_missing"));
        }
    }
    let recurring = items.first().map(|item| item.at("price.recurring").clone()).unwrap_or_default();
    let anchor = match (trial, p.int("billing_cycle_anchor")) {
        (Some(end), _) => end,
        (None, Some(anchor)) => {
            if anchor < w.now || anchor > calendar::next_end(w.now, &recurring, w.now) {
                let message = "billing_cycle_anchor must lie in the future, within one period.";
                return Err(ApiError::param("billing_cycle_anchor", message));
            }
            anchor
        }
        (None, None) => w.now,
    };
    let end = match trial {
        Some(end) => end,
        None if anchor > w.now => anchor,
        None => calendar::next_end(anchor, &recurring, w.now),
    };
    for item in &mut items {
        item.put("current_period_start", w.now);
        item.put("current_period_end", end);
        if trial.is_none() && anchor > w.now {
            item.put("_whole_period", calendar::next_end(anchor, &recurring, anchor) - anchor);
        }
    }
    let currency = items.first().map(|item| item.owned("price.currency")).unwrap_or_default();
    let made = discounts::redeem(w, p.at("discounts"), customer.at("id"), ("subscription", &id))?;
    let ends = p.flag("cancel_at_period_end");
    let cancel_at = p.int("cancel_at").or(ends.then_some(end));
    let sub = json!({
        "id": id,
        "object": "subscription",
        "application": null,
        "application_fee_percent": null,
        "automatic_tax": {"disabled_reason": null, "enabled": p.flag("automatic_tax.enabled"), "liability": null},
        "billing_cycle_anchor": anchor,
        "billing_cycle_anchor_config": null,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": w.now},
        "billing_schedules": [],
        "billing_thresholds": null,
        "cancel_at": cancel_at,
        "cancel_at_period_end": ends,
        "canceled_at": if cancel_at.is_some() { json!(w.now) } else { Value::Null },
        "cancellation_details": {"comment": null, "feedback": null, "reason": if ends { json!("cancellation_requested") } else { Value::Null }},
        "collection_method": p.text("collection_method").unwrap_or("charge_automatically"),
        "created": w.now,
        "currency": currency,
        "customer": customer.at("id"),
        "customer_account": null,
        "days_until_due": p.at("days_until_due"),
        "default_payment_method": p.at("default_payment_method"),
        "default_source": null,
        "default_tax_rates": [],
        "description": p.at("description"),
        "discounts": made,
        "ended_at": null,
        "invoice_settings": {"account_tax_ids": null, "custom_fields": null, "description": null, "footer": null, "issuer": {"type": "self"}},
        "items": lists::whole(items, &format!("/v1/subscription_items?subscription={id}")),
        "latest_invoice": null,
        "livemode": false,
        "metadata": metadata(p),
        "next_pending_invoice_item_invoice": null,
        "on_behalf_of": null,
        "pause_collection": null,
        "payment_settings": {"payment_method_options": null, "payment_method_types": null, "save_default_payment_method": p.text("payment_settings.save_default_payment_method").unwrap_or("off")},
        "pending_invoice_item_interval": null,
        "pending_setup_intent": null,
        "pending_update": null,
        "schedule": null,
        "start_date": w.now,
        "status": if trial.is_some() { "trialing" } else { "active" },
        "test_clock": customer.at("test_clock"),
        "transfer_data": null,
        "trial_end": trial,
        "trial_settings": {"end_behavior": {"missing_payment_method": p.text("trial_settings.end_behavior.missing_payment_method").unwrap_or("create_invoice")}},
        "trial_start": trial.map(|_| w.now),
    });
    Ok(sub)
}

fn trial_end(w: &World, p: &Value) -> Result<Option<i64>, ApiError> {
    let days = p.int("trial_period_days");
    let end = match (p.int("trial_end"), days) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "You may only specify one of these parameters: trial_end, trial_period_days.",
            ));
        }
        (Some(end), None) => end,
        (None, Some(days)) if (1..=730).contains(&days) => w.now + days * DAY,
        (None, Some(_)) => return Err(ApiError::param("trial_period_days", "Must be between 1 and 730.")),
        (None, None) => return Ok(None),
    };
    if end <= w.now || end > w.now + 730 * DAY {
        return Err(ApiError::param(
            "trial_end",
            "Invalid timestamp: must be an integer Unix timestamp in the future.",
        ));
    }
    Ok(Some(end))
}
