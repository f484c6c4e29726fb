//! Examples of schemas that have none, composed of those of their properties.

use serde_json::{Map, Value, json};
use utoipa::openapi::{
    Components, RefOr,
    schema::{AdditionalProperties, ArrayItems, KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type},
};

/// How deep an example goes. What lies deeper is left out.
const DEPTH: usize = 14;

/// An example that the schema allows; `None` where nothing short of its own example would be one.
pub fn for_schema(components: &Components, schema: &RefOr<Schema>) -> Option<Value> {
    value(components, schema, "", DEPTH)
}

fn value(components: &Components, schema: &RefOr<Schema>, name: &str, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let schema = match schema {
        RefOr::Ref(reference) => {
            let target = reference.ref_location.strip_prefix("#/components/schemas/")?;
            return value(components, components.schemas.get(target)?, name, depth);
        }
        RefOr::T(schema) => schema,
    };
    match schema {
        Schema::Object(object) => {
            let given = object
                .example
                .as_ref()
                .or_else(|| object.examples.first())
                .or_else(|| object.enum_values.as_ref().and_then(|values| values.first()));
            given.cloned().or_else(|| plain(components, object, name, depth))
        }
        Schema::Array(array) => {
            let given = array.example.as_ref().or_else(|| array.examples.first()).cloned();
            given.or_else(|| match &array.items {
                ArrayItems::RefOrSchema(item) => {
                    let item = value(components, item, name, depth)?;
                    Some(Value::Array(vec![item; array.min_items.unwrap_or(1).max(1)]))
                }
                ArrayItems::False => None,
            })
        }
        Schema::OneOf(one) => {
            let given = one.example.as_ref().or_else(|| one.examples.first()).cloned();
            given.or_else(|| {
                one.items
                    .iter()
                    .filter(|item| !is_null(item))
                    .find_map(|item| value(components, item, name, depth))
            })
        }
        Schema::AnyOf(any) => any.items.iter().find_map(|item| value(components, item, name, depth)),
        Schema::AllOf(all) => {
            let mut whole = Map::new();
            for item in &all.items {
                let Value::Object(part) = value(components, item, name, depth)? else { return None };
                whole.extend(part);
            }
            Some(Value::Object(whole))
        }
        _ => None,
    }
}

fn plain(components: &Components, object: &Object, name: &str, depth: usize) -> Option<Value> {
    let kind = match &object.schema_type {
        SchemaType::Type(kind) => kind,
        SchemaType::Array(kinds) => kinds.iter().find(|kind| **kind != Type::Null)?,
        SchemaType::AnyValue => return Some(json!({})),
    };
    match kind {
        Type::Object => {
            let mut whole = Map::new();
            for (name, property) in &object.properties {
                match value(components, property, name, depth) {
                    Some(value) => drop(whole.insert(name.clone(), value)),
                    None if object.required.contains(name) => return None,
                    None => {}
                }
            }
            if let Some(AdditionalProperties::RefOr(schema)) = object.additional_properties.as_deref() {
                whole.insert("name".to_owned(), value(components, schema, "", depth)?);
            }
            Some(Value::Object(whole))
        }
        Type::String => text(object, name),
        Type::Integer | Type::Number => {
            let least = object.minimum.as_ref().and_then(|least| serde_json::to_value(least).ok()?.as_f64());
            Some(json!(least.unwrap_or(1.0).max(1.0) as i64))
        }
        Type::Boolean => Some(json!(true)),
        Type::Array | Type::Null => None,
    }
}

fn text(object: &Object, name: &str) -> Option<Value> {
    let text = match &object.format {
        Some(SchemaFormat::KnownFormat(KnownFormat::Uuid)) => "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d",
        Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)) => "2026-11-22T10:00:00Z",
        Some(SchemaFormat::KnownFormat(KnownFormat::Date)) => "2026-11-22",
        Some(SchemaFormat::KnownFormat(KnownFormat::Email)) => "ada@example.com",
        Some(SchemaFormat::KnownFormat(KnownFormat::Binary)) => return None,
        Some(SchemaFormat::Custom(format)) if format == "uri" => "https://example.com/",
        Some(SchemaFormat::Custom(format)) if format == "email" => "ada@example.com",
        _ => match name {
            // Texts with a pattern.
            "primary" | "secondary" | "accent" | "background" | "text" if object.pattern.is_some() => {
                "#1d4ed8"
            }
            "subdomain" => "panaderia-luz",
            "fullName" | "author" => "Ada Lovelace",
            "name" => "Panadería Luz",
            "email" => "ada@example.com",
            "language" => "en",
            "slug" | "key" => "about-us",
            "phone" | "mobile" => "+1 555 0100",
            _ if object.pattern.is_some() => return None,
            _ if name.ends_with("rl") => "https://example.com/",
            _ => "Text",
        },
    };
    let length = text.len();
    (object.min_length.unwrap_or(0) <= length && object.max_length.is_none_or(|most| length <= most))
        .then(|| text.into())
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null))
}
