//! Reading the catalogue of templates, and the changes of staff.

use portico_kernel::{
    Env, Event, EventDeclaration, List, PageRequest, Permission, Scope, StoreError, TemplateId, TenantId,
    Timestamp, Violations, name::Slug,
};
use serde::Serialize;

use super::{NewTemplate, Template, TemplateUpdate};
use crate::{
    SitesError, events,
    industry::{INDUSTRIES, Industry},
    look::Look,
    ports::{SiteRepositories, TemplateFilter},
    section::SectionType,
    site::DEFAULT_LANGUAGE,
    version,
};

/// A template as lists have it: without the content of its sections.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplateSummary {
    /// Id.
    pub id: TemplateId,
    /// Display name.
    pub name: String,
    /// Part of its address; unique.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub slug: Slug,
    /// What sort of site, for instance `business`.
    pub category: String,
    /// Its industry, an id of the list of industries.
    pub industry: String,
    /// What it is good for.
    pub description: String,
    /// Language of its texts, BCP 47.
    pub language: String,
    /// Whether only plans with premium templates may use it.
    pub is_premium: bool,
    /// Whether it is shown first.
    pub is_featured: bool,
    /// How often it was used.
    pub popularity: i64,
    /// Its style, colours and fonts.
    pub look: Look,
    /// Its pages.
    pub pages: Vec<TemplatePageSummary>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
}

/// A page of a template as lists have it.
#[derive(Clone, Debug, PartialEq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplatePageSummary {
    /// Names it in the template.
    pub key: String,
    /// Title.
    pub title: String,
    /// Last part of its address.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub slug: Slug,
    /// Whether it answers at `/`.
    pub is_home: bool,
    /// The types of its sections in order.
    pub section_types: Vec<SectionType>,
}

impl Template {
    /// The pages as lists have them.
    pub fn outline(&self) -> Vec<TemplatePageSummary> {
        let summary = |page: &super::TemplatePage| TemplatePageSummary {
            key: page.key.clone(),
            title: page.title.clone(),
            slug: page.slug.clone(),
            is_home: page.is_home,
            section_types: page.sections.iter().map(|section| section.kind).collect(),
        };
        self.pages.iter().map(summary).collect()
    }
}

/// A category and how many templates it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CategoryCount {
    /// Its name.
    pub category: String,
    /// Templates of it.
    pub templates: u64,
}

/// An industry and how many templates it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IndustryCount {
    /// The industry; its fields are members of this object.
    #[serde(flatten)]
    pub industry: Industry,
    /// Templates for it.
    pub templates: u64,
}

/// The use cases of templates, inside one unit of work. Every caller may read.
pub struct Templates<'a> {
    pub(super) repositories: &'a mut dyn SiteRepositories,
    pub(super) scope: &'a Scope,
    pub(super) env: &'a Env,
}

