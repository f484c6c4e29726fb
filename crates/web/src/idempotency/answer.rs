//! A stored response: status, relevant headers, body.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    web::Bytes,
};
use portico_kernel::{Permission, Permissions};
use serde::{Deserialize, Serialize};

/// The header that marks a replayed response.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Headers stored with the response. The others depend on the connection, the time, or the caller, and are generated anew.
const KEPT: [HeaderName; 7] = [
    header::CONTENT_TYPE,
    header::CONTENT_DISPOSITION,
    header::LOCATION,
    header::ETAG,
    header::LAST_MODIFIED,
    header::CACHE_CONTROL,
    header::LINK,
];

/// A stored response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    /// The permissions that were required of the caller; they are required again for a replay.
    pub permissions: Permissions,
}

/// Metadata before the body.
#[derive(Serialize, Deserialize)]
struct AnswerHead {
    status: u16,
    headers: Vec<(String, String)>,
    /// By name.
    permissions: Vec<String>,
}

impl Answer {
    /// The stored form of a response.
    pub fn new(status: StatusCode, headers: &HeaderMap, body: Bytes, permissions: Permissions) -> Self {
        let all = KEPT.into_iter().flat_map(|name| {
            headers.get_all(&name).map(move |value| (name.clone(), value.clone())).collect::<Vec<_>>()
        });
        Self { status, headers: all.collect(), body, permissions }
    }

    /// As bytes: the length of the head, the head as JSON, the body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = self.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
        let permissions = self.permissions.iter().map(|permission| permission.as_str().to_owned()).collect();
        let head = AnswerHead { status: self.status.as_u16(), headers: headers.collect(), permissions };
        let head = serde_json::to_vec(&head).unwrap_or_default();
        let length = u32::try_from(head.len()).unwrap_or_default();
        [&length.to_be_bytes(), head.as_slice(), &self.body].concat()
    }

    /// From bytes; `None` when they are malformed.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (head, body) = rest.split_at_checked(length)?;
        let head: AnswerHead = serde_json::from_slice(head).ok()?;
        let headers = head.headers.into_iter().map(|(name, value)| {
            Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
        });
        let permissions =
            head.permissions.iter().map(|word| Permission::parse(word)).collect::<Option<Vec<_>>>();
        Some(Self {
            status: StatusCode::from_u16(head.status).ok()?,
            headers: headers.collect::<Option<_>>()?,
            body: Bytes::copy_from_slice(body),
            permissions: Permissions::from_list(&permissions?),
        })
    }

    /// The response again.
    pub fn replay(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for header in self.headers {
            response.append_header(header);
        }
        response.insert_header((REPLAYED, HeaderValue::from_static("true")));
        response.body(self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_comes_back_without_what_is_not_its_own() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-type", "application/json"),
            ("location", "/api/v1/sites/1"),
            ("etag", "\"v1\""),
            ("link", "</a>; rel=next"),
            ("link", "</b>; rel=prev"),
            ("set-cookie", "a=b"),
            ("date", "Sat, 21 Nov 2026 10:00:00 GMT"),
            ("x-ratelimit-remaining", "3"),
        ] {
            headers.append(name.parse().unwrap(), HeaderValue::from_static(value));
        }
        let asked = Permissions::from_list(&[Permission::SitesWrite]);
        let body = Bytes::from_static(b"{\"id\":\xff}");
        let answer = Answer::new(StatusCode::CREATED, &headers, body.clone(), asked);
        let bytes = answer.to_bytes();
        let read = Answer::from_bytes(&bytes).unwrap();
        assert_eq!(read, answer);
        let response = read.replay();
        assert_eq!(response.status(), StatusCode::CREATED);
        let header = |name: &str| response.headers().get_all(name).collect::<Vec<_>>();
        assert_eq!(
            (header("etag"), header("location").len(), header("link").len()),
            (vec![&HeaderValue::from_static("\"v1\"")], 1, 2)
        );
        assert_eq!(header("idempotent-replayed"), ["true"]);
        for gone in ["set-cookie", "date", "x-ratelimit-remaining"] {
            assert!(header(gone).is_empty(), "{gone}");
        }
        for length in [0, 3, 4, 20] {
            assert_eq!(Answer::from_bytes(&bytes[..length]), None, "{length} bytes");
        }
        assert_eq!(Answer::from_bytes(&[0xff; 40]), None);
        let empty = Answer::new(StatusCode::NO_CONTENT, &HeaderMap::new(), Bytes::new(), Permissions::NONE);
        assert_eq!(Answer::from_bytes(&empty.to_bytes()), Some(empty));
    }
}
