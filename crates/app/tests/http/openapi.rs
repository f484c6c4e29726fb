//! The API document: committed, complete, and true.

use std::collections::{BTreeMap, BTreeSet};

use portico_kernel::Permission;
use serde_json::Value;

use crate::{fixture::parameters, openapi_answers::conforms};

/// Methods that an item of `paths` may have.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "patch", "head", "options", "trace"];

pub fn document() -> Value {
    serde_json::from_str(&portico::document::published().unwrap()).unwrap()
}

/// Every operation with its method and path.
pub fn operations(document: &Value) -> Vec<(String, String, &Value)> {
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
pub fn none(wrong: &[String]) {
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
pub fn resolve<'d>(document: &'d Value, value: &'d Value) -> Option<&'d Value> {
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
pub fn free_strings(document: &Value) -> BTreeMap<String, Value> {
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
