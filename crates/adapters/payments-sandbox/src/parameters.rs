//! Which parameters a call takes, by Stripe's specification: unknown, missing and malformed ones are refused, the others
//! get their types.

use std::sync::LazyLock;

use portico_embedded::{Packed, packed};
use serde_json::{Map, Value};

use crate::{
    errors::{ApiError, clean},
    value::Read,
};

static PARAMETERS: Packed = packed!("parameters.json");

/// By `METHOD template`; made by `spec/reduce.py`, which tells what the letters mean.
static CALLS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    // The text is compiled in and read by a test.
    serde_json::from_str(&PARAMETERS.text().unwrap_or_default()).unwrap_or_default()
});

/// Latest time that is taken (2100), so that adding periods never leaves the calendar.
pub(crate) const LAST_TIME: i64 = 4_102_444_800;

/// The call of a path.
pub(crate) struct Call<'a> {
    /// Address with names of ids in braces.
    pub template: &'static str,
    /// What stands in the places of the names.
    pub ids: Vec<&'a str>,
    parameters: &'static Value,
}

/// The call that a method and a path without query name.
pub(crate) fn find<'a>(method: &str, path: &'a str) -> Option<Call<'a>> {
    let parts: Vec<&str> = path.split('/').collect();
    let calls = CALLS.iter().filter_map(|(call, parameters)| {
        let template = call.strip_prefix(method)?.strip_prefix(' ')?;
        let mut ids = Vec::new();
        let mut names = template.split('/');
        for part in &parts {
            let name = names.next()?;
            if name.starts_with('{') && !part.is_empty() {
                ids.push(*part);
            } else if name != *part {
                return None;
            }
        }
        names.next().is_none().then_some(Call { template, ids, parameters })
    });
    // `/v1/invoices/create_preview` goes before `/v1/invoices/{invoice}`.
    calls.min_by_key(|call| call.ids.len())
}

impl Call<'_> {
    /// The parameters with their types. `strict`: the version that was asked for has retired some.
    pub fn typed(&self, form: &Value, strict: bool) -> Result<Value, ApiError> {
        let reader = Reader { strict, template: self.template };
        reader.read(self.parameters, form, "").map_err(ApiError::before)
    }
}

struct Reader {
    strict: bool,
    template: &'static str,
}

impl Reader {
    fn read(&self, kind: &Value, given: &Value, name: &str) -> Result<Value, ApiError> {
        match kind {
            Value::String(letter) => self.scalar(letter, given, name),
            Value::Object(kind) => {
                if let Some(inner) = kind.get("n") {
                    return if is_blank(given) { Ok(Value::Null) } else { self.read(inner, given, name) };
                }
                if let Some(names) = kind.get("e") {
                    return self.named(names, given, name);
                }
                if let Some(items) = kind.get("a") {
                    return self.items(items, given, name);
                }
                if let Some(kinds) = kind.get("o") {
                    return self.one_of(kinds, given, name);
                }
                let fields = kind.get("p").unwrap_or(&Value::Null);
                self.fields(fields, kind.get("q").unwrap_or(&Value::Null), given, name)
            }
            _ => Ok(given.clone()),
        }
    }

