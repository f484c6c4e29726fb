//! Subscription schedules: what a subscription will be, phase by phase.

use serde_json::{Value, json};

use super::{
    lists,
    schedule_course::{begin, plan_timers, set_free},
    schedule_phases::{check_present, named_discount, phase_item, phase_of, read_phases},
    subscriptions,
    world::{World, metadata},
};
use crate::{
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// GET /v1/subscription_schedules.
pub(crate) fn list(w: &World, p: &Value) -> Answer {
    lists::page(
        w,
        "subscription_schedule",
        p,
        "/v1/subscription_schedules",
        &["scheduled", "canceled_at", "completed_at", "released_at"],
        |schedule| !p.flag("scheduled") || schedule.is("status", "not_started"),
    )
}

/// POST /v1/subscription_schedules: of a subscription and nothing else, or of a customer and phases.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let schedule = match p.text("from_subscription") {
        Some(id) => from_subscription(w, id, p)?,
        None => of_phases(w, p)?,
    };
    w.emit("subscription_schedule.created", &schedule);
    plan_timers(w, &schedule);
    Ok(schedule)
}

fn from_subscription(w: &mut World, id: &str, p: &Value) -> Answer {
    let other = p.as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let other: Vec<&str> = other.filter(|name| !matches!(*name, "from_subscription" | "expand")).collect();
    if let Some(name) = other.first() {
        let message = format!("You cannot set `{name}` if `from_subscription` is set.");
        return Err(ApiError::param(name, message));
    }
    let mut sub = w.need("subscription", id, "from_subscription")?;
    w.enter_owner(&sub);
    if subscriptions::is_over(&sub) {
        return Err(ApiError::param("from_subscription", "The subscription has ended."));
    }
    if let Some(schedule) = sub.text("schedule") {
        let message = format!(
            "You cannot migrate a subscription that is already attached to a schedule: `{schedule}`."
        );
        return Err(ApiError::param("from_subscription", message));
    }
    let first = sub.at("items.data.0").clone();
    let items = sub.list("items.data").iter().map(phase_item).collect::<Vec<_>>();
    let (start, end) = (first.num("current_period_start"), first.num("current_period_end"));
    let mut phase = phase_of(&sub.owned("currency"), items, start, end);
    phase.put("metadata", sub.at("metadata").clone());
    let running: Vec<Value> = sub.list("discounts").iter().map(named_discount).collect();
    phase.put("discounts", running);
    if sub.is("status", "trialing") {
        phase.put("trial_end", sub.at("trial_end").clone());
    }
    let mut schedule = make(w, sub.at("customer"), vec![phase]);
    schedule.put("subscription", id);
    schedule.put("status", "active");
    schedule.put("current_phase", json!({"start_date": start, "end_date": end}));
    // What the customer had asked for goes on: cancelled at the end stays so.
    if sub.flag("cancel_at_period_end") {
        schedule.put("end_behavior", "cancel");
    }
    w.save(&schedule);
    sub.put("schedule", schedule.owned("id"));
    w.save(&sub);
    Ok(schedule)
}

fn make(w: &mut World, customer: &Value, phases: Vec<Value>) -> Value {
    let clock = w.find("customer", customer.as_str().unwrap_or_default()).unwrap_or_default();
    json!({
        "id": w.id("sub_sched"),
        "object": "subscription_schedule",
        "application": null,
        "billing_mode": {"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": w.now},
        "canceled_at": null,
        "completed_at": null,
        "created": w.now,
        "current_phase": null,
        "customer": customer,
        "customer_account": null,
        "default_settings": {
            "application_fee_percent": null,
            "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null},
            "billing_cycle_anchor": "automatic", "billing_thresholds": null, "collection_method": "charge_automatically",
            "default_payment_method": null, "description": null,
            "invoice_settings": {"account_tax_ids": null, "custom_fields": null, "days_until_due": null, "description": null, "footer": null, "issuer": {"type": "self"}},
            "on_behalf_of": null, "transfer_data": null,
        },
        "end_behavior": "release",
        "livemode": false,
        "metadata": {},
        "phases": phases,
        "released_at": null,
        "released_subscription": null,
        "status": "not_started",
        "subscription": null,
        "test_clock": clock.at("test_clock"),
    })
}

