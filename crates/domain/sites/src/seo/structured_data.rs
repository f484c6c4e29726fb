//! Structured data of a customer's own: JSON-LD in the vocabulary of schema.org.

use serde_json::{Map, Value};

/// The most bytes of it.
const MAX_BYTES: usize = 16 * 1024;

/// Why structured data is refused.
pub(super) type Refusal = (&'static str, &'static str);

/// Checks structured data: one object with a `@type` (or a `@graph`), or a list of such. The vocabulary is that of
/// schema.org, also where it is not said; another one is refused, because search engines read no other.
pub(super) fn check(data: &Value) -> Result<(), Refusal> {
    let objects = match data {
        Value::Object(object) => vec![object],
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| {
                item.as_object().ok_or(("invalid_type", "This must be an object or a list of objects."))
            })
            .collect::<Result<Vec<_>, _>>()?,
        _ => return Err(("invalid_type", "This must be an object or a list of objects.")),
    };
    for object in objects {
        check_object(object)?;
    }
    if serde_json::to_string(data).map_or(usize::MAX, |text| text.len()) > MAX_BYTES {
        return Err(("too_long", "Use at most 16384 bytes."));
    }
    Ok(())
}

fn check_object(object: &Map<String, Value>) -> Result<(), Refusal> {
    let names_schema = |context: &Value| {
        let place = context.as_str().unwrap_or_default().trim_end_matches('/');
        matches!(place, "https://schema.org" | "http://schema.org")
    };
    if object.get("@context").is_some_and(|context| !names_schema(context)) {
        return Err(("unknown_vocabulary", "The @context must be https://schema.org."));
    }
    let is_typed = match object.get("@type") {
        Some(Value::String(kind)) => !kind.is_empty(),
        Some(Value::Array(kinds)) => !kinds.is_empty() && kinds.iter().all(Value::is_string),
        _ => object.get("@graph").is_some_and(Value::is_array),
    };
    if is_typed { Ok(()) } else { Err(("required", "Each object needs a @type of schema.org.")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_have_a_type_of_schema_org() {
        for good in [
            json!({"@type": "Bakery", "name": "Millstone"}),
            json!({"@context": "https://schema.org/", "@type": ["Bakery", "Store"]}),
            json!([{"@type": "Event"}, {"@type": "Offer"}]),
            json!({"@graph": [{"@type": "Event"}]}),
        ] {
            assert_eq!(check(&good), Ok(()), "{good}");
        }
        for (bad, code) in [
            (json!(null), "invalid_type"),
            (json!("Bakery"), "invalid_type"),
            (json!([]), "invalid_type"),
            (json!([1]), "invalid_type"),
            (json!({"name": "x"}), "required"),
            (json!({"@type": ""}), "required"),
            (json!({"@context": "https://evil.example", "@type": "Bakery"}), "unknown_vocabulary"),
            (json!({"@type": "Bakery", "description": "x".repeat(20_000)}), "too_long"),
        ] {
            assert_eq!(check(&bad).unwrap_err().0, code, "{code}");
        }
    }
}