    fn fields(&self, fields: &Value, required: &Value, given: &Value, name: &str) -> Result<Value, ApiError> {
        let Value::Object(given) = given else {
            return Err(ApiError::param(name, format!("Invalid object: {}", clean(name))));
        };
        let mut read = Map::new();
        for (key, value) in given {
            let path = if name.is_empty() { key.clone() } else { format!("{name}[{key}]") };
            match (fields.get(key), retired(key, self.template)) {
                (Some(_), Some(_)) if !self.strict && !fits(key, fields, value) => {
                    read.insert(key.clone(), value.clone());
                }
                (Some(kind), _) => {
                    read.insert(key.clone(), self.read(kind, value, &path)?);
                }
                (None, Some(places)) if !self.strict && places.contains(&place(name)) => {
                    read.insert(key.clone(), value.clone());
                }
                _ => return Err(unknown(&path)),
            }
        }
        for key in required.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let path = if name.is_empty() { key.to_owned() } else { format!("{name}[{key}]") };
            match read.get(key) {
                None => return Err(ApiError::missing(&path)),
                Some(Value::Null) if fields.at(key).get("n").is_none() => return Err(empty(&path)),
                Some(_) => {}
            }
        }
        Ok(Value::Object(read))
    }

    fn items(&self, kind: &Value, given: &Value, name: &str) -> Result<Value, ApiError> {
        let wrong = || ApiError::param(name, format!("Invalid array: {}", clean(name)));
        let items: Vec<&Value> = match given {
            Value::Array(items) => items.iter().collect(),
            Value::Object(fields) => {
                let mut numbered = Vec::with_capacity(fields.len());
                for (key, value) in fields {
                    numbered.push((key.parse::<u16>().map_err(|_| wrong())?, value));
                }
                numbered.sort_by_key(|(number, _)| *number);
                numbered.into_iter().map(|(_, value)| value).collect()
            }
            Value::String(text) if text.is_empty() => Vec::new(),
            _ => return Err(wrong()),
        };
        let read = items.into_iter().enumerate();
        let read = read.map(|(index, item)| {
            let path = format!("{name}[{index}]");
            match self.read(kind, item, &path)? {
                Value::Null => Err(empty(&path)),
                read => Ok(read),
            }
        });
        Ok(Value::Array(read.collect::<Result<_, _>>()?))
    }

    fn one_of(&self, kinds: &Value, given: &Value, name: &str) -> Result<Value, ApiError> {
        let mut first = None;
        for kind in kinds.as_array().into_iter().flatten() {
            match self.read(kind, given, name) {
                Ok(read) => return Ok(read),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or_else(|| unknown(name)))
    }

    fn named(&self, names: &Value, given: &Value, name: &str) -> Result<Value, ApiError> {
        let names = names.as_array().into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<&str> = names.collect();
        match given.as_str() {
            Some(text) if names.contains(&text) => Ok(text.into()),
            _ => Err(ApiError::param(
                name,
                format!("Invalid {}: must be one of {}", clean(name), names.join(", ")),
            )),
        }
    }

    fn scalar(&self, letter: &str, given: &Value, name: &str) -> Result<Value, ApiError> {
        if letter == "*" {
            return Ok(given.clone());
        }
        if letter == "m" {
            return self.map(given, name);
        }
        let Value::String(text) = given else {
            return Err(ApiError::param(name, format!("Invalid string: {}", clean(name))));
        };
        if letter == "s" {
            if text.chars().count() > 5000 {
                let message = format!("Invalid string: {}; must be at most 5000 characters", clean(name));
                return Err(ApiError::param(name, message).code("parameter_invalid_string_blank"));
            }
            return Ok(if text.is_empty() { Value::Null } else { text.as_str().into() });
        }
        if text.is_empty() {
            return Err(empty(name));
        }
        let read = match letter {
            "i" => text
                .parse::<i64>()
                .ok()
                .filter(|value| (-LAST_TIME..=LAST_TIME).contains(value))
                .map(Value::from),
            "t" => text.parse::<i64>().ok().filter(|value| (0..=LAST_TIME).contains(value)).map(Value::from),
            "f" => text.parse::<f64>().ok().filter(|value| value.is_finite()).map(Value::from),
            "b" => text.parse::<bool>().ok().map(Value::from),
            _ => None,
        };
        read.ok_or_else(|| {
            let (kind, code) = match letter {
                "b" => ("boolean", "parameter_invalid_boolean"),
                "f" => ("decimal", "parameter_invalid_decimal"),
                _ => ("integer", "parameter_invalid_integer"),
            };
            ApiError::param(name, format!("Invalid {kind}: {}", clean(text))).code(code)
        })
    }

    /// Metadata: at most 50 keys of 40 characters, values of 500 ("Metadata" in Stripe's reference).
    fn map(&self, given: &Value, name: &str) -> Result<Value, ApiError> {
        if is_blank(given) {
            return Ok(Value::Null);
        }
        let Value::Object(fields) = given else {
            return Err(ApiError::param(name, format!("Invalid object: {}", clean(name))));
        };
        if fields.len() > 50 {
            return Err(ApiError::param(name, "Metadata can have at most 50 keys."));
        }
        let mut read = Map::new();
        for (key, value) in fields {
            let text = value.as_str().unwrap_or_default();
            if !value.is_string() || key.chars().count() > 40 || text.chars().count() > 500 {
                let message =
                    "Metadata values must be strings of up to 500 characters, and keys of up to 40.";
                return Err(ApiError::param(&format!("{name}[{key}]"), message));
            }
            read.insert(key.clone(), if text.is_empty() { Value::Null } else { text.into() });
        }
        Ok(Value::Object(read))
    }
}

fn empty(name: &str) -> ApiError {
    let message = format!(
        "You passed an empty string for '{0}'. We assume empty values are an attempt to unset a parameter; however '{0}' cannot be unset.",
        clean(name)
    );
    ApiError::param(&clean(name), message).code("parameter_invalid_empty")
}

fn unknown(path: &str) -> ApiError {
    ApiError::param(&clean(path), format!("Received unknown parameter: {}", clean(path)))
        .code("parameter_unknown")
}

fn is_blank(given: &Value) -> bool {
    given.as_str().is_some_and(str::is_empty)
}

/// Parameters of older versions, taken where no version was asked for (Stripe's CLI), and in which objects.
fn retired(name: &str, template: &str) -> Option<&'static [&'static str]> {
    match name {
        "payment_method_types" => Some(&[""]),
        "iterations" => Some(&["phases"]),
        "price" | "unit_amount" if template == "/v1/invoiceitems" => Some(&[""]),
        "coupon" if template == "/v1/promotion_codes" => Some(&[""]),
        "billing_cycle_anchor" | "source" => Some(&[]),
        _ => None,
    }
}

/// Whether a parameter that changed its form was given in the present one.
fn fits(name: &str, fields: &Value, given: &Value) -> bool {
    name != "billing_cycle_anchor" || fields.at("billing_cycle_anchor.p").is_null() || given.is_object()
}

/// `phases[0]` is within `phases`.
fn place(name: &str) -> &str {
    name.split('[').next().unwrap_or_default()
}
