//! Addresses that customers put into links and pictures.

use portico_kernel::{FieldError, RuleMessage};
use url::Url;

/// The most characters of an address.
pub const MAX_LINK: usize = 2048;

/// Checks where a link leads and answers the address without white space around it.
///
/// Accepted are `http:`, `https:`, `mailto:` and `tel:` addresses, paths that start with one slash, and fragments (`#…`).
/// Everything that a browser could read as something else is refused: other schemes (`javascript:`, `data:`), another
/// host in disguise (`//host`, `/\host`), control characters and white space (browsers drop some of them, so that
/// `java\tscript:` works), and addresses with a password in them. The error's field is empty: the caller names it.
pub fn link_target(text: &str) -> Result<String, FieldError> {
    let text = plain_address(text)?;
    if text.starts_with('#') || is_path(text) {
        return Ok(text.to_owned());
    }
    let allowed = match Url::parse(text) {
        Ok(url) => match url.scheme() {
            "http" | "https" => is_web(text, &url),
            "mailto" => url.path().contains('@') && !url.path().starts_with('/'),
            "tel" => is_phone(url.path()),
            _ => false,
        },
        Err(_) => false,
    };
    if allowed {
        Ok(text.to_owned())
    } else {
        let message = "Use an address that starts with https://, http://, mailto: or tel:, a path (/…) or a fragment (#…).";
        Err(FieldError::new("", "invalid_url", message))
    }
}

/// Checks where a picture comes from: an `https:` address, or a path that starts with one slash.
/// The error's field is empty: the caller names it.
pub fn image_source(text: &str) -> Result<String, FieldError> {
    let text = plain_address(text)?;
    let secure = || Url::parse(text).is_ok_and(|url| url.scheme() == "https" && is_web(text, &url));
    if is_path(text) || secure() {
        Ok(text.to_owned())
    } else {
        Err(FieldError::new("", "invalid_url", "Use an address that starts with https://, or a path (/…)."))
    }
}

/// The address without white space around it, given that it holds no character that parsers disagree about.
fn plain_address(text: &str) -> Result<&str, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(FieldError::new("", "required", "This field is required."));
    }
    if text.chars().count() > MAX_LINK {
        return Err(FieldError::new("", "too_long", RuleMessage::at_most_characters(MAX_LINK)));
    }
    let odd = |c: char| c.is_control() || c.is_whitespace() || is_invisible(c) || "\\<>\"'`".contains(c);
    if text.contains(odd) {
        let message = "White space, backslashes, quotation marks and control characters are not allowed.";
        return Err(FieldError::new("", "invalid_url", message));
    }
    Ok(text)
}

/// Characters that turn the direction of text around, or do not show at all: they make an address look like another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2069}' | '\u{FEFF}' | '\u{AD}')
}

/// Whether it is a path on the same site.
fn is_path(text: &str) -> bool {
    text.starts_with('/') && !text.starts_with("//")
}

/// Whether the address names a host in the usual way (`Url` also accepts `https:host` and `https:/host`), and no user.
fn is_web(text: &str, url: &Url) -> bool {
    // Right behind the scheme: `https:evil.example/://` names a host, too.
    let authority = text.get(url.scheme().len()..).and_then(|rest| rest.strip_prefix("://"));
    authority.is_some_and(|rest| !rest.starts_with('/'))
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
}

/// Whether it is a number as people write it (RFC 3966): digits, with separators, perhaps a plus in front.
fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    digits.bytes().any(|b| b.is_ascii_digit())
        && digits.bytes().all(|b| b.is_ascii_digit() || b"-.();=extEXT".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_lead_somewhere_sane() {
        for text in [
            "https://example.com",
            "http://example.com/a?b=c#d",
            "HTTPS://EXAMPLE.COM/",
            "https://münchen.example/straße",
            "mailto:info@example.com?subject=Hello",
            "tel:+502-5555-1234",
            "/contact",
            "/",
            "/a//b",
            "#prices",
            "  /about  ",
        ] {
            assert_eq!(link_target(text).as_deref(), Ok(text.trim()), "{text}");
        }
    }

    #[test]
    fn links_in_disguise() {
        for text in [
            "",
            "   ",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "java\nscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "data:text/html,<script>alert(1)</script>",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://example.com/1",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:evil.example/://",
            "http:evil.example?https://bank.example",
            "https:///evil.example",
            "https://",
            "https://user:secret@example.com",
            "https://bank.example@evil.example",
            "https://example.com/\u{202e}gpj.exe",
            "about",
            "example.com",
            "mailto:",
            "mailto:nobody",
            "tel:javascript",
            "https://example.com/\"onclick=1",
        ] {
            assert!(link_target(text).is_err(), "{text:?}");
        }
        assert_eq!(link_target(&format!("/{}", "a".repeat(MAX_LINK))).unwrap_err().code, "too_long");
    }

    #[test]
    fn pictures_come_over_tls_or_from_the_site() {
        for text in ["https://cdn.example/a.webp", "/files/a.png"] {
            assert_eq!(image_source(text).as_deref(), Ok(text));
        }
        for text in
            ["http://cdn.example/a.png", "//cdn.example/a.png", "data:image/png;base64,AA", "a.png", "#a"]
        {
            assert!(image_source(text).is_err(), "{text}");
        }
    }
}
