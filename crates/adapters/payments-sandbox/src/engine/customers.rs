//! Customers.

use serde_json::{Value, json};

use super::{
    payment_methods, subscriptions,
    world::{World, metadata},
};
use crate::{
    errors::{Answer, ApiError},
    money,
    value::{Read, Write},
};

const PLAIN: [&str; 10] = [
    "address",
    "business_name",
    "description",
    "email",
    "individual_name",
    "name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
];

/// POST /v1/customers.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    if let Some(clock) = p.text("test_clock") {
        w.need("test_helpers.test_clock", clock, "test_clock")?;
        w.enter_clock(clock);
    }
    check(p)?;
    let id = w.id("cus");
    let mut customer = json!({
        "id": id,
        "object": "customer",
        "address": null,
        "balance": 0,
        "created": w.now,
        "currency": null,
        "default_source": null,
        "delinquent": false,
        "description": null,
        "discount": null,
        "email": null,
        "invoice_prefix": w.characters(8).to_uppercase(),
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null,
        },
        "livemode": false,
        "metadata": metadata(p),
        "name": null,
        "next_invoice_sequence": 1,
        "phone": null,
        "preferred_locales": [],
        "shipping": null,
        "tax_exempt": "none",
        "test_clock": p.at("test_clock"),
    });
    set(&mut customer, p);
    // A payment method that cannot be saved leaves no customer behind.
    let token = p.text("payment_method").or_else(|| p.text("source"));
    let found = token.map(|token| payment_methods::resolve(w, token, "payment_method")).transpose()?;
    if let Some(method) = &found {
        payment_methods::check_attachable(method)?;
    }
    w.save(&customer);
    if let Some(method) = found {
        let attached = payment_methods::attach_to(w, method, &id)?;
        if p.text("source").is_some() {
            customer.put("invoice_settings.default_payment_method", attached.owned("id"));
        }
    }
    default_method(w, &mut customer, p)?;
    w.save(&customer);
    w.emit("customer.created", &customer);
    Ok(customer)
}

/// POST /v1/customers/{id}.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut customer = live(w, id)?;
    check(p)?;
    let before = customer.clone();
    set(&mut customer, p);
    customer.merge_metadata(p);
    if let Some(source) = p.text("source") {
        let method = payment_methods::resolve(w, source, "source")?;
        let attached = payment_methods::attach_to(w, method, id)?;
        customer.put("invoice_settings.default_payment_method", attached.owned("id"));
    }
    default_method(w, &mut customer, p)?;
    w.save(&customer);
    w.emit_update("customer.updated", &before, &customer);
    Ok(customer)
}

/// DELETE /v1/customers/{id}: subscriptions end at once.
pub(crate) fn delete(w: &mut World, id: &str) -> Answer {
    let customer = live(w, id)?;
    let subscriptions: Vec<String> = w
        .store
        .all("subscription")
        .filter(|sub| sub.is("customer", id) && !subscriptions::is_over(sub))
        .map(|sub| sub.owned("id"))
        .collect();
    for subscription in subscriptions {
        subscriptions::end(w, &subscription, "cancellation_requested");
    }
    w.emit("customer.deleted", &customer);
    let clock = customer.at("test_clock").clone();
    let gone = json!({"id": id, "object": "customer", "deleted": true, "_clock": clock});
    w.save(&gone);
    Ok(json!({"id": id, "object": "customer", "deleted": true}))
}

/// A customer of the path that can be changed.
fn live(w: &mut World, id: &str) -> Answer {
    let customer = w.enter(id, "id")?;
    if customer.flag("deleted") {
        return Err(ApiError::no_such("customer", id, "id"));
    }
    Ok(customer)
}

fn check(p: &Value) -> Result<(), ApiError> {
    if let Some(email) = p.text("email") {
        let parts: Vec<&str> = email.split('@').collect();
        let is_fine = parts.len() == 2 && parts.iter().all(|part| !part.is_empty());
        if !is_fine || email.contains(char::is_whitespace) || email.chars().count() > 512 {
            let message = format!("Invalid email address: {}", crate::errors::clean(email));
            return Err(ApiError::param("email", message).code("email_invalid"));
        }
    }
    if let Some(balance) = p.int("balance")
        && balance.abs() > 99_999_999
    {
        return Err(ApiError::param("balance", "Invalid integer").code("parameter_invalid_integer"));
    }
    Ok(())
}

