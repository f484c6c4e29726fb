//! Whether an answer is as Stripe's specification says.

use std::{
    collections::HashMap,
    io::Read,
    sync::{Arc, LazyLock, Mutex},
};

use jsonschema::Validator;
use serde_json::{Value, json};

/// The specification's schemas as draft 4 understands them.
static SCHEMAS: LazyLock<Value> = LazyLock::new(|| {
    let mut text = String::new();
    let packed = include_bytes!("schemas.json.gz");
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
    draft4(serde_json::from_str(&text).unwrap())
});

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// `nullable` is a union with null; names that may be more than those listed are no enum.
fn draft4(value: Value) -> Value {
    match value {
        Value::Object(mut fields) => {
            let nullable = fields.remove("nullable") == Some(Value::Bool(true));
            if fields.get("x-stripeBypassValidation") == Some(&Value::Bool(true)) {
                fields.remove("enum");
            }
            let schema =
                Value::Object(fields.into_iter().map(|(name, value)| (name, draft4(value))).collect());
            if nullable { json!({"anyOf": [schema, {"type": "null"}]}) } else { schema }
        }
        Value::Array(items) => items.into_iter().map(draft4).collect(),
        other => other,
    }
}

fn validator(name: &str) -> Option<Arc<Validator>> {
    let mut known = VALIDATORS.lock().unwrap();
    if let Some(found) = known.get(name) {
        return Some(found.clone());
    }
    SCHEMAS["components"]["schemas"].get(name)?;
    let mut schema = SCHEMAS.clone();
    schema["allOf"] = json!([{"$ref": format!("#/components/schemas/{name}")}]);
    let made = Arc::new(jsonschema::draft4::new(&schema).unwrap());
    known.insert(name.to_owned(), made.clone());
    Some(made)
}

/// Objects that the part of the specification does not have.
const OUTSIDE: [&str; 5] = ["coupon", "promotion_code", "invoiceitem", "deleted_coupon", "deleted_product"];

/// Panics where an answer is not as specified.
pub fn check(answer: &Value) {
    if answer["object"] == "list" {
        assert!(answer["has_more"].is_boolean() && answer["url"].is_string(), "{answer:#}");
        answer["data"].as_array().unwrap().iter().for_each(check);
        return;
    }
    let kind = answer["object"].as_str().unwrap_or_default();
    let name = match (answer.get("error"), &answer["deleted"]) {
        (Some(_), _) => "error".to_owned(),
        (None, Value::Bool(true)) => format!("deleted_{kind}"),
        _ => kind.to_owned(),
    };
    let Some(validator) = validator(&name) else {
        assert!(
            OUTSIDE.contains(&name.as_str()) || name.starts_with("deleted_"),
            "no schema of {name}: {answer:#}"
        );
        return;
    };
    let errors: Vec<String> = validator
        .iter_errors(answer)
        .map(|error| format!("{}: {error:.300}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{name}: {}\n{answer:#}", errors.join("\n"));
    if kind == "event" {
        check(&answer["data"]["object"]);
    }
}

#[test]
fn a_wrong_answer_is_found() {
    check(
        &json!({"object": "refund", "id": "re_1", "amount": 1, "created": 1, "currency": "usd", "status": "pending"}),
    );
    let wrong = json!({"object": "refund", "id": "re_1", "amount": "1", "created": 1, "currency": "usd"});
    assert!(std::panic::catch_unwind(|| check(&wrong)).is_err());
}
