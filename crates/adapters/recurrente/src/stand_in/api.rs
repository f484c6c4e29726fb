//! The calls of the API.

use portico_kernel::{Env, Timestamp, http::HttpMethod};
use serde_json::{Map, Value, json};

use super::{
    PUBLIC_KEY, SECRET_KEY,
    state::{Item, Session, State, Status, new_id},
};
use crate::objects::minor_units;

/// Limits of metadata: entries, characters of a name, characters of a value.
const METADATA: (usize, usize, usize) = (50, 40, 500);

/// Checkouts on a page of the list where nothing is said.
const PAGE: usize = 20;

/// A call that came.
pub(super) struct Call {
    method: HttpMethod,
    path: Vec<String>,
    query: Vec<(String, String)>,
    is_authentic: bool,
    body: Value,
}

/// An answer that is no success: status and words.
type Refusal = (u16, String);

impl Call {
    /// Of what is in a request. The API is below `/api`.
    pub fn new(method: HttpMethod, target: &str, headers: &[(String, String)], body: &[u8]) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix("/api").unwrap_or("/unknown");
        let header = |name: &str, value: &str| {
            headers.iter().any(|(known, given)| known.eq_ignore_ascii_case(name) && given == value)
        };
        let secret =
            header("x-secret-key", SECRET_KEY) || header("authorization", &format!("Bearer {SECRET_KEY}"));
        Self {
            method,
            path: path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            is_authentic: secret && header("x-public-key", PUBLIC_KEY),
            body: serde_json::from_slice(body).unwrap_or_default(),
        }
    }

    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Answers a call.
pub(super) fn answer(state: &mut State, call: &Call, pages: &str, env: &Env) -> (u16, Value) {
    if !call.is_authentic {
        return (401, json!({"error": "Unauthorized"}));
    }
    let path: Vec<&str> = call.path.iter().map(String::as_str).collect();
    let result = match (call.method, path.as_slice()) {
        (HttpMethod::Get, ["test"]) => Ok((200, json!({"message": "Hello stand-in"}))),
        (HttpMethod::Post, ["checkouts"]) => create(state, &call.body, pages, env),
        (HttpMethod::Get, ["checkouts"]) => list(state, call),
        (HttpMethod::Get, ["checkouts", id]) => find(state, id).map(|session| (200, session.shown())),
        (HttpMethod::Patch, ["checkouts", id]) => update(state, id, &call.body),
        (HttpMethod::Post, ["refunds"]) => refund(state, &call.body, env),
        (HttpMethod::Get, ["refunds", id]) => {
            state.refunds.get(*id).cloned().map(|refund| (200, refund)).ok_or_else(not_found)
        }
        _ => Err(not_found()),
    };
    result.unwrap_or_else(|(status, error)| (status, json!({"error": error})))
}

fn not_found() -> Refusal {
    (404, "Not found".to_owned())
}

fn unprocessable(error: &str) -> Refusal {
    (422, error.to_owned())
}

fn find<'s>(state: &'s mut State, id: &str) -> Result<&'s mut Session, Refusal> {
    state.checkouts.get_mut(id).ok_or_else(not_found)
}

fn create(state: &mut State, body: &Value, pages: &str, env: &Env) -> Result<(u16, Value), Refusal> {
    let items = body["items"].as_array().filter(|items| !items.is_empty());
    let items = items.ok_or_else(|| unprocessable("items is missing"))?;
    let currency = items.first().and_then(|item| item["currency"].as_str()).unwrap_or_default();
    if !["GTQ", "USD"].contains(&currency) || items.iter().any(|item| item["currency"] != currency) {
        return Err(unprocessable("currency is not included in the list"));
    }
    let items: Vec<Item> = items.iter().map(item).collect::<Result<_, _>>()?;
    let session = Session {
        id: new_id("ch", env),
        status: Status::Unpaid,
        items,
        currency: currency.to_owned(),
        success_url: text(body, "success_url"),
        cancel_url: text(body, "cancel_url"),
        metadata: metadata(&body["metadata"])?,
        created_at: env.now(),
        expires_at: time(&body["expires_at"])?,
        intent: None,
        refunded: false,
    };
    let answer =
        json!({"id": session.id, "checkout_url": format!("{pages}/checkout-session/{}", session.id)});
    state.add(session);
    Ok((201, answer))
}

