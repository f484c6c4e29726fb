//! Collecting every broken rule of an input, so that one answer names them all.

use std::borrow::Cow;

use crate::{
    FieldError, RuleMessage,
    name_text::{Addresses, has_address, is_one_line},
};

/// The broken rules found so far.
///
/// ```
/// use portico_kernel::Violations;
/// let mut violations = Violations::default();
/// violations.text("title", "", 1, 200);
/// violations.check(false, "slug", "invalid_slug", "Use lower-case letters, digits and hyphens.");
/// assert_eq!(violations.into_result().unwrap_err().len(), 2);
/// ```
#[derive(Debug, Default)]
pub struct Violations {
    errors: Vec<FieldError>,
}

impl Violations {
    /// Records a broken rule.
    pub fn add(
        &mut self,
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<RuleMessage>,
    ) {
        self.errors.push(FieldError::new(field, code, message));
    }

    /// Records a broken rule unless `holds`.
    pub fn check(
        &mut self,
        holds: bool,
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<RuleMessage>,
    ) {
        if !holds {
            self.add(field, code, message);
        }
    }

    /// A text must have between `min` and `max` characters (Unicode scalar values), not counting
    /// white space around it, and no control characters besides line breaks and tabs.
    pub fn text(&mut self, field: impl Into<String>, value: &str, min: usize, max: usize) {
        let field = field.into();
        let length = value.trim().chars().count();
        if length < min {
            if length == 0 {
                self.add(field, "required", "This field is required.");
            } else {
                self.add(field, "too_short", RuleMessage::at_least_characters(min));
            }
        } else if length > max {
            self.add(field, "too_long", RuleMessage::at_most_characters(max));
        } else if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            self.add(field, "invalid_characters", "Control characters are not allowed.");
        }
    }

    /// Like [`Violations::text`] with no minimum, for a field that may be absent.
    pub fn optional_text(&mut self, field: impl Into<String>, value: Option<&str>, max: usize) {
        if let Some(value) = value {
            self.text(field, value, 0, max);
        }
    }

    /// Like [`Violations::text`], for one line without characters that cannot be seen: what may stand in the subject of a mail or
    /// in the title of a page.
    pub fn line(&mut self, field: impl Into<String>, value: &str, min: usize, max: usize) {
        let field = field.into();
        let before = self.errors.len();
        self.text(field.clone(), value, min, max);
        if self.errors.len() == before && !is_one_line(value.trim()) {
            self.add(
                field,
                "invalid_characters",
                "Line breaks, tabs and invisible characters are not allowed.",
            );
        }
    }

    /// Like [`Violations::line`], for the name of a company or of an object: no address of the web. A domain by itself may be a
    /// name (`Booking.com`).
    pub fn name(&mut self, field: impl Into<String>, value: &str, min: usize, max: usize) {
        self.unlinked(field.into(), value, (min, max), Addresses::Plain);
    }

    /// Like [`Violations::name`], for the name of a person: no domain by itself either.
    pub fn person_name(&mut self, field: impl Into<String>, value: &str, min: usize, max: usize) {
        self.unlinked(field.into(), value, (min, max), Addresses::Domains);
    }

    fn unlinked(&mut self, field: String, value: &str, (min, max): (usize, usize), addresses: Addresses) {
        let before = self.errors.len();
        self.line(field.clone(), value, min, max);
        if self.errors.len() == before && has_address(value, addresses) {
            let message = "A name cannot hold an address of the web. Write a space after a full stop.";
            self.add(field, "web_address", message);
        }
    }

    /// Takes the value of a parsed newtype, or records why it could not be parsed.
    /// The field of the error becomes `field`.
    pub fn take<T>(&mut self, field: impl Into<String>, parsed: Result<T, FieldError>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(mut error) => {
                error.field = field.into();
                self.errors.push(error);
                None
            }
        }
    }

    /// Adds errors found elsewhere.
    pub fn extend(&mut self, errors: impl IntoIterator<Item = FieldError>) {
        self.errors.extend(errors);
    }

    /// Whether no rule was broken so far.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// `Err` with everything recorded, or `Ok` when there is nothing.
    pub fn into_result(self) -> Result<(), Vec<FieldError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(check: impl FnOnce(&mut Violations)) -> Vec<String> {
        let mut violations = Violations::default();
        check(&mut violations);
        violations.errors.into_iter().map(|error| error.code.into_owned()).collect()
    }

    #[test]
    fn a_name_breaks_one_rule_at_a_time() {
        let person = |name: &str| codes(|violations| violations.person_name("fullName", name, 1, 20));
        let thing = |name: &str| codes(|violations| violations.name("name", name, 1, 20));
        assert_eq!((person(" Ada "), person("Ada\n")), (vec![], vec![]), "white space around is dropped");
        assert_eq!(person(" "), ["required"]);
        assert_eq!(person(&"a".repeat(21)), ["too_long"]);
        assert_eq!(person("Ada\u{2028}evil.com"), ["invalid_characters"]);
        assert_eq!((person("evil.com"), thing("evil.com")), (vec!["web_address".to_owned()], vec![]));
        assert_eq!(thing("evil.com/pay"), ["web_address"]);
    }
}
