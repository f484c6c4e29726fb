//! Short ways to read and write JSON objects by dotted paths.

use serde_json::{Map, Value};

static NULL: Value = Value::Null;

/// Reading; what is missing reads as null, zero, false or empty.
pub(crate) trait Read {
    /// The value at a dotted path.
    fn at(&self, path: &str) -> &Value;

    fn text(&self, path: &str) -> Option<&str> {
        self.at(path).as_str()
    }

    /// The text there, or an empty one.
    fn owned(&self, path: &str) -> String {
        self.text(path).unwrap_or_default().to_owned()
    }

    fn int(&self, path: &str) -> Option<i64> {
        self.at(path).as_i64()
    }

    fn num(&self, path: &str) -> i64 {
        self.int(path).unwrap_or(0)
    }

    fn flag(&self, path: &str) -> bool {
        self.at(path).as_bool().unwrap_or(false)
    }

    fn list(&self, path: &str) -> &[Value] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }

    /// Whether the field is there, even as null: an empty text of a form unsets.
    fn has(&self, name: &str) -> bool;

    fn is(&self, path: &str, text: &str) -> bool {
        self.text(path) == Some(text)
    }
}

impl Read for Value {
    fn at(&self, path: &str) -> &Value {
        let mut found = self;
        for part in path.split('.') {
            let inner = match found {
                Value::Array(items) => part.parse::<usize>().ok().and_then(|index| items.get(index)),
                other => other.get(part),
            };
            match inner {
                Some(inner) => found = inner,
                None => return &NULL,
            }
        }
        found
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// Writing.
pub(crate) trait Write {
    /// Sets the value at a dotted path, with the objects that lead there.
    fn put(&mut self, path: &str, value: impl Into<Value>);

    /// Copies the fields of `names` that `from` has.
    fn copy_from(&mut self, from: &Value, names: &[&str]);

    /// Merges metadata: null removes a key, null for all removes every key ("Metadata" in Stripe's reference).
    fn merge_metadata(&mut self, from: &Value);
}

impl Write for Value {
    fn put(&mut self, path: &str, value: impl Into<Value>) {
        let mut place = self;
        for part in path.split('.') {
            if let Value::Array(items) = place {
                let index = part.parse::<usize>().unwrap_or(usize::MAX);
                match items.get_mut(index) {
                    Some(inner) => place = inner,
                    None => return,
                }
                continue;
            }
            if !place.is_object() {
                *place = Value::Object(Map::new());
            }
            match place {
                Value::Object(fields) => place = fields.entry(part).or_insert(Value::Null),
                _ => return,
            }
        }
        *place = value.into();
    }

    fn copy_from(&mut self, from: &Value, names: &[&str]) {
        for name in names {
            if let Some(value) = from.get(*name) {
                self.put(name, value.clone());
            }
        }
    }

    fn merge_metadata(&mut self, from: &Value) {
        let Some(given) = from.get("metadata") else { return };
        let mut merged = match (given, self.at("metadata")) {
            (Value::Object(_), Value::Object(before)) => before.clone(),
            _ => Map::new(),
        };
        for (key, value) in given.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(merged.remove(key)),
                value => drop(merged.insert(key.clone(), value.clone())),
            }
        }
        self.put("metadata", merged);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_read_and_write() {
        let mut value = json!({"a": {"b": [{"c": 1}]}});
        assert_eq!(value.num("a.b.0.c"), 1);
        assert!(value.at("a.x.y").is_null());
        value.put("a.b.0.c", 2);
        value.put("n.m", "x");
        assert_eq!(value, json!({"a": {"b": [{"c": 2}]}, "n": {"m": "x"}}));
    }

    #[test]
    fn metadata_merges_and_unsets() {
        let mut value = json!({"metadata": {"a": "1", "b": "2"}});
        value.merge_metadata(&json!({"metadata": {"a": null, "c": "3"}}));
        assert_eq!(value["metadata"], json!({"b": "2", "c": "3"}));
        value.merge_metadata(&json!({"metadata": null}));
        assert_eq!(value["metadata"], json!({}));
    }
}
