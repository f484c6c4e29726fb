//! How a page differs from its template, and resetting a whole page, a section, or one field.
//!
//! A reset restores what the template was when the page was made from it, not what it has become since: a template that staff
//! edit must not change what customers see.

use portico_kernel::{Event, PageId, Permission, RuleMessage, SectionId, TenantId, Violations};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Customisation, PageTemplate, RemovedSection, SectionState, Templates, build,
    customisation::{FieldPath, TYPE, VISIBLE, customised, normal},
};
use crate::{
    SitesError, events,
    page::Page,
    section::{MAX_SECTIONS, Provenance, Section, SectionOrigin, content::SectionContent},
    version,
};

/// What to reset to the template: everything, or one section, or one field of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageReset {
    /// One section, also one that was removed. The whole page when absent.
    #[serde(alias = "section_id")]
    pub section_id: Option<SectionId>,
    /// One field of the section, as it is named by `GET …/template`: `heading`, `items[2]`, `visible`.
    #[cfg_attr(feature = "openapi", schema(example = "heading"))]
    pub field: Option<String>,
}

/// A page with what is on it and what it was made from.
struct Tracked {
    page: Page,
    sections: Vec<Section>,
    origins: Vec<SectionOrigin>,
}

impl Tracked {
    fn origin_of(&self, section: SectionId) -> Option<&SectionOrigin> {
        self.origins.iter().find(|origin| origin.section_id == section)
    }

    fn section_of(&self, origin: &SectionOrigin) -> Option<&Section> {
        self.sections.iter().find(|section| section.id == origin.section_id)
    }

    /// How the page differs from its template.
    fn state(&self, template_name: Option<String>) -> PageTemplate {
        let sections: Vec<SectionState> =
            self.sections.iter().map(|section| self.state_of(section)).collect();
        let is_gone = |origin: &&SectionOrigin| self.section_of(origin).is_none();
        let removed: Vec<RemovedSection> = self
            .origins
            .iter()
            .filter(is_gone)
            .map(|origin| RemovedSection {
                section_id: origin.section_id,
                section_key: origin.section_key.clone(),
                kind: origin.kind,
            })
            .collect();
        let order = |origin: &SectionOrigin| self.section_of(origin).map(|section| section.position);
        let positions: Vec<i32> = self.origins.iter().filter_map(order).collect();
        let is_reordered = !positions.is_sorted();
        let is_changed = |section: &SectionState| section.state != Customisation::Unchanged;
        let first = self.origins.first();
        PageTemplate {
            page_id: self.page.id,
            template_id: first.map(|origin| origin.template_id),
            template_name,
            template_page: first.map(|origin| origin.page_key.clone()),
            applied_at: first.map(|origin| origin.applied_at),
            is_customised: is_reordered || !removed.is_empty() || sections.iter().any(is_changed),
            is_reordered,
            sections,
            removed,
        }
    }

    fn state_of(&self, section: &Section) -> SectionState {
        let origin = self.origin_of(section.id);
        let fields = origin.map(|origin| customised(origin, section)).unwrap_or_default();
        let state = match origin {
            None => Customisation::Added,
            Some(_) if fields.is_empty() => Customisation::Unchanged,
            Some(_) => Customisation::Customised,
        };
        let section_key = origin.map(|origin| origin.section_key.clone());
        SectionState { section_id: section.id, section_key, kind: section.kind, state, fields }
    }
}

/// What a reset does to the sections of a page.
#[derive(Default)]
struct Changes {
    /// Sections before and after.
    updated: Vec<(Section, Section)>,
    /// New sections, and the ids of the origins that they take the place of.
    created: Vec<(Section, SectionId)>,
    deleted: Vec<Section>,
    /// All sections of the page in their new order.
    order: Vec<SectionId>,
}

