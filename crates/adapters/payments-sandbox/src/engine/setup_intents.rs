//! Setup intents: saving a card for later, with authentication where the bank wants it.

use serde_json::{Value, json};

use super::{
    payment_intents, payment_methods,
    world::{World, metadata, shown},
};
use crate::{
    cards::{self, Acts},
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// POST /v1/setup_intents.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    if let Some(customer) = p.text("customer") {
        w.enter(customer, "customer")?;
    }
    let method =
        p.text("payment_method").map(|id| payment_methods::resolve(w, id, "payment_method")).transpose()?;
    payment_intents::check_owner(method.as_ref(), p.at("customer"))?;
    let mut intent = make(w, p.at("customer"));
    intent.copy_from(p, &["description"]);
    intent.put("usage", p.text("usage").unwrap_or("off_session"));
    intent.put("metadata", metadata(p));
    if let Some(method) = method {
        intent.put("payment_method", method.owned("id"));
        intent.put("status", "requires_confirmation");
    }
    w.save(&intent);
    w.emit("setup_intent.created", &intent);
    if p.flag("confirm") { confirm_with(w, intent, p) } else { Ok(intent) }
}

/// A new intent; not saved yet.
pub(crate) fn make(w: &mut World, customer: &Value) -> Value {
    let id = w.id("seti");
    let secret = format!("{id}_secret_{}", w.characters(25));
    json!({
        "id": id,
        "object": "setup_intent",
        "application": null,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": true},
        "cancellation_reason": null,
        "client_secret": secret,
        "created": w.now,
        "customer": customer,
        "customer_account": null,
        "description": null,
        "excluded_payment_method_types": null,
        "flow_directions": null,
        "last_setup_error": null,
        "latest_attempt": null,
        "livemode": false,
        "mandate": null,
        "metadata": {},
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": null,
        "payment_method_configuration_details": null,
        "payment_method_options": {"card": {"mandate_options": null, "network": null, "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "single_use_mandate": null,
        "status": "requires_payment_method",
        "usage": "off_session",
    })
}

/// GET …; a client may read its own with the secret.
pub(crate) fn get(w: &mut World, id: &str, p: &Value) -> Answer {
    let intent = w.need("setup_intent", id, "id")?;
    payment_intents::check_secret(&intent, p)?;
    Ok(intent)
}

/// POST /v1/setup_intents/{id}.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut intent = open(w, id, "updated")?;
    if let Some(customer) = p.text("customer") {
        w.enter(customer, "customer")?;
        intent.put("customer", customer);
    }
    if let Some(method) = p.text("payment_method") {
        let method = payment_methods::resolve(w, method, "payment_method")?;
        payment_intents::check_owner(Some(&method), intent.at("customer"))?;
        intent.put("payment_method", method.owned("id"));
        intent.put("status", "requires_confirmation");
    }
    intent.copy_from(p, &["description"]);
    intent.merge_metadata(p);
    w.save(&intent);
    Ok(intent)
}

fn open(w: &mut World, id: &str, what: &str) -> Answer {
    let intent = w.need("setup_intent", id, "id")?;
    w.enter_owner(&intent);
    let status = intent.owned("status");
    if status.starts_with("requires_") {
        return Ok(intent);
    }
    let message = format!("This SetupIntent could not be {what} because it has a status of {status}.");
    Err(ApiError::invalid(message).code("setup_intent_unexpected_state").with("setup_intent", shown(&intent)))
}

/// POST …/confirm.
pub(crate) fn confirm(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut intent = open(w, id, "confirmed")?;
    payment_intents::check_secret(&intent, p)?;
    let method = match (p.text("payment_method"), p.get("payment_method_data")) {
        (Some(method), _) => Some(payment_methods::resolve(w, method, "payment_method")?),
        (None, Some(data)) => Some(payment_methods::create(w, data)?),
        (None, None) => None,
    };
    payment_intents::check_owner(method.as_ref(), intent.at("customer"))?;
    if let Some(method) = method {
        intent.put("payment_method", method.owned("id"));
    }
    confirm_with(w, intent, p)
}

fn confirm_with(w: &mut World, mut intent: Value, p: &Value) -> Answer {
    let Some(method) = intent.text("payment_method").map(str::to_owned) else {
        let message = "You cannot confirm this SetupIntent because it's missing a payment method.";
        return Err(ApiError::invalid(message).code("setup_intent_unexpected_state"));
    };
    let method = w.need("payment_method", &method, "payment_method")?;
    intent.put("_return_url", p.at("return_url").clone());
    attempt(w, intent, method, false)
}

/// Saves a card; the customer has authenticated or may have to.
pub(crate) fn attempt(w: &mut World, mut intent: Value, mut method: Value, authenticated: bool) -> Answer {
    let acts = payment_methods::card(&method).map_or(Acts::Pays, |card| card.acts);
    intent.put("payment_method", method.owned("id"));
    if let Acts::Declines(code, reason) = acts {
        let error = ApiError::card(code, reason, cards::decline_message(code, reason));
        return Err(fail(w, &mut intent, &method, error));
    }
    if matches!(acts, Acts::Asks | Acts::AsksUnlessSaved | Acts::AsksAndDeclines) && !authenticated {
        let url = w.url(&format!(
            "/authenticate/{}?client_secret={}",
            intent.owned("id"),
            intent.owned("client_secret")
        ));
        let redirect = json!({"return_url": intent.at("_return_url"), "url": url});
        intent.put("status", "requires_action");
        intent.put("next_action", json!({"type": "redirect_to_url", "redirect_to_url": redirect}));
        w.save(&intent);
        w.emit("setup_intent.requires_action", &intent);
        return Ok(intent);
    }
    if authenticated {
        method.put("_authenticated", true);
        w.save(&method);
    }
    if let Some(customer) = intent.text("customer").map(str::to_owned) {
        payment_methods::attach_to(w, method, &customer)?;
    }
    intent.put("status", "succeeded");
    intent.put("next_action", Value::Null);
    intent.put("last_setup_error", Value::Null);
    w.save(&intent);
    w.emit("setup_intent.succeeded", &intent);
    Ok(intent)
}

fn fail(w: &mut World, intent: &mut Value, method: &Value, error: ApiError) -> ApiError {
    let mut last = error.body.clone();
    last.put("payment_method", shown(method));
    intent.put("last_setup_error", last);
    intent.put("status", "requires_payment_method");
    intent.put("payment_method", Value::Null);
    intent.put("next_action", Value::Null);
    w.save(intent);
    w.emit("setup_intent.setup_failed", intent);
    error.with("setup_intent", shown(intent)).with("payment_method", shown(method))
}

/// The customer has authenticated, or failed to.
pub(crate) fn authenticated(w: &mut World, id: &str, ok: bool) -> Answer {
    let mut intent = open(w, id, "authenticated")?;
    let method = w.need("payment_method", &intent.owned("payment_method"), "payment_method")?;
    let answer = if ok {
        attempt(w, intent, method, true)
    } else {
        let code = "setup_intent_authentication_failure";
        let error = ApiError::invalid(cards::decline_message(code, None)).code(code);
        Err(fail(w, &mut intent, &method, error))
    };
    let now = w.need("setup_intent", id, "id")?;
    super::checkout_pay::setup_changed(w, &now);
    answer.map(|_| now)
}

/// POST …/cancel.
pub(crate) fn cancel(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut intent = open(w, id, "canceled")?;
    payment_intents::check_reason(p)?;
    intent.put("status", "canceled");
    intent.put("cancellation_reason", p.at("cancellation_reason").clone());
    intent.put("next_action", Value::Null);
    w.save(&intent);
    w.emit("setup_intent.canceled", &intent);
    Ok(intent)
}
