//! Payment intents: `requires_payment_method`, `requires_confirmation`, `requires_action`, `processing`, `succeeded`,
//! `canceled`.

use serde_json::{Value, json};

use super::{
    charges::{self, Went},
    checkout_pay, collection, disputes, payment_methods,
    world::{World, metadata},
};
use crate::{
    cards::{self, Acts},
    errors::{Answer, ApiError},
    money,
    value::{Read, Write},
};

/// How an attempt to pay went.
pub(crate) enum Attempt {
    Paid,
    /// The customer has to authenticate.
    Action,
    /// A debit that is settled later.
    Delayed,
    Declined(ApiError),
}

/// In which circumstances a card is charged.
#[derive(Clone, Copy, Default)]
pub(crate) struct How {
    /// The customer is not there.
    pub off_session: bool,
    /// The customer has just authenticated.
    pub authenticated: bool,
}

/// POST /v1/payment_intents.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    if let Some(customer) = p.text("customer") {
        w.enter(customer, "customer")?;
    }
    let currency = money::currency(p.text("currency").unwrap_or_default(), "currency")?;
    money::chargeable(p.num("amount"), &currency, "amount")?;
    if p.text("capture_method").is_some_and(|method| method.starts_with("manual")) {
        return Err(ApiError::param(
            "capture_method",
            "The sandbox captures at once; it knows no manual capture.",
        ));
    }
    if p.flag("off_session") && !p.flag("confirm") {
        let message = "You cannot set `off_session` without setting `confirm=true`.";
        return Err(ApiError::param("off_session", message));
    }
    let method = given_method(w, p)?;
    check_owner(method.as_ref(), p.at("customer"))?;
    let mut intent = make(w, p.num("amount"), &currency, p.at("customer"));
    intent.copy_from(
        p,
        &["description", "receipt_email", "setup_future_usage", "shipping", "statement_descriptor"],
    );
    intent.put("metadata", metadata(p));
    if let Some(method) = method {
        intent.put("payment_method", method.owned("id"));
        intent.put("status", "requires_confirmation");
    }
    w.save(&intent);
    w.emit("payment_intent.created", &intent);
    if p.flag("confirm") { confirm_with(w, intent, p) } else { Ok(intent) }
}

/// A new intent that waits for a payment method; not saved yet.
pub(crate) fn make(w: &mut World, amount: i64, currency: &str, customer: &Value) -> Value {
    let id = w.id("pi");
    let secret = format!("{id}_secret_{}", w.characters(25));
    json!({
        "id": id,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": null,
        "application_fee_amount": null,
        "automatic_payment_methods": {"allow_redirects": "always", "enabled": true},
        "canceled_at": null,
        "cancellation_reason": null,
        "capture_method": "automatic_async",
        "client_secret": secret,
        "confirmation_method": "automatic",
        "created": w.now,
        "currency": currency,
        "customer": customer,
        "customer_account": null,
        "description": null,
        "excluded_payment_method_types": null,
        "last_payment_error": null,
        "latest_charge": null,
        "livemode": false,
        "metadata": {},
        "next_action": null,
        "on_behalf_of": null,
        "payment_method": null,
        "payment_method_configuration_details": null,
        "payment_method_options": {"card": {"installments": null, "mandate_options": null, "network": null, "request_three_d_secure": "automatic"}},
        "payment_method_types": ["card"],
        "processing": null,
        "receipt_email": null,
        "review": null,
        "setup_future_usage": null,
        "shipping": null,
        "source": null,
        "statement_descriptor": null,
        "statement_descriptor_suffix": null,
        "status": "requires_payment_method",
        "transfer_data": null,
        "transfer_group": null,
    })
}

fn given_method(w: &mut World, p: &Value) -> Result<Option<Value>, ApiError> {
    if let Some(id) = p.text("payment_method") {
        return payment_methods::resolve(w, id, "payment_method").map(Some);
    }
    match p.get("payment_method_data") {
        Some(data) => payment_methods::create(w, data).map(Some),
        None => Ok(None),
    }
}