fn item(item: &Value) -> Result<Item, Refusal> {
    let name = item["name"].as_str().filter(|name| !name.is_empty());
    let amount = minor_units(&item["amount_in_cents"]).filter(|amount| *amount > 0);
    let quantity = match &item["quantity"] {
        Value::Null => Some(1),
        value => minor_units(value).filter(|quantity| (1..=9).contains(quantity)),
    };
    match (name, amount, quantity) {
        (Some(name), Some(amount_in_cents), Some(quantity)) => {
            Ok(Item { name: name.to_owned(), amount_in_cents, quantity })
        }
        _ => Err(unprocessable("an item has no name, no amount, or a quantity outside of 1 to 9")),
    }
}

fn text(body: &Value, name: &str) -> Option<String> {
    body[name].as_str().map(str::to_owned)
}

fn time(value: &Value) -> Result<Option<Timestamp>, Refusal> {
    match value {
        Value::Null => Ok(None),
        value => serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|_| unprocessable("expires_at is no time of ISO 8601")),
    }
}

fn metadata(value: &Value) -> Result<Map<String, Value>, Refusal> {
    let (entries, name_max, value_max) = METADATA;
    let map = value.as_object().cloned().unwrap_or_default();
    let fits = |(name, value): (&String, &Value)| {
        let length = value.as_str().map_or_else(|| value.to_string().len(), |text| text.chars().count());
        name.chars().count() <= name_max && length <= value_max
    };
    if map.len() > entries || !map.iter().all(fits) {
        return Err(unprocessable("metadata is too large"));
    }
    Ok(map)
}

fn list(state: &State, call: &Call) -> Result<(u16, Value), Refusal> {
    let bound = |name: &str| time(&call.parameter(name).map_or(Value::Null, Value::from));
    let (from, until) = (bound("from_time")?, bound("until_time")?);
    let number =
        |name: &str, usual: usize| call.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (page, items): (usize, usize) = (number("page", 1).max(1), number("items", PAGE).clamp(1, 100));
    let mut found: Vec<&Session> = state
        .checkouts
        .values()
        .filter(|session| from.is_none_or(|from| session.created_at >= from))
        .filter(|session| until.is_none_or(|until| session.created_at <= until))
        .collect();
    found.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id.clone())));
    let shown: Vec<Value> =
        found.into_iter().skip((page - 1).saturating_mul(items)).take(items).map(Session::shown).collect();
    Ok((200, Value::Array(shown)))
}

fn update(state: &mut State, id: &str, body: &Value) -> Result<(u16, Value), Refusal> {
    let session = find(state, id)?;
    if session.status != Status::Unpaid {
        return Err(unprocessable("the checkout cannot be changed any more"));
    }
    if !body["expires_at"].is_null() {
        session.expires_at = time(&body["expires_at"])?;
    }
    if !body["metadata"].is_null() {
        session.metadata = metadata(&body["metadata"])?;
    }
    session.success_url = text(body, "success_url").or(session.success_url.take());
    session.cancel_url = text(body, "cancel_url").or(session.cancel_url.take());
    Ok((200, session.shown()))
}

fn refund(state: &mut State, body: &Value, env: &Env) -> Result<(u16, Value), Refusal> {
    let intent = body["payment_intent_id"].as_str().or(body["intent_id"].as_str());
    let paid = state.checkouts.values_mut().find(|session| {
        session.status == Status::Paid && session.intent.is_some() && session.intent.as_deref() == intent
    });
    let session = paid.ok_or_else(not_found)?;
    let refund = session.give_back(env);
    let refund = refund.ok_or_else(|| unprocessable("the payment is refunded already"))?;
    state.add_refund(refund.clone());
    Ok((200, refund))
}
