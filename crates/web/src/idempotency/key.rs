//! The header with the key.

use std::borrow::Cow;

use actix_web::http::header::{HeaderMap, HeaderName};
use portico_kernel::{Fault, Kind};

use crate::openapi::keyed::MAX_LENGTH;

/// The header.
pub const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Why a request with a key is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// The header is not a valid key.
    #[error("not an idempotency key")]
    Unreadable,
    /// The key was used for another request.
    #[error("idempotency key of another request")]
    Reused,
    /// The request is being carried out.
    #[error("request in flight")]
    InUse,
}

impl Fault for KeyFault {
    fn kind(&self) -> Kind {
        match self {
            Self::Unreadable => Kind::Malformed,
            Self::Reused => Kind::Invalid,
            Self::InUse => Kind::Conflict,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable => "invalid_idempotency_key",
            Self::Reused => "idempotency_key_reused",
            Self::InUse => "idempotency_key_in_use",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Unreadable => {
                format!("Send one Idempotency-Key of 1 to {MAX_LENGTH} printable ASCII characters.").into()
            }
            Self::Reused => "This Idempotency-Key was used for another request. Take a new one.".into(),
            Self::InUse => "The first request with this Idempotency-Key is not answered yet.".into(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        // Most requests take no longer, and the lease of a dead process expires after a few of these.
        (*self == Self::InUse).then_some(1)
    }
}

/// The key of a request that has the header.
pub fn read(headers: &HeaderMap) -> Result<String, KeyFault> {
    let mut values = headers.get_all(KEY).map(|value| value.to_str().unwrap_or_default().trim());
    let text = values.next().unwrap_or_default();
    let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if values.next().is_some() || !(1..=MAX_LENGTH).contains(&text.len()) || !is_printable {
        return Err(KeyFault::Unreadable);
    }
    Ok(unquoted(text).unwrap_or_else(|| text.to_owned()))
}

/// The content of a quoted string (RFC 8941 section 3.3.3: required by the draft of the header, omitted by many clients);
/// `None` for anything else.
fn unquoted(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?.strip_suffix('"').filter(|inner| !inner.is_empty())?;
    let mut key = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => return None,
            '\\' => key.push(characters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            other => key.push(other),
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn key(values: &[&[u8]]) -> Result<String, KeyFault> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(KEY, HeaderValue::from_bytes(value).unwrap());
        }
        read(&headers)
    }

    #[test]
    fn a_key_is_the_same_with_and_without_quotes() {
        for (sent, expected) in [
            ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ("\"8e03978e\"", "8e03978e"),
            (" order 17 ", "order 17"),
            (r#""a \"b\" \\ c""#, r#"a "b" \ c"#),
            // Malformed quotes: taken literally.
            (r#""a"b""#, r#""a"b""#),
            (r#""a\n""#, r#""a\n""#),
            (r#""a\""#, r#""a\""#),
            ("\"", "\""),
            ("\"\"", "\"\""),
            ("~", "~"),
        ] {
            assert_eq!(key(&[sent.as_bytes()]).as_deref(), Ok(expected), "{sent}");
        }
        assert!(key(&["k".repeat(MAX_LENGTH).as_bytes()]).is_ok());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let long = "k".repeat(MAX_LENGTH + 1);
        for values in [
            vec![b"".as_slice()],
            vec![b"  "],
            vec![b"one", b"two"],
            vec!["clé".as_bytes()],
            vec![b"a\tb"],
            vec![long.as_bytes()],
            vec![],
        ] {
            assert_eq!(key(&values), Err(KeyFault::Unreadable), "{values:?}");
        }
    }
}
