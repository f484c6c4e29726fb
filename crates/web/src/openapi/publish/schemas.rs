//! Names of schemas, what they refer to, and what their fields are without.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use utoipa::openapi::{
    Components, Content, OpenApi, Ref, RefOr,
    path::Parameter,
    schema::{AdditionalProperties, ArrayItems, Schema},
};

use super::PROBLEM;
use crate::openapi;

/// Lists repeat the schema of their items, because utoipa inlines what is generic. They refer to it instead.
pub(super) fn name_items(components: &mut Components) {
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

pub(super) fn rename(document: &mut OpenApi, components: &mut Components) {
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
        for (_, operation) in openapi::operations_mut(item) {
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
pub(super) fn drop_empty_defaults(schema: &mut RefOr<Schema>) {
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
