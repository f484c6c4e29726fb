//! Calls of Stripe's API: requests of `async-stripe`, sent by the HTTP client of the server.

use std::{fmt::Display, sync::Arc};

use bytes::Bytes;
use portico_billing::payment::PaymentError;
use portico_kernel::http::{HttpClient, HttpError, HttpMethod, HttpRequest, HttpResponse, Patience};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use stripe_client_core::{
    CustomizableStripeRequest, CustomizedStripeRequest, IdempotencyKey, RequestBuilder, RequestStrategy,
    StripeClient, StripeClientErr, StripeMethod, StripeRequest, VERSION,
};
use stripe_types::List;

/// Most characters of a word of Stripe in an error.
const WORD_MAX: usize = 80;

/// Objects on a page of a list, unless its query says otherwise: Stripe's most.
const PAGE: usize = 100;

/// Most pages that are read of a list.
const PAGES: usize = 50;

/// Codes of errors that say the same: the bank asks for a confirmation, and nobody is there to give it.
const ASKS: [&str; 2] =
    ["subscription_payment_intent_requires_action", "invoice_payment_intent_requires_action"];

/// A client of one account. It makes no call twice: whoever asks knows whether that is right.
pub(crate) struct Client {
    base_url: String,
    secret_key: SecretString,
    http: Arc<dyn HttpClient>,
}

/// Why a call was not answered as it should be.
pub(crate) struct CallError(PaymentError);

impl StripeClientErr for CallError {
    /// Something was done, or it was not Stripe that answered: unknown.
    fn deserialize_err(_: impl Display) -> Self {
        Self(PaymentError::Unavailable("an answer that cannot be read".to_owned()))
    }
}

impl Client {
    pub fn new(base_url: &str, secret_key: SecretString, http: Arc<dyn HttpClient>) -> Self {
        Self { base_url: base_url.trim_end_matches('/').to_owned(), secret_key, http }
    }

    /// Sends a request that makes something, under the key of the caller, and reads the answer as far as `T` does.
    pub async fn make<T: miniserde::Deserialize>(
        &self,
        request: &impl StripeRequest,
        key: &str,
    ) -> Result<T, PaymentError> {
        under(request.build().customize::<T>(), key)?.send(self).await.map_err(|error| error.0)
    }

    /// Sends a request that makes nothing, or nothing more when it is sent again, and reads the answer as far as `T` does.
    pub async fn ask<T: miniserde::Deserialize>(
        &self,
        request: &impl StripeRequest,
    ) -> Result<T, PaymentError> {
        request.build().customize::<T>().send(self).await.map_err(|error| error.0)
    }

    /// An object at a path, as far as `T` reads it.
    pub async fn get<T: miniserde::Deserialize>(&self, path: &str, query: &Value) -> Result<T, PaymentError> {
        let request = RequestBuilder::new(StripeMethod::Get, path);
        let request = if is_empty(query) { request } else { request.query(query) };
        request.customize::<T>().send(self).await.map_err(|error| error.0)
    }

    /// What is on a list, the newest first, until `until` says that there is enough. `id` is the id of an object.
    pub async fn list<T: miniserde::Deserialize>(
        &self,
        path: &str,
        query: &Value,
        id: fn(&T) -> &str,
        until: impl Fn(&[T]) -> bool,
    ) -> Result<Vec<T>, PaymentError> {
        let mut query = query.clone();
        if query.get("limit").is_none() {
            query["limit"] = json!(PAGE);
        }
        let mut found: Vec<T> = Vec::new();
        for _ in 0..PAGES {
            let page: List<T> = self.get(path, &query).await?;
            found.extend(page.data);
            let last = found.last().filter(|_| page.has_more && !until(&found));
            let Some(last) = last else { return Ok(found) };
            query["starting_after"] = json!(id(last));
        }
        Err(PaymentError::Unavailable("a list without an end".to_owned()))
    }

