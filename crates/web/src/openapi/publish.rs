//! The document as clients get it: what utoipa cannot say of a type or a route, said once for all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use utoipa::openapi::{
    Components, Content, HeaderBuilder, ObjectBuilder, OpenApi, Ref, RefOr, Required, Response,
    header::Header,
    path::{Operation, Parameter, ParameterBuilder, ParameterIn, PathItem},
    schema::{
        AdditionalProperties, ArrayBuilder, ArrayItems, KnownFormat, Schema, SchemaFormat, SchemaType, Type,
    },
    tag::TagBuilder,
};

use super::{codes::CODES, examples, tags::TAGS};
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

/// Lists repeat the schema of their items, because utoipa inlines what is generic. They refer to it instead.
fn name_items(components: &mut Components) {
    let Components { schemas, .. } = components;
    let names: Vec<String> = schemas.keys().cloned().collect();
    for name in names {
        let Some((_, item)) = name.split_once('_').filter(|(kind, _)| matches!(*kind, "List" | "CursorPage"))
        else {
            continue;
        };
        let Some(RefOr::T(Schema::Object(list))) = schemas.get_mut(&name) else { continue };
        let Some(RefOr::T(Schema::Array(items))) = list.properties.get_mut("items") else { continue };
        let reference = RefOr::Ref(Ref::from_schema_name(item));
        let inline = std::mem::replace(&mut items.items, ArrayItems::RefOrSchema(Box::new(reference)));
        if let ArrayItems::RefOrSchema(inline) = inline {
            schemas.entry(item.to_owned()).or_insert(*inline);
        }
    }
}

/// The name of a schema for clients: `SiteList` for `List_SiteView`, and no suffix that only tells apart types of the source.
fn public_name(name: &str, known: &BTreeSet<String>) -> String {
    let plain = |name: &str| match name.strip_suffix("View") {
        Some(short) if !known.contains(short) => short.to_owned(),
        _ => name.to_owned(),
    };
    match name.split_once('_') {
        Some(("List", item)) => format!("{}List", plain(item)),
        Some(("CursorPage", item)) => format!("{}CursorPage", plain(item)),
        _ if name == "ProblemBody" => PROBLEM.to_owned(),
        _ => plain(name),
    }
}

fn rename(document: &mut OpenApi, components: &mut Components) {
    let known: BTreeSet<String> = components.schemas.keys().cloned().collect();
    let to_public = |reference: &mut Ref| {
        if let Some(name) = reference.ref_location.strip_prefix("#/components/schemas/") {
            reference.ref_location = format!("#/components/schemas/{}", public_name(name, &known));
        }
    };
    let schemas = std::mem::take(&mut components.schemas);
    for (name, mut schema) in schemas {
        each_reference(&mut schema, &to_public);
        components.schemas.insert(public_name(&name, &known), schema);
    }
    let in_contents = |contents: &mut dyn Iterator<Item = &mut RefOr<Content>>| {
        for content in contents {
            if let RefOr::T(Content { schema: Some(schema), .. }) = content {
                each_reference(schema, &to_public);
            }
        }
    };
    for item in document.paths.paths.values_mut() {
        for (_, operation) in super::operations_mut(item) {
            if let Some(RefOr::T(body)) = &mut operation.request_body {
                in_contents(&mut body.content.values_mut());
            }
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(Parameter { schema: Some(schema), .. }) = parameter {
                    each_reference(schema, &to_public);
                }
            }
            for response in operation.responses.responses.values_mut() {
                if let RefOr::T(response) = response {
                    in_contents(&mut response.content.values_mut());
                }
            }
        }
    }
    for response in components.responses.values_mut() {
        if let RefOr::T(response) = response {
            in_contents(&mut response.content.values_mut());
        }
    }
}

/// Calls `change` for every reference within a schema.
fn each_reference(schema: &mut RefOr<Schema>, change: &impl Fn(&mut Ref)) {
    match schema {
        RefOr::Ref(reference) => change(reference),
        RefOr::T(schema) => each_part(schema, &mut |part| each_reference(part, change)),
    }
}

/// Calls `visit` for every schema directly within one.
fn each_part(schema: &mut Schema, visit: &mut dyn FnMut(&mut RefOr<Schema>)) {
    match schema {
        Schema::Object(object) => {
            object.properties.values_mut().for_each(&mut *visit);
            if let Some(AdditionalProperties::RefOr(values)) = object.additional_properties.as_deref_mut() {
                visit(values);
            }
        }
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                visit(items);
            }
        }
        Schema::OneOf(one) => one.items.iter_mut().for_each(visit),
        Schema::AllOf(all) => all.items.iter_mut().for_each(visit),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(visit),
        _ => {}
    }
}

