//! Sessions and configurations of the billing portal.

use serde_json::{Value, json};

use super::world::{World, metadata};
use crate::{
    errors::{Answer, ApiError},
    value::{Read, Write},
};

const KIND: &str = "billing_portal.configuration";

/// The configuration that every account has in test mode once somebody has saved it.
pub(crate) fn install(w: &mut World) {
    let mut configuration = blank(w);
    configuration.put("is_default", true);
    for name in ["invoice_history", "payment_method_update", "subscription_cancel"] {
        configuration.put(&format!("features.{name}.enabled"), true);
    }
    w.save(&configuration);
}

fn blank(w: &mut World) -> Value {
    json!({
        "id": w.id("bpc"),
        "object": KIND,
        "active": true,
        "application": null,
        "business_profile": {"headline": null, "privacy_policy_url": null, "terms_of_service_url": null},
        "created": w.now,
        "default_return_url": null,
        "features": {
            "customer_update": {"allowed_updates": [], "enabled": false},
            "invoice_history": {"enabled": false},
            "payment_method_update": {"enabled": false, "payment_method_configuration": null},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": false, "options": []}, "enabled": false, "mode": "at_period_end", "proration_behavior": "none",
            },
            "subscription_update": {
                "billing_cycle_anchor": null, "default_allowed_updates": [], "enabled": false, "products": [], "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []}, "trial_update_behavior": "end_trial",
            },
        },
        "is_default": false,
        "livemode": false,
        "login_page": {"enabled": false, "url": null},
        "metadata": {},
        "name": null,
        "updated": w.now,
    })
}

/// POST /v1/billing_portal/configurations.
pub(crate) fn create_configuration(w: &mut World, p: &Value) -> Answer {
    let mut configuration = blank(w);
    set(&mut configuration, p);
    configuration.put("metadata", metadata(p));
    w.save(&configuration);
    w.emit("billing_portal.configuration.created", &configuration);
    Ok(configuration)
}

/// POST /v1/billing_portal/configurations/{id}.
pub(crate) fn update_configuration(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut configuration = w.need(KIND, id, "id")?;
    if configuration.flag("is_default") && p.at("active").as_bool() == Some(false) {
        return Err(ApiError::param("active", "You cannot deactivate the default configuration."));
    }
    let before = configuration.clone();
    set(&mut configuration, p);
    configuration.merge_metadata(p);
    configuration.put("updated", w.now);
    w.save(&configuration);
    w.emit_update("billing_portal.configuration.updated", &before, &configuration);
    Ok(configuration)
}

fn set(configuration: &mut Value, p: &Value) {
    configuration.copy_from(p, &["active", "default_return_url", "name"]);
    for name in ["headline", "privacy_policy_url", "terms_of_service_url"] {
        if let Some(value) = p.at("business_profile").get(name) {
            configuration.put(&format!("business_profile.{name}"), value.clone());
        }
    }
    let Some(features) = p.get("features").and_then(Value::as_object) else { return };
    for (feature, given) in features {
        for (field, value) in given.as_object().into_iter().flatten() {
            let path = format!("features.{feature}.{field}");
            let is_list = configuration.at(&path).is_array();
            match value {
                Value::Null if is_list => configuration.put(&path, json!([])),
                Value::Array(products) if field == "products" => {
                    let fixed = json!({"enabled": false, "maximum": null, "minimum": 1});
                    let told = products.iter().map(|product| {
                        let mut product = product.clone();
                        if !product.at("adjustable_quantity").is_object() {
                            product.put("adjustable_quantity", fixed.clone());
                        }
                        product
                    });
                    configuration.put(&path, told.collect::<Vec<_>>());
                }
                Value::Object(inner) => {
                    for (name, value) in inner {
                        let list = configuration.at(&format!("{path}.{name}")).is_array() && value.is_null();
                        configuration
                            .put(&format!("{path}.{name}"), if list { json!([]) } else { value.clone() });
                    }
                }
                value => configuration.put(&path, value.clone()),
            }
        }
    }
}

