//! What was changed about sections since a template made them.

use portico_kernel::{PageId, SectionId, TemplateId, Timestamp};
use serde::Serialize;
use serde_json::Value;

use crate::section::{Section, SectionOrigin, SectionType, content::SectionContent};

/// The name under which a section that is not shown any more is reported, next to the fields of its content.
pub(super) const VISIBLE: &str = "visible";
/// The name under which a section of another type than it had is reported.
pub(super) const TYPE: &str = "type";

/// How a page differs from its template.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageTemplate {
    /// The page.
    pub page_id: PageId,
    /// The template that the sections were made from; null when they were not.
    pub template_id: Option<TemplateId>,
    /// Its name; null when the template is not there any more.
    pub template_name: Option<String>,
    /// The page of the template.
    pub template_page: Option<String>,
    /// When the page was made from it. A reset restores what the template was then.
    pub applied_at: Option<Timestamp>,
    /// Whether anything is different: a section customised, added, removed, or moved.
    pub is_customised: bool,
    /// Whether the sections that are still there stand in another order.
    pub is_reordered: bool,
    /// The sections that are on the page, by position.
    pub sections: Vec<SectionState>,
    /// The sections of the template that are not on the page any more.
    pub removed: Vec<RemovedSection>,
}

/// How a section differs from what its template made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Customisation {
    /// As the template made it.
    Unchanged,
    /// Changed since.
    Customised,
    /// Not made from the template.
    Added,
}

/// A section of a page, beside what its template made it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SectionState {
    /// The section.
    pub section_id: SectionId,
    /// The section of the template.
    pub section_key: Option<String>,
    /// What sort of block it is now.
    #[serde(rename = "type")]
    pub kind: SectionType,
    /// Whether it is as the template made it.
    pub state: Customisation,
    /// What was changed: fields of the content (`heading`), items of its lists (`items[2]`), `visible` for a section that
    /// was hidden, `type` for one that became another sort of block.
    pub fields: Vec<String>,
}

/// A section that the template made and that was deleted since.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RemovedSection {
    /// The id that it had. Resetting it makes it anew.
    pub section_id: SectionId,
    /// The section of the template.
    pub section_key: String,
    /// What sort of block it was.
    #[serde(rename = "type")]
    pub kind: SectionType,
}

/// What was changed about a section since it was made from its template.
pub(super) fn customised(origin: &SectionOrigin, section: &Section) -> Vec<String> {
    let mut fields = Vec::new();
    if section.kind == origin.kind {
        fields =
            changed_fields(&normal(origin.kind, &origin.content), &normal(section.kind, &section.content));
    } else {
        fields.push(TYPE.to_owned());
    }
    if !section.visible {
        fields.push(VISIBLE.to_owned());
    }
    fields
}

/// The top-level fields that differ; lists item by item.
fn changed_fields(original: &Value, current: &Value) -> Vec<String> {
    let (Some(before), Some(after)) = (original.as_object(), current.as_object()) else {
        return Vec::new();
    };
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let mut changed = Vec::new();
    for name in names {
        let (old, new) = (before.get(name).unwrap_or(&Value::Null), after.get(name).unwrap_or(&Value::Null));
        match (old, new) {
            _ if old == new => {}
            (Value::Array(old), Value::Array(new)) => {
                let differs = |index: &usize| old.get(*index) != new.get(*index);
                let places = (0..old.len().max(new.len())).filter(differs);
                changed.extend(places.map(|index| format!("{name}[{index}]")));
            }
            _ => changed.push(name.clone()),
        }
    }
    changed
}

/// Content with every field that its type has today, so that a field that came later is no change.
pub(super) fn normal(kind: SectionType, content: &Value) -> Value {
    SectionContent::from_stored(kind, content).map_or_else(|_| content.clone(), SectionContent::into_json)
}

/// A field of a section as clients name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FieldPath {
    /// `heading`.
    Field(String),
    /// `items[2]`.
    Item(String, usize),
}

