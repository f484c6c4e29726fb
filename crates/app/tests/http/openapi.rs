//! The API document: committed, complete, and true.

use std::collections::{BTreeMap, BTreeSet};

use portico_kernel::{Permission, PlatformRole};
use portico_testkit::server::TestServer;
use serde_json::{Value, json};

use crate::fixture::{Fixture, Person, parameters};

/// Methods that an item of `paths` may have.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];

fn document() -> Value {
    serde_json::from_str(&portico::document::published().unwrap()).unwrap()
}

/// Every operation with its method and path.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(METHODS.contains(&method.as_str()), "{path} has a member {method}");
            operations.push((method.to_uppercase(), path.clone(), operation));
        }
    }
    assert!(operations.len() > 40, "only {} operations", operations.len());
    operations
}

/// Fails with all errors at once.
#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_committed_document_is_the_generated_one() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let committed = std::fs::read_to_string(file).unwrap_or_default();
    let generated = portico::document::published().unwrap();
    let (committed, generated) = (committed.trim_end(), generated.trim_end());
    let first = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
    assert!(
        committed == generated,
        "docs/openapi.json is stale, from line {}. Run: just openapi",
        first.unwrap_or_else(|| committed.lines().count()) + 1
    );
}

#[test]
fn every_operation_is_described() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    let mut wrong = Vec::new();
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        let has = |field: &str| operation[field].as_str().is_some_and(|text| !text.trim().is_empty());
        if !has("summary") {
            wrong.push(format!("{name} has no summary"));
        }
        if operation["tags"].as_array().is_none_or(Vec::is_empty) {
            wrong.push(format!("{name} has no tag"));
        }
        match operation["operationId"].as_str().map(str::to_owned) {
            None => wrong.push(format!("{name} has no operationId")),
            Some(id) => {
                let before = ids.insert(id.clone(), name.clone());
                wrong.extend(before.map(|other| format!("{name} and {other} are both called {id}")));
            }
        }
        let given = operation["parameters"].as_array().into_iter().flatten();
        let given: Vec<&Value> = given.filter_map(|parameter| resolve(&document, parameter)).collect();
        for parameter in parameters(&path) {
            if !given.iter().any(|p| p["in"] == "path" && p["name"] == parameter && p["required"] == true) {
                wrong.push(format!("{name} does not describe {{{parameter}}}"));
            }
        }
        for parameter in given {
            let known = parameter["in"] != "path"
                || path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap()));
            if !known || parameter["schema"].is_null() {
                wrong.push(format!("{name} describes a parameter badly: {parameter}"));
            }
        }
    }
    none(&wrong);
}

#[test]
fn every_body_and_every_answer_is_described() {
    let document = document();
    let mut wrong = Vec::new();
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        if !operation["requestBody"].is_null() {
            let contents = operation["requestBody"]["content"].as_object();
            if contents.is_none_or(|contents| contents.is_empty()) {
                wrong.push(format!("{name} takes a body of no kind"));
            }
            for (kind, content) in contents.into_iter().flatten() {
                if content["schema"].is_null() {
                    wrong.push(format!("{name} takes {kind} without a schema"));
                } else if example(&document, content).is_none() {
                    wrong.push(format!("{name} takes {kind} without an example"));
                }
            }
            for status in ["400", "413", "415", "422"] {
                if operation["responses"][status].is_null() {
                    wrong.push(format!("{name} takes a body and does not tell of {status}"));
                }
            }
        }
        let responses = operation["responses"].as_object().unwrap();
        if !responses.keys().any(|status| status.starts_with('2')) {
            wrong.push(format!("{name} has no answer when all is well"));
        }
        for (status, response) in responses {
            let what = format!("{name}, {status}");
            let response = resolve(&document, response).unwrap_or(response);
            if response["description"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{what} has no description"));
            }
            let content = response["content"].as_object();
            let types: Vec<&str> = content.into_iter().flatten().map(|(kind, _)| kind.as_str()).collect();
            if status.starts_with(['4', '5']) && types != ["application/problem+json"] {
                wrong.push(format!("{what} is no problem document: {types:?}"));
            }
            if matches!(status.as_str(), "204" | "302" | "304") != types.is_empty() {
                wrong.push(format!("{what} has the bodies {types:?}"));
            }
            for (kind, content) in content.into_iter().flatten() {
                if content["schema"].is_null() {
                    wrong.push(format!("{what} has no schema for {kind}"));
                }
            }
        }
    }
    none(&wrong);
}