/// A saved card pays only for its own customer.
pub(crate) fn check_owner(method: Option<&Value>, customer: &Value) -> Result<(), ApiError> {
    let Some(method) = method else { return Ok(()) };
    let owner = method.at("customer");
    if owner.is_string() && owner != customer {
        let message = match customer.as_str() {
            None => "The provided PaymentMethod is attached to a Customer; provide that Customer with it.",
            Some(_) => "The provided PaymentMethod cannot be attached. It belongs to a different Customer.",
        };
        return Err(ApiError::param("payment_method", message));
    }
    if method.flag("_detached") {
        let message = "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared with a connected account without Customer attachment, or was detached from a Customer. It may not be used again.";
        return Err(ApiError::param("payment_method", message));
    }
    Ok(())
}

/// GET …; a client may read its own with the secret.
pub(crate) fn get(w: &mut World, id: &str, p: &Value) -> Answer {
    let intent = w.need("payment_intent", id, "id")?;
    check_secret(&intent, p)?;
    Ok(intent)
}

pub(crate) fn check_secret(intent: &Value, p: &Value) -> Result<(), ApiError> {
    match p.text("client_secret") {
        Some(secret) if !intent.is("client_secret", secret) => {
            let message =
                "The client_secret provided does not match the client_secret associated with the intent.";
            Err(ApiError::param("client_secret", message).code("intent_invalid_state"))
        }
        _ => Ok(()),
    }
}

/// POST /v1/payment_intents/{id}.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut intent = w.need("payment_intent", id, "id")?;
    w.enter_owner(&intent);
    let is_open = intent.text("status").is_some_and(|status| status.starts_with("requires_"));
    let only_words = ["description", "expand", "metadata", "receipt_email"];
    if !is_open && p.as_object().into_iter().flatten().any(|(name, _)| !only_words.contains(&name.as_str())) {
        return Err(unexpected(&intent, "updated"));
    }
    let currency = match p.text("currency") {
        Some(given) => money::currency(given, "currency")?,
        None => intent.owned("currency"),
    };
    let amount = p.int("amount").unwrap_or(intent.num("amount"));
    money::chargeable(amount, &currency, "amount")?;
    if let Some(customer) = p.text("customer") {
        w.enter(customer, "customer")?;
        intent.put("customer", customer);
    }
    let method = given_method(w, p)?;
    check_owner(method.as_ref(), intent.at("customer"))?;
    if let Some(method) = method {
        intent.put("payment_method", method.owned("id"));
        intent.put("status", "requires_confirmation");
    }
    intent.put("amount", amount);
    intent.put("currency", currency);
    intent.copy_from(p, &["description", "receipt_email", "setup_future_usage", "shipping"]);
    intent.merge_metadata(p);
    w.save(&intent);
    Ok(intent)
}

/// POST …/confirm.
pub(crate) fn confirm(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut intent = w.need("payment_intent", id, "id")?;
    check_secret(&intent, p)?;
    w.enter_owner(&intent);
    let method = given_method(w, p)?;
    check_owner(method.as_ref(), intent.at("customer"))?;
    if let Some(method) = method {
        intent.put("payment_method", method.owned("id"));
    }
    intent.copy_from(p, &["receipt_email", "setup_future_usage", "shipping"]);
    confirm_with(w, intent, p)
}

fn confirm_with(w: &mut World, mut intent: Value, p: &Value) -> Answer {
    if !intent.text("status").is_some_and(|status| status.starts_with("requires_")) {
        return Err(unexpected(&intent, "confirmed"));
    }
    let Some(method) = intent.text("payment_method").map(str::to_owned) else {
        let message = "You cannot confirm this PaymentIntent because it's missing a payment method. You can either update the PaymentIntent with a payment method and then confirm it again, or confirm it again directly with a payment method or ConfirmationToken.";
        return Err(ApiError::invalid(message).code("payment_intent_unexpected_state"));
    };
    let method = w.need("payment_method", &method, "payment_method")?;
    intent.put("_return_url", p.at("return_url").clone());
    // `one_off` and `recurring` are older words for it.
    let off_session = p.flag("off_session") || p.at("off_session").is_string();
    let attempt = attempt(w, &mut intent, &method, How { off_session, authenticated: false });
    if let (Attempt::Action, true) = (&attempt, p.flag("error_on_requires_action")) {
        let error =
            decline(w, &mut intent, &method, "authentication_required", Some("authentication_required"));
        after(w, &intent);
        return Err(error);
    }
    after(w, &intent);
    match attempt {
        Attempt::Declined(error) => Err(error),
        _ => Ok(w.find("payment_intent", &intent.owned("id")).unwrap_or(intent)),
    }
}