/// Inputs have a default for every field only so that every missing one is reported at once. What is empty is no default:
/// generators of clients take a field with a default for one that must be sent.
fn drop_empty_defaults(schema: &mut RefOr<Schema>) {
    let default = match schema {
        RefOr::Ref(reference) => &mut reference.default,
        RefOr::T(Schema::Object(object)) => &mut object.default,
        RefOr::T(Schema::Array(array)) => &mut array.default,
        RefOr::T(Schema::OneOf(one)) => &mut one.default,
        RefOr::T(Schema::AllOf(all)) => &mut all.default,
        RefOr::T(Schema::AnyOf(any)) => &mut any.default,
        RefOr::T(_) => return,
    };
    let empty = [Value::Null, json!(""), json!([]), json!(0), json!(false)];
    default.take_if(|value| empty.contains(value));
    if let RefOr::T(schema) = schema {
        each_part(schema, &mut drop_empty_defaults);
    }
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn words(description: &str, words: &[&str]) -> ObjectBuilder {
    text(description).enum_values(Some(words.iter().copied()))
}

fn count(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64)))
        .minimum(Some(0.0))
        .description(Some(description))
}

/// Adds the codes to the schema of problems, and the members that some of them have.
fn describe_problems(components: &mut Components) {
    let codes = words("What went wrong, for programs. New versions add codes.", &CODES);
    components.schemas.insert("ProblemCode".to_owned(), codes.into());
    let tenant = ObjectBuilder::new()
        .property("id", RefOr::Ref(Ref::from_schema_name("TenantId")))
        .property("name", text("Name of the tenant."))
        .required("id")
        .required("name");
    let list = |description: &str, items: RefOr<Schema>| {
        ArrayBuilder::new().items(items).description(Some(description))
    };
    let methods = words("A way to go on.", &["totp", "recovery_code", "passkey"]);
    let Some(RefOr::T(Schema::Object(problem))) = components.schemas.get_mut(PROBLEM) else { return };
    problem.properties.insert("code".to_owned(), RefOr::Ref(Ref::from_schema_name("ProblemCode")));
    let plan = ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
        .description(Some(
            "`quota_exceeded`, `plan_required`: the cheapest plan that would do; null when there is none.",
        ));
    problem.properties.extend([
        (
            "meter".to_owned(),
            words(
                "`quota_exceeded`: what is used up.",
                &["sites", "storage", "ai_generations", "custom_domains", "members", "api_keys"],
            )
            .into(),
        ),
        ("limit".to_owned(), count("`quota_exceeded`: how much the plan includes.").into()),
        ("used".to_owned(), count("`quota_exceeded`: how much is used.").into()),
        ("feature".to_owned(), text("`plan_required`: the feature that the plan lacks.").into()),
        ("plan".to_owned(), plan.into()),
        (
            "mfaToken".to_owned(),
            text("`second_factor_required`: to be sent with the second factor, within five minutes.").into(),
        ),
        ("methods".to_owned(), list("`second_factor_required`: how to go on.", methods.into()).into()),
        (
            "tenants".to_owned(),
            list("`last_owner`: the tenants whose only owner it is.", tenant.into()).into(),
        ),
        (
            "pages".to_owned(),
            list("`asset_in_use`: the pages that show it.", RefOr::Ref(Ref::from_schema_name("PageId")))
                .into(),
        ),
        (
            "reason".to_owned(),
            words(
                "`license_required`: why no license covers the release.",
                &["not_covered", "license_suspended", "license_expired", "license_revoked", "no_license"],
            )
            .into(),
        ),
        (
            "releaseStatus".to_owned(),
            words("`release_status`: what the release is.", &["draft", "published", "withdrawn"]).into(),
        ),
        (
            "branding".to_owned(),
            ObjectBuilder::new()
                .schema_type(Type::Boolean)
                .description(Some("`asset_in_use`: whether the branding shows it."))
                .into(),
        ),
    ]);
}

/// The headers that many answers have.
fn headers() -> impl Iterator<Item = (&'static str, Header)> {
    let number = || count("").description(None::<String>);
    let plain = || ObjectBuilder::new().schema_type(Type::String);
    [
        ("X-Request-Id", "Id of the request, for support.", plain()),
        ("X-RateLimit-Limit", "Requests a minute that the caller may make.", number()),
        ("X-RateLimit-Remaining", "Requests that may follow at once.", number()),
        (
            "X-RateLimit-Reset",
            "Seconds until the whole quota is there again; with 429, until one more request is allowed.",
            number(),
        ),
        ("Retry-After", "Seconds to wait before the next attempt.", number()),
        ("WWW-Authenticate", "Which credentials are wanted (RFC 9110).", plain()),
        ("ETag", "The version, for `If-None-Match` and `If-Match`.", plain()),
        ("Location", "Path of what was made, or of the status of what goes on.", plain()),
        (
            "Link",
            "Other pages of the list (RFC 8288): `first`, `prev`, `next`. Absent where there is only one.",
            plain(),
        ),
        (
            "Idempotent-Replayed",
            "There when the answer was given before, under the same `Idempotency-Key`.",
            plain().enum_values(Some(["true"])),
        ),
    ]
    .into_iter()
    .map(|(name, description, schema)| {
        (name, HeaderBuilder::new().description(Some(description)).schema(Some(schema)).build())
    })
}

