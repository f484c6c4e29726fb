//! Which addresses a webhook may have.

use portico_kernel::{
    FieldError, RuleMessage,
    http::{HttpClient, HttpError},
};
use url::Url;

/// The most characters of an address.
pub const MAX_URL: usize = 2048;

/// Checks an address, and answers it in the form in which it is called.
///
/// What can be decided now is refused now. Where its name leads is checked when it is called, because that may change.
pub(super) fn check(text: &str, http: &dyn HttpClient) -> Result<String, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(FieldError::new("url", "required", "This field is required."));
    }
    if text.chars().count() > MAX_URL {
        return Err(FieldError::new("url", "too_long", RuleMessage::at_most_characters(MAX_URL)));
    }
    let refused = |message: &'static str| Err(FieldError::new("url", "invalid_url", message));
    // Parsers disagree about these, or drop them.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || "\\<>\"'`".contains(c)) {
        return refused("White space, backslashes, quotation marks and control characters are not allowed.");
    }
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => url,
        _ => return refused("Use an address that starts with https://."),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return refused(
            "An address with a user name or a password is not allowed; look at the signature instead.",
        );
    }
    if url.fragment().is_some() {
        return refused("An address with a fragment (#…) is not allowed: it would not be sent.");
    }
    // Percent-encoding by the parser makes it longer.
    if url.as_str().len() > 4 * MAX_URL {
        return Err(FieldError::new("url", "too_long", RuleMessage::at_most_characters(MAX_URL)));
    }
    match http.admits(url.as_str()) {
        Ok(()) => Ok(url.into()),
        Err(HttpError::Refused(_)) if url.scheme() == "http" => refused(
            "Use an address that starts with https://; this one may not be called without encryption.",
        ),
        Err(_) => refused("This address may not be called. Use one that everybody can reach."),
    }
}
