//! Subscription schedules: what a subscription will be, phase by phase.

use serde_json::{Value, json};

use super::{
    billing_cycle,
    clock::Task,
    discounts, lists,
    payment_intents::How,
    subscription_updates, subscriptions,
    world::{World, metadata},
};
use crate::{
    calendar,
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

/// A discount as a phase names it.
fn named_discount(id: &Value) -> Value {
    json!({"coupon": null, "discount": id, "promotion_code": null})
}

fn phase_item(item: &Value) -> Value {
    json!({
        "billing_thresholds": null, "discounts": [], "metadata": {}, "price": item.at("price.id"),
        "quantity": item.at("quantity"), "tax_rates": [],
    })
}

fn phase_of(currency: &str, items: Vec<Value>, start: i64, end: i64) -> Value {
    json!({
        "add_invoice_items": [], "application_fee_percent": null, "billing_cycle_anchor": null, "billing_thresholds": null,
        "collection_method": null, "currency": currency, "default_payment_method": null, "default_tax_rates": [],
        "description": null, "discounts": [], "end_date": end, "invoice_settings": null, "items": items,
        "metadata": {}, "on_behalf_of": null, "proration_behavior": "create_prorations", "start_date": start,
        "transfer_data": null, "trial_end": null,
    })
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

/// The subscription of a schedule begins with its first phase.
fn begin(w: &mut World, schedule: &mut Value) -> Result<(), ApiError> {
    let customer = w.enter(&schedule.owned("customer"), "customer")?;
    let phase = schedule.at("phases.0").clone();
    let items: Vec<Value> = phase
        .list("items")
        .iter()
        .map(|item| json!({"price": item.at("price"), "quantity": item.at("quantity")}))
        .collect();
    let mut p =
        json!({"items": items, "metadata": phase.at("metadata"), "payment_behavior": "allow_incomplete"});
    if let Some(end) = phase.int("trial_end") {
        p.put("trial_end", end);
    }
    let method = [phase.at("default_payment_method"), schedule.at("default_settings.default_payment_method")];
    if let Some(method) = method.into_iter().find_map(Value::as_str) {
        p.put("default_payment_method", method);
    }
    // Nobody is there; without a payment method the first invoice stays open.
    if !super::collection::has_method(&customer, &p) {
        p.put("payment_behavior", "default_incomplete");
    }
    let (mut sub, _) =
        subscriptions::start(w, &customer, &p, How { off_session: true, authenticated: false })?;
    sub.put("schedule", schedule.owned("id"));
    w.save(&sub);
    schedule.put("subscription", sub.owned("id"));
    schedule.put("status", "active");
    schedule.put(
        "current_phase",
        json!({"start_date": phase.at("start_date"), "end_date": phase.at("end_date")}),
    );
    w.save(schedule);
    Ok(())
}

/// Reads phases that follow each other from `start` on.
fn read_phases(w: &mut World, p: &Value, start: i64) -> Result<Vec<Value>, ApiError> {
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

/// The sandbox changes what is to come; the present phase's items stay, and it cannot have ended.
fn check_present(schedule: &Value, phases: &[Value], now: i64) -> Result<(), ApiError> {
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

fn plan_timers(w: &mut World, schedule: &Value) {
    for phase in schedule.list("phases") {
        for name in ["start_date", "end_date"] {
            if phase.num(name) > w.now {
                w.later(schedule, phase.num(name), Task::Phase);
            }
        }
    }
}

/// A phase begins, or the last one ends.
pub(crate) fn phase_ended(w: &mut World, id: &str, at: i64) {
    let Some(mut schedule) = w.find("subscription_schedule", id) else { return };
    let before = schedule.clone();
    let phases = schedule.list("phases").to_vec();
    match schedule.text("status") {
        Some("not_started") if phases.first().is_some_and(|phase| phase.num("start_date") <= at) => {
            if begin(w, &mut schedule).is_ok() {
                w.emit_update("subscription_schedule.updated", &before, &schedule);
            }
            return;
        }
        Some("active") => {}
        _ => return,
    }
    if let Some(phase) = phases.iter().find(|phase| phase.num("start_date") == at) {
        if schedule.int("current_phase.start_date") == Some(at) {
            return;
        }
        schedule.put(
            "current_phase",
            json!({"start_date": phase.at("start_date"), "end_date": phase.at("end_date")}),
        );
        w.save(&schedule);
        enter_phase(w, &schedule, phase, at);
        w.emit_update("subscription_schedule.updated", &before, &schedule);
        return;
    }
    if phases.last().is_none_or(|phase| phase.num("end_date") != at) {
        return;
    }
    if schedule.is("end_behavior", "cancel") {
        schedule.put("status", "completed");
        schedule.put("completed_at", at);
        schedule.put("current_phase", Value::Null);
        w.save(&schedule);
        w.emit("subscription_schedule.completed", &schedule);
        subscriptions::end(w, &schedule.owned("subscription"), "cancellation_requested");
    } else {
        set_free(w, schedule);
    }
}

/// The items of a phase become those of the subscription.
fn enter_phase(w: &mut World, schedule: &Value, phase: &Value, at: i64) {
    let Some(sub) = w.find("subscription", &schedule.owned("subscription")) else { return };
    if subscriptions::is_over(&sub) {
        return;
    }
    let before = sub.clone();
    let old = sub.list("items.data");
    let mut given = Vec::new();
    for (index, item) in phase.list("items").iter().enumerate() {
        let mut one = json!({"price": item.at("price"), "quantity": item.at("quantity")});
        if let Some(kept) = old.get(index) {
            one.put("id", kept.owned("id"));
        }
        given.push(one);
    }
    let gone = old.iter().skip(given.len()).map(|item| json!({"id": item.at("id"), "deleted": true}));
    let gone: Vec<Value> = gone.collect();
    given.extend(gone);
    let at_boundary = subscriptions::period_end(&sub) == at;
    let behavior =
        if at_boundary { "none" } else { phase.text("proration_behavior").unwrap_or("create_prorations") };
    let p = json!({"items": given, "proration_behavior": behavior, "off_session": true});
    // A phase has the discounts that it names, as long as they last, and no others.
    let named: Vec<Value> = phase.list("discounts").iter().map(|one| one.at("discount").clone()).collect();
    let named = discounts::live(w, &named, at).into_iter().map(|(id, _)| Value::from(id));
    let named: Vec<Value> = named.collect();
    if !at_boundary {
        if let Ok(mut change) = subscription_updates::plan(w, &sub, &p) {
            change.sub.put("discounts", named);
            let _ = subscription_updates::carry_out(w, &before, change, &p, "allow_incomplete");
        }
        return;
    }
    // The renewal of this very moment bills the new items; a trial ends with its phase.
    if let Ok(change) = subscription_updates::plan(w, &sub, &p) {
        let mut after = change.sub;
        after.put("discounts", named);
        if change.resets {
            after.put("billing_cycle_anchor", at);
        }
        // The period ends here in any case, so that it is renewed.
        billing_cycle::set_period(&mut after, before.at("items.data.0").num("current_period_start"), at);
        after.put("status", before.at("status").clone());
        w.save(&after);
        w.later(&after, at, Task::Renew);
        w.emit_update("customer.subscription.updated", &before, &after);
    }
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

fn set_free(w: &mut World, mut schedule: Value) -> Value {
    let id = schedule.owned("subscription");
    schedule.put("status", "released");
    schedule.put("released_at", w.now);
    schedule.put("current_phase", Value::Null);
    schedule.put("released_subscription", schedule.at("subscription").clone());
    schedule.put("subscription", Value::Null);
    w.save(&schedule);
    if let Some(mut sub) = w.find("subscription", &id) {
        let before = sub.clone();
        sub.put("schedule", Value::Null);
        w.save(&sub);
        w.emit_update("customer.subscription.updated", &before, &sub);
    }
    w.emit("subscription_schedule.released", &schedule);
    schedule
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

/// The subscription of a schedule has ended; for want of money that aborts the schedule.
pub(crate) fn subscription_ended(w: &mut World, sub: &Value, for_want_of_money: bool) {
    let Some(mut schedule) = w.find("subscription_schedule", &sub.owned("schedule")) else { return };
    if !matches!(schedule.text("status"), Some("active" | "not_started")) {
        return;
    }
    schedule.put("status", "canceled");
    schedule.put("canceled_at", w.now);
    schedule.put("current_phase", Value::Null);
    w.save(&schedule);
    let what = if for_want_of_money { "aborted" } else { "canceled" };
    w.emit(&format!("subscription_schedule.{what}"), &schedule);
}
