//! Reading an input so that all invalid fields are reported at once.
//!
//! serde stops at the first error. So the invalid part is recorded and removed, and reading starts again: input types have
//! a default for every field, therefore a removed field does not fail a second time.

use portico_kernel::{FieldError, RuleMessage};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Maximum number of invalid fields reported.
const MAX_ERRORS: usize = 50;

/// Reads a `T` from JSON. `Err` lists unknown fields and fields of a wrong type.
pub fn from_json<T: DeserializeOwned>(mut json: Value) -> Result<T, Vec<FieldError>> {
    if !json.is_object() {
        // serde would read a list as the fields of a struct in their order.
        return Err(vec![FieldError::new("", "invalid_type", "Send an object.")]);
    }
    // What most requests send. Where something is wrong, all of it is found below.
    if !has_nul(&json) {
        let mut has_unknown = false;
        let read: Result<T, serde_json::Error> = serde_ignored::deserialize(&json, |_| has_unknown = true);
        if let Ok(value) = read
            && !has_unknown
        {
            return Ok(value);
        }
    }
    let mut errors = Vec::new();
    find_nul(&json, &mut String::new(), &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    loop {
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let deserializer = serde_path_to_error::Deserializer::new(&json, &mut track);
        let read = serde_ignored::deserialize(deserializer, |path| unknown.push(tidy(&path.to_string())));
        match read {
            Ok(value) => {
                errors.extend(
                    unknown
                        .into_iter()
                        .map(|field| FieldError::new(field, "unknown_field", "There is no such field.")),
                );
                return if errors.is_empty() { Ok(value) } else { Err(errors) };
            }
            Err(error) => {
                let path = track.path().to_string();
                let removed = remove(&mut json, &path);
                errors.push(FieldError::new(
                    tidy(&path),
                    "invalid_type",
                    message::<serde_json::Error>(&error),
                ));
                if !removed || errors.len() >= MAX_ERRORS {
                    return Err(errors);
                }
            }
        }
    }
}

/// Name and value of each parameter of a query string, decoded.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Reads a `T` from a query string. `Err` lists unknown parameters and parameters of a wrong type.
pub fn from_query<T: DeserializeOwned>(query: &str) -> Result<T, Vec<FieldError>> {
    from_pairs(pairs(query))
}

/// [`from_query`] with the pairs of a query string.
pub fn from_pairs<T: DeserializeOwned>(mut pairs: Vec<(String, String)>) -> Result<T, Vec<FieldError>> {
    // What most requests send. Where something is wrong, all of it is found below.
    if !pairs.iter().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        let mut has_unknown = false;
        let read: Result<T, PairError> = serde_ignored::deserialize(plain(&pairs), |_| has_unknown = true);
        if let Ok(value) = read
            && !has_unknown
        {
            return Ok(value);
        }
    }
    let mut errors: Vec<FieldError> = pairs
        .iter()
        .filter(|(name, value)| name.contains('\0') || value.contains('\0'))
        .map(|(name, _)| nul_error(name.replace('\0', "")))
        .collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    loop {
        let mut unknown = Vec::new();
        let mut track = serde_path_to_error::Track::new();
        let deserializer = serde_path_to_error::Deserializer::new(plain(&pairs), &mut track);
        let read = serde_ignored::deserialize(deserializer, |path| unknown.push(path.to_string()));
        match read {
            Ok(value) => {
                errors.extend(
                    unknown.into_iter().map(|field| {
                        FieldError::new(field, "unknown_parameter", "There is no such parameter.")
                    }),
                );
                return if errors.is_empty() { Ok(value) } else { Err(errors) };
            }
            Err(error) => {
                let path = track.path().to_string();
                let before = pairs.len();
                pairs.retain(|(name, _)| *name != path);
                errors.push(FieldError::new(path, "invalid_value", message(&error)));
                if pairs.len() == before || errors.len() >= MAX_ERRORS {
                    return Err(errors);
                }
            }
        }
    }
}

/// Why pairs cannot be read.
type PairError = serde::de::value::Error;

/// The pairs as serde reads them.
fn plain<'p>(pairs: &'p [(String, String)]) -> impl serde::Deserializer<'p, Error = PairError> {
    let values = pairs.iter().map(|(name, value)| (name.as_str(), QueryValue(value)));
    serde::de::value::MapDeserializer::<_, PairError>::new(values)
}

/// Whether a text or a name has a NUL in it.
fn has_nul(json: &Value) -> bool {
    match json {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

/// Reports every text with a NUL in it: no field has a use for one, and Postgres cannot store it.
fn find_nul(json: &Value, path: &mut String, errors: &mut Vec<FieldError>) {
    let length = path.len();
    match json {
        Value::String(text) if text.contains('\0') => errors.push(nul_error(tidy(path))),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!(".{index}"));
                find_nul(item, path, errors);
                path.truncate(length);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push('.');
                path.push_str(&name.replace('\0', ""));
                if name.contains('\0') {
                    errors.push(nul_error(tidy(path)));
                }
                find_nul(value, path, errors);
                path.truncate(length);
            }
        }
        _ => {}
    }
}

fn nul_error(field: String) -> FieldError {
    FieldError::new(field, "invalid_characters", "Control characters are not allowed.")
}

/// A value of a query string: text that is parsed as the type of the field.
struct QueryValue<'a>(&'a str);