    /// Makes something, under the key of the caller; without one it sets something to a value.
    pub async fn post<T: miniserde::Deserialize>(
        &self,
        path: &str,
        form: &Value,
        key: Option<&str>,
    ) -> Result<T, PaymentError> {
        let request = RequestBuilder::new(StripeMethod::Post, path);
        let request = if is_empty(form) { request } else { request.form(form) };
        let request = match key {
            Some(key) => under(request.customize::<T>(), key)?,
            None => request.customize::<T>(),
        };
        request.send(self).await.map_err(|error| error.0)
    }

    /// Ends something.
    pub async fn delete<T: miniserde::Deserialize>(&self, path: &str) -> Result<T, PaymentError> {
        let request = RequestBuilder::new(StripeMethod::Delete, path).customize::<T>();
        request.send(self).await.map_err(|error| error.0)
    }
}

/// Whether there are no parameters: written down, that would be one without a name.
fn is_empty(parameters: &Value) -> bool {
    parameters.as_object().is_some_and(serde_json::Map::is_empty)
}

/// A request with a key.
fn under<T>(
    request: CustomizableStripeRequest<T>,
    key: &str,
) -> Result<CustomizableStripeRequest<T>, PaymentError> {
    let key = IdempotencyKey::new(key).map_err(|_| PaymentError::Refused("an unusable key".to_owned()))?;
    Ok(request.request_strategy(RequestStrategy::Idempotent(key)))
}

impl StripeClient for Client {
    type Err = CallError;

    async fn execute(&self, request: CustomizedStripeRequest) -> Result<Bytes, CallError> {
        let (request, overrides) = request.into_pieces();
        let mut url = format!("{}/v1{}", self.base_url, request.path);
        if let Some(query) = request.query.filter(|query| !query.is_empty()) {
            url.push('?');
            url.push_str(&query);
        }
        let mut headers = vec![
            ("authorization".to_owned(), format!("Bearer {}", self.secret_key.expose_secret())),
            ("stripe-version".to_owned(), VERSION.as_str().to_owned()),
        ];
        if let Some(key) = overrides.request_strategy.and_then(|strategy| strategy.get_key()) {
            headers.push(("idempotency-key".to_owned(), key.into_inner()));
        }
        let body = request.body.unwrap_or_default().into_bytes();
        let method = match request.method {
            StripeMethod::Get => HttpMethod::Get,
            StripeMethod::Post => HttpMethod::Post,
            StripeMethod::Delete => HttpMethod::Delete,
        };
        if method == HttpMethod::Post {
            let form = "application/x-www-form-urlencoded".to_owned();
            headers.push(("content-type".to_owned(), form));
        }
        let patience = Patience { time: overrides.timeout, beginning: None };
        let answer = self.http.send(HttpRequest { method, url, headers, body, patience }).await;
        let answer = answer.map_err(|error| CallError(not_reached(&error)))?;
        match answer.status {
            200..=299 => Ok(Bytes::from(answer.body)),
            _ => Err(CallError(failure(&answer))),
        }
    }
}

fn not_reached(error: &HttpError) -> PaymentError {
    match error {
        HttpError::Refused(reason) => {
            PaymentError::Refused(format!("stripe.base_url: {reason}; see outbound.allow_networks"))
        }
        HttpError::Unreachable(_) | HttpError::TimedOut | HttpError::TooLarge => {
            PaymentError::Unavailable(error.to_string())
        }
    }
}

/// What Stripe answers instead of an object.
#[derive(Deserialize)]
struct Envelope {
    error: Fault,
}

/// The words of an error that programs read. The message is for people, and can hold what they have entered.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fault {
    r#type: String,
    code: Option<String>,
    decline_code: Option<String>,
    param: Option<String>,
}

