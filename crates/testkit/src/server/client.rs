//! The client of a server, and what it is answered.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::Value;

/// An HTTP client with headers of its own.
#[derive(Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    pub(super) url: String,
    /// Headers of every request, by lower-case name.
    pub headers: BTreeMap<String, String>,
    /// Id of the active tenant, when signed in.
    pub tenant: String,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as text.
    pub text: String,
    /// Body as JSON; null when it is not.
    pub json: Value,
}

impl Answer {
    /// A header as text; empty when absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body, given that the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json
    }

    /// The sorted names of the fields that a 422 complains about.
    pub fn fields(&self) -> Vec<String> {
        let errors = self.json["errors"].as_array().cloned().unwrap_or_default();
        let mut fields: Vec<_> =
            errors.iter().filter_map(|e| e["field"].as_str().map(str::to_owned)).collect();
        fields.sort();
        fields
    }
}

impl Client {
    /// The same client with one more header.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(name.to_owned(), value.to_owned());
        client
    }

    /// Uses the access token of a token answer from now on.
    pub fn sign(&mut self, tokens: &Value) {
        let token = tokens["access_token"].as_str().expect("an access token");
        self.headers.insert("authorization".to_owned(), format!("Bearer {token}"));
    }

    /// Sends a request; without `Content-Type` where that is empty.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
        content_type: &str,
    ) -> Answer {
        let key = (method == Method::POST).then(key_of_its_own).flatten();
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(key) = key.filter(|_| !self.headers.contains_key("idempotency-key")) {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.body(body);
            if !content_type.is_empty() {
                request = request.header("content-type", content_type);
            }
        }
        let response = request.send().await.expect("an answer");
        let (status, headers) = (response.status(), response.headers().clone());
        // A stream of events has no end to read to.
        let endless = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let text = if endless { String::new() } else { response.text().await.expect("a body") };
        let json = serde_json::from_str(&text).unwrap_or_default();
        Answer { status, headers, text, json }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, "").await
    }

    /// POST with JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body.to_string().into_bytes()), "application/json").await
    }

    /// POST without a body.
    pub async fn post_empty(&self, path: &str) -> Answer {
        self.send(Method::POST, path, None, "").await
    }

    /// PUT with JSON.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body.to_string().into_bytes()), "application/json").await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None, "").await
    }

    /// A path of the active tenant: `t("/pages")` is `/api/v1/tenants/{tenantId}/pages`.
    pub fn t(&self, path: &str) -> String {
        format!("/api/v1/tenants/{}{path}", self.tenant)
    }
}

/// A key for a POST, where `PORTICO_TEST_KEYS` is set: with one of its own, every request is answered as it is without.
fn key_of_its_own() -> Option<String> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    std::env::var_os("PORTICO_TEST_KEYS")?;
    Some(format!("test {}", NEXT.fetch_add(1, Ordering::Relaxed)))
}