/// Charges a payment method. The intent is saved, whatever comes of it.
pub(crate) fn attempt(w: &mut World, intent: &mut Value, method: &Value, how: How) -> Attempt {
    let Some(card) = payment_methods::card(method) else {
        return Attempt::Declined(decline(w, intent, method, "card_declined", Some("generic_decline")));
    };
    intent.put("payment_method", method.owned("id"));
    if card.is_debit() {
        intent.put("payment_method_types", json!(["card", "sepa_debit"]));
    }
    let asks = match card.acts {
        Acts::Asks | Acts::AsksAndDeclines => true,
        Acts::AsksUnlessSaved => !(how.off_session && method.flag("_authenticated")),
        _ => false,
    };
    if asks && !how.authenticated {
        if how.off_session && intent.at("_invoice").is_null() {
            let code = Some("authentication_required");
            return Attempt::Declined(decline(w, intent, method, "authentication_required", code));
        }
        return ask(w, intent);
    }
    intent.put("next_action", Value::Null);
    match card.acts {
        Acts::Declines(code, reason) => Attempt::Declined(decline(w, intent, method, code, reason)),
        Acts::DeclinesLater => {
            Attempt::Declined(decline(w, intent, method, "card_declined", Some("generic_decline")))
        }
        Acts::AsksAndDeclines => {
            Attempt::Declined(decline(w, intent, method, "card_declined", Some("insufficient_funds")))
        }
        Acts::Delays | Acts::DelaysAndFails => {
            let charge = charges::make(w, intent, method, card, &Went::Pending);
            intent.put("latest_charge", charge.owned("id"));
            intent.put("status", "processing");
            w.save(intent);
            w.emit("payment_intent.processing", intent);
            let due = w.now + w.config.settle_seconds;
            w.later(intent, due, super::clock::Task::SettlePayment);
            Attempt::Delayed
        }
        acts => {
            let charge = charges::make(w, intent, method, card, &Went::Succeeded);
            succeed(w, intent, &charge);
            save_method(w, intent, method, how.authenticated);
            match acts {
                Acts::Disputes => disputes::open(w, &charge, card.brand, false),
                Acts::Inquires => disputes::open(w, &charge, card.brand, true),
                _ => {}
            }
            Attempt::Paid
        }
    }
}

fn ask(w: &mut World, intent: &mut Value) -> Attempt {
    let url = w.url(&format!(
        "/authenticate/{}?client_secret={}",
        intent.owned("id"),
        intent.owned("client_secret")
    ));
    let return_url = intent.at("_return_url").clone();
    intent.put("status", "requires_action");
    intent.put(
        "next_action",
        json!({"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": url}}),
    );
    w.save(intent);
    w.emit("payment_intent.requires_action", intent);
    Attempt::Action
}

fn succeed(w: &mut World, intent: &mut Value, charge: &Value) {
    intent.put("status", "succeeded");
    intent.put("amount_received", intent.num("amount"));
    intent.put("latest_charge", charge.owned("id"));
    intent.put("last_payment_error", Value::Null);
    intent.put("next_action", Value::Null);
    w.save(intent);
    w.emit("payment_intent.succeeded", intent);
}

/// `setup_future_usage` attaches what has paid.
fn save_method(w: &mut World, intent: &Value, method: &Value, authenticated: bool) {
    let (Some(customer), true) = (intent.text("customer"), intent.at("setup_future_usage").is_string())
    else {
        return;
    };
    let mut method = method.clone();
    if authenticated {
        method.put("_authenticated", true);
        w.save(&method);
    }
    if method.at("customer").is_null() {
        // It has just paid, so that it can be attached.
        let _ = payment_methods::attach_to(w, method, customer);
    }
}

/// Notes a declined payment; the error carries the intent.
fn decline(w: &mut World, intent: &mut Value, method: &Value, code: &str, reason: Option<&str>) -> ApiError {
    let message = cards::decline_message(code, reason);
    let mut error = ApiError::card(code, reason, message);
    if let Some(card) = payment_methods::card(method) {
        let charge = charges::make(w, intent, method, card, &Went::Failed(code, reason, message));
        intent.put("latest_charge", charge.owned("id"));
        error = error.with("charge", charge.owned("id"));
    }
    fail(w, intent, method, error)
}