/// POST /v1/billing_portal/sessions: a page that a customer is sent to at once; it is short-lived.
pub(crate) fn create_session(w: &mut World, p: &Value) -> Answer {
    let customer = p.text("customer").ok_or_else(|| ApiError::missing("customer"))?;
    w.enter(customer, "customer")?;
    let configuration = match p.text("configuration") {
        Some(id) => w.need(KIND, id, "configuration")?,
        None => w.store.all(KIND).find(|one| one.flag("is_default")).cloned().unwrap_or_default(),
    };
    if !configuration.flag("active") {
        return Err(ApiError::param("configuration", "The configuration is not active."));
    }
    if let Some(url) = p.text("return_url")
        && !(url.starts_with("https://") || url.starts_with("http://"))
    {
        return Err(ApiError::param("return_url", "Not a valid URL").code("url_invalid"));
    }
    let flow = match p.get("flow_data") {
        Some(given) => flow(w, given, customer)?,
        None => Value::Null,
    };
    let return_url = match p.at("return_url") {
        Value::Null => configuration.at("default_return_url").clone(),
        given => given.clone(),
    };
    let secret = w.characters(40);
    let session = json!({
        "id": w.id("bps"),
        "object": "billing_portal.session",
        "configuration": configuration.at("id"),
        "created": w.wall,
        "customer": customer,
        "customer_account": null,
        "flow": flow,
        "livemode": false,
        "locale": p.at("locale"),
        "on_behalf_of": null,
        "return_url": return_url,
        "url": w.url(&format!("/portal/{secret}")),
        "_secret": secret,
    });
    w.save(&session);
    w.emit("billing_portal.session.created", &session);
    Ok(session)
}

fn flow(w: &World, given: &Value, customer: &str) -> Answer {
    let kind = given.owned("type");
    let details = given.at(&kind);
    if kind.starts_with("subscription_") && details.text("subscription").is_none() {
        return Err(ApiError::missing(&format!("flow_data[{kind}][subscription]")));
    }
    if kind == "subscription_update_confirm" && details.list("items").is_empty() {
        return Err(ApiError::missing("flow_data[subscription_update_confirm][items]"));
    }
    let known = [
        "payment_method_update",
        "subscription_cancel",
        "subscription_update",
        "subscription_update_confirm",
    ];
    if !known.contains(&kind.as_str()) {
        return Err(ApiError::param(
            "flow_data[type]",
            format!("Invalid type: must be one of {}", known.join(", ")),
        ));
    }
    if let Some(sub) = details.text("subscription") {
        let sub = w.need("subscription", sub, "flow_data")?;
        if !sub.is("customer", customer) {
            return Err(ApiError::param("flow_data", "The subscription belongs to another customer."));
        }
    }
    let after = given.at("after_completion");
    let optional = |name: &str| if after.at(name).is_object() { after.at(name).clone() } else { Value::Null };
    let mut flow = json!({
        "after_completion": {
            "hosted_confirmation": optional("hosted_confirmation"), "redirect": optional("redirect"),
            "type": after.text("type").unwrap_or("portal_homepage"),
        },
        "subscription_cancel": null, "subscription_update": null, "subscription_update_confirm": null, "type": kind,
    });
    match kind.as_str() {
        "subscription_cancel" => flow.put(
            "subscription_cancel",
            json!({"retention": null, "subscription": details.at("subscription")}),
        ),
        "subscription_update" => {
            flow.put("subscription_update", json!({"subscription": details.at("subscription")}))
        }
        "subscription_update_confirm" => {
            let items: Vec<Value> = details
                .list("items")
                .iter()
                .map(|item| json!({"id": item.at("id"), "price": item.at("price"), "quantity": item.int("quantity").unwrap_or(1)}))
                .collect();
            let confirm =
                json!({"discounts": null, "items": items, "subscription": details.at("subscription")});
            flow.put("subscription_update_confirm", confirm);
        }
        _ => {}
    }
    Ok(flow)
}