fn header(name: &str) -> RefOr<Header> {
    RefOr::Ref(Ref::new(format!("#/components/headers/{name}")))
}

fn add_headers(path: &str, status: &str, response: &mut Response) {
    let shared: BTreeSet<&str> = headers().map(|(name, _)| name).collect();
    for (name, given) in &mut response.headers {
        if shared.contains(name.as_str()) {
            *given = header(name);
        }
    }
    let mut add = |name: &str| drop(response.headers.insert(name.to_owned(), header(name)));
    add("X-Request-Id");
    if path.starts_with(API) {
        ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"].into_iter().for_each(&mut add);
    }
    match status {
        "401" => add("WWW-Authenticate"),
        "429" | "503" => add("Retry-After"),
        _ => {}
    }
    if response.description.contains("`Retry-After`") {
        response.headers.insert("Retry-After".to_owned(), header("Retry-After"));
    }
    if list_of(response).is_some() {
        response.headers.insert("Link".to_owned(), header("Link"));
    }
}

/// The name of the schema, if a response is a list.
fn list_of(response: &Response) -> Option<&str> {
    let RefOr::T(content) = response.content.get("application/json")? else { return None };
    let Some(RefOr::Ref(reference)) = &content.schema else { return None };
    let name = reference.ref_location.rsplit('/').next()?;
    (name.ends_with("List") || name.ends_with("CursorPage")).then_some(name)
}

/// Describes a success that the route leaves to its status.
fn describe(status: &str, response: &mut Response) {
    if !response.description.is_empty() {
        return;
    }
    response.description = match status {
        "200" if list_of(response).is_some() => "The items of this page of the list.",
        "200" if response.content.is_empty() => "Done.",
        "200" => "The resource as it is now.",
        "201" => "Created; `Location` is its path.",
        "202" => "Accepted; it goes on in the background.",
        "204" => "Done; there is nothing to return.",
        _ => "As the status code says.",
    }
    .to_owned();
}

fn tenant_header() -> Parameter {
    ParameterBuilder::new()
        .name("X-Tenant-Id")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The tenant to act in, if that is not the active one of the access token. 404 where the caller does not belong to \
             it. An API key acts in its own tenant only.",
        ))
        .schema(Some(RefOr::Ref(Ref::from_schema_name("TenantId"))))
        .build()
}

/// Operations that act in a tenant which their path does not name take `X-Tenant-Id`.
fn name_tenant(path: &str, operation: &mut Operation) {
    if super::is_secured(operation) && !path.contains("{tenantId}") {
        let reference = RefOr::Ref(Ref::new("#/components/parameters/X-Tenant-Id"));
        operation.parameters.get_or_insert_default().push(reference);
    }
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

/// Moves parameters that many operations have to the components.
fn share_parameters(document: &mut OpenApi, components: &mut Components) {
    let key = |parameter: &Parameter| serde_json::to_string(parameter).unwrap_or_default();
    let mut uses: BTreeMap<String, (usize, String)> = BTreeMap::new();
    for item in document.paths.paths.values_mut() {
        for (_, operation) in super::operations_mut(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    tidy(parameter);
                    uses.entry(key(parameter)).or_insert((0, parameter.name.clone())).0 += 1;
                }
            }
        }
    }
    // Of parameters that have one name and differ, the one with the most uses is shared.
    let mut best: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
    for (key, (uses, name)) in uses.iter().filter(|(_, (uses, _))| *uses > 2) {
        let entry = best.entry(name).or_insert((*uses, key));
        if *uses > entry.0 {
            *entry = (*uses, key);
        }
    }
    for item in document.paths.paths.values_mut() {
        for (_, operation) in super::operations_mut(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                let RefOr::T(inline) = &*parameter else { continue };
                if best.get(inline.name.as_str()).is_some_and(|(_, shared)| *shared == key(inline)) {
                    let name = inline.name.clone();
                    let reference = RefOr::Ref(Ref::new(format!("#/components/parameters/{name}")));
                    components.parameters.insert(name, std::mem::replace(parameter, reference));
                }
            }
        }
    }
}

/// What utoipa says of headers and ids in paths is completed.
fn tidy(parameter: &mut Parameter) {
    if parameter.name == "If-Match" {
        parameter.schema = Some(RefOr::T(ObjectBuilder::new().schema_type(Type::String).into()));
        parameter.description.get_or_insert_with(|| {
            "The `ETag` that was read: 412 when it was changed since. Without it, the last change wins."
                .to_owned()
        });
    }
    if let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
        && let SchemaType::Array(kinds) = &object.schema_type
        && let [kind, Type::Null] = &kinds[..]
    {
        // A parameter is absent, not null.
        object.schema_type = SchemaType::Type(kind.clone());
    }
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
