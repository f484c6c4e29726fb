//! Checkout sessions.

use serde_json::{Value, json};

use super::{
    catalog,
    clock::Task,
    discounts, lists, payment_intents, subscriptions,
    world::{World, metadata},
};
use crate::{
    calendar::DAY,
    errors::{Answer, ApiError, clean},
    money,
    value::{Read, Write},
};

/// GET /v1/checkout/sessions.
pub(crate) fn list(w: &World, p: &Value) -> Answer {
    lists::page(w, "checkout.session", p, "/v1/checkout/sessions", &["customer_details"], |session| {
        p.text("customer_details.email").is_none_or(|email| session.is("customer_details.email", email))
    })
}

/// POST /v1/checkout/sessions.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let mode = p.text("mode").ok_or_else(|| ApiError::missing("mode"))?.to_owned();
    let customer = match p.text("customer") {
        Some(id) => Some(w.enter(id, "customer")?),
        None => None,
    };
    check(w, p, &mode)?;
    let items = read_items(w, p, &mode)?;
    let ui_mode = match p.text("ui_mode") {
        None => "hosted_page",
        Some("hosted") if !w.strict => "hosted_page",
        Some("embedded") if !w.strict => "embedded_page",
        Some("custom") if !w.strict => "elements",
        Some(given @ ("hosted_page" | "embedded_page" | "elements" | "form")) => given,
        Some(_) => {
            let message = "Invalid ui_mode: must be one of hosted_page, embedded_page, elements, form";
            return Err(ApiError::param("ui_mode", message).before());
        }
    }
    .to_owned();
    let is_hosted = ui_mode == "hosted_page";
    let wanted = if is_hosted { "success_url" } else { "return_url" };
    if p.text(wanted).is_none() && !(wanted == "return_url" && p.is("redirect_on_completion", "never")) {
        return Err(ApiError::missing(wanted));
    }
    let expires = p.int("expires_at").unwrap_or(w.wall - w.offset + DAY);
    let id = w.id("cs_test");
    let url = w.url(&format!("/checkout/{id}"));
    let email = p.text("customer_email").map(str::to_owned);
    let known = customer.as_ref().map_or(Value::Null, |customer| customer.at("email").clone());
    let currency = items.first().map(|item| item.at("price.currency").clone());
    let currency =
        currency.or_else(|| p.text("currency").map(|given| given.to_lowercase().into())).unwrap_or_default();
    let creation = match (customer.is_some(), p.text("customer_creation")) {
        (true, _) => Value::Null,
        (false, Some(given)) if mode == "payment" => given.into(),
        (false, _) => if mode == "payment" { "if_required" } else { "always" }.into(),
    };
    let mut session = json!({
        "id": id,
        "object": "checkout.session",
        "adaptive_pricing": null,
        "after_expiration": null,
        "allow_promotion_codes": p.at("allow_promotion_codes"),
        "amount_subtotal": null,
        "amount_total": null,
        "automatic_tax": {"enabled": p.flag("automatic_tax.enabled"), "liability": null, "provider": null, "status": null},
        "billing_address_collection": p.at("billing_address_collection"),
        "cancel_url": p.at("cancel_url"),
        "client_reference_id": p.at("client_reference_id"),
        "client_secret": if is_hosted { Value::Null } else { format!("{id}_secret_{}", w.characters(30)).into() },
        "collected_information": null,
        "consent": null,
        "consent_collection": null,
        "created": w.wall,
        "currency": currency,
        "currency_conversion": null,
        "custom_fields": [],
        "custom_text": {"after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null},
        "customer": p.at("customer"),
        "customer_account": null,
        "customer_creation": creation,
        "customer_details": details(&email.clone().map_or(known, Value::from), &Value::Null),
        "customer_email": email,
        "discounts": [],
        "expires_at": expires,
        "integration_identifier": null,
        "invoice": null,
        "invoice_creation": if mode == "payment" { invoice_creation(p) } else { Value::Null },
        "livemode": false,
        "locale": p.at("locale"),
        "metadata": metadata(p),
        "mode": mode,
        "origin_context": null,
        "payment_intent": null,
        "payment_link": null,
        "payment_method_collection": if mode == "subscription" { p.text("payment_method_collection").unwrap_or("always").into() } else { Value::Null },
        "payment_method_configuration_details": null,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": if mode == "setup" { "no_payment_required" } else { "unpaid" },
        "permissions": null,
        "phone_number_collection": {"enabled": p.flag("phone_number_collection.enabled")},
        "recovered_from": null,
        "saved_payment_method_options": null,
        "setup_intent": null,
        "shipping_address_collection": null,
        "shipping_cost": null,
        "shipping_options": [],
        "status": "open",
        "submit_type": p.at("submit_type"),
        "subscription": null,
        "success_url": p.at("success_url"),
        "total_details": null,
        "ui_mode": ui_mode,
        "url": if is_hosted { url.into() } else { Value::Null },
        "wallet_options": null,
        "_discounts": p.at("discounts"),
        "_expires": expires + w.offset,
        "_items": items,
        "_payment_intent_data": p.at("payment_intent_data"),
        "_setup_intent_data": p.at("setup_intent_data"),
        "_subscription_data": p.at("subscription_data"),
    });
    if !is_hosted {
        session.put("return_url", p.at("return_url").clone());
        session.put("redirect_on_completion", p.text("redirect_on_completion").unwrap_or("always"));
    }
    price(w, &mut session)?;
    if session.is("mode", "payment") && session.num("amount_total") > 0 {
        money::chargeable(session.num("amount_total"), &session.owned("currency"), "line_items")?;
    }
    w.save(&session);
    // A checkout lives by the sandbox's clock, not by its customer's. Whoever makes one tells its end by a clock that was not moved on.
    let at = expires + w.offset;
    w.timers.insert(super::clock::Timer {
        clock: String::new(),
        at,
        task: Task::ExpireSession,
        order: 0,
        id,
    });
    Ok(session)
}

