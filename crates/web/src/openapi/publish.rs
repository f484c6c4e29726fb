//! The document as clients get it: what utoipa cannot say of a type or a route, said once for all of them.

mod answers;
mod parameters;
mod problems;
mod schemas;

use std::collections::BTreeSet;

use serde_json::Value;
use utoipa::openapi::{
    Components, Content, ObjectBuilder, OpenApi, RefOr,
    path::{Operation, PathItem},
    schema::{AdditionalProperties, KnownFormat, Schema, SchemaFormat, Type},
    tag::TagBuilder,
};

use self::{
    answers::{add_headers, describe, headers},
    parameters::{name_tenant, share_parameters, tenant_header},
    problems::describe_problems,
    schemas::{drop_empty_defaults, name_items, rename},
};
use super::{examples, tags::TAGS};
use crate::routing::Row;

/// Paths of the API itself, whose answers have the headers of limits.
const API: &str = "/api/v1/";

/// The schema of errors.
const PROBLEM: &str = "Problem";

/// Completes the document for publication.
pub fn published(mut document: OpenApi, rows: &[Row]) -> OpenApi {
    let merges: BTreeSet<&str> =
        rows.iter().filter(|row| row.operation.merges).map(|row| row.path.as_str()).collect();
    let mut components = document.components.take().unwrap_or_default();
    name_items(&mut components);
    rename(&mut document, &mut components);
    for schema in components.schemas.values_mut() {
        drop_empty_defaults(schema);
    }
    describe_problems(&mut components);
    components.headers.extend(headers().map(|(name, header)| (name.to_owned(), RefOr::T(header))));
    components.parameters.insert("X-Tenant-Id".to_owned(), RefOr::T(tenant_header()));
    for (path, item) in &mut document.paths.paths {
        if merges.contains(path.as_str()) {
            offer_patch(item);
        }
        for (_, operation) in super::operations_mut(item) {
            // For anyone, said explicitly.
            operation.security.get_or_insert_default();
            name_tenant(path, operation);
            unwrap_optional_body(operation);
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                body.content.iter_mut().for_each(|(kind, content)| mark_bytes(kind, content));
            }
            for (status, response) in &mut operation.responses.responses {
                if let RefOr::T(response) = response {
                    response.content.iter_mut().for_each(|(kind, content)| mark_bytes(kind, content));
                    describe(status, response);
                    add_headers(path, status, response);
                }
            }
        }
    }
    for (name, response) in &mut components.responses {
        if let RefOr::T(response) = response {
            add_headers(API, if name == "Unauthenticated" { "401" } else { "500" }, response);
        }
    }
    share_parameters(&mut document, &mut components);
    close_inputs(&document, &mut components);
    add_examples(&document, &mut components);
    drop_unused(&document, &mut components);
    document.tags = Some(
        TAGS.iter()
            .map(|(name, text)| TagBuilder::new().name(*name).description(Some(*text)).build())
            .collect(),
    );
    document.components = Some(components);
    document
}

/// Every reference to a schema within `value`, as the name of that schema.
fn references(value: &impl serde::Serialize) -> BTreeSet<String> {
    fn collect(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                let target = members.get("$ref").and_then(Value::as_str);
                found.extend(target.map(|target| target.trim_start_matches("#/components/").to_owned()));
                members.values().for_each(|member| collect(member, found));
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    collect(&serde_json::to_value(value).unwrap_or_default(), &mut found);
    found
}

/// Every component that a value leads to, directly or through others: `schemas/Site`.
fn reachable(value: &impl serde::Serialize, components: &Components) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = references(value).into_iter().collect();
    while let Some(name) = open.pop() {
        let next = match name.split_once('/') {
            Some(("schemas", key)) => components.schemas.get(key).map(references),
            Some(("responses", key)) => components.responses.get(key).map(references),
            Some(("parameters", key)) => components.parameters.get(key).map(references),
            Some(("headers", key)) => components.headers.get(key).map(references),
            _ => None,
        };
        if found.insert(name) {
            open.extend(next.into_iter().flatten());
        }
    }
    found
}

fn count(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0.0))
        .description(Some(description))
}

