//! Reading an input so that all invalid fields are reported at once.
//!
//! serde stops at the first error. So the invalid part is recorded and removed, and reading starts again: most input types have
//! a default for every field, therefore a removed field does not fail a second time. What fails for want of one is not told.

mod node;

use portico_kernel::{FieldError, RuleMessage};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::node::{Input, Node, Record, Step, text};

/// Maximum number of invalid fields removed and reported. It bounds how often an input is read, and how large the answer to one gets.
const MAX_ERRORS: usize = 50;

/// Maximum number of characters reported of a name. Names of our fields are shorter.
const MAX_NAME: usize = 64;

/// What stands in a list for an element that was removed, and is not read. Positions of the others stay correct. No text of an input
/// is like this: [`Source::check`] refuses NUL.
const REMOVED: &str = "\0";

/// Reads a `T` from JSON. `Err` lists unknown fields and fields of a wrong type.
pub fn from_json<T: DeserializeOwned>(json: Value) -> Result<T, Vec<FieldError>> {
    read(Source::Body(json))
}

/// Name and value of each parameter of a query string, decoded.
pub fn pairs(query: &str) -> Vec<(String, String)> {
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

/// Reads a `T` from a query string. `Err` lists unknown parameters and parameters of a wrong type.
pub fn from_query<T: DeserializeOwned>(query: &str) -> Result<T, Vec<FieldError>> {
    from_pairs(pairs(query))
}

/// [`from_query`] with the pairs of a query string.
pub fn from_pairs<T: DeserializeOwned>(pairs: Vec<(String, String)>) -> Result<T, Vec<FieldError>> {
    read(Source::Query(pairs))
}

/// The program has one of these for each `T`, and `T::deserialize` for one deserializer: what is not about `T` is in [`Source`].
fn read<T: DeserializeOwned>(mut source: Source) -> Result<T, Vec<FieldError>> {
    let mut errors = source.check();
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut removed = Vec::new();
    loop {
        let mut record = Record::default();
        let read = T::deserialize(Node { input: source.input(), record: &mut record });
        match read {
            Ok(value) => {
                source.report(record.unknown, &mut errors);
                return if errors.is_empty() { Ok(value) } else { Err(errors) };
            }
            Err(error) => {
                let place = record.place();
                if !source.remove(place, &error, &mut removed, &mut errors) {
                    return Err(errors);
                }
            }
        }
    }
}

/// An input, and what is said about it.
enum Source {
    Body(Value),
    /// The pairs of a query string.
    Query(Vec<(String, String)>),
}

impl Source {
    /// What is wrong whatever it is read as.
    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        match self {
            Self::Body(json) if !json.is_object() => {
                errors.push(FieldError::new("", "invalid_type", "Send an object."));
            }
            Self::Body(json) => find_nul(json, &mut Vec::new(), &mut errors),
            Self::Query(pairs) => errors.extend(
                pairs
                    .iter()
                    .filter(|(name, value)| name.contains('\0') || value.contains('\0'))
                    .take(MAX_ERRORS)
                    .map(|(name, _)| nul_error(&[Step::Name(name)])),
            ),
        }
        errors
    }

    fn input(&self) -> Input<'_> {
        match self {
            Self::Body(json) => Input::Json(json),
            Self::Query(pairs) => Input::Pairs(pairs),
        }
    }

    /// Reports fields that the type does not have.
    fn report(&self, unknown: Vec<String>, errors: &mut Vec<FieldError>) {
        let (code, message) = match self {
            Self::Body(_) => ("unknown_field", "There is no such field."),
            Self::Query(_) => ("unknown_parameter", "There is no such parameter."),
        };
        let left = MAX_ERRORS.saturating_sub(errors.len());
        errors.extend(unknown.into_iter().take(left).map(|field| FieldError::new(field, code, message)));
    }

    /// Reports what cannot be read, and removes it. Returns whether reading may start again.
    ///
    /// What something removed was part of may be wrong without it: that is removed as well, and no error of the client's.
    fn remove(
        &mut self,
        place: Place,
        error: &serde_json::Error,
        removed: &mut Vec<Vec<String>>,
        errors: &mut Vec<FieldError>,
    ) -> bool {
        let (code, is_removed) = match self {
            Self::Body(json) => ("invalid_type", remove(json, &place.steps)),
            Self::Query(pairs) => {
                let before = pairs.len();
                pairs.retain(|(name, _)| Some(name) != place.steps.first());
                ("invalid_value", pairs.len() < before)
            }
        };
        if !removed.iter().any(|steps| steps.starts_with(&place.steps)) {
            errors.push(FieldError::new(place.field, code, message(error)));
        }
        removed.push(place.steps);
        is_removed && removed.len() < MAX_ERRORS
    }
}

/// Where something is that cannot be read.
struct Place {
    /// As clients write it.
    field: String,
    /// Names of fields and positions in lists.
    steps: Vec<String>,
}

/// Reports every text with a NUL in it: no field has a use for one, and Postgres cannot store it.
fn find_nul<'j>(json: &'j Value, path: &mut Vec<Step<'j>>, errors: &mut Vec<FieldError>) {
    match json {
        Value::String(value) if value.contains('\0') => add_nul(path, errors),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(Step::Index(index));
                find_nul(item, path, errors);
                path.pop();
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                path.push(Step::Name(name));
                if name.contains('\0') {
                    add_nul(path, errors);
                }
                find_nul(value, path, errors);
                path.pop();
            }
        }
        _ => {}
    }
}

fn add_nul(path: &[Step<'_>], errors: &mut Vec<FieldError>) {
    if errors.len() < MAX_ERRORS {
        errors.push(nul_error(path));
    }
}

fn nul_error(path: &[Step<'_>]) -> FieldError {
    let field = text(path).replace('\0', "");
    FieldError::new(field, "invalid_characters", "Control characters are not allowed.")
}

/// serde's sentence without position, which is meaningless for structured data.
fn message(error: &serde_json::Error) -> RuleMessage {
    let text = error.to_string();
    let message = RuleMessage::new(sentence(&text));
    // The last one: the value of the client may have these words in it.
    match text.rsplit_once(", expected ") {
        // The words of an enum are in back quotes.
        Some((unknown, words)) if unknown.starts_with("unknown variant") => {
            message.allowed(words.split('`').skip(1).step_by(2).map(ToOwned::to_owned))
        }
        _ => message,
    }
}

fn sentence(text: &str) -> String {
    let text = text.split(" at line ").next().unwrap_or_default();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => {
            let sentence: String = first.to_uppercase().chain(characters).collect();
            if sentence.ends_with('.') { sentence } else { sentence + "." }
        }
        None => "This value is not valid.".to_owned(),
    }
}

/// Removes the value at the end of `steps`. Returns whether there was one.
fn remove(json: &mut Value, steps: &[String]) -> bool {
    let Some((last, parents)) = steps.split_last() else { return false };
    let mut parent = json;
    for step in parents {
        let next = match parent {
            Value::Object(fields) => fields.get_mut(step),
            Value::Array(items) => element(items, step),
            _ => None,
        };
        match next {
            Some(next) => parent = next,
            None => return false,
        }
    }
    match parent {
        Value::Object(fields) => fields.remove(last).is_some(),
        Value::Array(items) => match element(items, last) {
            Some(item) => {
                *item = Value::String(REMOVED.to_owned());
                true
            }
            None => false,
        },
        _ => false,
    }
}

fn element<'i>(items: &'i mut [Value], position: &str) -> Option<&'i mut Value> {
    position.parse::<usize>().ok().and_then(|index| items.get_mut(index))
}

#[cfg(test)]
mod tests;
