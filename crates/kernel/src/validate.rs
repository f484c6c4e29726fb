//! Collecting every broken rule of an input, so that one answer names them all.

use std::borrow::Cow;

use crate::FieldError;

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
        message: impl Into<Cow<'static, str>>,
    ) {
        self.errors.push(FieldError::new(field, code, message));
    }

    /// Records a broken rule unless `holds`.
    pub fn check(
        &mut self,
        holds: bool,
        field: impl Into<String>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
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
                self.add(field, "too_short", format!("Use at least {min} characters."));
            }
        } else if length > max {
            self.add(field, "too_long", format!("Use at most {max} characters."));
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
