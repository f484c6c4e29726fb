//! Lists by pages ("Pagination" in Stripe's reference).

use serde_json::{Value, json};

use super::world::World;
use crate::{
    errors::{Answer, ApiError},
    value::Read,
};

const PAGING: [&str; 5] = ["limit", "starting_after", "ending_before", "expand", "created"];

/// A page of the objects of a kind that pass, newest first. Every other parameter must equal the field of its name, except
/// for those that the caller looks at.
pub(crate) fn page(
    w: &World,
    kind: &str,
    p: &Value,
    url: &str,
    handled: &[&str],
    pass: impl Fn(&Value) -> bool,
) -> Answer {
    let filters: Vec<(&String, &Value)> = p
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, _)| !PAGING.contains(&name.as_str()) && !handled.contains(&name.as_str()))
        .collect();
    let found = w.store.newest(kind, |object| {
        filters.iter().all(|(name, wanted)| object.at(name) == *wanted)
            && in_time(object, p.at("created"))
            && pass(object)
    });
    of(&found, p, url)
}

/// A page of what was found, newest first.
pub(crate) fn of(found: &[&Value], p: &Value, url: &str) -> Answer {
    let limit = p.int("limit").unwrap_or(10);
    if !(1..=100).contains(&limit) {
        let message = format!("Invalid integer: {limit}; must be between 1 and 100");
        return Err(ApiError::param("limit", message).code("parameter_invalid_integer").before());
    }
    let limit = usize::try_from(limit).unwrap_or(10);
    let place = |name: &str| -> Result<Option<usize>, ApiError> {
        let Some(id) = p.text(name) else { return Ok(None) };
        let at = found.iter().position(|object| object.is("id", id));
        at.map(Some).ok_or_else(|| ApiError::no_such("object", id, name))
    };
    let (after, before) = (place("starting_after")?, place("ending_before")?);
    if after.is_some() && before.is_some() {
        return Err(ApiError::invalid("You can only use one of starting_after and ending_before.").before());
    }
    let (shown, has_more) = match (after, before) {
        (_, Some(before)) => (&found[before.saturating_sub(limit)..before], before > limit),
        (after, None) => {
            let start = after.map_or(0, |after| after + 1);
            let end = found.len().min(start + limit);
            (&found[start..end], end < found.len())
        }
    };
    Ok(json!({"object": "list", "url": url, "has_more": has_more, "data": shown}))
}

/// A list within an object, all of it.
pub(crate) fn whole(data: Vec<Value>, url: &str) -> Value {
    json!({"object": "list", "url": url, "has_more": false, "data": data})
}

/// `created=1` or `created[gte]=1`.
fn in_time(object: &Value, wanted: &Value) -> bool {
    let created = object.num("created");
    if let Some(exact) = wanted.as_i64() {
        return created == exact;
    }
    let is =
        |name: &str, holds: fn(i64, i64) -> bool| wanted.int(name).is_none_or(|bound| holds(created, bound));
    is("gt", |at, bound| at > bound)
        && is("gte", |at, bound| at >= bound)
        && is("lt", |at, bound| at < bound)
        && is("lte", |at, bound| at <= bound)
}
