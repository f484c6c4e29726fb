//! Events: what happened, with the object as it was then.

use serde_json::{Value, json};

use super::{
    lists,
    sandbox::API_VERSION,
    world::{World, shown},
};
use crate::{
    errors::{Answer, ApiError},
    value::Read,
};

/// Makes and keeps an event.
pub(crate) fn make(w: &mut World, kind: &str, object: &Value, previous: Option<Value>) -> Value {
    let mut data = json!({"object": shown(object)});
    if let Some(previous) = previous {
        data["previous_attributes"] = shown(&previous);
    }
    let (request, key) = w.request.clone().map_or((None, None), |(id, key)| (Some(id), key));
    let event = json!({
        "id": w.id("evt"),
        "object": "event",
        "api_version": API_VERSION,
        "created": w.now,
        "data": data,
        "livemode": false,
        "pending_webhooks": 0,
        "request": {"id": request, "idempotency_key": key},
        "type": kind,
        "_failed": false,
    });
    w.save(&event);
    event
}

/// GET /v1/events; `delivery_success=false` finds what no endpoint has acknowledged yet.
pub(crate) fn list(w: &World, p: &Value) -> Answer {
    let types = p.list("types");
    if types.len() > 20 {
        return Err(ApiError::param("types", "You may pass up to 20 types."));
    }
    lists::page(w, "event", p, "/v1/events", &["types", "type", "delivery_success"], |event| {
        let kind = event.owned("type");
        let wanted = p.text("type").is_none_or(|pattern| matches(pattern, &kind));
        let delivered = event.num("pending_webhooks") == 0 && !event.flag("_failed");
        wanted
            && (types.is_empty()
                || types.iter().filter_map(Value::as_str).any(|pattern| matches(pattern, &kind)))
            && p.at("delivery_success").as_bool().is_none_or(|wanted| wanted == delivered)
    })
}

/// Whether a type is meant by `invoice.paid`, `invoice.*` or `*`.
pub(crate) fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => pattern == kind,
    }
}