impl FieldPath {
    /// Reads a name; `None` when it cannot be one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let plain = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric());
        match text.split_once('[') {
            Some((name, rest)) if plain(name) => {
                let index = rest.strip_suffix(']')?;
                index.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
                Some(Self::Item(name.to_owned(), index.parse().ok()?))
            }
            None if plain(text) => Some(Self::Field(text.to_owned())),
            _ => None,
        }
    }

    /// The content with this field as it was in the beginning; `None` when neither has such a field. An item that was added since
    /// is removed, and one that was removed comes back at its index, or at the end where the list is shorter.
    pub(super) fn restore(&self, original: &Value, current: &Value) -> Option<Value> {
        let (before, mut after) = (original.as_object()?, current.as_object()?.clone());
        match self {
            Self::Field(name) => {
                let old = before.get(name);
                if old.is_none() && !after.contains_key(name) {
                    return None;
                }
                after.insert(name.clone(), old.cloned().unwrap_or(Value::Null));
            }
            Self::Item(name, index) => {
                let old = before.get(name).and_then(Value::as_array).and_then(|items| items.get(*index));
                let items = after.get_mut(name)?.as_array_mut()?;
                match old {
                    Some(old) if *index < items.len() => items[*index] = old.clone(),
                    Some(old) => items.push(old.clone()),
                    None if *index < items.len() => drop(items.remove(*index)),
                    None => return None,
                }
            }
        }
        Some(Value::Object(after))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_and_items_that_differ_are_named() {
        let original = json!({"heading": "A", "intro": null, "items": [{"t": 1}, {"t": 2}, {"t": 3}]});
        for (current, expected) in [
            (original.clone(), vec![]),
            (json!({"heading": "A", "items": [{"t": 1}, {"t": 2}, {"t": 3}]}), vec![]),
            (
                json!({"heading": "B", "intro": "x", "items": [{"t": 1}, {"t": 2}, {"t": 3}]}),
                vec!["heading", "intro"],
            ),
            (json!({"heading": "A", "items": [{"t": 1}, {"t": 9}]}), vec!["items[1]", "items[2]"]),
            (json!({"heading": "A", "items": [{"t": 1}, {"t": 2}, {"t": 3}, {"t": 4}]}), vec!["items[3]"]),
            (json!({"heading": "A", "items": "none"}), vec!["items"]),
        ] {
            assert_eq!(changed_fields(&original, &current), expected, "{current}");
        }
    }

    #[test]
    fn paths_are_read_strictly() {
        assert_eq!(FieldPath::parse("ctaLabel"), Some(FieldPath::Field("ctaLabel".to_owned())));
        assert_eq!(FieldPath::parse("items[12]"), Some(FieldPath::Item("items".to_owned(), 12)));
        for wrong in [
            "",
            "[0]",
            "items[",
            "items[]x",
            "items[-1]",
            "items[+1]",
            "items[0][1]",
            "items[0].a",
            "a b",
            "items]0[",
        ] {
            assert_eq!(FieldPath::parse(wrong), None, "{wrong}");
        }
        assert_eq!(FieldPath::parse("items[99999999999999999999]"), None, "no number of this size");
    }

    #[test]
    fn one_field_goes_back_and_the_others_stay() {
        let original = json!({"heading": "A", "items": [1, 2, 3]});
        let restore =
            |path: &str, current: Value| FieldPath::parse(path).unwrap().restore(&original, &current);
        assert_eq!(
            restore("heading", json!({"heading": "B", "items": [7]})),
            Some(json!({"heading": "A", "items": [7]}))
        );
        assert_eq!(restore("note", json!({"note": "x"})), Some(json!({"note": null})), "added since");
        assert_eq!(restore("nothing", json!({"heading": "B"})), None);
        assert_eq!(restore("items[1]", json!({"items": [1, 9, 3]})), Some(json!({"items": [1, 2, 3]})));
        assert_eq!(restore("items[2]", json!({"items": [1, 2]})), Some(json!({"items": [1, 2, 3]})));
        assert_eq!(restore("items[2]", json!({"items": [1]})), Some(json!({"items": [1, 3]})), "at the end");
        assert_eq!(restore("items[3]", json!({"items": [1, 2, 3, 4]})), Some(json!({"items": [1, 2, 3]})));
        assert_eq!(restore("items[8]", json!({"items": [1]})), None);
        assert_eq!(restore("heading[0]", json!({"heading": "B"})), None, "no list");
    }
}
