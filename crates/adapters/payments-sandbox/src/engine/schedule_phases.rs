//! The phases of subscription schedules: what they look like, and what is accepted as phases.

use serde_json::{Value, json};

use super::{
    subscriptions,
    world::{World, metadata},
};
use crate::{
    calendar,
    errors::ApiError,
    value::{Read, Write},
};

/// A discount as a phase names it.
pub(crate) fn named_discount(id: &Value) -> Value {
    json!({"coupon": null, "discount": id, "promotion_code": null})
}

pub(crate) fn phase_item(item: &Value) -> Value {
    json!({
        "billing_thresholds": null, "discounts": [], "metadata": {}, "price": item.at("price.id"),
        "quantity": item.at("quantity"), "tax_rates": [],
    })
}

pub(crate) fn phase_of(currency: &str, items: Vec<Value>, start: i64, end: i64) -> Value {
    json!({
        "add_invoice_items": [], "application_fee_percent": null, "billing_cycle_anchor": null, "billing_thresholds": null,
        "collection_method": null, "currency": currency, "default_payment_method": null, "default_tax_rates": [],
        "description": null, "discounts": [], "end_date": end, "invoice_settings": null, "items": items,
        "metadata": {}, "on_behalf_of": null, "proration_behavior": "create_prorations", "start_date": start,
        "transfer_data": null, "trial_end": null,
    })
}

/// Reads phases that follow each other from `start` on.
pub(crate) fn read_phases(w: &mut World, p: &Value, start: i64) -> Result<Vec<Value>, ApiError> {
    let given = p.list("phases").to_vec();
    if given.is_empty() || given.len() > 10 {
        return Err(ApiError::param("phases", "A schedule has between one and ten phases."));
    }
    let mut phases = Vec::new();
    let mut moment = start;
    for (index, one) in given.iter().enumerate() {
        let name = |field: &str| format!("phases[{index}][{field}]");
        if let Some(begins) = one.int("start_date")
            && begins != moment
        {
            let message = "The start date of a phase must be the end date of the one before.";
            return Err(ApiError::param(&name("start_date"), message));
        }
        let mut items = Vec::new();
        let mut prices = Vec::new();
        for item in one.list("items") {
            let price = subscriptions::price_of(w, item)?;
            if price.at("recurring").is_null() {
                return Err(ApiError::param(&name("items"), "The prices of a schedule must be recurring."));
            }
            let shown = json!({"price": price, "quantity": subscriptions::quantity(item)?});
            items.push(phase_item(&shown));
            prices.push(shown);
        }
        subscriptions::check_items(&prices)?;
        let price = prices.first().map(|item| item.at("price").clone()).unwrap_or_default();
        let end = phase_end(one, &price, moment, &name)?;
        let mut phase = phase_of(&price.owned("currency"), items, moment, end);
        phase.put("metadata", metadata(one));
        let mut named = Vec::new();
        for given in one.list("discounts") {
            let Some(id) = given.text("discount") else {
                let message = "The sandbox keeps discounts of a subscription in its phases, and makes none.";
                return Err(ApiError::param(&name("discounts"), message));
            };
            w.need("discount", id, "discounts")?;
            named.push(named_discount(given.at("discount")));
        }
        phase.put("discounts", named);
        phase.copy_from(
            one,
            &["default_payment_method", "description", "proration_behavior", "billing_cycle_anchor"],
        );
        if let Some(trial) = one.int("trial_end") {
            phase.put("trial_end", trial);
        } else if one.flag("trial") {
            phase.put("trial_end", end);
        }
        phases.push(phase);
        moment = end;
    }
    Ok(phases)
}

fn phase_end(
    one: &Value,
    price: &Value,
    start: i64,
    name: &impl Fn(&str) -> String,
) -> Result<i64, ApiError> {
    let length = |interval: &str, count: i64| calendar::after(start, interval, count.clamp(1, 1200));
    let iterations = one.int("iterations").or_else(|| one.text("iterations")?.parse().ok());
    let end = match (one.int("end_date"), one.get("duration"), iterations) {
        (Some(end), None, None) => end,
        (None, Some(duration), None) => {
            length(&duration.owned("interval"), duration.int("interval_count").unwrap_or(1))
        }
        (None, None, Some(times)) => {
            let count = price.int("recurring.interval_count").unwrap_or(1);
            length(&price.owned("recurring.interval"), count.saturating_mul(times.clamp(1, 100)))
        }
        (None, None, None) => {
            let count = price.int("recurring.interval_count").unwrap_or(1);
            length(&price.owned("recurring.interval"), count)
        }
        _ => {
            let message = "Only one of `end_date` and `duration` may be set.";
            return Err(ApiError::param(&name("duration"), message));
        }
    };
    if end <= start || end > crate::parameters::LAST_TIME {
        return Err(ApiError::param(&name("end_date"), "The end date must be after the start date."));
    }
    Ok(end)
}

/// The sandbox changes what is to come; the present phase's items stay, and it cannot have ended.
pub(crate) fn check_present(schedule: &Value, phases: &[Value], now: i64) -> Result<(), ApiError> {
    let (Some(start), Some(first)) = (schedule.int("current_phase.start_date"), phases.first()) else {
        return Ok(());
    };
    if first.num("end_date") <= now {
        return Err(ApiError::param("phases[0][end_date]", "The present phase cannot end in the past."));
    }
    let present = schedule.list("phases").iter().find(|phase| phase.int("start_date") == Some(start));
    let what = |phase: &Value| -> Vec<(Value, Value)> {
        phase
            .list("items")
            .iter()
            .map(|item| (item.at("price").clone(), item.at("quantity").clone()))
            .collect()
    };
    if present.is_some_and(|present| what(present) != what(first)) {
        let message = "The items of the present phase must be repeated as they are; update the subscription to change them.";
        return Err(ApiError::param("phases[0][items]", message));
    }
    Ok(())
}
