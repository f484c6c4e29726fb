//! `expand[]=latest_invoice.payments`: objects in place of their ids ("Expanding responses" in Stripe's reference).

use serde_json::{Value, json};

use super::{
    checkout, lists,
    world::{World, shown},
};
use crate::{
    errors::{ApiError, clean},
    value::{Read, Write},
};

/// Deepest expansion that Stripe allows.
const DEEPEST: usize = 4;

/// An answer with what the call wants expanded, without our own fields.
pub(crate) fn render(w: &World, mut answer: Value, paths: &[Value]) -> Result<Value, ApiError> {
    for path in paths.iter().filter_map(Value::as_str).take(100) {
        let parts: Vec<&str> = path.split('.').collect();
        let is_list = answer.is("object", "list");
        let depth = parts.len() - usize::from(is_list && parts.first() == Some(&"data"));
        if depth > DEEPEST {
            let message = format!(
                "You cannot expand more than {DEEPEST} levels of a property. Property: {}",
                clean(path)
            );
            return Err(ApiError::param("expand", message).before());
        }
        expand(w, &mut answer, &parts).map_err(|()| {
            ApiError::param("expand", format!("This property cannot be expanded ({}).", clean(path))).before()
        })?;
    }
    Ok(shown(&answer))
}

fn expand(w: &World, value: &mut Value, parts: &[&str]) -> Result<(), ()> {
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    match value {
        Value::Null => return Ok(()),
        Value::Array(items) => return items.iter_mut().try_for_each(|item| expand(w, item, parts)),
        Value::Object(_) => {}
        _ => return Err(()),
    }
    if let Some(included) = included(w, value, part) {
        value.put(part, included);
    }
    let owner = value.owned("object");
    let inner = value.get_mut(part).ok_or(())?;
    match inner {
        Value::String(id) => {
            let kind = kind(part, &owner).ok_or(())?;
            *inner = w.find(kind, id).ok_or(())?;
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                if let (Value::String(id), Some(kind)) = (&*item, kind(part, &owner)) {
                    *item = w.find(kind, id).ok_or(())?;
                }
            }
        }
        Value::Number(_) | Value::Bool(_) => return Err(()),
        Value::Null if rest.is_empty() && kind(part, &owner).is_none() => return Err(()),
        _ => {}
    }
    expand(w, inner, rest)
}

/// What an id in a field of this name names.
fn kind(field: &str, owner: &str) -> Option<&'static str> {
    Some(match field {
        "customer" => "customer",
        "payment_method" | "default_payment_method" => "payment_method",
        "payment_intent" => "payment_intent",
        "setup_intent" | "pending_setup_intent" => "setup_intent",
        "charge" | "latest_charge" => "charge",
        "invoice" | "latest_invoice" => "invoice",
        "subscription" | "released_subscription" => "subscription",
        "schedule" => "subscription_schedule",
        "product" => "product",
        "price" | "default_price" => "price",
        "balance_transaction" | "failure_balance_transaction" => "balance_transaction",
        "coupon" => "coupon",
        "promotion_code" => "promotion_code",
        "discount" | "discounts" => "discount",
        "test_clock" => "test_helpers.test_clock",
        "configuration" => "billing_portal.configuration",
        "refund" => "refund",
        "source" if owner == "balance_transaction" => "charge",
        _ => return None,
    })
}

/// Properties that are only there when they are asked for.
fn included(w: &World, value: &Value, field: &str) -> Option<Value> {
    let id = value.owned("id");
    match (value.text("object")?, field) {
        ("checkout.session", "line_items") => Some(checkout::line_items(value)),
        ("invoice", "payments") => {
            let found = w.store.newest("invoice_payment", |payment| payment.is("invoice", &id));
            let found = found.into_iter().cloned().collect();
            Some(lists::whole(found, &format!("/v1/invoice_payments?invoice={id}")))
        }
        ("invoice", "confirmation_secret") => {
            let intent = w.find("payment_intent", &value.owned("_payment_intent"));
            Some(intent.map_or(
                Value::Null,
                |intent| json!({"client_secret": intent.at("client_secret"), "type": "payment_intent"}),
            ))
        }
        ("customer", "subscriptions") => {
            let live = |sub: &Value| sub.is("customer", &id) && !sub.is("status", "canceled");
            let found = w.store.newest("subscription", live).into_iter().cloned().collect();
            Some(lists::whole(found, &format!("/v1/customers/{id}/subscriptions")))
        }
        ("charge", "refunds") => {
            let found =
                w.store.newest("refund", |refund| refund.is("charge", &id)).into_iter().cloned().collect();
            Some(lists::whole(found, &format!("/v1/charges/{id}/refunds")))
        }
        _ => None,
    }
}