impl Templates<'_> {
    /// How a page differs from its template: which fields of which sections were customised since, which sections were added or
    /// removed.
    ///
    /// # Errors
    /// `NotFound` (page).
    pub async fn state(&mut self, page: PageId) -> Result<PageTemplate, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        let found = self.repositories.pages().find(tenant, page).await?;
        let page = found.ok_or(SitesError::NotFound("page"))?;
        let tracked = self.tracked(tenant, page).await?;
        self.with_name(&tracked).await
    }

    /// Resets to what the template was when the page was made from it, and answers how the page differs from it then. The whole
    /// page loses the sections that were added; a section that was removed comes back with a new id. `expected` is the version
    /// that the client saw, of the section if one is named, otherwise of the page.
    ///
    /// # Errors
    /// `NotFound` (page, section); `NotFromTemplate`; `Invalid`, also when the section would break its rules with this
    /// one field alone; `PreconditionFailed`.
    pub async fn reset(
        &mut self,
        page: PageId,
        input: PageReset,
        expected: Option<i64>,
    ) -> Result<PageTemplate, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let mut violations = Violations::default();
        violations.check(
            input.field.is_none() || input.section_id.is_some(),
            "sectionId",
            "required",
            "Say of which section the field is.",
        );
        violations.into_result().map_err(SitesError::Invalid)?;
        let locked = self.repositories.pages().lock(tenant, page).await?;
        let page = locked.ok_or(SitesError::NotFound("page"))?;
        let mut tracked = self.tracked(tenant, page).await?;
        let changes = match input.section_id {
            None => self.whole_page(&tracked, expected)?,
            Some(id) => self.one_section(&tracked, id, input.field.as_deref(), expected)?,
        };
        self.store(tenant, &mut tracked, changes).await?;
        self.with_name(&tracked).await
    }

    fn whole_page(&self, tracked: &Tracked, expected: Option<i64>) -> Result<Changes, SitesError> {
        version::check(tracked.page.version, expected)?;
        if tracked.origins.is_empty() {
            return Err(SitesError::NotFromTemplate);
        }
        let mut changes = Changes::default();
        for origin in &tracked.origins {
            match tracked.section_of(origin) {
                Some(section) => {
                    changes.updated.extend(self.original(origin, section).map(|new| (section.clone(), new)));
                    changes.order.push(section.id);
                }
                None => {
                    let section = self.anew(tracked, origin);
                    changes.order.push(section.id);
                    changes.created.push((section, origin.section_id));
                }
            }
        }
        let added = tracked.sections.iter().filter(|section| tracked.origin_of(section.id).is_none());
        changes.deleted = added.cloned().collect();
        Ok(changes)
    }

    fn one_section(
        &self,
        tracked: &Tracked,
        id: SectionId,
        field: Option<&str>,
        expected: Option<i64>,
    ) -> Result<Changes, SitesError> {
        let section = tracked.sections.iter().find(|section| section.id == id);
        let Some(origin) = tracked.origin_of(id) else {
            // It is there, but has no origin to be reset to.
            return Err(section.map_or(SitesError::NotFound("section"), |_| SitesError::NotFromTemplate));
        };
        let mut changes = Changes {
            order: tracked.sections.iter().map(|section| section.id).collect(),
            ..Changes::default()
        };
        match (section, field) {
            (Some(section), None) => {
                version::check(section.version, expected)?;
                changes.updated.extend(self.original(origin, section).map(|new| (section.clone(), new)));
            }
            (Some(section), Some(field)) => {
                version::check(section.version, expected)?;
                changes
                    .updated
                    .extend(self.one_field(origin, section, field)?.map(|new| (section.clone(), new)));
            }
            (None, Some(_)) => return Err(SitesError::NotFound("section")),
            (None, None) => {
                version::check(0, expected)?;
                check_room(tracked.sections.len() + 1)?;
                let section = self.anew(tracked, origin);
                // Behind the nearest one that preceded it.
                let before = tracked.origins.iter().filter(|other| other.position < origin.position);
                let last = before.filter_map(|other| tracked.section_of(other)).map(|s| s.id).next_back();
                let place = last.and_then(|last| changes.order.iter().position(|id| *id == last));
                changes.order.insert(place.map_or(0, |place| place + 1), section.id);
                changes.created.push((section, origin.section_id));
            }
        }
        Ok(changes)
    }

    /// The section as its template made it; `None` when it is.
    fn original(&self, origin: &SectionOrigin, section: &Section) -> Option<Section> {
        if customised(origin, section).is_empty() {
            return None;
        }
        let mut section = section.clone();
        section.kind = origin.kind;
        let content = normal(origin.kind, &origin.content);
        if section.content != content {
            (section.content, section.provenance) = (content, Provenance::Sample);
        }
        section.visible = true;
        section.updated_at = self.env.now();
        Some(section)
    }

    /// The section with one field as its template made it; `None` when it is.
    fn one_field(
        &self,
        origin: &SectionOrigin,
        section: &Section,
        field: &str,
    ) -> Result<Option<Section>, SitesError> {
        let refuse = |code: &'static str, message: &'static str| {
            let mut violations = Violations::default();
            violations.add("field", code, message);
            violations.into_result().map_err(SitesError::Invalid)
        };
        let mut new = section.clone();
        new.updated_at = self.env.now();
        if field == VISIBLE {
            new.visible = true;
            return Ok((!section.visible).then_some(new));
        }
        if field == TYPE || section.kind != origin.kind {
            refuse("type_changed", "It is another sort of block than it was. Reset the whole section.")?;
        }
        let (before, now) = (normal(origin.kind, &origin.content), normal(section.kind, &section.content));
        let restored = FieldPath::parse(field).and_then(|path| path.restore(&before, &now));
        let Some(content) = restored else {
            refuse("unknown_field", "Neither the section nor its template has such a field.")?;
            return Ok(None);
        };
        if content == now {
            return Ok(None);
        }
        let read = SectionContent::read(section.kind, content, "content").map_err(SitesError::Invalid)?;
        (new.content, new.provenance) = (read.into_json(), Provenance::Sample);
        Ok(Some(new))
    }

    /// A section that was removed, made anew.
    fn anew(&self, tracked: &Tracked, origin: &SectionOrigin) -> Section {
        let content = (origin.kind, normal(origin.kind, &origin.content), Provenance::Sample);
        let (tenant, page) = (tracked.page.tenant, tracked.page.id);
        build::section(self.env.new_id(), tenant, page, content, 0, self.env.now())
    }

    /// Stores the changes, and updates what was read before accordingly.
    async fn store(
        &mut self,
        tenant: TenantId,
        tracked: &mut Tracked,
        changes: Changes,
    ) -> Result<(), SitesError> {
        let before = std::mem::take(&mut tracked.sections);
        let page = tracked.page.id;
        for (_, section) in &changes.updated {
            self.repositories.sections().update(section).await?;
        }
        if !changes.deleted.is_empty() {
            let ids: Vec<SectionId> = changes.deleted.iter().map(|section| section.id).collect();
            self.repositories.sections().delete(tenant, page, &ids).await?;
        }
        let behind = before.iter().map(|section| section.position.saturating_add(1)).max().unwrap_or(0);
        let created: Vec<Section> = (behind..)
            .zip(&changes.created)
            .map(|(position, (section, _))| Section { position, ..section.clone() })
            .collect();
        if !created.is_empty() {
            self.repositories.sections().insert(&created).await?;
            for (section, replaced) in &changes.created {
                let origins = tracked.origins.iter_mut().filter(|origin| origin.section_id == *replaced);
                origins.for_each(|origin| origin.section_id = section.id);
            }
            self.repositories.templates().untrack(tenant, page).await?;
            self.repositories.templates().track(&tracked.origins).await?;
        }

        let mut sections: Vec<Section> = before
            .iter()
            .map(|section| {
                let new = changes.updated.iter().find(|(old, _)| old.id == section.id);
                new.map_or_else(
                    || section.clone(),
                    |(old, new)| Section { version: old.version + 1, ..new.clone() },
                )
            })
            .chain(created)
            .filter(|section| changes.order.contains(&section.id))
            .collect();
        let is_settled = (0..).zip(&changes.order).all(|(position, id)| {
            sections.iter().any(|section| section.id == *id && section.position == position)
        });
        if !is_settled {
            self.repositories.sections().order(tenant, page, &changes.order).await?;
        }
        for (position, id) in (0..).zip(&changes.order) {
            sections
                .iter_mut()
                .filter(|section| section.id == *id)
                .for_each(|section| section.position = position);
        }
        sections.sort_by_key(|section| section.position);
        tracked.sections = sections;
        if tracked.sections == before {
            return Ok(());
        }
        self.append_events(tracked, &before, &changes).await
    }

    async fn append_events(
        &mut self,
        tracked: &Tracked,
        before: &[Section],
        changes: &Changes,
    ) -> Result<(), SitesError> {
        let event = |kind, id: SectionId| Event::new(self.env, self.scope, kind, id.uuid());
        let mut events = Vec::new();
        events.extend(changes.deleted.iter().map(|old| event(&events::SECTION_DELETED, old.id).before(old)));
        for section in &tracked.sections {
            if let Some((old, _)) = changes.updated.iter().find(|(old, _)| old.id == section.id) {
                events.push(event(&events::SECTION_UPDATED, section.id).before(old).after(section));
            } else if !before.iter().any(|old| old.id == section.id) {
                events.push(event(&events::SECTION_CREATED, section.id).after(section));
            }
        }
        let whole = Event::new(self.env, self.scope, &events::PAGE_RESET_TO_TEMPLATE, tracked.page.id.uuid());
        events.push(whole.before(&json!({"sections": before})).after(&json!({"sections": tracked.sections})));
        for event in events {
            self.append(event).await?;
        }
        Ok(())
    }

    async fn tracked(&mut self, tenant: TenantId, page: Page) -> Result<Tracked, SitesError> {
        let sections = self.repositories.sections().list(tenant, page.id).await?;
        let origins = self.repositories.templates().origins(tenant, page.id).await?;
        Ok(Tracked { page, sections, origins })
    }

    async fn with_name(&mut self, tracked: &Tracked) -> Result<PageTemplate, SitesError> {
        let name = match tracked.origins.first() {
            Some(origin) => self.repositories.templates().find(origin.template_id).await?,
            None => None,
        };
        Ok(tracked.state(name.map(|template| template.name)))
    }
}

fn check_room(sections: usize) -> Result<(), SitesError> {
    let mut violations = Violations::default();
    let message = RuleMessage::new(format!("A page has at most {MAX_SECTIONS} sections.")).max(MAX_SECTIONS);
    violations.check(sections <= MAX_SECTIONS, "sections", "too_many", message);
    violations.into_result().map_err(SitesError::Invalid)
}
