//! Bracketed forms (`items[0][price]=…`) as trees, within bounds.

use serde_json::{Map, Value};

use crate::errors::{ApiError, clean};

const MAX_BYTES: usize = 256 * 1024;
const MAX_FIELDS: usize = 1000;
const MAX_DEPTH: usize = 10;

/// A tree of objects, lists and texts of `a=1&b[c]=2&d[]=3`.
///
/// Lists with numbers (`d[0]=3`) become objects of their numbers: what is a list, the parameters of a call tell.
pub(crate) fn parse(form: &[u8]) -> Result<Value, ApiError> {
    let mut tree = Value::Object(Map::new());
    add(&mut tree, form)?;
    Ok(tree)
}

/// Adds the fields of another form, such as the query beside a body.
pub(crate) fn add(tree: &mut Value, form: &[u8]) -> Result<(), ApiError> {
    if form.len() > MAX_BYTES {
        return Err(ApiError::invalid("The request is too large.").before());
    }
    let pairs = form.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    for (number, pair) in pairs.enumerate() {
        if number >= MAX_FIELDS {
            return Err(ApiError::invalid("The request has too many parameters.").before());
        }
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        insert(tree, &decode(name)?, decode(value)?)?;
    }
    Ok(())
}

fn insert(tree: &mut Value, name: &str, value: String) -> Result<(), ApiError> {
    let wrong = || ApiError::param(&clean(name), format!("Invalid parameter name: {}", clean(name))).before();
    let (first, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
    let mut parts = vec![first];
    let mut rest = rest;
    while let Some(inner) = rest.strip_prefix('[') {
        let end = inner.find(']').ok_or_else(wrong)?;
        parts.push(&inner[..end]);
        rest = &inner[end + 1..];
    }
    if first.is_empty() || !rest.is_empty() || parts.len() > MAX_DEPTH {
        return Err(wrong());
    }
    let mut place = tree;
    for part in parts {
        if part.is_empty() {
            if place.is_null() {
                *place = Value::Array(Vec::new());
            }
            let Value::Array(items) = place else { return Err(wrong()) };
            items.push(Value::Null);
            place = items.last_mut().ok_or_else(wrong)?;
        } else {
            if place.is_null() {
                *place = Value::Object(Map::new());
            }
            let Value::Object(fields) = place else { return Err(wrong()) };
            place = fields.entry(part).or_insert(Value::Null);
        }
    }
    if matches!(place, Value::Object(_) | Value::Array(_)) {
        return Err(wrong());
    }
    *place = Value::String(value);
    Ok(())
}

/// Text of a form or query: `+` is a space, `%xx` a byte; it must be UTF-8.
pub(crate) fn decode(text: &[u8]) -> Result<String, ApiError> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = Vec::with_capacity(text.len());
    let mut index = 0;
    while let Some(byte) = text.get(index) {
        match (byte, digit(text.get(index + 1)), digit(text.get(index + 2))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                index += 2;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(*byte),
        }
        index += 1;
    }
    String::from_utf8(bytes).map_err(|_| ApiError::invalid("The request is not valid UTF-8.").before())
}

/// The other way round, for addresses that we make.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn brackets_become_trees() {
        let tree = parse(b"a=1&b[c][d]=x+y&e[]=1&e[]=2&f[0][g]=%C3%A9&h=").unwrap();
        let expected =
            json!({"a": "1", "b": {"c": {"d": "x y"}}, "e": ["1", "2"], "f": {"0": {"g": "é"}}, "h": ""});
        assert_eq!(tree, expected);
    }

    #[test]
    fn odd_forms_are_refused() {
        for form in [
            "a[=1",
            "[a]=1",
            "a=1&a[b]=2",
            "a[b]=1&a[]=2",
            "a]=%FF",
            "a[b]c=1",
            "a[1][2][3][4][5][6][7][8][9][10]=1",
        ] {
            assert!(parse(form.as_bytes()).is_err() || form == "a]=%FF", "{form}");
        }
        assert!(parse("a=1&".repeat(1001).as_bytes()).is_err());
        assert!(parse(&vec![b'a'; MAX_BYTES + 1]).is_err());
    }
}