fn set(customer: &mut Value, p: &Value) {
    for name in PLAIN {
        if let Some(value) = p.get(name) {
            let value = match name {
                "address" if value.is_object() => address(value),
                "shipping" if value.is_object() => {
                    json!({"address": address(value.at("address")), "name": value.at("name"), "phone": value.at("phone")})
                }
                "tax_exempt" if value.is_null() => json!("none"),
                "preferred_locales" if value.is_null() => json!([]),
                _ => value.clone(),
            };
            customer.put(name, value);
        }
    }
    if let Some(balance) = p.int("balance") {
        customer.put("balance", balance);
    }
    if let Some(settings) = p.get("invoice_settings") {
        for name in ["custom_fields", "footer"] {
            if let Some(value) = settings.get(name) {
                customer.put(&format!("invoice_settings.{name}"), value.clone());
            }
        }
    }
}

/// An address with every field.
pub(crate) fn address(given: &Value) -> Value {
    let field = |name: &str| given.at(name).clone();
    json!({
        "city": field("city"), "country": field("country"), "line1": field("line1"), "line2": field("line2"),
        "postal_code": field("postal_code"), "state": field("state"),
    })
}

fn default_method(w: &mut World, customer: &mut Value, p: &Value) -> Result<(), ApiError> {
    const PARAM: &str = "invoice_settings[default_payment_method]";
    let Some(given) = p.at("invoice_settings").get("default_payment_method") else { return Ok(()) };
    let Some(given) = given.as_str() else {
        customer.put("invoice_settings.default_payment_method", Value::Null);
        return Ok(());
    };
    // Stripe's recipes save `pm_card_visa` and name it again as the default: that is the one just saved.
    let id = customer.owned("id");
    let saved =
        w.store.newest("payment_method", |method| method.is("customer", &id) && method.is("_token", given));
    let method = match (w.find("payment_method", given), saved.first()) {
        (Some(method), _) => method,
        (None, Some(method)) => (*method).clone(),
        (None, None) => return Err(ApiError::no_such("PaymentMethod", given, PARAM)),
    };
    if !method.is("customer", &id) {
        let message = format!(
            "The customer does not have a payment method with the ID {}. The payment method must be attached to the customer.",
            method.owned("id")
        );
        return Err(ApiError::param(PARAM, message).code("resource_missing"));
    }
    customer.put("invoice_settings.default_payment_method", method.owned("id"));
    Ok(())
}

/// A customer for a buyer who has none, made by a checkout.
pub(crate) fn of_buyer(w: &mut World, email: &Value, name: &Value) -> Answer {
    let mut p = json!({});
    if email.is_string() {
        p.put("email", email.clone());
    }
    if name.is_string() {
        p.put("name", name.clone());
    }
    create(w, &p)
}

/// Fixes the currency of a customer with its first invoice or subscription.
pub(crate) fn bind_currency(w: &mut World, customer: &str, currency: &str) -> Result<(), ApiError> {
    let Some(mut found) = w.find("customer", customer) else { return Ok(()) };
    match found.text("currency") {
        Some(bound) if bound != currency => {
            let message = format!(
                "You cannot combine currencies on a single customer. This customer has had a subscription, coupon, or invoice item with currency {bound}"
            );
            Err(ApiError::param("currency", message))
        }
        Some(_) => Ok(()),
        None => {
            money::currency(currency, "currency")?;
            found.put("currency", currency);
            w.save(&found);
            Ok(())
        }
    }
}

/// The number of a customer's next invoice.
pub(crate) fn next_number(w: &mut World, customer: &str) -> String {
    let Some(mut found) = w.find("customer", customer) else { return String::new() };
    let sequence = found.int("next_invoice_sequence").unwrap_or(1);
    found.put("next_invoice_sequence", sequence + 1);
    w.save(&found);
    format!("{}-{sequence:04}", found.owned("invoice_prefix"))
}
