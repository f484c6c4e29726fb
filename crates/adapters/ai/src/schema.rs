//! The JSON schema of an answer, which servers can enforce ("structured outputs").
//!
//! Derived from the schemas of the API document, so that a section is described once. Servers support only a subset of JSON
//! schema: every property is required and may be null instead, no others are allowed, and limits are left out. Those are
//! checked when the answer is read.

use portico_sites::section::{
    SectionType,
    content::{
        ContactContent, CtaContent, FaqContent, FeaturesContent, GalleryContent, HeroContent, HtmlContent,
        PricingContent, TestimonialsContent, TextContent,
    },
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

/// Maximum depth of references between schemas.
const MAX_DEPTH: usize = 8;

/// The schema of the content of a section.
pub(crate) fn of_section(kind: SectionType) -> Value {
    match kind {
        SectionType::Hero => of::<HeroContent>(),
        SectionType::Text => of::<TextContent>(),
        SectionType::Features => of::<FeaturesContent>(),
        SectionType::Gallery => of::<GalleryContent>(),
        SectionType::Testimonials => of::<TestimonialsContent>(),
        SectionType::Pricing => of::<PricingContent>(),
        SectionType::Faq => of::<FaqContent>(),
        SectionType::Contact => of::<ContactContent>(),
        SectionType::Cta => of::<CtaContent>(),
        SectionType::Html => of::<HtmlContent>(),
    }
}

/// An object with these properties.
pub(crate) fn object(properties: impl IntoIterator<Item = (String, Value)>) -> Value {
    let properties: Map<String, Value> = properties.into_iter().collect();
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "required": required, "additionalProperties": false, "properties": properties})
}

fn of<T: PartialSchema + ToSchema>() -> Value {
    let mut known = Vec::new();
    T::schemas(&mut known);
    let known: Map<String, Value> = known
        .into_iter()
        .filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?)))
        .collect();
    let schema = serde_json::to_value(T::schema()).unwrap_or_default();
    strict(&schema, &known, MAX_DEPTH)
}

/// The subset of a schema that servers support.
fn strict(schema: &Value, known: &Map<String, Value>, depth: usize) -> Value {
    if depth == 0 {
        return json!({"type": "string"});
    }
    if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next()) {
        return known
            .get(name)
            .map_or_else(|| json!({"type": "string"}), |found| strict(found, known, depth - 1));
    }
    let kind = &schema["type"];
    let mut result = match kind.as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            object(properties.iter().filter(|(name, _)| is_for_writers(name)).map(|(name, property)| {
                let property = strict(property, known, depth - 1);
                let property = if required.contains(&name.as_str()) { property } else { nullable(property) };
                (name.clone(), property)
            }))
        }
        Some("array") => json!({"type": "array", "items": strict(&schema["items"], known, depth - 1)}),
        _ if kind.is_null() => json!({"type": ["string", "null"]}),
        _ => json!({"type": kind}),
    };
    if let (Some(fields), Some(text)) = (result.as_object_mut(), schema["description"].as_str()) {
        fields.insert("description".to_owned(), text.into());
    }
    result
}

/// Images are chosen by the customer: the generator cannot see them, and existing ones are kept. So is the consent text of
/// a form.
fn is_for_writers(name: &str) -> bool {
    !name.ends_with("AssetId") && !matches!(name, "imageUrl" | "form" | "consentText" | "socialUrls")
}

/// Allows null in place of a value.
fn nullable(mut schema: Value) -> Value {
    if let Some(kind) = schema["type"].as_str() {
        // Lists can be empty, and flags false, instead.
        if !matches!(kind, "array" | "boolean") {
            schema["type"] = json!([kind, "null"]);
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asserts that a schema contains nothing that strict servers refuse.
    fn check(schema: &Value, path: &str) {
        let fields = schema.as_object().unwrap_or_else(|| panic!("{path}: {schema}"));
        let known = ["type", "properties", "required", "additionalProperties", "items", "description"];
        assert!(fields.keys().all(|name| known.contains(&name.as_str())), "{path}: {schema}");
        assert!(!schema["type"].is_null(), "{path}: {schema}");
        if schema["type"] == "object" {
            assert_eq!(schema["additionalProperties"], false, "{path}");
            let properties = schema["properties"].as_object().unwrap();
            let required = schema["required"].as_array().unwrap();
            assert!(!properties.is_empty() && required.len() == properties.len(), "{path}: {schema}");
            for (name, property) in properties {
                check(property, &format!("{path}.{name}"));
            }
        }
        if schema["type"] == "array" {
            check(&schema["items"], &format!("{path}[]"));
        }
    }

    #[test]
    fn every_section_has_a_schema_that_strict_servers_take() {
        for kind in SectionType::ALL {
            check(&of_section(kind), kind.as_str());
        }
        let hero = of_section(SectionType::Hero);
        assert_eq!(hero["properties"]["heading"]["type"], "string");
        assert_eq!(hero["properties"]["subheading"]["type"], json!(["string", "null"]));
        let faq = of_section(SectionType::Faq);
        assert_eq!(faq["properties"]["items"]["items"]["properties"]["question"]["type"], "string");
        assert!(hero["properties"].get("imageUrl").is_none());
    }
}