/// A body that may be absent is described by `required: false`; utoipa also says that it may be `null`, which it may not.
fn unwrap_optional_body(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        if let RefOr::T(content) = content
            && let Some(RefOr::T(Schema::OneOf(one))) = &mut content.schema
            && let [only, _] = &mut one.items[..]
        {
            content.schema = Some(only.clone());
        }
    }
}

/// Pictures and documents are bytes, and not text.
fn mark_bytes(kind: &str, content: &mut RefOr<Content>) {
    if !(kind.starts_with("image/") || kind == "application/pdf") {
        return;
    }
    if let RefOr::T(Content { schema: Some(RefOr::T(Schema::Object(object))), .. }) = content {
        object.format = Some(SchemaFormat::KnownFormat(KnownFormat::Binary));
    }
}

/// Documents an update as PATCH with a merge patch (RFC 7396). PUT answers the same, and is not in the document.
fn offer_patch(item: &mut PathItem) {
    let Some(mut operation) = item.put.take() else { return };
    if let Some(RefOr::T(body)) = &mut operation.request_body
        && let Some(json) = body.content.get("application/json").cloned()
    {
        body.content.insert("application/merge-patch+json".to_owned(), json);
    }
    item.patch = Some(operation);
}

/// Unknown fields are refused, so inputs have no others than those of their schema. Schemas that answers use as well stay
/// open, because answers may get more fields.
fn close_inputs(document: &OpenApi, components: &mut Components) {
    let (mut sent, mut other, mut parts) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for item in document.paths.paths.values() {
        for (_, operation) in super::operations(item) {
            if let Some(RefOr::T(body)) = &operation.request_body {
                for (kind, content) in &body.content {
                    let names = reachable(content, components);
                    if kind.ends_with("json") { &mut sent } else { &mut other }.extend(names);
                }
            }
            other.extend(reachable(&operation.responses, components));
        }
    }
    for schema in components.schemas.values() {
        if let RefOr::T(Schema::AllOf(all)) = schema {
            parts.extend(references(all));
        }
    }
    for (name, schema) in &mut components.schemas {
        let name = format!("schemas/{name}");
        if let RefOr::T(Schema::Object(object)) = schema
            && other.contains(&name)
        {
            object
                .additional_properties
                .take_if(|more| matches!(**more, AdditionalProperties::FreeForm(false)));
        }
        if let RefOr::T(Schema::Object(object)) = schema
            && sent.contains(&name)
            && !other.contains(&name)
            && !parts.contains(&name)
            && !object.properties.is_empty()
            && object.additional_properties.is_none()
        {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
}

/// Gives every schema that is a body an example.
fn add_examples(document: &OpenApi, components: &mut Components) {
    let mut bodies = BTreeSet::new();
    for item in document.paths.paths.values() {
        for (_, operation) in super::operations(item) {
            if let Some(RefOr::T(body)) = &operation.request_body {
                bodies.extend(body.content.values().flat_map(references));
            }
            for response in operation.responses.responses.values() {
                if let RefOr::T(response) = response {
                    bodies.extend(response.content.values().flat_map(references));
                }
            }
        }
    }
    for name in bodies.iter().filter_map(|name| name.strip_prefix("schemas/")) {
        let Some(schema) = components.schemas.get(name) else { continue };
        if name.ends_with("List") || name.ends_with("CursorPage") {
            continue;
        }
        let made = examples::for_schema(components, schema);
        let place = match components.schemas.get_mut(name) {
            Some(RefOr::T(Schema::Object(object))) if object.examples.is_empty() => &mut object.example,
            Some(RefOr::T(Schema::OneOf(one))) if one.examples.is_empty() => &mut one.example,
            Some(RefOr::T(Schema::AllOf(all))) if all.examples.is_empty() => &mut all.example,
            _ => continue,
        };
        if place.is_none() {
            *place = made;
        }
    }
}

fn drop_unused(document: &OpenApi, components: &mut Components) {
    let used = reachable(&document.paths, components);
    components.schemas.retain(|name, _| used.contains(&format!("schemas/{name}")));
    components.responses.retain(|name, _| used.contains(&format!("responses/{name}")));
    components.headers.retain(|name, _| used.contains(&format!("headers/{name}")));
}
