//! Canonical JSON, so that a digest of it does not depend on how a database stores it.
//!
//! Like RFC 8785: object keys are sorted and there is no white space. Unlike it, whole numbers keep all their digits, however
//! they were written (Postgres turns `1e16` into its digits).

use serde_json::{Number, Value};

/// The largest number up to which a whole one may come back from the store as an integer.
const MOST_WHOLE: f64 = 18_446_744_073_709_551_616.0;

/// The canonical text of a value.
pub(super) fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Number(number) => out.push_str(&number_text(number)),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, item)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write(item, out);
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
}

fn number_text(number: &Number) -> String {
    match number.as_f64() {
        Some(float) if number.is_f64() => {
            if float.fract() == 0.0 && float.abs() < MOST_WHOLE {
                // Also takes the sign off a negative zero, as Postgres does.
                (float as i128).to_string()
            } else {
                format!("{float:e}")
            }
        }
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(json: &str) -> String {
        text(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn order_space_and_notation_do_not_matter() {
        assert_eq!(
            canonical(r#"{"b": 1, "a": {"d": null, "c": [true, "x"]}}"#),
            r#"{"a":{"c":[true,"x"],"d":null},"b":1}"#
        );
        for (one, other) in [
            ("1.0", "1"),
            ("1e16", "10000000000000000"),
            ("1e19", "10000000000000000000"),
            ("-0.0", "0"),
            ("0.50", "5e-1"),
            (r#""\u00e9\n""#, "\"é\\n\""),
        ] {
            assert_eq!(canonical(one), canonical(other), "{one}");
        }
    }

    #[test]
    fn what_differs_stays_different() {
        for (one, other) in [
            ("1", "\"1\""),
            ("9007199254740993", "9007199254740992"),
            ("[1,2]", "[2,1]"),
            ("null", "\"null\""),
            ("{}", "[]"),
            ("1.5", "15e-2"),
        ] {
            assert_ne!(canonical(one), canonical(other), "{one}");
        }
    }
}
