//! Payment methods: cards, and bank debits that pay once.

use serde_json::{Value, json};

use super::{
    customers, lists,
    world::{World, metadata},
};
use crate::{
    cards::{self, Acts, Card},
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// POST /v1/payment_methods.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let card = match p.text("type").unwrap_or("card") {
        "card" => given_card(p)?,
        "sepa_debit" => given_account(p)?,
        kind => {
            let message =
                format!("The sandbox knows card and sepa_debit, not {}.", crate::errors::clean(kind));
            return Err(ApiError::param("type", message));
        }
    };
    let mut method = make(w, card, None);
    let month = number(p.at("card.exp_month"));
    let year = number(p.at("card.exp_year")).map(|year| if year < 100 { year + 2000 } else { year });
    if let (Some(month), Some(year)) = (month, year)
        && !card.is_debit()
    {
        check_expiry(w, month, year)?;
        method.put("card.exp_month", month);
        method.put("card.exp_year", year);
    }
    describe(&mut method, p);
    method.put("metadata", metadata(p));
    method.copy_from(p, &["allow_redisplay"]);
    w.save(&method);
    Ok(method)
}

fn given_card(p: &Value) -> Result<&'static Card, ApiError> {
    match (p.text("card.token"), p.text("card.number")) {
        (Some(token), _) => {
            cards::of_token(token).ok_or_else(|| ApiError::no_such("token", token, "card[token]"))
        }
        (None, Some(number)) => cards::of_number(number),
        (None, None) => Err(ApiError::missing("card")),
    }
}

/// A bank debit wants to know whose account it is.
fn given_account(p: &Value) -> Result<&'static Card, ApiError> {
    let iban = p.text("sepa_debit.iban").ok_or_else(|| ApiError::missing("sepa_debit"))?;
    for name in ["email", "name"] {
        if p.text(&format!("billing_details.{name}")).is_none() {
            return Err(ApiError::missing(&format!("billing_details[{name}]")));
        }
    }
    cards::of_iban(iban)
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

/// A month and year of a card that is still valid.
pub(crate) fn check_expiry(w: &World, month: i64, year: i64) -> Result<(), ApiError> {
    if !(1..=12).contains(&month) {
        let message = "Your card's expiration month is invalid.";
        return Err(ApiError::card("invalid_expiry_month", None, message).with("param", "card[exp_month]"));
    }
    let today = time::OffsetDateTime::from_unix_timestamp(w.now)
        .map_or((1970, 1), |now| (i64::from(now.year()), i64::from(u8::from(now.month()))));
    if (year, month) < today || year > today.0 + 50 {
        let message = "Your card's expiration year is invalid.";
        return Err(ApiError::card("invalid_expiry_year", None, message).with("param", "card[exp_year]"));
    }
    Ok(())
}

/// A new payment method of a card; not saved yet.
pub(crate) fn make(w: &mut World, card: &Card, token: Option<&str>) -> Value {
    let year = time::OffsetDateTime::from_unix_timestamp(w.now).map_or(2030, |now| i64::from(now.year()) + 1);
    let mut method = json!({
        "id": w.id("pm"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": {"address": customers::address(&Value::Null), "email": null, "name": null, "phone": null, "tax_id": null},
        "created": w.now,
        "customer": null,
        "customer_account": null,
        "livemode": false,
        "metadata": {},
        "_card": card.name,
        "_token": token,
    });
    let fingerprint = format!("sandbox{}", card.name).chars().take(16).collect::<String>();
    if card.is_debit() {
        let (country, bank_code) = card.bank();
        method.put("type", "sepa_debit");
        method.put(
            "sepa_debit",
            json!({
                "bank_code": bank_code, "branch_code": null, "country": country, "fingerprint": fingerprint,
                "generated_from": null, "last4": card.last4(),
            }),
        );
    } else {
        method.put("type", "card");
        method.put(
            "card",
            json!({
                "brand": card.brand,
                "checks": {"address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass"},
                "country": "US", "display_brand": card.brand, "exp_month": 8, "exp_year": year,
                "fingerprint": fingerprint, "funding": card.funding, "generated_from": null, "last4": card.last4(),
                "networks": {"available": [card.brand], "preferred": null}, "regulated_status": "unregulated",
                "three_d_secure_usage": {"supported": true}, "wallet": null,
            }),
        );
    }
    method
}

/// The payment method of an id; a test id such as `pm_card_visa` makes a new one.
pub(crate) fn resolve(w: &mut World, id: &str, param: &str) -> Answer {
    if let Some(found) = w.find("payment_method", id) {
        return Ok(found);
    }
    let Some(card) = cards::of_token(id) else { return Err(ApiError::no_such("PaymentMethod", id, param)) };
    let method = make(w, card, Some(id));
    w.save(&method);
    Ok(method)
}

/// The card of a payment method.
pub(crate) fn card(method: &Value) -> Option<&'static Card> {
    cards::named(&method.owned("_card"))
}

/// Stripe checks a card with its bank when it is attached.
pub(crate) fn check_attachable(method: &Value) -> Result<(), ApiError> {
    match card(method).map(|card| card.acts) {
        Some(Acts::Declines(code, reason)) => {
            Err(ApiError::card(code, reason, cards::decline_message(code, reason)))
        }
        _ => Ok(()),
    }
}

