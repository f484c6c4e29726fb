//! Reading an object whose shape is not known yet, recording every broken rule instead of stopping at the first.

use portico_kernel::{AssetId, FieldError, RuleMessage, Violations};
use serde_json::{Map, Value};

use super::blocks::MAX_LABEL;
use crate::{
    link::{MAX_LINK, image_source, link_target},
    rich_text::sanitise,
};

/// The most unknown fields of one object that are named in an answer.
const MAX_UNKNOWN: usize = 20;

/// The fields of an object that have not been read yet. Each method takes one out; what is left in the end is unknown.
///
/// White space around texts is dropped. An absent field and `null` are the same.
pub(super) struct Fields<'v> {
    left: Map<String, Value>,
    path: String,
    violations: &'v mut Violations,
}

/// Reads `value`, found at `path`, as an object. `None` when it is none.
pub(super) fn read_object<T>(
    value: Value,
    path: String,
    violations: &mut Violations,
    read: impl FnOnce(&mut Fields<'_>) -> T,
) -> Option<T> {
    let Value::Object(left) = value else {
        violations.add(path, "invalid_type", "This must be an object.");
        return None;
    };
    let mut fields = Fields { left, path, violations };
    let result = read(&mut fields);
    fields.refuse_unknown();
    Some(result)
}

impl Fields<'_> {
    /// A text of 1 to `max` characters.
    pub(super) fn text(&mut self, name: &str, max: usize) -> String {
        let text = self.required_text(name).unwrap_or_default();
        self.checked(name, text, max)
    }

    /// A text of at most `max` characters; an empty one is the same as none.
    pub(super) fn optional_text(&mut self, name: &str, max: usize) -> Option<String> {
        let text = self.raw_text(name)?;
        Some(self.checked(name, text, max)).filter(|text| !text.is_empty())
    }

    /// Rich text of at most `max` characters, sanitised. There must be something left of it.
    pub(super) fn html(&mut self, name: &str, max: usize) -> String {
        let Some(text) = self.required_text(name) else { return String::new() };
        let clean = self.note(name, sanitise(&text, max));
        if clean.as_deref() == Some("") {
            self.require(name);
        }
        clean.unwrap_or_default()
    }

    /// Where a link leads.
    pub(super) fn link(&mut self, name: &str) -> String {
        let text = self.required_text(name);
        text.and_then(|text| self.note(name, link_target(&text))).unwrap_or_default()
    }

    /// Where a link leads, if there is one.
    pub(super) fn optional_link(&mut self, name: &str) -> Option<String> {
        let text = self.raw_text(name).filter(|text| !text.trim().is_empty())?;
        self.note(name, link_target(&text))
    }

    /// At most `max` addresses of other sites, by HTTPS.
    pub(super) fn web_addresses(&mut self, name: &str, max: usize) -> Vec<String> {
        let texts = self.texts(name, max, MAX_LINK);
        for (index, text) in texts.iter().enumerate() {
            if !text.starts_with("https://") || link_target(text).is_err() {
                self.add(
                    &format!("{name}[{index}]"),
                    "invalid_url",
                    "Use an address that starts with https://.",
                );
            }
        }
        texts
    }

    /// Where a picture comes from.
    pub(super) fn image_source(&mut self, name: &str) -> String {
        let text = self.required_text(name);
        text.and_then(|text| self.note(name, image_source(&text))).unwrap_or_default()
    }

    /// Where a picture comes from, if there is one.
    pub(super) fn optional_image_source(&mut self, name: &str) -> Option<String> {
        let text = self.raw_text(name).filter(|text| !text.trim().is_empty())?;
        self.note(name, image_source(&text))
    }

    /// The id of an uploaded picture, if there is one. Whether there is such a picture is checked elsewhere.
    pub(super) fn optional_asset(&mut self, name: &str) -> Option<AssetId> {
        let text = self.raw_text(name).filter(|text| !text.trim().is_empty())?;
        let id = text.trim().parse().ok();
        if id.is_none() {
            self.add(name, "invalid_id", "This is not the id of an asset.");
        }
        id
    }

    /// Yes or no; no when absent.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            Some(Value::Bool(flag)) => flag,
            Some(_) => {
                self.add(name, "invalid_type", "This must be true or false.");
                false
            }
            None => false,
        }
    }

    /// Label and address of a button: both, or none.
    pub(super) fn button(&mut self, label: &str, url: &str) -> (Option<String>, Option<String>) {
        let (has_label, has_url) = (self.says_something(label), self.says_something(url));
        let result = (self.optional_text(label, MAX_LABEL), self.optional_link(url));
        if has_label != has_url {
            let missing = if has_label { url } else { label };
            self.add(missing, "required", "A button needs a label and an address.");
        }
        result
    }

    /// A list of `min` to `max` objects.
    pub(super) fn list<T>(
        &mut self,
        name: &str,
        min: usize,
        max: usize,
        read: impl Fn(&mut Fields<'_>) -> T,
    ) -> Vec<T> {
        let values = self.values(name, min, max).into_iter().enumerate();
        let path = self.path_of(name);
        values
            .filter_map(|(index, value)| {
                read_object(value, format!("{path}[{index}]"), self.violations, |fields| read(fields))
            })
            .collect()
    }

    /// A list of at most `max` texts of 1 to `length` characters.
    pub(super) fn texts(&mut self, name: &str, max: usize, length: usize) -> Vec<String> {
        let values = self.values(name, 0, max).into_iter().enumerate();
        let path = self.path_of(name);
        let mut texts = Vec::new();
        for (index, value) in values {
            let field = format!("{path}[{index}]");
            if let Value::String(text) = value {
                self.violations.text(field, &text, 1, length);
                texts.push(text.trim().to_owned());
            } else {
                self.violations.add(field, "invalid_type", "This must be a text.");
            }
        }
        texts
    }

    /// Records that a rule about a field is broken.
    pub(super) fn add(&mut self, name: &str, code: &'static str, message: impl Into<RuleMessage>) {
        self.violations.add(self.path_of(name), code, message);
    }

    fn values(&mut self, name: &str, min: usize, max: usize) -> Vec<Value> {
        let values = match self.take(name) {
            Some(Value::Array(values)) => values,
            None if min == 0 => Vec::new(),
            None => {
                self.require(name);
                return Vec::new();
            }
            Some(_) => {
                self.add(name, "invalid_type", "This must be a list.");
                return Vec::new();
            }
        };
        if values.len() > max {
            self.add(name, "too_many", RuleMessage::new(format!("At most {max} are possible.")).max(max));
            return Vec::new();
        }
        if values.len() < min {
            self.add(name, "too_few", RuleMessage::new(format!("At least {min} must be there.")).min(min));
        }
        values
    }

    /// A text that is there, without white space around it, given that it keeps to its bounds.
    fn checked(&mut self, name: &str, text: String, max: usize) -> String {
        self.violations.text(self.path_of(name), &text, 0, max);
        text.trim().to_owned()
    }

    /// Whether the field is there and not blank.
    fn says_something(&self, name: &str) -> bool {
        self.left.get(name).is_some_and(|value| !value.is_null() && !is_blank(value))
    }

    /// The text of a field that must be there and not be blank.
    fn required_text(&mut self, name: &str) -> Option<String> {
        if !self.says_something(name) {
            self.left.remove(name);
            self.require(name);
            return None;
        }
        self.raw_text(name)
    }

    /// The text of a field as it was sent.
    fn raw_text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => {
                self.add(name, "invalid_type", "This must be a text.");
                None
            }
        }
    }

    fn note<T>(&mut self, name: &str, result: Result<T, FieldError>) -> Option<T> {
        let path = self.path_of(name);
        self.violations.take(path, result)
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.left.remove(name).filter(|value| !value.is_null())
    }

    fn require(&mut self, name: &str) {
        self.add(name, "required", "This field is required.");
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    fn refuse_unknown(self) {
        for name in self.left.keys().take(MAX_UNKNOWN) {
            let shown: String = name.chars().take(64).collect();
            let path = self.path_of(&shown);
            self.violations.add(path, "unknown_field", "There is no such field.");
        }
    }
}

fn is_blank(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.trim().is_empty())
}
