//! Contact details, as a tenant enters them.

use email_address::{EmailAddress, Options};
use portico_kernel::{FieldError, RuleMessage, Violations};

/// Checks the syntax of an address (RFC 5321: at most 254 characters; no display name, no literal address, no quoted local part) and
/// lowers its case, so that it compares with the address of an account.
pub(crate) fn email(text: &str) -> Result<String, FieldError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(FieldError::new("email", "required", "This field is required."));
    }
    let options = Options::default().with_required_tld().without_display_text().without_domain_literal();
    match EmailAddress::parse_with_options(text, options) {
        Ok(_) if text.len() <= 254 && text.is_ascii() && !text.contains(['"', '\\', ' ']) => {
            Ok(text.to_ascii_lowercase())
        }
        _ => Err(FieldError::new("email", "invalid_email", "This is not a valid email address.")),
    }
}

/// An address as it may be shown to the holder of a link, and kept in the audit trail: `a…@example.com`.
pub fn masked(email: &str) -> String {
    let (name, domain) = email.split_once('@').unwrap_or((email, ""));
    let first: String = name.chars().take(1).collect();
    format!("{first}…@{domain}")
}

/// A phone number as people write it: 5 to 15 digits (E.164 allows 15), a leading plus, and separators.
pub(crate) fn check_phone(violations: &mut Violations, field: &'static str, phone: &str) {
    let number = phone.strip_prefix('+').unwrap_or(phone);
    let digits = number.chars().filter(char::is_ascii_digit).count();
    let holds = (5..=15).contains(&digits)
        && phone.len() <= 32
        && number.chars().all(|c| c.is_ascii_digit() || matches!(c, ' ' | '-' | '(' | ')' | '.' | '/'));
    violations.check(holds, field, "invalid_phone", "Write a phone number, for instance +502 2345 6789.");
}

/// A language must be one that we write in.
pub(crate) fn check_language(violations: &mut Violations, language: &str) {
    const LANGUAGES: [&str; 2] = ["en", "es"];
    let message = RuleMessage::new("Choose one of: en, es.").allowed(LANGUAGES);
    violations.check(LANGUAGES.contains(&language), "language", "unknown_language", message);
}

/// Trims a text; one that is nothing but white space clears the field.
pub(crate) fn trimmed(value: Option<String>) -> Option<String> {
    value.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_by_its_first_letter_and_domain() {
        assert_eq!(masked("ada@example.com"), "a…@example.com");
        assert_eq!(masked("@"), "…@");
    }

    #[test]
    fn addresses_are_compared_in_lower_case_and_checked() {
        assert_eq!(email(" Ada@Example.COM ").unwrap(), "ada@example.com");
        for bad in [
            "plain",
            "a@localhost",
            "Ada <ada@example.com>",
            "a@b.co\r\nBcc: b@b.co",
            "añ@b.co",
            "\"a b\"@b.co",
        ] {
            assert_eq!(email(bad).unwrap_err().code, "invalid_email", "{bad}");
        }
    }

    #[test]
    fn phone_numbers_have_digits_and_separators() {
        for (phone, good) in
            [("+502 2345-6789", true), ("call me", false), ("1234", false), ("1".repeat(16).as_str(), false)]
        {
            let mut violations = Violations::default();
            check_phone(&mut violations, "phone", phone);
            assert_eq!(violations.is_empty(), good, "{phone}");
        }
    }
}
