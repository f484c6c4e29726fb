//! Parsing of JSON without duplicate names in objects.
//!
//! Of duplicate names, parsers take the first or the last (RFC 8259 section 4), so one component could validate a value
//! that another one does not use.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

/// Parses JSON.
///
/// # Errors
/// When it is malformed, nests deeper than serde_json permits (128), or has an object with a duplicate name.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(bytes).map(|Unique(value)| value)
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            match object.entry(name) {
                Entry::Vacant(place) => {
                    let Unique(value) = fields.next_value()?;
                    place.insert(value);
                }
                Entry::Occupied(place) => {
                    let beginning: String = place.key().chars().take(64).collect();
                    return Err(A::Error::custom(format_args!("the name {beginning:?} is there twice")));
                }
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_what_serde_json_reads() {
        for text in [
            "null",
            "[]",
            "{}",
            r#"{"a": [1, -2, 3.5, 1e400, 18446744073709551615, true, false, null, "\u0061\n"], "b": {"a": {"a": 1}}}"#,
            r#"[{"a": 1}, {"a": 2}]"#,
            " 7 ",
            "[1e-7, -0.0, 0]",
        ] {
            match (parse(text.as_bytes()), serde_json::from_str::<Value>(text)) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{text}"),
                (read, expected) => assert_eq!(read.is_err(), expected.is_err(), "{text}"),
            }
        }
        for text in ["", "{", "{\"a\"}", "[1,]", "nul", "{\"a\":1}x", "\"\\ud800\"", "\u{0}"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(deep(127).as_bytes()).is_ok() && parse(deep(100_000).as_bytes()).is_err());
    }

    #[test]
    fn a_name_is_there_once_at_every_depth() {
        for text in [
            r#"{"a": 1, "a": 1}"#,
            r#"{"a": 1, "\u0061": 2}"#,
            r#"[[{"b": {"c": [{"d": null, "e": 1, "d": null}]}}]]"#,
            r#"{"": 1, "": 2}"#,
        ] {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("is there twice"), "{text}: {error}");
        }
        assert!(parse(r#"{"a": 1, "A": 2, "á": 3}"#.as_bytes()).is_ok());
        let long = format!(r#"{{"{0}": 1, "{0}": 2}}"#, "x".repeat(100_000));
        assert!(parse(long.as_bytes()).unwrap_err().to_string().len() < 200);
    }
}
