//! Calls of the API: addresses, keys, time-outs, and what an answer that is no success means.

use std::{sync::Arc, time::Duration};

use portico_billing::payment::PaymentError;
use portico_kernel::http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse, Patience};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// How long one call may take.
const CALL: Duration = Duration::from_secs(10);

/// The most characters of the provider's own words in an error.
const WORDS: usize = 200;

/// The headers that carry the keys: the provider's documents differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeaderStyle {
    /// `X-PUBLIC-KEY` and `X-SECRET-KEY`.
    #[default]
    Pair,
    /// `Authorization: Bearer` with the secret key, and `X-Public-Key`.
    Bearer,
}

/// The account at the provider.
#[derive(Clone, Debug)]
pub struct RecurrenteConfig {
    /// Base URL of the API, `https://app.recurrente.com/api`.
    pub base_url: String,
    /// Its public key, `pk_test_…` or `pk_live_…`.
    pub public_key: String,
    /// Its secret key, `sk_test_…` or `sk_live_…`.
    pub secret_key: SecretString,
    /// The headers that carry both.
    pub headers: HeaderStyle,
}

impl RecurrenteConfig {
    /// Whether real money is moved with these keys.
    pub fn is_live(&self) -> bool {
        self.secret_key.expose_secret().starts_with("sk_live_")
    }
}

/// Client of the API.
pub(crate) struct Client {
    pub config: RecurrenteConfig,
    http: Arc<dyn HttpClient>,
}

impl Client {
    pub fn new(config: RecurrenteConfig, http: Arc<dyn HttpClient>) -> Self {
        Self { config, http }
    }

    /// Reads what is at a path.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, PaymentError> {
        self.call(HttpMethod::Get, path, None, None).await
    }

    /// Makes something. The key is sent for a server that knows such keys.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        key: &str,
    ) -> Result<T, PaymentError> {
        self.call(HttpMethod::Post, path, Some(body), Some(key)).await
    }

    /// Changes what is at a path.
    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, PaymentError> {
        self.call(HttpMethod::Patch, path, Some(body), None).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: HttpMethod,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<T, PaymentError> {
        let mut headers = self.keys();
        headers.push(("accept".to_owned(), "application/json".to_owned()));
        if body.is_some() {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        headers.extend(key.map(|key| ("idempotency-key".to_owned(), key.to_owned())));
        let request = HttpRequest {
            method,
            url: format!("{}{path}", self.config.base_url.trim_end_matches('/')),
            headers,
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
            patience: Patience { time: Some(CALL), beginning: None },
        };
        let answer = self.http.send(request).await.map_err(unanswered)?;
        if !(200..300).contains(&answer.status) {
            return Err(refused(&answer));
        }
        // It has done something, and nobody knows what: the caller asks again.
        serde_json::from_slice(&answer.body)
            .map_err(|error| PaymentError::Unavailable(format!("an answer that cannot be read: {error}")))
    }

    fn keys(&self) -> Vec<(String, String)> {
        let (public, secret) = (self.config.public_key.clone(), self.config.secret_key.expose_secret());
        match self.config.headers {
            HeaderStyle::Pair => {
                vec![("x-public-key".to_owned(), public), ("x-secret-key".to_owned(), secret.to_owned())]
            }
            HeaderStyle::Bearer => vec![
                ("x-public-key".to_owned(), public),
                ("authorization".to_owned(), format!("Bearer {secret}")),
            ],
        }
    }
}

fn unanswered(error: HttpError) -> PaymentError {
    match error {
        HttpError::Refused(reason) => PaymentError::Refused(format!(
            "recurrente.base_url may not be called: {reason}; see outbound.allow_networks"
        )),
        error => PaymentError::Unavailable(error.to_string()),
    }
}

fn refused(answer: &HttpResponse) -> PaymentError {
    match answer.status {
        404 => PaymentError::NotFound,
        401 | 403 => PaymentError::Refused(format!("status {}: check the keys", answer.status)),
        408 | 409 | 429 | 500..=599 => PaymentError::Unavailable(format!("status {}", answer.status)),
        status => PaymentError::Refused(format!("status {status}: {}", words(&answer.body))),
    }
}

/// What the provider says about a call that it does not accept. Calls hold nothing of a buyer's, so neither does this.
fn words(body: &[u8]) -> String {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = ["error", "message", "errors"].into_iter().find_map(|name| match &said[name] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    });
    let text = text.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn only_a_final_no_is_final() {
        for (status, passing) in [
            (400, false),
            (401, false),
            (403, false),
            (404, false),
            (408, true),
            (409, true),
            (422, false),
            (429, true),
            (500, true),
            (503, true),
        ] {
            assert_eq!(refused(&answer(status, "{}")).is_passing(), passing, "{status}");
        }
        assert_eq!(refused(&answer(404, "")), PaymentError::NotFound);
        assert!(unanswered(HttpError::TimedOut).is_passing());
        assert!(!unanswered(HttpError::Refused("this address may not be called".into())).is_passing());
    }

    #[test]
    fn the_words_of_the_provider_are_found_in_each_form() {
        for (body, expected) in [
            (r#"{"error": "Amount is too small"}"#, "Amount is too small"),
            (r#"{"message": "No"}"#, "No"),
            (r#"{"errors": {"items": ["is empty"]}}"#, r#"{"items":["is empty"]}"#),
            ("Bad\nRequest", "Bad Request"),
        ] {
            assert_eq!(words(body.as_bytes()), expected);
        }
        assert_eq!(words("x".repeat(1000).as_bytes()).len(), WORDS);
    }
}