/// What an answer that is no success means ("Errors" in Stripe's reference).
fn failure(answer: &HttpResponse) -> PaymentError {
    let fault = serde_json::from_slice::<Envelope>(&answer.body).ok().map(|envelope| envelope.error);
    let said_by_stripe = fault.is_some();
    let fault = fault.unwrap_or_default();
    let code = fault.code.as_deref();
    match answer.status {
        // In use, a dependency, too many, or broken; a proxy may have waited too long. Whether anything was done is unknown.
        408 | 409 | 424 | 429 | 500.. => PaymentError::Unavailable(told(answer, &fault)),
        _ if code.is_some_and(|code| ASKS.contains(&code)) => {
            PaymentError::Declined { code: "authentication_required".to_owned() }
        }
        _ if fault.r#type == "card_error" => {
            let reason = fault.decline_code.as_deref().or(code).and_then(word);
            PaymentError::Declined { code: reason.unwrap_or("declined").to_owned() }
        }
        404 if said_by_stripe => PaymentError::NotFound,
        // One that a parameter names.
        _ if code == Some("resource_missing") => PaymentError::NotFound,
        // Its least amounts follow rates of exchange: nobody else knows them.
        _ if code == Some("amount_too_small") => PaymentError::AmountTooSmall,
        _ => PaymentError::Refused(told(answer, &fault)),
    }
}

/// Status, words and the id by which Stripe finds the call, for the log.
fn told(answer: &HttpResponse, fault: &Fault) -> String {
    let id = answer.headers.iter().find(|(name, _)| name == "request-id").map(|(_, id)| id.as_str());
    let words = [Some(fault.r#type.as_str()), fault.code.as_deref(), fault.param.as_deref(), id];
    let words: Vec<&str> = words.into_iter().flatten().filter_map(word).collect();
    match words.is_empty() {
        true => format!("status {}, and not in the words of Stripe", answer.status),
        false => format!("status {} ({})", answer.status, words.join(", ")),
    }
}

/// A text, if it looks like one of Stripe's words and not like something that somebody has entered.
fn word(text: &str) -> Option<&str> {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'[' | b']' | b'.');
    ((1..=WORD_MAX).contains(&text.len()) && text.bytes().all(is_word)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> HttpResponse {
        let headers = vec![("request-id".to_owned(), "req_1".to_owned())];
        HttpResponse { status, headers, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn the_version_is_the_one_that_was_read_about() {
        assert_eq!(VERSION.as_str(), "2026-09-30.endive");
    }

    #[test]
    fn what_is_unknown_is_unavailable_and_a_card_is_declined() {
        let invalid = r#"{"error": {"type": "invalid_request_error", "code": "parameter_missing", "param": "line_items[0][quantity]", "message": "ana@example.com"}}"#;
        let missing = r#"{"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "payment_intent"}}"#;
        let card = r#"{"error": {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}}"#;
        let plain = r#"{"error": {"type": "card_error", "code": "expired_card"}}"#;
        let odd = r#"{"error": {"type": "card_error", "code": "4242 4242 4242 4242"}}"#;
        let small = r#"{"error": {"type": "invalid_request_error", "code": "amount_too_small"}}"#;
        let asks =
            r#"{"error": {"type": "card_error", "code": "subscription_payment_intent_requires_action"}}"#;
        let declined = |code: &str| PaymentError::Declined { code: code.to_owned() };
        for (status, body, expected) in [
            (402, card, declined("insufficient_funds")),
            (402, plain, declined("expired_card")),
            (402, odd, declined("declined")),
            (402, asks, declined("authentication_required")),
            (404, invalid, PaymentError::NotFound),
            (400, missing, PaymentError::NotFound),
            (400, small, PaymentError::AmountTooSmall),
        ] {
            assert_eq!(failure(&answer(status, body)), expected, "{status} {body}");
        }
        for status in [408, 409, 424, 429, 500, 502, 503, 504] {
            for body in [invalid, "<html>"] {
                assert!(failure(&answer(status, body)).is_passing(), "{status} {body}");
            }
        }
        for (status, body, text) in [
            (
                400,
                invalid,
                "status 400 (invalid_request_error, parameter_missing, line_items[0][quantity], req_1)",
            ),
            (401, "", "status 401 (req_1)"),
            (404, "<html>", "status 404 (req_1)"),
            (301, "{}", "status 301 (req_1)"),
        ] {
            assert_eq!(failure(&answer(status, body)), PaymentError::Refused(text.to_owned()), "{status}");
        }
        let bare = HttpResponse { status: 403, headers: Vec::new(), body: Vec::new() };
        assert_eq!(
            failure(&bare),
            PaymentError::Refused("status 403, and not in the words of Stripe".to_owned())
        );
    }
}