fn fail(w: &mut World, intent: &mut Value, method: &Value, error: ApiError) -> ApiError {
    intent.put("status", "requires_payment_method");
    intent.put("next_action", Value::Null);
    intent.put("payment_method", Value::Null);
    let mut last = error.body.clone();
    last.put("payment_method", super::world::shown(method));
    intent.put("last_payment_error", last);
    w.save(intent);
    w.emit("payment_intent.payment_failed", intent);
    error
        .with("payment_intent", super::world::shown(intent))
        .with("payment_method", super::world::shown(method))
}

/// What belongs to the intent goes on: an invoice, a checkout.
fn after(w: &mut World, intent: &Value) {
    collection::intent_changed(w, intent);
    checkout_pay::intent_changed(w, intent);
}

/// The customer has authenticated, or failed to.
pub(crate) fn authenticated(w: &mut World, id: &str, ok: bool) -> Result<Value, ApiError> {
    let mut intent = w.need("payment_intent", id, "id")?;
    if !intent.is("status", "requires_action") {
        return Err(unexpected(&intent, "authenticated"));
    }
    w.enter_owner(&intent);
    let method = w.need("payment_method", &intent.owned("payment_method"), "payment_method")?;
    if ok {
        let _ = attempt(w, &mut intent, &method, How { off_session: false, authenticated: true });
    } else {
        let code = "payment_intent_authentication_failure";
        let error = ApiError::invalid(cards::decline_message(code, None)).code(code);
        let _ = fail(w, &mut intent, &method, error);
    }
    after(w, &intent);
    Ok(intent)
}

/// A delayed payment is settled.
pub(crate) fn settle(w: &mut World, id: &str) {
    let Some(mut intent) = w.find("payment_intent", id).filter(|intent| intent.is("status", "processing"))
    else {
        return;
    };
    let method = w.find("payment_method", &intent.owned("payment_method")).unwrap_or_default();
    let Some(mut charge) = w.find("charge", &intent.owned("latest_charge")) else { return };
    if payment_methods::card(&method).is_some_and(|card| card.acts == Acts::DelaysAndFails) {
        let message = "The customer's bank account has insufficient funds to cover this payment.";
        charge.put("status", "failed");
        charge.put("failure_code", "insufficient_funds");
        charge.put("failure_message", message);
        w.save(&charge);
        w.emit("charge.failed", &charge);
        let error = ApiError::card("payment_intent_payment_attempt_failed", None, message);
        let _ = fail(w, &mut intent, &method, error);
    } else {
        charges::book(w, &mut charge);
        succeed(w, &mut intent, &charge);
    }
    after(w, &intent);
}

/// POST …/cancel.
pub(crate) fn cancel(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut intent = w.need("payment_intent", id, "id")?;
    check_reason(p)?;
    w.enter_owner(&intent);
    if !intent.at("_invoice").is_null() {
        let message =
            "You cannot cancel a PaymentIntent that is associated with an invoice. Void the invoice instead.";
        return Err(ApiError::invalid(message).code("payment_intent_unexpected_state"));
    }
    if !intent.text("status").is_some_and(|status| status.starts_with("requires_")) {
        return Err(unexpected(&intent, "canceled"));
    }
    stop(w, &mut intent, p.at("cancellation_reason").clone());
    Ok(intent)
}

/// Why somebody cancels an intent.
pub(crate) fn check_reason(p: &Value) -> Result<(), ApiError> {
    let known = ["abandoned", "duplicate", "fraudulent", "requested_by_customer"];
    match p.text("cancellation_reason") {
        Some(reason) if !known.contains(&reason) => {
            let message = format!("Invalid cancellation_reason: must be one of {}", known.join(", "));
            Err(ApiError::param("cancellation_reason", message).before())
        }
        _ => Ok(()),
    }
}

/// Cancels an intent that nobody has paid.
pub(crate) fn stop(w: &mut World, intent: &mut Value, reason: Value) {
    if !intent.text("status").is_some_and(|status| status.starts_with("requires_")) {
        return;
    }
    intent.put("status", "canceled");
    intent.put("canceled_at", w.now);
    intent.put("cancellation_reason", reason);
    intent.put("next_action", Value::Null);
    w.save(intent);
    w.emit("payment_intent.canceled", intent);
}

fn unexpected(intent: &Value, what: &str) -> ApiError {
    let status = intent.owned("status");
    let message = format!("This PaymentIntent could not be {what} because it has a status of {status}.");
    let error = ApiError::invalid(message).code("payment_intent_unexpected_state");
    error.with("payment_intent", super::world::shown(intent))
}
