//! The use cases of sections, besides the one that changes several at once.

use portico_kernel::{
    AssetId, Env, Event, EventDeclaration, PageId, Permission, RuleMessage, Scope, SectionId, StoreError,
    TenantId, Violations,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    MAX_SECTIONS, Provenance, Section, SectionType,
    content::SectionContent,
    order::{behind, check_complete, is_settled, place, settle},
    pictures_in,
};
use crate::{SitesError, asset::check_pictures, events, ports::SiteRepositories, version};

/// Input of a new section.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewSection {
    /// What sort of block it is.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = SectionType))]
    pub kind: Option<SectionType>,
    /// Content of the shape that the type has.
    #[cfg_attr(feature = "openapi", schema(required = true, value_type = SectionContent))]
    pub content: Value,
    /// Order on the page, from 0; at the end when absent.
    pub position: Option<u32>,
    /// Whether it is rendered; yes when absent.
    pub visible: Option<bool>,
    /// Where the content comes from: of a request always the caller.
    #[serde(skip)]
    pub provenance: Provenance,
}

/// What to change about a section. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SectionUpdate {
    /// Another type; only together with content of its shape.
    #[serde(rename = "type")]
    pub kind: Option<SectionType>,
    /// All of the content, of the shape that the type has.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<SectionContent>))]
    pub content: Option<Value>,
    /// Order on the page, from 0; what is past the end is the end.
    pub position: Option<u32>,
    /// Whether it is rendered.
    pub visible: Option<bool>,
    /// `true` confirms sample or generated content as it is, so that it may be published. Saving content confirms it, too.
    pub confirm: Option<bool>,
    /// Where the content comes from when a generator wrote it; of a request always the caller.
    #[serde(skip)]
    pub written: Option<Provenance>,
}

/// A new order of the sections of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SectionOrder {
    /// Every section of the page once, in the new order.
    #[cfg_attr(feature = "openapi", schema(max_items = 100, required = true))]
    pub ids: Vec<SectionId>,
}

/// The use cases of sections, inside one unit of work.
///
/// Each that changes something locks the page first: positions stay 0, 1, 2 … also when several do it at once.
pub struct Sections<'a> {
    pub(super) repositories: &'a mut dyn SiteRepositories,
    pub(super) scope: &'a Scope,
    pub(super) env: &'a Env,
}