impl<'de> serde::de::IntoDeserializer<'de, serde::de::value::Error> for QueryValue<'de> {
    type Deserializer = Self;
    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> serde::Deserializer<'de> for QueryValue<'de> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_borrowed_str(self.0)
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_empty() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_u64<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let number = self.0.parse().map_err(|_| serde::de::Error::custom("Use a whole number."))?;
        visitor.visit_u64(number)
    }

    fn deserialize_bool<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let value = self.0.parse().map_err(|_| serde::de::Error::custom("Use true or false."))?;
        visitor.visit_bool(value)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        use serde::de::IntoDeserializer;
        visitor.visit_enum(self.0.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The path of a field as clients write it. serde_ignored marks an `Option` as `?`, which is removed.
///
/// List indices are `[0]` in one crate and `.0` in the other; clients get `[0]`.
fn tidy(path: &str) -> String {
    let mut tidied = String::with_capacity(path.len());
    for step in path.split('.').filter(|step| !step.is_empty() && *step != "?") {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            tidied.push_str(&format!("[{step}]"));
        } else {
            if !tidied.is_empty() {
                tidied.push('.');
            }
            tidied.push_str(step);
        }
    }
    tidied
}

/// serde's sentence without position, which is meaningless for structured data.
fn message<E: std::fmt::Display>(error: &E) -> RuleMessage {
    let text = error.to_string();
    let message = RuleMessage::new(sentence(&text));
    match text.split_once(", expected ") {
        // The words of an enum are in back quotes.
        Some((unknown, words)) if unknown.starts_with("unknown variant") => {
            message.allowed(words.split('`').skip(1).step_by(2).map(ToOwned::to_owned))
        }
        _ => message,
    }
}

fn sentence(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or_default();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => {
            let sentence: String = first.to_uppercase().chain(characters).collect();
            if sentence.ends_with('.') { sentence } else { sentence + "." }
        }
        None => "This value is not valid.".to_owned(),
    }
}

/// Removes the value at `path` (`items[0].title`). Elements of a list are replaced by an empty object, so that the indices
/// of the others stay correct. Returns whether anything changed.
fn remove(json: &mut Value, path: &str) -> bool {
    let mut steps: Vec<&str> =
        path.split(['.', '[']).filter(|step| !step.is_empty() && *step != "?").collect();
    let Some(last) = steps.pop() else { return false };
    let mut parent = json;
    for step in steps {
        let next = match parent {
            Value::Object(map) => map.get_mut(step),
            Value::Array(list) => {
                step.trim_end_matches(']').parse::<usize>().ok().and_then(|i| list.get_mut(i))
            }
            _ => None,
        };
        match next {
            Some(next) => parent = next,
            None => return false,
        }
    }
    match parent {
        Value::Object(map) => map.remove(last).is_some(),
        Value::Array(list) => {
            let place = last.trim_end_matches(']').parse::<usize>().ok().and_then(|i| list.get_mut(i));
            match place {
                Some(place) if !place.is_object() => {
                    *place = Value::Object(serde_json::Map::new());
                    true
                }
                _ => false,
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Item {
        product_type: String,
        quantity: u32,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Order {
        items: Vec<Item>,
        note: Option<String>,
        express: Option<bool>,
    }

    fn fields(errors: Vec<FieldError>) -> Vec<(String, String)> {
        let mut fields: Vec<_> = errors.into_iter().map(|e| (e.field, e.code.into_owned())).collect();
        fields.sort();
        fields
    }

    #[test]
    fn what_is_right_is_read() {
        let order: Order = from_json(json!({"items": [{"productType": "x", "quantity": 2}]})).unwrap();
        assert_eq!(order.items, [Item { product_type: "x".into(), quantity: 2 }]);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let errors = from_json::<Order>(json!({
            "items": [{"productType": 7, "quantity": "two", "color": 1}, 5],
            "note": {"a": 1}, "express": "yes", "other": null
        }))
        .unwrap_err();
        let expected = [
            ("express", "invalid_type"),
            ("items[0].color", "unknown_field"),
            ("items[0].productType", "invalid_type"),
            ("items[0].quantity", "invalid_type"),
            ("items[1]", "invalid_type"),
            ("note", "invalid_type"),
            ("other", "unknown_field"),
        ];
        let expected: Vec<_> = expected.iter().map(|(f, c)| ((*f).to_owned(), (*c).to_owned())).collect();
        assert_eq!(fields(errors), expected);
    }

    #[test]
    fn a_body_of_another_shape_is_refused() {
        for json in [json!(null), json!(3), json!("x"), json!([1]), json!([[]])] {
            assert!(from_json::<Order>(json).is_err());
        }
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase", default)]
    struct Filter {
        page: Option<u64>,
        limit: Option<u64>,
        q: Option<String>,
        visible: Option<bool>,
    }

    #[test]
    fn a_nul_is_refused_wherever_it_is() {
        let errors =
            from_json::<Order>(json!({"note": "a\u{0}b", "items": [{"productType": "\u{0}"}], "x\u{0}": 1}))
                .unwrap_err();
        let named: Vec<_> = fields(errors).into_iter().map(|(field, _)| field).collect();
        assert_eq!(named, ["items[0].productType", "note", "x"]);
        assert!(from_query::<Filter>("q=a%00b").is_err());
    }

    #[test]
    fn a_query_is_read() {
        let filter: Filter = from_query("page=2&q=a%20b&visible=true&limit=").unwrap();
        assert_eq!(filter, Filter { page: Some(2), limit: None, q: Some("a b".into()), visible: Some(true) });
    }

    #[test]
    fn every_wrong_parameter_is_named() {
        let errors = from_query::<Filter>("page=two&limit=-1&visible=maybe&colour=red").unwrap_err();
        let named: Vec<_> = fields(errors).into_iter().map(|(field, _)| field).collect();
        assert_eq!(named, ["colour", "limit", "page", "visible"]);
    }
}