impl<'a> Templates<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The templates.
    ///
    /// # Errors
    /// `Invalid` for an industry that there is not.
    pub async fn list(
        &mut self,
        filter: TemplateFilter,
        page: PageRequest,
    ) -> Result<List<TemplateSummary>, SitesError> {
        if let Some(industry) = &filter.industry {
            let mut violations = Violations::default();
            let known = Industry::find(industry).is_some();
            violations.check(known, "industry", "unknown_industry", "Choose one of GET /industries.");
            violations.into_result().map_err(SitesError::Invalid)?;
        }
        Ok(self.repositories.templates().list(filter, page).await?)
    }

    /// The template of this id or slug.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, id_or_slug: &str) -> Result<Template, SitesError> {
        let found = match id_or_slug.parse::<TemplateId>() {
            Ok(id) => self.repositories.templates().find(id).await?,
            Err(_) => self.repositories.templates().by_slug(id_or_slug).await?,
        };
        found.ok_or(SitesError::NotFound("template"))
    }

    /// The categories that templates have.
    pub async fn categories(&mut self) -> Result<Vec<CategoryCount>, SitesError> {
        let counts = self.repositories.templates().categories().await?;
        Ok(counts.into_iter().map(|(category, templates)| CategoryCount { category, templates }).collect())
    }

    /// Every industry, with the number of templates for it.
    pub async fn industries(&mut self) -> Result<Vec<IndustryCount>, SitesError> {
        let counts = self.repositories.templates().industries().await?;
        let count = |id: &str| counts.iter().find(|(word, _)| word == id).map_or(0, |(_, count)| *count);
        let with_count =
            |industry: &Industry| IndustryCount { industry: *industry, templates: count(industry.id) };
        Ok(INDUSTRIES.iter().map(with_count).collect())
    }

    /// Makes a template.
    ///
    /// # Errors
    /// `Denied` without `platform:templates`; `Invalid`; `TemplateSlugTaken`.
    pub async fn create(&mut self, input: NewTemplate) -> Result<Template, SitesError> {
        self.scope.require_platform(Permission::PlatformTemplates)?;
        let mut template = blank(self.env.new_id(), self.env.now());
        let mut violations = Violations::default();
        TemplateUpdate::from(input).apply(&mut template, &mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;
        self.repositories.templates().insert(&template).await.map_err(|error| taken(error, None))?;
        self.append(self.event(&events::TEMPLATE_CREATED, &template).after(&template)).await?;
        Ok(template)
    }

    /// Changes a template. `expected` is the version that the client saw, if it says. What was made of it before stays as
    /// it is.
    ///
    /// # Errors
    /// `Denied` without `platform:templates`; `NotFound`; `Invalid`; `TemplateSlugTaken`; `PreconditionFailed`.
    pub async fn update(
        &mut self,
        id_or_slug: &str,
        input: TemplateUpdate,
        expected: Option<i64>,
    ) -> Result<Template, SitesError> {
        self.scope.require_platform(Permission::PlatformTemplates)?;
        let before = self.get(id_or_slug).await?;
        version::check(before.version, expected)?;
        let mut template = before.clone();
        let mut violations = Violations::default();
        input.apply(&mut template, &mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;
        template.updated_at = self.env.now();
        self.repositories.templates().update(&template).await.map_err(|error| taken(error, expected))?;
        template.version += 1;
        self.append(self.event(&events::TEMPLATE_UPDATED, &template).before(&before).after(&template))
            .await?;
        Ok(template)
    }

    /// Deletes a template. Sites and pages made from it stay, and can still be reset to what it was.
    ///
    /// # Errors
    /// `Denied` without `platform:templates`; `NotFound`; `PreconditionFailed`.
    pub async fn delete(&mut self, id_or_slug: &str, expected: Option<i64>) -> Result<(), SitesError> {
        self.scope.require_platform(Permission::PlatformTemplates)?;
        let before = self.get(id_or_slug).await?;
        version::check(before.version, expected)?;
        let now = self.env.now();
        if !self.repositories.templates().delete(before.id, before.version, now).await? {
            return Err(version::refused(StoreError::Stale, expected));
        }
        self.append(self.event(&events::TEMPLATE_DELETED, &before).before(&before)).await
    }

    /// Templates belong to no tenant, so what staff do to them is not in the trail of the one they happen to act in.
    fn event(&self, kind: &'static EventDeclaration, template: &Template) -> Event {
        Event::new(self.env, self.scope, kind, template.id.uuid()).in_tenant(TenantId::PLATFORM)
    }

    pub(super) async fn append(&mut self, event: Event) -> Result<(), SitesError> {
        Ok(self.repositories.events().append(event).await?)
    }
}

/// A template with nothing in it yet.
pub(super) fn blank(id: TemplateId, now: Timestamp) -> Template {
    Template {
        id,
        name: String::new(),
        slug: Slug::from_title(""),
        category: String::new(),
        industry: String::new(),
        description: String::new(),
        language: DEFAULT_LANGUAGE.to_owned(),
        is_premium: false,
        is_featured: false,
        popularity: 0,
        look: Look::default(),
        pages: Vec::new(),
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

fn taken(error: StoreError, expected: Option<i64>) -> SitesError {
    match error {
        StoreError::Conflict(_) => SitesError::TemplateSlugTaken,
        error => version::refused(error, expected),
    }
}
