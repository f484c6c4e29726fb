//! What becomes of a subscription schedule as time goes on: its subscription begins, goes from phase to phase, and is set free or ends.

use serde_json::{Value, json};

use super::{
    billing_cycle, clock::Task, discounts, payment_intents::How, subscription_start, subscription_updates,
    subscriptions, world::World,
};
use crate::{
    errors::ApiError,
    value::{Read, Write},
};

/// The subscription of a schedule begins with its first phase.
pub(crate) fn begin(w: &mut World, schedule: &mut Value) -> Result<(), ApiError> {
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
        subscription_start::start(w, &customer, &p, How { off_session: true, authenticated: false })?;
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

pub(crate) fn plan_timers(w: &mut World, schedule: &Value) {
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

pub(crate) fn set_free(w: &mut World, mut schedule: Value) -> Value {
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