/// The example of a body: beside its schema, or in the schema, or made of those of its properties.
fn example<'d>(document: &'d Value, content: &'d Value) -> Option<&'d Value> {
    if !content["example"].is_null() || !content["examples"].is_null() {
        return Some(content);
    }
    let mut schema = &content["schema"];
    // An optional body is `null` or the schema.
    if let Some(variants) = schema["oneOf"].as_array() {
        schema = variants.iter().find(|variant| variant["type"] != "null")?;
    }
    let schema = resolve(document, schema)?;
    let has = |schema: &Value| !schema["example"].is_null() || !schema["examples"].is_null();
    let members = schema["properties"].as_object();
    (has(schema) || members.is_some_and(|members| !members.is_empty())).then_some(schema)
}

/// What a `$ref` leads to; the value itself when it is none.
fn resolve<'d>(document: &'d Value, value: &'d Value) -> Option<&'d Value> {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.strip_prefix('#')?),
        None => Some(value),
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                references.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| collect(value, references));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }
    let document = document();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(!references.is_empty());
    let target =
        |reference: &String| reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
    let dead: Vec<_> = references.iter().filter(|reference| target(reference).is_none()).collect();
    assert!(dead.is_empty(), "these lead nowhere: {dead:?}");
}

/// Every object below `value`, with the pointer that leads to it.
fn objects<'d>(value: &'d Value, at: &str, found: &mut Vec<(String, &'d serde_json::Map<String, Value>)>) {
    match value {
        Value::Object(members) => {
            found.push((at.to_owned(), members));
            members.iter().for_each(|(name, member)| objects(member, &format!("{at}/{name}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, item)| objects(item, &format!("{at}/{place}"), found));
        }
        _ => {}
    }
}

#[test]
fn generators_of_clients_can_read_the_schemas() {
    let document = document();
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    objects(&document["components"]["schemas"], "", &mut found);
    for (at, schema) in found {
        // A field with a default is taken for one that must be sent.
        if schema.get("default").is_some_and(|default| default.is_null() || default == "" || default == false)
        {
            wrong.push(format!("{at} has an empty default"));
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        if name.contains('_') {
            wrong.push(format!("{name} is named after a type of the source"));
        }
        if name.ends_with("List") || name.ends_with("CursorPage") {
            let item = &schema["properties"]["items"]["items"];
            if item["$ref"].is_null() {
                wrong.push(format!("{name} repeats the schema of its items: {item}"));
            }
        }
        if !schema["example"].is_null() {
            let mut errors = Vec::new();
            conforms(&document, schema, &schema["example"], name, &mut errors);
            wrong.extend(errors.into_iter().map(|error| format!("the example of {error}")));
        }
    }
    none(&wrong);
}

#[test]
fn inputs_have_no_other_fields_and_texts_have_a_limit() {
    let document = document();
    let mut wrong = Vec::new();
    let mut inputs = BTreeMap::new();
    for (_, _, operation) in operations(&document) {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if let Some(name) = schema["$ref"].as_str() {
            inputs.insert(name.trim_start_matches("#/components/schemas/").to_owned(), schema);
        }
    }
    assert!(inputs.len() > 50, "only {} inputs", inputs.len());
    for (name, schema) in inputs {
        let schema = resolve(&document, schema).unwrap();
        // Those that answers have too stay open.
        let is_shared = ["BusinessDetails", "Design", "Resend"].contains(&name.as_str());
        if schema["properties"].is_object() && schema["additionalProperties"] != false && !is_shared {
            wrong.push(format!("{name} allows other fields"));
        }
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_text = property["type"] == "string" || property["type"][0] == "string";
            let is_bounded =
                ["maxLength", "enum", "format", "pattern"].iter().any(|key| !property[key].is_null());
            if is_text
                && !is_bounded
                && !["language", "timeZone", "field", "robots", "refresh_token", "templatePage"]
                    .contains(&field.as_str())
            {
                wrong.push(format!("{name}.{field} has no limit"));
            }
        }
    }
    none(&wrong);
}

/// The schemas of the items of every list of free strings in a request body, by schema and field. Formats, enumerations and
/// references have rules of their own.
fn free_strings(document: &Value) -> BTreeMap<String, Value> {
    fn collect(
        document: &Value,
        place: &str,
        schema: &Value,
        found: &mut BTreeMap<String, Value>,
        seen: &mut BTreeSet<String>,
    ) {
        match schema {
            Value::Object(members) => {
                if let Some(name) = members.get("$ref").and_then(Value::as_str) {
                    if seen.insert(name.to_owned()) {
                        let name = name.rsplit('/').next().unwrap();
                        collect(document, name, resolve(document, schema).unwrap(), found, seen);
                    }
                    return;
                }
                let items = &schema["items"];
                let is_text = items["type"] == "string" || items["type"][0] == "string";
                let is_free = ["enum", "const", "format"].iter().all(|key| items[key].is_null());
                if is_text && is_free {
                    found.insert(place.to_owned(), items.clone());
                }
                for (name, member) in members.iter().filter(|(name, _)| !name.starts_with("example")) {
                    match (name.as_str(), member.as_object()) {
                        ("properties", Some(fields)) => {
                            for (field, schema) in fields {
                                collect(document, &format!("{place}.{field}"), schema, found, seen);
                            }
                        }
                        _ => collect(document, place, member, found, seen),
                    }
                }
            }
            Value::Array(parts) => parts.iter().for_each(|part| collect(document, place, part, found, seen)),
            _ => {}
        }
    }
    let (mut found, mut seen) = (BTreeMap::new(), BTreeSet::new());
    for (method, path, operation) in operations(document) {
        let place = format!("{method} {path}");
        collect(document, &place, &operation["requestBody"], &mut found, &mut seen);
    }
    found
}

#[test]
fn items_of_lists_of_texts_have_a_limit() {
    let document = document();
    let lists = free_strings(&document);
    let wrong: Vec<String> = lists
        .iter()
        .filter(|(_, items)| items["maxLength"].is_null() || items["minLength"].is_null())
        .map(|(place, items)| format!("the items of {place} have no limit: {items}"))
        .collect();
    none(&wrong);
    // Names of a list that the server has: none of them is longer than documented.
    let longest = |place: &str| lists[place]["maxLength"].as_u64().unwrap() as usize;
    for place in ["NewApiKey.permissions", "ApiKeyUpdate.permissions"] {
        assert!(Permission::ALL.iter().all(|permission| permission.as_str().len() <= longest(place)));
    }
    for place in ["NewWebhook.events", "WebhookUpdate.events"] {
        let events = portico_runtime::events::catalogue();
        assert!(events.all().iter().all(|published| published.name.len() <= longest(place)));
    }
}

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

#[test]
fn every_answer_names_its_headers() {
    let document = document();
    let mut wrong = Vec::new();
    for (method, path, operation) in operations(&document) {
        let is_limited = path.starts_with("/api/v1/");
        for (status, response) in operation["responses"].as_object().unwrap() {
            let response = resolve(&document, response).unwrap();
            let mut wanted = vec!["X-Request-Id"];
            if is_limited {
                wanted.extend(["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"]);
            }
            match status.as_str() {
                "401" => wanted.push("WWW-Authenticate"),
                "429" | "503" => wanted.push("Retry-After"),
                _ => {}
            }
            let schema =
                response["content"]["application/json"]["schema"]["$ref"].as_str().unwrap_or_default();
            if schema.ends_with("List") || schema.ends_with("CursorPage") {
                wanted.push("Link");
            }
            for header in wanted {
                if response["headers"][header].is_null() {
                    wrong.push(format!("{method} {path}, {status}: {header} is missing"));
                }
            }
        }
        let secured = operation["security"].as_array().is_some_and(|security| !security.is_empty());
        let names_tenant = operation["parameters"].as_array().into_iter().flatten().any(|parameter| {
            resolve(&document, parameter).is_some_and(|parameter| parameter["name"] == "X-Tenant-Id")
        });
        if names_tenant != (secured && !path.contains("{tenantId}")) {
            wrong.push(format!("{method} {path}: X-Tenant-Id"));
        }
    }
    none(&wrong);
}

#[test]
fn operations_have_one_vocabulary() {
    let document = document();
    let mut wrong = Vec::new();
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().collect();
    let names: Vec<&str> = tags.iter().filter_map(|tag| tag["name"].as_str()).collect();
    assert!(tags.iter().all(|tag| tag["description"].as_str().is_some_and(|text| text.len() > 10)));
    let mut used = std::collections::BTreeSet::new();
    for (method, path, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        let fits = match method.as_str() {
            "DELETE" => id.starts_with("delete"),
            "PATCH" => id.starts_with("update"),
            "PUT" => ["update", "reorder"].iter().any(|verb| id.starts_with(verb)),
            // What is no plain reading says so.
            "GET" => {
                let verbs = ["list", "get", "export", "verify", "compare", "begin", "listen", "ask"];
                verbs.iter().any(|verb| id.starts_with(verb))
            }
            _ => true,
        };
        if !fits {
            wrong.push(format!("{method} {path} is called {id}"));
        }
        for tag in operation["tags"].as_array().unwrap() {
            used.insert(tag.as_str().unwrap());
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let name = resolve(&document, parameter).unwrap()["name"].as_str().unwrap();
            if ["since", "until", "before", "after", "start", "end"].contains(&name) {
                wrong.push(format!("{method} {path}: {name} in place of from or to"));
            }
        }
    }
    wrong.extend(used.iter().filter(|tag| !names.contains(tag)).map(|tag| format!("{tag} is not described")));
    wrong
        .extend(names.iter().filter(|tag| !used.contains(*tag)).map(|tag| format!("{tag} has no operation")));
    none(&wrong);
    let lines = portico::document::published().unwrap().lines().count();
    // About 120 for each operation.
    assert!(lines < 36_000, "{lines} lines");
}

#[test]
fn every_secured_operation_names_its_security() {
    let document = document();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let mut wrong = Vec::new();
    for (method, path, operation) in operations(&document) {
        let name = format!("{method} {path}");
        let named: Vec<&String> = operation["security"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_object)
            .flat_map(|s| s.keys())
            .collect();
        wrong.extend(
            named.iter().filter(|s| !schemes.contains_key(**s)).map(|s| format!("{name}: no scheme {s}")),
        );
        // Only operations of signing in may document 401 without requiring a token. A signed link is a credential in its address.
        let by_link = path == "/api/v1/downloads/{downloadId}/files/{fileName}";
        if named.is_empty()
            && !operation["responses"]["403"].is_null()
            && !path.starts_with("/api/v1/auth/")
            && !by_link
        {
            wrong.push(format!("{name} refuses callers and names no security"));
        }
        for status in ["401", "403", "404"] {
            if !named.is_empty() && operation["responses"][status].is_null() {
                wrong.push(format!("{name} is secured and does not tell of {status}"));
            }
        }
    }
    none(&wrong);
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
fn conforms(document: &Value, schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
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