impl<'a> Sections<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The sections of a page by position.
    ///
    /// # Errors
    /// `NotFound` (page).
    pub async fn list(&mut self, page: PageId) -> Result<Vec<Section>, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        let sections = self.repositories.sections().list(tenant, page).await?;
        if sections.is_empty() {
            let page = self.repositories.pages().find(tenant, page).await?;
            page.ok_or(SitesError::NotFound("page"))?;
        }
        Ok(sections)
    }

    /// The section.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, page: PageId, id: SectionId) -> Result<Section, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        self.repositories.sections().find(tenant, page, id).await?.ok_or(SitesError::NotFound("section"))
    }

    /// Makes a section.
    ///
    /// # Errors
    /// `Invalid`, also when the page has 100 sections already; `NotFound` (page).
    pub async fn create(&mut self, page: PageId, input: NewSection) -> Result<Section, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let mut violations = Violations::default();
        let wish = input.position;
        let section = self.build(tenant, page, input, "", &mut violations);
        let references = section.as_ref().map(|new| references(new, "")).unwrap_or_default();
        self.check_references(tenant, references, &mut violations).await?;
        violations.into_result().map_err(SitesError::Invalid)?;
        // Without a violation there is a section.
        let Some(mut section) = section else { return Err(SitesError::Invalid(Vec::new())) };

        let mut sections = self.locked(tenant, page).await?;
        let mut room = Violations::default();
        check_room(sections.len() + 1, &mut room);
        room.into_result().map_err(SitesError::Invalid)?;
        section.position = behind(&sections);
        self.repositories.sections().insert(std::slice::from_ref(&section)).await.map_err(missing_page)?;
        let mut order: Vec<SectionId> = sections.iter().map(|section| section.id).collect();
        place(&mut order, section.id, wish);
        sections.push(section.clone());
        self.store_order(tenant, page, &mut sections, &order).await?;
        let section = sections.into_iter().find(|other| other.id == section.id).unwrap_or(section);
        self.append(self.event(&events::SECTION_CREATED, section.id).after(&section)).await?;
        Ok(section)
    }

    /// Changes a section. `expected` is the version that the client saw, if it says.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `PreconditionFailed`.
    pub async fn update(
        &mut self,
        page: PageId,
        id: SectionId,
        input: SectionUpdate,
        expected: Option<i64>,
    ) -> Result<Section, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let mut sections = self.locked(tenant, page).await?;
        let index = index_of(&sections, id)?;
        let before = sections[index].clone();
        version::check(before.version, expected)?;
        let wish = input.position;
        let mut violations = Violations::default();
        let has_content = input.content.is_some();
        let changed = self.change(&before, input, "", &mut violations);
        let references = if has_content { references(&changed, "") } else { Vec::new() };
        self.check_references(tenant, references, &mut violations).await?;
        violations.into_result().map_err(SitesError::Invalid)?;

        self.repositories
            .sections()
            .update(&changed)
            .await
            .map_err(|error| version::refused(error, expected))?;
        sections[index] = Section { version: before.version + 1, ..changed };
        let mut order: Vec<SectionId> = sections.iter().map(|section| section.id).collect();
        if wish.is_some() {
            place(&mut order, id, wish);
        }
        self.store_order(tenant, page, &mut sections, &order).await?;
        let section = sections.swap_remove(index_of(&sections, id)?);
        self.append(self.event(&events::SECTION_UPDATED, id).before(&before).after(&section)).await?;
        Ok(section)
    }

    /// Deletes a section; those behind it move up.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`.
    pub async fn delete(
        &mut self,
        page: PageId,
        id: SectionId,
        expected: Option<i64>,
    ) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let mut sections = self.locked(tenant, page).await?;
        let before = sections.remove(index_of(&sections, id)?);
        version::check(before.version, expected)?;
        self.repositories.sections().delete(tenant, page, &[id]).await?;
        let order: Vec<SectionId> = sections.iter().map(|section| section.id).collect();
        self.store_order(tenant, page, &mut sections, &order).await?;
        self.append(self.event(&events::SECTION_DELETED, id).before(&before)).await
    }

    /// Puts the sections of a page into a new order and answers them in it.
    ///
    /// # Errors
    /// `Invalid` unless each section of the page is named once; `NotFound` (page).
    pub async fn reorder(&mut self, page: PageId, input: SectionOrder) -> Result<Vec<Section>, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let mut sections = self.locked(tenant, page).await?;
        let mut violations = Violations::default();
        check_complete(&sections, &input.ids, &mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;
        let before: Vec<SectionId> = sections.iter().map(|section| section.id).collect();
        self.store_order(tenant, page, &mut sections, &input.ids).await?;
        let event = Event::new(self.env, self.scope, &events::PAGE_SECTIONS_REORDERED, page.uuid())
            .before(&json!({"sectionIds": before}))
            .after(&json!({"sectionIds": input.ids}));
        self.append(event).await?;
        Ok(sections)
    }

    /// The sections of a page that stays locked until the unit of work ends.
    pub(super) async fn locked(
        &mut self,
        tenant: TenantId,
        page: PageId,
    ) -> Result<Vec<Section>, SitesError> {
        let locked = self.repositories.pages().lock(tenant, page).await?;
        locked.ok_or(SitesError::NotFound("page"))?;
        Ok(self.repositories.sections().list(tenant, page).await?)
    }

    /// Records references of new content that lead to no picture of the tenant. Content that was there already may still name a
    /// picture that is gone by now.
    pub(super) async fn check_references(
        &mut self,
        tenant: TenantId,
        references: Vec<(String, AssetId)>,
        violations: &mut Violations,
    ) -> Result<(), SitesError> {
        check_pictures(self.repositories, tenant, &references, violations).await
    }

    /// A new section of this input. Errors are recorded below `prefix`; `None` only if there are any.
    pub(super) fn build(
        &self,
        tenant: TenantId,
        page: PageId,
        input: NewSection,
        prefix: &str,
        violations: &mut Violations,
    ) -> Option<Section> {
        let Some(kind) = input.kind else {
            violations.add(format!("{prefix}type"), "required", "This field is required.");
            return None;
        };
        let content = read(kind, input.content, prefix, violations)?;
        let now = self.env.now();
        Some(Section {
            id: self.env.new_id(),
            tenant,
            page_id: page,
            kind,
            content,
            position: 0,
            visible: input.visible.unwrap_or(true),
            provenance: input.provenance,
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }

    /// The section as this input changes it, its position aside. Errors are recorded below `prefix`.
    pub(super) fn change(
        &self,
        before: &Section,
        input: SectionUpdate,
        prefix: &str,
        violations: &mut Violations,
    ) -> Section {
        let mut section = before.clone();
        section.kind = input.kind.unwrap_or(before.kind);
        section.visible = input.visible.unwrap_or(before.visible);
        section.updated_at = self.env.now();
        section.provenance = match (input.content.is_some() || input.confirm == Some(true), input.written) {
            (false, _) => before.provenance,
            (true, None) => Provenance::Own,
            // What was rewritten of an example without a model states what the example states.
            (true, Some(Provenance::Own)) => before.provenance,
            (true, Some(written)) => written,
        };
        match input.content {
            Some(content) => {
                section.content = read(section.kind, content, prefix, violations).unwrap_or_default();
            }
            None => violations.check(
                section.kind == before.kind,
                format!("{prefix}content"),
                "required",
                "Another type needs content of its own shape.",
            ),
        }
        section
    }

    /// Brings the stored sections and these copies of them into this order.
    pub(super) async fn store_order(
        &mut self,
        tenant: TenantId,
        page: PageId,
        sections: &mut [Section],
        order: &[SectionId],
    ) -> Result<(), SitesError> {
        if !is_settled(sections, order) {
            self.repositories.sections().order(tenant, page, order).await?;
        }
        settle(sections, order);
        Ok(())
    }

    pub(super) fn event(&self, kind: &'static EventDeclaration, id: SectionId) -> Event {
        Event::new(self.env, self.scope, kind, id.uuid())
    }

    pub(super) async fn append(&mut self, event: Event) -> Result<(), SitesError> {
        Ok(self.repositories.events().append(event).await?)
    }
}

/// The pictures that a section refers to, with the fields that name them; `prefix` is the path of the section's input.
pub(super) fn references(section: &Section, prefix: &str) -> Vec<(String, AssetId)> {
    let Ok(content) = SectionContent::from_stored(section.kind, &section.content) else { return Vec::new() };
    let named = pictures_in(&content).into_iter();
    named.map(|(field, id)| (format!("{prefix}content.{field}"), id)).collect()
}

/// Checks that a page has room for this many sections.
pub(super) fn check_room(sections: usize, violations: &mut Violations) {
    violations.check(
        sections <= MAX_SECTIONS,
        "sections",
        "too_many",
        RuleMessage::new(format!("A page has at most {MAX_SECTIONS} sections.")).max(MAX_SECTIONS),
    );
}

pub(super) fn missing_page(error: StoreError) -> SitesError {
    match error {
        StoreError::MissingReference(_) => SitesError::NotFound("page"),
        error => SitesError::Store(error),
    }
}

fn index_of(sections: &[Section], id: SectionId) -> Result<usize, SitesError> {
    sections.iter().position(|section| section.id == id).ok_or(SitesError::NotFound("section"))
}

/// Content in its normal form; `None` when it breaks rules, which are recorded below `prefix`.
fn read(kind: SectionType, content: Value, prefix: &str, violations: &mut Violations) -> Option<Value> {
    match SectionContent::read(kind, content, &format!("{prefix}content")) {
        Ok(content) => Some(content.into_json()),
        Err(errors) => {
            violations.extend(errors);
            None
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
