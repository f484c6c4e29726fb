//! Test clocks: customers whose time moves when it is told to.

use serde_json::{Value, json};

use super::{clock, world::World};
use crate::{
    calendar::{self, DAY},
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// POST /v1/test_helpers/test_clocks.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let found = json!({
        "id": w.id("clock"),
        "object": "test_helpers.test_clock",
        "created": w.now,
        "deletes_after": w.now + 30 * DAY,
        "frozen_time": p.num("frozen_time"),
        "livemode": false,
        "name": p.at("name"),
        "status": "ready",
        "status_details": {},
    });
    w.save(&found);
    w.emit("test_helpers.test_clock.created", &found);
    Ok(found)
}

/// POST …/advance: answers `advancing`; asked again it is `ready`.
pub(crate) fn advance(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut found = w.need("test_helpers.test_clock", id, "id")?;
    let (before, until) = (found.num("frozen_time"), p.num("frozen_time"));
    if until <= before {
        return Err(ApiError::param("frozen_time", "The clock can only be advanced to a later time."));
    }
    let shortest = w
        .store
        .all("subscription")
        .filter(|sub| sub.is("test_clock", id) && !super::subscriptions::is_over(sub))
        .map(|sub| {
            let recurring = sub.at("items.data.0.price.recurring");
            calendar::length(&recurring.owned("interval")) * recurring.int("interval_count").unwrap_or(1)
        })
        .min();
    let most = shortest.unwrap_or(2 * 366 * DAY).min(366 * DAY) * 2;
    if until - before > most {
        let message =
            "You can only advance a clock by two intervals of its shortest subscription, and by two years.";
        return Err(ApiError::param("frozen_time", message).code("test_clock_advance_too_far"));
    }
    // What happens on the way sees its own moment: the clock moves along.
    let mut guard = 0;
    loop {
        let next = clock::next(w, id).map(|timer| timer.at).filter(|at| *at <= until);
        guard += 1;
        let Some(at) = next.filter(|_| guard < 10_000) else { break };
        found.put("frozen_time", at.max(before));
        w.save(&found);
        clock::run(w, id, at);
    }
    found.put("frozen_time", until);
    w.save(&found);
    w.now = until;
    let mut advancing = found.clone();
    advancing.put("status", "advancing");
    w.emit("test_helpers.test_clock.advancing", &advancing);
    w.emit("test_helpers.test_clock.ready", &found);
    Ok(advancing)
}

/// DELETE /v1/test_helpers/test_clocks/{id}: with its customers.
pub(crate) fn delete(w: &mut World, id: &str) -> Answer {
    w.need("test_helpers.test_clock", id, "id")?;
    let customers: Vec<String> = w
        .store
        .all("customer")
        .filter(|customer| customer.is("test_clock", id))
        .map(|customer| customer.owned("id"))
        .collect();
    for customer in customers {
        super::customers::delete(w, &customer)?;
    }
    w.timers.retain(|timer| timer.clock != id);
    w.store.remove("test_helpers.test_clock", id);
    Ok(json!({"id": id, "object": "test_helpers.test_clock", "deleted": true}))
}
