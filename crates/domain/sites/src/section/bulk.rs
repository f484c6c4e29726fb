//! Changing several sections of a page at once: all of it, or none.

use portico_kernel::{AssetId, PageId, Permission, RuleMessage, SectionId, Violations};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    MAX_SECTIONS, NewSection, Section, SectionType, SectionUpdate, Sections,
    order::{behind, place},
    use_cases::{check_room, missing_page, references},
};
use crate::{SitesError, events};

/// A change of one section within a [`BulkChange`]. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkUpdate {
    /// Id of the section.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = SectionId))]
    pub id: Option<SectionId>,
    /// Another type; only together with content of its shape.
    #[serde(rename = "type")]
    pub kind: Option<SectionType>,
    /// All of the content, of the shape that the type has.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<super::content::SectionContent>))]
    pub content: Option<Value>,
    /// Order on the page, from 0.
    pub position: Option<u32>,
    /// Whether it is rendered.
    pub visible: Option<bool>,
    /// `true` confirms sample or generated content as it is, so that it may be published.
    pub confirm: Option<bool>,
}

/// Several changes of the sections of a page. Deletions come first, then updates, then creations, each list in its order;
/// positions mean what is on the page at that moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkChange {
    /// New sections.
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub create: Vec<NewSection>,
    /// Changes of sections.
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub update: Vec<BulkUpdate>,
    /// Sections to delete.
    #[cfg_attr(feature = "openapi", schema(max_items = 100))]
    pub delete: Vec<SectionId>,
}

impl Sections<'_> {
    /// Does all of it or, when any part is wrong, nothing. Answers the sections of the page by position.
    ///
    /// # Errors
    /// `Invalid` with the path of each error, for instance `create[0].content.heading`; `NotFound` (page).
    pub async fn bulk(&mut self, page: PageId, input: BulkChange) -> Result<Vec<Section>, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        check_sizes(&input)?;
        let mut sections = self.locked(tenant, page).await?;
        let mut violations = Violations::default();
        check_ids(&sections, &input, &mut violations);

        let mut changes: Vec<(Section, Section, Option<u32>)> = Vec::new();
        // The pictures that new content refers to.
        let mut named: Vec<(String, AssetId)> = Vec::new();
        for (index, update) in input.update.into_iter().enumerate() {
            let Some(before) = sections.iter().find(|section| Some(section.id) == update.id) else {
                continue;
            };
            let prefix = format!("update[{index}].");
            let BulkUpdate { kind, content, position, visible, confirm, .. } = update;
            let has_content = content.is_some();
            let change = SectionUpdate { kind, content, position, visible, confirm, written: None };
            let changed = self.change(before, change, &prefix, &mut violations);
            if has_content {
                named.extend(references(&changed, &prefix));
            }
            changes.push((before.clone(), changed, position));
        }
        let mut created: Vec<(Section, Option<u32>)> = Vec::new();
        for (index, new) in input.create.into_iter().enumerate() {
            let position = new.position;
            let prefix = format!("create[{index}].");
            let section = self.build(tenant, page, new, &prefix, &mut violations);
            named.extend(section.iter().flat_map(|section| references(section, &prefix)));
            created.extend(section.map(|section| (section, position)));
        }
        self.check_references(tenant, named, &mut violations).await?;
        check_room((sections.len() + created.len()).saturating_sub(input.delete.len()), &mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;

        let mut order: Vec<SectionId> = sections.iter().map(|section| section.id).collect();
        order.retain(|id| !input.delete.contains(id));
        for (before, changed, position) in &changes {
            self.repositories.sections().update(changed).await?;
            if position.is_some() {
                place(&mut order, before.id, *position);
            }
        }
        for (next, (section, position)) in (behind(&sections)..).zip(&mut created) {
            section.position = next;
            place(&mut order, section.id, *position);
        }
        if !input.delete.is_empty() {
            self.repositories.sections().delete(tenant, page, &input.delete).await?;
        }
        let new: Vec<Section> = created.into_iter().map(|(section, _)| section).collect();
        if !new.is_empty() {
            self.repositories.sections().insert(&new).await.map_err(missing_page)?;
        }

        let (deleted, mut kept): (Vec<_>, Vec<_>) =
            sections.drain(..).partition(|section| input.delete.contains(&section.id));
        for section in &mut kept {
            if let Some((before, changed, _)) = changes.iter().find(|(before, ..)| before.id == section.id) {
                *section = Section { version: before.version + 1, ..changed.clone() };
            }
        }
        let new_ids: Vec<SectionId> = new.iter().map(|section| section.id).collect();
        kept.extend(new);
        self.store_order(tenant, page, &mut kept, &order).await?;

        for section in &deleted {
            self.append(self.event(&events::SECTION_DELETED, section.id).before(section)).await?;
        }
        for section in &kept {
            if let Some((before, ..)) = changes.iter().find(|(before, ..)| before.id == section.id) {
                self.append(self.event(&events::SECTION_UPDATED, section.id).before(before).after(section))
                    .await?;
            } else if new_ids.contains(&section.id) {
                self.append(self.event(&events::SECTION_CREATED, section.id).after(section)).await?;
            }
        }
        Ok(kept)
    }
}

/// Limits the work before anything is read.
fn check_sizes(input: &BulkChange) -> Result<(), SitesError> {
    let mut violations = Violations::default();
    let sizes =
        [("create", input.create.len()), ("update", input.update.len()), ("delete", input.delete.len())];
    for (field, size) in sizes {
        violations.check(
            size <= MAX_SECTIONS,
            field,
            "too_many",
            RuleMessage::new(format!("At most {MAX_SECTIONS} are possible at once.")).max(MAX_SECTIONS),
        );
    }
    violations.into_result().map_err(SitesError::Invalid)
}

/// Checks that every id is one of the page's sections and named once.
fn check_ids(sections: &[Section], input: &BulkChange, violations: &mut Violations) {
    let mut seen: Vec<SectionId> = Vec::new();
    let deleted = input.delete.iter().enumerate().map(|(index, id)| (format!("delete[{index}]"), Some(*id)));
    let updated =
        input.update.iter().enumerate().map(|(index, update)| (format!("update[{index}].id"), update.id));
    for (field, id) in deleted.chain(updated) {
        let Some(id) = id else {
            violations.add(field, "required", "This field is required.");
            continue;
        };
        if !sections.iter().any(|section| section.id == id) {
            violations.add(field, "not_found", "The page has no such section.");
        } else if seen.contains(&id) {
            violations.add(field, "duplicate", "This section is named twice.");
        }
        seen.push(id);
    }
}
