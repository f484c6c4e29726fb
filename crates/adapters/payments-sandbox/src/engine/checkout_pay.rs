//! What happens when a buyer pays on the checkout page.

use serde_json::{Value, json};

use super::{
    checkout, customers, discounts, invoices,
    payment_intents::{self, Attempt, How},
    payment_methods, setup_intents, subscription_start,
    world::{World, metadata, shown},
};
use crate::{
    cards::{Acts, Card},
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// Where a buyer goes on.
pub(crate) enum Step {
    /// Paid, or will be: back to the shop.
    Done,
    /// To the bank, at this address.
    Authenticate(String),
}

/// Whether no card is needed: nothing to pay, and the shop does not insist.
pub(crate) fn is_free(session: &Value) -> bool {
    let total = session.int("amount_total");
    match session.text("mode") {
        Some("payment") => total == Some(0),
        Some("subscription") => total == Some(0) && session.is("payment_method_collection", "if_required"),
        _ => false,
    }
}

/// Pays an open session with a payment method, or without one where nothing is to be paid.
pub(crate) fn pay(
    w: &mut World,
    id: &str,
    method: Option<Value>,
    email: &Value,
    name: &Value,
) -> Result<Step, ApiError> {
    let mut session = w.need("checkout.session", id, "id")?;
    if !session.is("status", "open") {
        return Err(
            ApiError::invalid("This Checkout Session is no longer open.").code("checkout_session_not_open")
        );
    }
    w.enter_owner(&session);
    let known = session.at("customer_details.email").clone();
    let email = if known.is_string() { &known } else { email };
    session.put("customer_details", checkout::details(email, name));
    w.save(&session);
    let Some(method) = method else {
        if !is_free(&session) {
            return Err(ApiError::missing("payment_method"));
        }
        return match session.text("mode") {
            Some("subscription") => subscribe(w, session, None, false),
            _ => {
                complete(w, session, "no_payment_required");
                Ok(Step::Done)
            }
        };
    };
    if !session.is("mode", "payment") && payment_methods::card(&method).is_some_and(Card::is_debit) {
        return Err(ApiError::param("payment_method", "Bank debits are for single payments only."));
    }
    match session.text("mode") {
        Some("payment") => pay_once(w, session, method),
        Some("subscription") => {
            let acts = payment_methods::card(&method).map_or(Acts::Pays, |card| card.acts);
            if matches!(acts, Acts::Asks | Acts::AsksUnlessSaved | Acts::AsksAndDeclines) {
                session.put("_method", method.owned("id"));
                let address = w.url(&format!("/authenticate/{id}"));
                w.save(&session);
                return Ok(Step::Authenticate(address));
            }
            subscribe(w, session, Some(method), false)
        }
        _ => set_up(w, session, method),
    }
}

fn customer_of(w: &mut World, session: &mut Value) -> Result<Value, ApiError> {
    if let Some(customer) = session.text("customer").map(str::to_owned) {
        return w.enter(&customer, "customer");
    }
    let details = session.at("customer_details").clone();
    let customer = customers::of_buyer(w, details.at("email"), details.at("name"))?;
    session.put("customer", customer.owned("id"));
    w.save(session);
    Ok(customer)
}

fn pay_once(w: &mut World, mut session: Value, method: Value) -> Result<Step, ApiError> {
    let data = session.at("_payment_intent_data").clone();
    let wants_customer = session.is("customer_creation", "always")
        || session.flag("invoice_creation.enabled")
        || data.at("setup_future_usage").is_string();
    if wants_customer {
        customer_of(w, &mut session)?;
    }
    payment_intents::check_owner(Some(&method), session.at("customer"))?;
    let existing = w.find("payment_intent", &session.owned("_payment_intent"));
    let mut intent = match existing
        .filter(|intent| intent.text("status").is_some_and(|status| status.starts_with("requires_")))
    {
        Some(intent) => intent,
        None => {
            let (amount, currency) = (session.num("amount_total"), session.owned("currency"));
            let mut intent = payment_intents::make(w, amount, &currency, session.at("customer"));
            intent.put("metadata", metadata(&data));
            intent.copy_from(
                &data,
                &["description", "receipt_email", "setup_future_usage", "statement_descriptor"],
            );
            intent.put("_session", session.owned("id"));
            intent.put("_return_url", w.url(&format!("/checkout/{}", session.owned("id"))));
            w.save(&intent);
            w.emit("payment_intent.created", &intent);
            session.put("_payment_intent", intent.owned("id"));
            session.put("payment_intent", intent.owned("id"));
            w.save(&session);
            intent
        }
    };
    // A buyer may have typed a promotion code between two tries.
    intent.put("amount", session.num("amount_total"));
    intent.put("customer", session.at("customer").clone());
    match payment_intents::attempt(w, &mut intent, &method, How::default()) {
        Attempt::Paid => {
            complete(w, session, "paid");
            Ok(Step::Done)
        }
        Attempt::Delayed => {
            complete(w, session, "unpaid");
            Ok(Step::Done)
        }
        Attempt::Action => Ok(Step::Authenticate(intent.owned("next_action.redirect_to_url.url"))),
        Attempt::Declined(error) => Err(error),
    }
}

/// Begins the subscription of a session; if it cannot be paid, there is none.
fn subscribe(
    w: &mut World,
    session: Value,
    method: Option<Value>,
    authenticated: bool,
) -> Result<Step, ApiError> {
    let saved = w.clone();
    let step = try_subscribe(w, session, method, authenticated);
    if step.is_err() {
        *w = saved;
    }
    step
}

fn try_subscribe(
    w: &mut World,
    mut session: Value,
    method: Option<Value>,
    authenticated: bool,
) -> Result<Step, ApiError> {
    let customer = customer_of(w, &mut session)?;
    let data = session.at("_subscription_data").clone();
    let is_recurring = |item: &&Value| item.at("price.recurring").is_object();
    let told = |item: &Value| json!({"price": item.at("price.id"), "quantity": item.at("quantity")});
    let items: Vec<Value> = session.list("_items").iter().filter(is_recurring).map(told).collect();
    let others: Vec<Value> =
        session.list("_items").iter().filter(|item| !is_recurring(item)).map(told).collect();
    let mut p = json!({
        "items": items, "add_invoice_items": others, "payment_behavior": "error_if_incomplete",
        "discounts": session.at("_discounts"), "metadata": data.at("metadata"),
    });
    p.copy_from(
        &data,
        &[
            "description",
            "trial_end",
            "trial_period_days",
            "trial_settings",
            "billing_cycle_anchor",
            "proration_behavior",
        ],
    );
    if let Some(mut method) = method {
        if authenticated {
            method.put("_authenticated", true);
            w.save(&method);
        }
        payment_intents::check_owner(Some(&method), customer.at("id"))?;
        let method = payment_methods::attach_to(w, method, &customer.owned("id"))?;
        p.put("default_payment_method", method.owned("id"));
    }
    // Prices of `price_data` are inactive, and stay usable for the session that they were made for.
    let inactive: Vec<Value> = session
        .list("_items")
        .iter()
        .filter_map(|item| w.find("price", &item.owned("price.id")))
        .filter(|price| !price.flag("active"))
        .collect();
    for price in &inactive {
        let mut price = price.clone();
        price.put("active", true);
        w.save(&price);
    }
    let how = How { off_session: false, authenticated };
    let started = subscription_start::start(w, &customer, &p, how);
    for price in &inactive {
        w.save(price);
    }
    let (sub, failure) = started?;
    if let Some(error) = failure {
        return Err(error);
    }
    session.put("subscription", sub.owned("id"));
    session.put("invoice", sub.at("latest_invoice").clone());
    let invoice = w.find("invoice", &sub.owned("latest_invoice")).unwrap_or_default();
    let status = match (session.num("amount_total"), invoice.text("status")) {
        (0, _) => "no_payment_required",
        (_, Some("paid")) => "paid",
        _ => "unpaid",
    };
    if status == "unpaid"
        && let Some(mut intent) = w.find("payment_intent", &invoice.owned("_payment_intent"))
    {
        intent.put("_session", session.owned("id"));
        w.save(&intent);
    }
    session.put("_redeemed", true);
    complete(w, session, status);
    Ok(Step::Done)
}

fn set_up(w: &mut World, mut session: Value, method: Value) -> Result<Step, ApiError> {
    let customer = match session.text("customer").map(str::to_owned) {
        Some(_) => customer_of(w, &mut session)?.at("id").clone(),
        None if session.is("customer_creation", "always") => customer_of(w, &mut session)?.at("id").clone(),
        None => Value::Null,
    };
    payment_intents::check_owner(Some(&method), &customer)?;
    let existing = w.find("setup_intent", &session.owned("setup_intent"));
    let intent = match existing
        .filter(|intent| intent.text("status").is_some_and(|status| status.starts_with("requires_")))
    {
        Some(intent) => intent,
        None => {
            let data = session.at("_setup_intent_data").clone();
            let mut intent = setup_intents::make(w, &customer);
            intent.put("metadata", metadata(&data));
            intent.copy_from(&data, &["description"]);
            intent.put("_session", session.owned("id"));
            intent.put("_return_url", w.url(&format!("/checkout/{}", session.owned("id"))));
            w.save(&intent);
            w.emit("setup_intent.created", &intent);
            session.put("setup_intent", intent.owned("id"));
            w.save(&session);
            intent
        }
    };
    let intent = setup_intents::attempt(w, intent, method, false)?;
    if intent.is("status", "requires_action") {
        return Ok(Step::Authenticate(intent.owned("next_action.redirect_to_url.url")));
    }
    complete(w, session, "no_payment_required");
    Ok(Step::Done)
}

/// The buyer of a subscription has authenticated, or failed to.
pub(crate) fn authenticated(w: &mut World, id: &str, ok: bool) -> Result<Step, ApiError> {
    let mut session = w.need("checkout.session", id, "id")?;
    let method = w.need("payment_method", &session.owned("_method"), "payment_method")?;
    session.put("_method", Value::Null);
    w.save(&session);
    if !session.is("status", "open") {
        return Err(ApiError::invalid("This Checkout Session is no longer open."));
    }
    w.enter_owner(&session);
    if !ok {
        let code = "payment_intent_authentication_failure";
        return Err(ApiError::invalid(crate::cards::decline_message(code, None)).code(code));
    }
    subscribe(w, session, Some(method), true)
}

/// The intent of a session has moved: the buyer authenticated, or a delayed payment was settled.
pub(crate) fn intent_changed(w: &mut World, intent: &Value) {
    let Some(mut session) = w.find("checkout.session", &intent.owned("_session")) else { return };
    let is_complete = session.is("status", "complete");
    match intent.text("status") {
        Some("succeeded") if session.is("status", "open") => complete(w, session, "paid"),
        Some("processing") if session.is("status", "open") => complete(w, session, "unpaid"),
        Some("succeeded") if is_complete && session.is("payment_status", "unpaid") => {
            session.put("payment_status", "paid");
            w.save(&session);
            make_invoice(w, &mut session);
            w.emit("checkout.session.async_payment_succeeded", &session);
        }
        Some("requires_payment_method") if is_complete && session.is("payment_status", "unpaid") => {
            w.emit("checkout.session.async_payment_failed", &session);
        }
        _ => {}
    }
}

/// The setup intent of a session has moved.
pub(crate) fn setup_changed(w: &mut World, intent: &Value) {
    let session = w.find("checkout.session", &intent.owned("_session"));
    if let Some(session) =
        session.filter(|session| session.is("status", "open") && intent.is("status", "succeeded"))
    {
        complete(w, session, "no_payment_required");
    }
}

fn complete(w: &mut World, mut session: Value, payment_status: &str) {
    session.put("status", "complete");
    session.put("payment_status", payment_status);
    session.put("url", Value::Null);
    let given = session.at("_discounts").clone();
    if !session.flag("_redeemed") && given.is_array() {
        let id = session.owned("id");
        // It was checked with the price; a coupon that was used up meanwhile has been granted all the same.
        let _ = discounts::redeem(w, &given, session.at("customer"), ("checkout_session", &id));
    }
    w.save(&session);
    if payment_status == "paid" {
        make_invoice(w, &mut session);
    }
    w.emit("checkout.session.completed", &session);
}

/// `invoice_creation[enabled]`: a paid invoice of a single payment.
fn make_invoice(w: &mut World, session: &mut Value) {
    if !session.flag("invoice_creation.enabled") || !session.at("invoice").is_null() {
        return;
    }
    let Some(customer) = w.find("customer", &session.owned("customer")) else { return };
    let data = session.at("invoice_creation.invoice_data").clone();
    let mut invoice = invoices::make(w, &customer, &session.owned("currency"), "manual", None);
    let mut lines = Vec::new();
    for item in session.list("_line_items") {
        let mut line = invoices::Line::plain(item.num("amount_total"), item.owned("description"), w.now);
        line.quantity = item.num("quantity");
        line.price = item.at("price").clone();
        lines.push(line);
    }
    invoices::add_lines(w, &mut invoice, &lines);
    invoice.copy_from(&data, &["description", "footer"]);
    invoice.put("metadata", metadata(&data));
    invoices::name(w, &mut invoice);
    let total = invoice.num("total");
    invoice.put("auto_advance", false);
    invoice.put("starting_balance", 0);
    invoice.put("ending_balance", 0);
    for (name, amount) in [("amount_due", total), ("amount_paid", total), ("amount_remaining", 0)] {
        invoice.put(name, amount);
    }
    invoice.put("status", "paid");
    invoice.put("attempted", true);
    invoice.put("effective_at", w.now);
    invoice.put("status_transitions.finalized_at", w.now);
    invoice.put("status_transitions.paid_at", w.now);
    invoice.put("_payment_intent", session.owned("payment_intent"));
    w.save(&invoice);
    let payment = json!({
        "id": w.id("inpay"), "object": "invoice_payment", "amount_paid": total, "amount_requested": total, "created": w.now,
        "currency": session.at("currency"), "invoice": invoice.at("id"), "is_default": true, "livemode": false,
        "payment": {"payment_intent": session.at("payment_intent"), "type": "payment_intent"}, "status": "paid",
        "status_transitions": {"canceled_at": null, "paid_at": w.now},
    });
    w.save(&payment);
    session.put("invoice", invoice.owned("id"));
    w.save(session);
    for what in ["invoice.created", "invoice.finalized", "invoice.paid", "invoice.payment_succeeded"] {
        w.emit(what, &invoice);
    }
}

/// GET /v1/payment_pages/{cs}: undocumented; Stripe's CLI reads it.
pub(crate) fn page_of(w: &World, id: &str) -> Answer {
    let session = w.need("checkout.session", id, "id")?;
    let mut page = shown(&session);
    page.put("object", "checkout.session");
    page.put("session_id", id);
    page.put("line_items", checkout::line_items(&session));
    Ok(page)
}

/// POST …/confirm: undocumented; Stripe's CLI pays by it.
pub(crate) fn confirm_page(w: &mut World, id: &str, p: &Value) -> Answer {
    let session = w.need("checkout.session", id, "id")?;
    let expected = p.at("expected_amount");
    let expected = expected.as_i64().or_else(|| expected.as_str()?.parse().ok());
    if expected.is_some_and(|amount| amount != session.num("amount_total")) {
        let message = "The amount of the session has changed.";
        return Err(ApiError::param("expected_amount", message).code("checkout_amount_mismatch"));
    }
    let method = p.text("payment_method").ok_or_else(|| ApiError::missing("payment_method"))?;
    let method = payment_methods::resolve(w, method, "payment_method")?;
    let details = method.at("billing_details").clone();
    pay(w, id, Some(method), details.at("email"), details.at("name"))?;
    page_of(w, id)
}