fn check(w: &World, p: &Value, mode: &str) -> Result<(), ApiError> {
    for name in ["success_url", "cancel_url", "return_url"] {
        if let Some(url) = p.text(name)
            && !(url.starts_with("https://") || url.starts_with("http://"))
        {
            return Err(ApiError::param(name, "Not a valid URL").code("url_invalid"));
        }
    }
    if p.text("customer").is_some() && p.text("customer_email").is_some() {
        let message = "You may only specify one of these parameters: customer, customer_email.";
        return Err(ApiError::param("customer", message));
    }
    if let Some(expires) = p.int("expires_at") {
        let ahead = expires - (w.wall - w.offset);
        if ahead < 30 * 60 {
            let message =
                "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.";
            return Err(ApiError::param("expires_at", message));
        }
        if ahead > DAY {
            let message =
                "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.";
            return Err(ApiError::param("expires_at", message));
        }
    }
    let of_mode = [
        ("payment_intent_data", "payment"),
        ("invoice_creation", "payment"),
        ("subscription_data", "subscription"),
        ("setup_intent_data", "setup"),
    ];
    for (name, wanted) in of_mode {
        if p.has(name) && mode != wanted {
            let message = format!("You can not pass `{name}` in `{mode}` mode.");
            return Err(ApiError::param(name, message));
        }
    }
    if p.has("discounts") && p.has("allow_promotion_codes") {
        let message = "You may only specify one of these parameters: allow_promotion_codes, discounts.";
        return Err(ApiError::param("discounts", message));
    }
    if mode == "setup" && p.text("currency").is_none() {
        return Err(ApiError::missing("currency"));
    }
    if p.is("payment_intent_data.capture_method", "manual") {
        return Err(ApiError::param("payment_intent_data[capture_method]", "The sandbox captures at once."));
    }
    Ok(())
}

fn invoice_creation(p: &Value) -> Value {
    let given = p.at("invoice_creation.invoice_data");
    json!({
        "enabled": p.flag("invoice_creation.enabled"),
        "invoice_data": {
            "account_tax_ids": null, "custom_fields": null, "description": given.at("description"), "footer": given.at("footer"),
            "issuer": null, "metadata": metadata(given), "rendering_options": null,
        },
    })
}

fn read_items(w: &mut World, p: &Value, mode: &str) -> Result<Vec<Value>, ApiError> {
    let given = p.list("line_items").to_vec();
    if mode == "setup" {
        let message = "You can not pass `line_items` in `setup` mode.";
        return if given.is_empty() { Ok(Vec::new()) } else { Err(ApiError::param("line_items", message)) };
    }
    if given.is_empty() {
        return Err(ApiError::missing("line_items"));
    }
    if given.len() > 100 {
        return Err(ApiError::param("line_items", "A session has at most 100 line items."));
    }
    let mut items = Vec::new();
    for one in &given {
        let price = subscriptions::price_of(w, one)?;
        let is_recurring = !price.at("recurring").is_null();
        if mode == "payment" && is_recurring {
            let message = "You specified `payment` mode but passed a recurring price. Either switch to `subscription` mode or use only one-time prices.";
            return Err(ApiError::param("line_items", message));
        }
        let Some(quantity) = one.int("quantity") else {
            return Err(ApiError::missing("line_items[0][quantity]"));
        };
        if !(1..=999_999).contains(&quantity) {
            return Err(ApiError::param("line_items[0][quantity]", "Invalid positive integer")
                .code("parameter_invalid_integer"));
        }
        money::priced(
            price.num("unit_amount").saturating_mul(quantity),
            &price.owned("currency"),
            "line_items",
        )?;
        items
            .push(json!({"price": price, "quantity": quantity, "metadata": metadata(one), "id": w.id("li")}));
    }
    let currencies = items.iter().map(|item| item.owned("price.currency"));
    if currencies.collect::<std::collections::BTreeSet<_>>().len() > 1 {
        return Err(ApiError::param("line_items", "All prices of a session must have the same currency."));
    }
    if mode == "subscription" && !items.iter().any(|item| item.at("price.recurring").is_object()) {
        let message =
            "You must provide at least one recurring price in `subscription` mode when using prices.";
        return Err(ApiError::param("line_items", message));
    }
    Ok(items)
}

