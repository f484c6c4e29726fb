//! What is different between two states of a page, field by field.

use portico_kernel::SectionId;
use serde::Serialize;
use serde_json::{Value, json};

use super::{KeptSection, PageContent, PageVersion};
use crate::section::SectionType;

/// What is different between two versions of a page.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Comparison {
    /// Seen from this version.
    pub from: PageVersion,
    /// To this one.
    pub to: PageVersion,
    /// Fields of the page itself.
    pub page: Vec<FieldChange>,
    /// Sections that are not the same, in the order of the later version, then those that it does not have any more.
    pub sections: Vec<SectionChange>,
    /// Fields of the SEO metadata.
    pub seo: Vec<FieldChange>,
}

/// A field that is not the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldChange {
    /// Path of the field, for instance `content.items[0].title`.
    pub field: String,
    /// Its value before; absent where it was not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Its value after; absent where it is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// How a section changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ChangeOfSection {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// It changed places with others.
    Moved,
    /// Fields of it are not the same.
    Changed,
}

/// A section that is not the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SectionChange {
    /// Id of the section.
    pub id: SectionId,
    /// What sort of block it is, or was.
    #[serde(rename = "type")]
    pub kind: SectionType,
    /// How it changed; `moved` and `changed` can both be.
    pub changes: Vec<ChangeOfSection>,
    /// Order on the page before, from 0.
    pub position_before: Option<usize>,
    /// Order on the page after, from 0.
    pub position_after: Option<usize>,
    /// Its fields that are not the same.
    pub fields: Vec<FieldChange>,
}

impl Comparison {
    /// Compares the contents of two versions.
    pub fn new(
        (from, before): (PageVersion, &PageContent),
        (to, after): (PageVersion, &PageContent),
    ) -> Self {
        let mut page = Vec::new();
        differences("", Some(&json!(before.page)), Some(&json!(after.page)), &mut page);
        let mut seo = Vec::new();
        let seo_of = |content: &PageContent| content.seo.as_ref().map_or_else(|| json!({}), |seo| json!(seo));
        differences("", Some(&seo_of(before)), Some(&seo_of(after)), &mut seo);
        // A field that is not set in both is no change, whether or not other fields are set.
        seo.retain(|change| !(says_nothing(change.before.as_ref()) && says_nothing(change.after.as_ref())));
        Self { from, to, page, sections: sections(&before.sections, &after.sections), seo }
    }
}

fn says_nothing(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(members)) => members.values().all(|member| says_nothing(Some(member))),
        Some(_) => false,
    }
}

fn sections(before: &[KeptSection], after: &[KeptSection]) -> Vec<SectionChange> {
    let at = |sections: &[KeptSection], id: SectionId| sections.iter().position(|section| section.id == id);
    let stayed: Vec<SectionId> = in_place(before, after);
    let mut found = Vec::new();
    for (index, section) in after.iter().enumerate() {
        let position_before = at(before, section.id);
        let earlier = position_before.map(|index| &before[index]);
        let fields = fields(earlier, Some(section));
        let mut changes = Vec::new();
        if earlier.is_none() {
            changes.push(ChangeOfSection::Added);
        } else {
            if !stayed.contains(&section.id) {
                changes.push(ChangeOfSection::Moved);
            }
            if !fields.is_empty() {
                changes.push(ChangeOfSection::Changed);
            }
        }
        if !changes.is_empty() {
            let (id, kind, position_after) = (section.id, section.kind, Some(index));
            found.push(SectionChange { id, kind, changes, position_before, position_after, fields });
        }
    }
    for (index, section) in before.iter().enumerate().filter(|(_, section)| at(after, section.id).is_none()) {
        found.push(SectionChange {
            id: section.id,
            kind: section.kind,
            changes: vec![ChangeOfSection::Removed],
            position_before: Some(index),
            position_after: None,
            fields: fields(Some(section), None),
        });
    }
    found
}

fn fields(before: Option<&KeptSection>, after: Option<&KeptSection>) -> Vec<FieldChange> {
    let shown = |section: Option<&KeptSection>| {
        section.map(|KeptSection { kind, content, visible, .. }| {
            json!({"type": kind, "content": content, "visible": visible})
        })
    };
    let (before, after) = (shown(before), shown(after));
    let mut found = Vec::new();
    for field in ["type", "content", "visible"] {
        let member = |side: &Option<Value>| side.as_ref().map(|section| section[field].clone());
        differences(field, member(&before).as_ref(), member(&after).as_ref(), &mut found);
    }
    found
}

/// The sections that both have and that did not move: a longest common subsequence of the two orders, so that putting one
/// section at the top does not count as a move of all others.
fn in_place(before: &[KeptSection], after: &[KeptSection]) -> Vec<SectionId> {
    let (rows, columns) = (before.len(), after.len());
    // length[i][j]: the longest one of before[i..] and after[j..].
    let mut length = vec![vec![0_usize; columns + 1]; rows + 1];
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            length[i][j] = if before[i].id == after[j].id {
                length[i + 1][j + 1] + 1
            } else {
                length[i + 1][j].max(length[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut found) = (0, 0, Vec::new());
    while i < rows && j < columns {
        if before[i].id == after[j].id {
            found.push(before[i].id);
            (i, j) = (i + 1, j + 1);
        } else if length[i + 1][j] >= length[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    found
}

/// The paths at which two values are not the same. Objects are compared by member and lists by index.
fn differences(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    match (before, after) {
        _ if before == after => {}
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|name| !old.contains_key(*name));
            for name in old.keys().chain(added) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                differences(&path, old.get(name), new.get(name), found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                differences(&format!("{path}[{index}]"), old.get(index), new.get(index), found);
            }
        }
        _ => {
            found.push(FieldChange { field: path.to_owned(), before: before.cloned(), after: after.cloned() })
        }
    }
}
