//! Errors in Stripe's shape ("Errors" in Stripe's reference).

use serde_json::{Value, json};

use crate::value::Write;

/// What a call answers: an object, or an error.
pub(crate) type Answer = Result<Value, ApiError>;

/// An error that a client sees.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub status: u16,
    pub body: Value,
    /// Whether an idempotency key keeps it: errors of validation are not kept, as nothing was executed.
    pub kept: bool,
}

impl ApiError {
    fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let body = json!({"type": kind, "message": message.into()});
        Self { status, body, kept: true }
    }

    /// 400 `invalid_request_error`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 400 for a parameter.
    pub fn param(param: &str, message: impl Into<String>) -> Self {
        Self::invalid(message).with("param", param)
    }

    /// 400 `parameter_missing`.
    pub fn missing(param: &str) -> Self {
        Self::param(param, format!("Missing required param: {param}.")).code("parameter_missing")
    }

    /// 404 for an object of the path, 400 for one that a parameter names.
    pub fn no_such(kind: &str, id: &str, param: &str) -> Self {
        let mut error = Self::param(param, format!("No such {}: '{}'", kind.replace('.', " "), clean(id)));
        if param == "id" {
            error.status = 404;
        }
        error.code("resource_missing")
    }

    /// 404 for an address that the sandbox does not know.
    pub fn unknown_url(method: &str, path: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({}: {}). Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
            clean(method),
            clean(path)
        );
        Self { status: 404, kept: false, ..Self::invalid(message) }
    }

    /// 401.
    pub fn unauthorized(message: impl Into<String>) -> Self {
        Self { status: 401, kept: false, ..Self::invalid(message) }
    }

    /// 403.
    pub fn forbidden(code: &str, message: impl Into<String>) -> Self {
        Self { status: 403, kept: false, ..Self::invalid(message) }.code(code)
    }

    /// 402 `card_error`.
    pub fn card(code: &str, decline_code: Option<&str>, message: impl Into<String>) -> Self {
        let error = Self::new(402, "card_error", message).code(code);
        match decline_code {
            Some(decline) => error.with("decline_code", decline),
            None => error,
        }
    }

    /// 400 or 409 `idempotency_error`.
    pub fn idempotency(status: u16, message: impl Into<String>) -> Self {
        Self { kept: false, ..Self::new(status, "idempotency_error", message) }
    }

    /// 429.
    pub fn rate_limit() -> Self {
        let message = "Too many requests in a short time. Back off exponentially and try again.";
        Self { status: 429, kept: false, ..Self::invalid(message) }.code("rate_limit")
    }

    /// 500 `api_error`.
    pub fn server() -> Self {
        Self::new(500, "api_error", "An unknown error occurred.")
    }

    pub fn code(self, code: &str) -> Self {
        let url = format!("https://stripe.com/docs/error-codes/{}", code.replace('_', "-"));
        self.with("code", code).with("doc_url", url)
    }

    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.body.put(field, value);
        self
    }

    /// Found before anything was executed.
    pub fn before(mut self) -> Self {
        self.kept = false;
        self
    }
}

/// Texts of a caller in our messages stay short.
pub(crate) fn clean(text: &str) -> String {
    text.chars().take(100).collect()
}