/// What a buyer told of himself.
pub(crate) fn details(email: &Value, name: &Value) -> Value {
    if email.is_null() && name.is_null() {
        return Value::Null;
    }
    json!({
        "address": super::customers::address(&Value::Null), "business_name": null, "email": email, "individual_name": null,
        "name": name, "phone": null, "tax_exempt": "none", "tax_ids": [],
    })
}

/// Works amounts and discounts of a session out.
pub(crate) fn price(w: &World, session: &mut Value) -> Result<(), ApiError> {
    if session.is("mode", "setup") {
        return Ok(());
    }
    let mut coupons = Vec::new();
    let mut shown = Vec::new();
    for given in session.list("_discounts") {
        let promotion =
            given.text("promotion_code").map(|id| w.need("promotion_code", id, "discounts")).transpose()?;
        let coupon = match &promotion {
            Some(promotion) => promotion.owned("promotion.coupon"),
            None => given.owned("coupon"),
        };
        coupons.push((coupon.clone(), w.need("coupon", &coupon, "discounts")?));
        shown.push(
            json!({"coupon": coupon, "promotion_code": promotion.map(|promotion| promotion.owned("id"))}),
        );
    }
    let is_trial = session.int("_subscription_data.trial_period_days").is_some()
        || session.int("_subscription_data.trial_end").is_some();
    let items = session.list("_items").to_vec();
    let facts: Vec<(i64, String, bool)> = items
        .iter()
        .map(|item| {
            let is_free = is_trial && item.at("price.recurring").is_object();
            let amount =
                if is_free { 0 } else { item.num("price.unit_amount").saturating_mul(item.num("quantity")) };
            (amount, item.owned("price.product"), true)
        })
        .collect();
    let taken = discounts::spread(&coupons, &facts);
    let mut lines = Vec::new();
    for ((item, (amount, ..)), off) in items.iter().zip(&facts).zip(&taken) {
        let off: i64 = off.iter().map(|(_, amount)| amount).sum();
        lines.push(json!({
            "id": item.at("id"),
            "object": "item",
            "adjustable_quantity": null,
            "amount_discount": off,
            "amount_subtotal": amount,
            "amount_tax": 0,
            "amount_total": amount - off,
            "currency": item.at("price.currency"),
            "description": catalog::product_name(w, item.at("price")),
            "metadata": item.at("metadata"),
            "price": item.at("price"),
            "quantity": item.at("quantity"),
        }));
    }
    let subtotal: i64 = facts.iter().map(|(amount, ..)| amount).sum();
    let off: i64 = taken.iter().flatten().map(|(_, amount)| amount).sum();
    session.put("discounts", shown);
    session.put("_line_items", lines);
    session.put("amount_subtotal", subtotal);
    session.put("amount_total", subtotal - off);
    session.put("total_details", json!({"amount_discount": off, "amount_shipping": 0, "amount_tax": 0}));
    Ok(())
}

/// The lines of a session, for `expand[]=line_items`.
pub(crate) fn line_items(session: &Value) -> Value {
    lists::whole(
        session.list("_line_items").to_vec(),
        &format!("/v1/checkout/sessions/{}/line_items", session.owned("id")),
    )
}

/// GET …/line_items.
pub(crate) fn list_items(w: &World, id: &str, p: &Value) -> Answer {
    let session = w.need("checkout.session", id, "id")?;
    let lines: Vec<&Value> = session.list("_line_items").iter().collect();
    lists::of(&lines, p, &format!("/v1/checkout/sessions/{id}/line_items"))
}

/// POST /v1/checkout/sessions/{id}: metadata.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut session = w.need("checkout.session", id, "id")?;
    if let Some(name) =
        ["collected_information", "line_items", "shipping_options"].iter().find(|name| p.has(name))
    {
        return Err(ApiError::param(
            name,
            format!("The sandbox cannot change `{}` of a session.", clean(name)),
        ));
    }
    session.merge_metadata(p);
    w.save(&session);
    Ok(session)
}

/// POST …/expire.
pub(crate) fn expire(w: &mut World, id: &str) -> Answer {
    let session = w.need("checkout.session", id, "id")?;
    if !session.is("status", "open") {
        let status = session.owned("status");
        let message = format!(
            "Only Checkout Sessions with a status in [\"open\"] can be expired. This Checkout Session has a status of `{status}`."
        );
        return Err(ApiError::invalid(message));
    }
    Ok(end(w, session))
}

/// The time of a session is over.
pub(crate) fn expire_due(w: &mut World, id: &str, at: i64) {
    let session = w.find("checkout.session", id).filter(|session| session.is("status", "open"));
    if let Some(session) = session.filter(|session| session.int("_expires") == Some(at)) {
        end(w, session);
    }
}

fn end(w: &mut World, mut session: Value) -> Value {
    session.put("status", "expired");
    session.put("url", Value::Null);
    if let Some(mut intent) = w.find("payment_intent", &session.owned("_payment_intent")) {
        payment_intents::stop(w, &mut intent, json!("automatic"));
    }
    w.save(&session);
    w.emit("checkout.session.expired", &session);
    session
}