/// Attaches a payment method.
pub(crate) fn attach_to(w: &mut World, mut method: Value, customer: &str) -> Answer {
    if method.is("customer", customer) {
        return Ok(method);
    }
    if method.at("customer").is_string() {
        let message = "The payment method you provided has already been attached to a customer.";
        return Err(ApiError::invalid(message).code("payment_method_already_attached"));
    }
    if method.flag("_detached") {
        let message = "This PaymentMethod was previously used without being attached to a Customer or was detached from a Customer, and may not be used again.";
        return Err(ApiError::invalid(message));
    }
    check_attachable(&method)?;
    method.put("customer", customer);
    w.save(&method);
    w.emit("payment_method.attached", &method);
    Ok(method)
}

/// POST …/attach. It asks for no authentication: a card that wants 3-D Secure will want it when it is charged.
pub(crate) fn attach(w: &mut World, id: &str, p: &Value) -> Answer {
    let customer = p.text("customer").ok_or_else(|| ApiError::missing("customer"))?;
    w.enter(customer, "customer")?;
    let method = resolve(w, id, "id")?;
    attach_to(w, method, customer)
}

/// POST …/detach; final.
pub(crate) fn detach(w: &mut World, id: &str) -> Answer {
    let mut method = w.need("payment_method", id, "id")?;
    let Some(customer) = method.text("customer").map(str::to_owned) else {
        let message =
            "The payment method you provided is not attached to a customer so detachment is impossible.";
        return Err(ApiError::invalid(message));
    };
    w.enter_owner(&method);
    let before = method.clone();
    method.put("customer", Value::Null);
    method.put("_detached", true);
    w.save(&method);
    if let Some(mut owner) = w.find("customer", &customer)
        && owner.is("invoice_settings.default_payment_method", id)
    {
        owner.put("invoice_settings.default_payment_method", Value::Null);
        w.save(&owner);
    }
    let subs: Vec<Value> =
        w.store.all("subscription").filter(|sub| sub.is("default_payment_method", id)).cloned().collect();
    for mut sub in subs {
        sub.put("default_payment_method", Value::Null);
        w.save(&sub);
    }
    w.emit_update("payment_method.detached", &before, &method);
    Ok(method)
}

/// POST /v1/payment_methods/{id}.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut method = w.need("payment_method", id, "id")?;
    if method.at("customer").is_null() {
        let message = "You must save this PaymentMethod to a customer before you can update it.";
        return Err(ApiError::invalid(message));
    }
    w.enter_owner(&method);
    let before = method.clone();
    if let (Some(month), Some(year)) = (p.int("card.exp_month"), p.int("card.exp_year")) {
        check_expiry(w, month, year)?;
        method.put("card.exp_month", month);
        method.put("card.exp_year", year);
    }
    describe(&mut method, p);
    method.copy_from(p, &["allow_redisplay"]);
    method.merge_metadata(p);
    w.save(&method);
    w.emit_update("payment_method.updated", &before, &method);
    Ok(method)
}

/// The bank has sent a new card: same payment method, other date (`payment_method.automatically_updated`).
pub(crate) fn renewed_by_bank(w: &mut World, id: &str) -> bool {
    let Some(mut method) = w.find("payment_method", id).filter(|method| method.is("type", "card")) else {
        return false;
    };
    let before = method.clone();
    method.put("card.exp_year", method.num("card.exp_year") + 3);
    w.save(&method);
    w.emit_update("payment_method.automatically_updated", &before, &method);
    true
}

fn describe(method: &mut Value, p: &Value) {
    let Some(details) = p.get("billing_details") else { return };
    for name in ["email", "name", "phone", "tax_id"] {
        if let Some(value) = details.get(name) {
            method.put(&format!("billing_details.{name}"), value.clone());
        }
    }
    if let Some(address) = details.get("address") {
        method.put("billing_details.address", customers::address(address));
    }
}

/// GET /v1/payment_methods; without a customer there are none to see.
pub(crate) fn list(w: &World, p: &Value) -> Answer {
    if let Some(customer) = p.text("customer") {
        w.need("customer", customer, "customer")?;
    }
    lists::page(w, "payment_method", p, "/v1/payment_methods", &[], |method| {
        method.at("customer").is_string()
    })
}

/// GET /v1/customers/{id}/payment_methods.
pub(crate) fn of_customer(w: &World, id: &str, p: &Value) -> Answer {
    w.need("customer", id, "id")?;
    let url = format!("/v1/customers/{id}/payment_methods");
    lists::page(w, "payment_method", p, &url, &[], |method| method.is("customer", id))
}

/// GET /v1/customers/{id}/payment_methods/{pm}.
pub(crate) fn one_of_customer(w: &World, id: &str, method: &str) -> Answer {
    w.need("customer", id, "id")?;
    let found = w.need("payment_method", method, "id")?;
    if found.is("customer", id) { Ok(found) } else { Err(ApiError::no_such("PaymentMethod", method, "id")) }
}