fn of_phases(w: &mut World, p: &Value) -> Answer {
    let customer = w.enter(p.text("customer").ok_or_else(|| ApiError::missing("customer"))?, "customer")?;
    let start = match p.at("start_date") {
        Value::Number(at) => at.as_i64().unwrap_or(w.now).max(w.now),
        Value::String(_) => w.now,
        _ => return Err(ApiError::missing("start_date")),
    };
    let phases = read_phases(w, p, start)?;
    let mut schedule = make(w, customer.at("id"), phases);
    schedule.put("metadata", metadata(p));
    set_end(&mut schedule, p)?;
    w.save(&schedule);
    if start <= w.now {
        begin(w, &mut schedule)?;
    }
    Ok(schedule)
}

fn set_end(schedule: &mut Value, p: &Value) -> Result<(), ApiError> {
    match p.text("end_behavior") {
        Some(behavior @ ("cancel" | "release")) => schedule.put("end_behavior", behavior),
        Some(_) => return Err(ApiError::param("end_behavior", "The sandbox knows `cancel` and `release`.")),
        None => {}
    }
    if let Some(method) = p.at("default_settings").get("default_payment_method") {
        schedule.put("default_settings.default_payment_method", method.clone());
    }
    Ok(())
}

/// POST /v1/subscription_schedules/{id}: the present phase must be repeated as it is.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut schedule = running(w, id, "updated")?;
    let before = schedule.clone();
    set_end(&mut schedule, p)?;
    schedule.merge_metadata(p);
    if p.has("phases") {
        let mut given = p.clone();
        let first = match schedule.int("current_phase.start_date") {
            None => schedule.num("phases.0.start_date"),
            Some(start) => {
                // Phases that are over may be repeated; Stripe looks at those from the present one on.
                let kept: Vec<Value> = p
                    .list("phases")
                    .iter()
                    .skip_while(|phase| phase.int("start_date").is_some_and(|begins| begins < start))
                    .cloned()
                    .collect();
                let present = kept.first().is_some_and(|phase| phase.int("start_date") == Some(start));
                if !present {
                    let message = "The subscription schedule update is missing at least one phase with a `start_date` to anchor end dates to.";
                    return Err(ApiError::param("phases", message));
                }
                given.put("phases", kept);
                start
            }
        };
        let phases = read_phases(w, &given, first)?;
        check_present(&schedule, &phases, w.now)?;
        let present = schedule.at("current_phase").is_object();
        if let Some(phase) = phases.first().filter(|_| present) {
            schedule.put(
                "current_phase",
                json!({"start_date": phase.at("start_date"), "end_date": phase.at("end_date")}),
            );
        }
        schedule.put("phases", phases);
    }
    w.save(&schedule);
    plan_timers(w, &schedule);
    w.emit_update("subscription_schedule.updated", &before, &schedule);
    Ok(schedule)
}

fn running(w: &mut World, id: &str, what: &str) -> Answer {
    let schedule = w.need("subscription_schedule", id, "id")?;
    w.enter_owner(&schedule);
    let status = schedule.owned("status");
    if matches!(status.as_str(), "active" | "not_started") {
        return Ok(schedule);
    }
    let message = format!(
        "You cannot have a subscription schedule {what} that is currently in the `{status}` status. Only `active` or `not_started` schedules can be {what}."
    );
    Err(ApiError::invalid(message))
}

/// POST …/release: the subscription goes on without it.
pub(crate) fn release(w: &mut World, id: &str, p: &Value) -> Answer {
    let schedule = running(w, id, "released")?;
    let keeps = p.flag("preserve_cancel_date");
    let released = set_free(w, schedule);
    if !keeps
        && let Some(mut sub) = w.find("subscription", &released.owned("released_subscription"))
        && sub.flag("cancel_at_period_end")
    {
        let before = sub.clone();
        sub.put("cancel_at_period_end", false);
        sub.put("cancel_at", Value::Null);
        sub.put("canceled_at", Value::Null);
        w.save(&sub);
        w.emit_update("customer.subscription.updated", &before, &sub);
    }
    Ok(released)
}

/// POST …/cancel: the subscription ends with it.
pub(crate) fn cancel(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut schedule = running(w, id, "canceled")?;
    schedule.put("status", "canceled");
    schedule.put("canceled_at", w.now);
    schedule.put("current_phase", Value::Null);
    w.save(&schedule);
    w.emit("subscription_schedule.canceled", &schedule);
    if let Some(sub) = schedule.text("subscription") {
        let mut given = json!({});
        given.copy_from(p, &["invoice_now", "prorate"]);
        subscriptions::cancel(w, sub, &given)?;
    }
    Ok(schedule)
}
