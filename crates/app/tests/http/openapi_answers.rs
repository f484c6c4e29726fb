//! The API document is true of answers, and of the limits that it names.

use std::collections::{BTreeMap, BTreeSet};

use portico_kernel::PlatformRole;
use portico_testkit::server::TestServer;
use serde_json::{Value, json};

use crate::{
    fixture::{Fixture, Person},
    openapi::{document, free_strings, none, operations, resolve},
};

/// The limits of the items of lists of texts are those that the server checks: one character more is refused, and no less.
#[tokio::test(flavor = "multi_thread")]
async fn items_of_lists_of_texts_have_the_limit_that_is_documented() {
    TestServer::shared(async |server| {
        let fixture = Fixture::new(server, "okapi").await;
        let staff = Person::new(server, server.email("staff"), |user| user.role = PlatformRole::Staff).await.client;
        let sections = "/api/v1/tenants/{tenantId}/pages/{pageId}/sections";
        let page = |field: &str, text: &str| {
            json!({"title": "About", "purpose": "To say who we are", "business": {"name": "Luz", field: [text]}, "sections": []})
        };
        let content = |kind: &str, content: Value| json!({"type": kind, "content": content});
        type Body<'b> = &'b dyn Fn(&str) -> Value;
        let cases: [(&str, &str, &str, &str, Body<'_>); 21] = [
            ("BusinessDetails.services", "POST", "/api/v1/wizard/start", "businessInfo.services[0]", &|text| json!({"businessInfo": {"name": "Luz", "industry": "bakery", "services": [text]}})),
            ("SiteGoals.goals", "POST", "/api/v1/wizard/start", "goals.goals[0]", &|text| json!({"goals": {"goals": [text]}})),
            ("Presence.keywords", "POST", "/api/v1/wizard/start", "seo.keywords[0]", &|text| json!({"seo": {"keywords": [text]}})),
            ("SeoUpdate.keywords", "PUT", "/api/v1/tenants/{tenantId}/pages/{pageId}/seo", "keywords[0]", &|text| json!({"keywords": [text]})),
            ("BusinessInfo.services", "POST", "/api/v1/ai/generate-page", "business.services[0]", &|text| page("services", text)),
            ("BusinessInfo.goals", "POST", "/api/v1/ai/generate-page", "business.goals[0]", &|text| page("goals", text)),
            ("PricingPlan.features", "POST", sections, "content.plans[0].features[0]", &|text| content("pricing", json!({"plans": [{"name": "Loaf", "price": "Q 5", "features": [text]}]}))),
            ("ContactContent.socialUrls", "POST", sections, "content.socialUrls[0]", &|text| content("contact", json!({"phone": "5555 1234", "socialUrls": [text.replacen(&"x".repeat(20), "https://a.example/x", 1) + "x"]}))),
            ("NewApiKey.permissions", "POST", "/api/v1/tenants/{tenantId}/api-keys", "permissions[0]", &|text| json!({"name": "Shop", "permissions": [text]})),
            ("ApiKeyUpdate.permissions", "PUT", "/api/v1/tenants/{tenantId}/api-keys/{apiKeyId}", "permissions[0]", &|text| json!({"permissions": [text]})),
            ("NewApiKey.allowedAddresses", "POST", "/api/v1/tenants/{tenantId}/api-keys", "allowedAddresses[0]", &|text| json!({"name": "Shop", "permissions": ["pages:read"], "allowedAddresses": [address(text)]})),
            ("ApiKeyUpdate.allowedAddresses", "PUT", "/api/v1/tenants/{tenantId}/api-keys/{apiKeyId}", "allowedAddresses[0]", &|text| json!({"allowedAddresses": [address(text)]})),
            ("NewWebhook.events", "POST", "/api/v1/tenants/{tenantId}/webhooks", "events[0]", &|text| json!({"url": "https://localhost/hooks/new", "events": [text]})),
            ("PlanInput.features", "POST", "/api/v1/admin/plans", "features[0]", &|text| json!({"features": [text]})),
            ("PlanUpdate.features", "PUT", "/api/v1/admin/plans/{planId}", "features[0]", &|text| json!({"features": [text]})),
            ("CouponInput.productTypes", "POST", "/api/v1/admin/coupons", "productTypes[0]", &|text| json!({"code": "OFF", "percent": 5, "productTypes": [text]})),
            ("CouponTerms.productTypes", "PUT", "/api/v1/admin/coupons/{couponId}", "productTypes[0]", &|text| json!({"productTypes": [text]})),
            ("CouponInput.plans", "POST", "/api/v1/admin/coupons", "plans[0]", &|text| json!({"code": "OFF", "percent": 5, "appliesTo": ["plans"], "duration": "once", "plans": [text]})),
            ("CouponTerms.plans", "PUT", "/api/v1/admin/coupons/{couponId}", "plans[0]", &|text| json!({"plans": [text]})),
            ("TicketUpdate.tags", "PUT", "/api/v1/admin/customers/{customerId}/tickets/{ticketId}", "tags[0]", &|text| json!({"tags": [text]})),
            ("WebhookUpdate.events", "PUT", "/api/v1/tenants/{tenantId}/webhooks/{webhookId}", "events[0]", &|text| json!({"events": [text]})),
        ];
        let lists = free_strings(&document());
        let known: BTreeSet<&str> = cases.iter().map(|(place, ..)| *place).collect();
        assert_eq!(lists.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "add a case for each");
        for (place, method, template, field, body) in cases {
            let longest = lists[place]["maxLength"].as_u64().unwrap() as usize;
            let path = fixture.path(template);
            for (length, fits) in [(longest, true), (longest + 1, false)] {
                let body = body(&"x".repeat(length));
                let client = if template.starts_with("/api/v1/admin/") { &staff } else { &fixture.owner.client };
                let answer = match method {
                    "PUT" => client.put(&path, body).await,
                    _ => client.post(&path, body).await,
                };
                let is_name = [".permissions", ".events", ".productTypes", ".plans"].iter().any(|end| place.ends_with(end));
                assert_eq!(answer.fields().contains(&field.to_owned()), !fits || is_name, "{place}: {} {}", answer.status, answer.text);
            }
        }
    })
    .await;
}

/// An address of as many characters as the text has.
fn address(text: &str) -> String {
    let suffix = "0000:0000:0000:0000:0000:ffff:255.255.255.255/128";
    format!("{}{suffix}", "0".repeat(text.len() - suffix.len()))
}

/// Calls every operation that only reads, with and without a token, and with ids that exist and that do not: every answer is
/// documented, and so is its body.
#[tokio::test(flavor = "multi_thread")]
async fn every_read_answers_as_documented() {
    TestServer::on_each_database(async |server| {
        let fixture = Fixture::new(server, "okapi").await;
        let document = document();
        let nowhere = |path: &str| {
            let id = server.app.core.env.random_uuid().to_string();
            crate::fixture::fill(path, |name| {
                if name == "tenantId" { fixture.ids.get(name).cloned() } else { Some(id.clone()) }
            })
        };
        let newcomer = server.unverified("newcomer@example.com").await;
        let mut wrong = Vec::new();
        for (method, path, operation) in operations(&document) {
            if method != "GET" {
                continue;
            }
            let own = fixture.path(&path);
            let empty = own.replace(&fixture.ids["tenantId"], &newcomer.tenant);
            let calls = [
                ("the owner", fixture.owner.client.get(&own).await),
                ("the owner, with no such id", fixture.owner.client.get(&nowhere(&path)).await),
                (
                    "the owner, with an unknown parameter",
                    fixture.owner.client.get(&format!("{own}?colour=red")).await,
                ),
                ("somebody in an empty tenant", newcomer.get(&empty).await),
                ("a stranger", newcomer.get(&own).await),
                ("nobody", server.client().get(&own).await),
            ];
            for (who, answer) in calls {
                let status = answer.status.as_str();
                let Some(response) = operation["responses"].get(status) else {
                    wrong.push(format!("GET {path} by {who}: {status} is not documented: {}", answer.text));
                    continue;
                };
                if answer.status.is_server_error() {
                    wrong.push(format!("GET {path} by {who}: {status} {}", answer.text));
                }
                let kind = answer.header("content-type").split(';').next().unwrap_or_default();
                let content = resolve(&document, response).and_then(|response| response["content"].get(kind));
                match content {
                    None if answer.text.is_empty() => {}
                    None => {
                        wrong.push(format!("GET {path} by {who}: {status} as {kind:?} is not documented"))
                    }
                    Some(content) if kind.ends_with("json") => {
                        let mut errors = Vec::new();
                        conforms(&document, &content["schema"], &answer.json, "", &mut errors);
                        wrong.extend(
                            errors.into_iter().map(|error| format!("GET {path} by {who}: {status}: {error}")),
                        );
                    }
                    Some(_) => {}
                }
            }
        }
        none(&wrong);
    })
    .await;
}

/// Whether a value has the types, the required members and no other members than its schema says. Not all of JSON Schema,
/// but what the document uses.
pub fn conforms(document: &Value, schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
    let Some(schema) = resolve(document, schema) else { return };
    for keyword in ["oneOf", "anyOf"] {
        if let Some(variants) = schema[keyword].as_array() {
            let fits = |variant: &&Value| {
                let mut errors = Vec::new();
                conforms(document, variant, value, at, &mut errors);
                errors.is_empty()
            };
            if !variants.iter().any(|variant| fits(&variant)) {
                errors.push(format!("{at} fits no variant: {value}"));
            }
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = allowed.contains(&kind) || kind == "integer" && allowed.contains(&"number");
    if !allowed.is_empty() && !fits {
        errors.push(format!("{at} is of type {kind}, not {allowed:?}"));
    }
    if schema["enum"].as_array().is_some_and(|values| !values.contains(value)) {
        errors.push(format!("{at} is {value}, which is none of {}", schema["enum"]));
    }
    if let Value::Array(items) = value {
        for (place, item) in items.iter().enumerate() {
            conforms(document, &schema["items"], item, &format!("{at}[{place}]"), errors);
        }
    }
    let Value::Object(members) = value else { return };
    let mut properties = BTreeMap::new();
    let mut required = Vec::new();
    let open = gather(document, schema, &mut properties, &mut required);
    for name in required {
        if !members.contains_key(&name) {
            errors.push(format!("{at}.{name} is missing"));
        }
    }
    for (name, member) in members {
        match properties.get(name) {
            Some(schema) => conforms(document, schema, member, &format!("{at}.{name}"), errors),
            None if open => {}
            None => errors.push(format!("{at}.{name} is not documented")),
        }
    }
}

/// The properties of a schema and of all that it is made of. Returns whether it may have others.
fn gather<'d>(
    document: &'d Value,
    schema: &'d Value,
    properties: &mut BTreeMap<String, &'d Value>,
    required: &mut Vec<String>,
) -> bool {
    let Some(schema) = resolve(document, schema) else { return true };
    let own = schema["properties"].as_object();
    properties.extend(own.into_iter().flatten().map(|(name, schema)| (name.clone(), schema)));
    required.extend(
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
    );
    let parts = schema["allOf"].as_array();
    let mut open = own.is_none() && parts.is_none() || schema["additionalProperties"].is_object();
    for part in parts.into_iter().flatten() {
        open |= gather(document, part, properties, required);
    }
    open
}
