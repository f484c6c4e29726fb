//! A page of a site.

mod duplicate;
mod schedule;
mod to_review;

pub use schedule::{DeploySite, PublishPage};
pub(crate) use to_review::{review, sample_places};

use portico_kernel::{
    Env, Event, EventDeclaration, FieldError, List, PageId, PageRequest, Permission, Scope, SiteId,
    StoreError, TemplateId, TenantId, Timestamp, Violations, name::Slug, patch,
};
use serde::{Deserialize, Serialize};

use crate::{
    SitesError, events, language,
    navigation::Navigation,
    ports::{PageFilter, SiteRepositories},
    site, version,
};

/// The most characters of a title.
const MAX_TITLE: usize = 200;

/// Whether a page is part of the next deployment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PageStatus {
    /// Being worked on.
    #[default]
    Draft,
    /// Part of the next deployment.
    Published,
    /// Out of use.
    Archived,
}

impl PageStatus {
    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Archived => "archived",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Draft, Self::Published, Self::Archived].into_iter().find(|status| status.as_str() == text)
    }
}

/// A page of a site.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Page {
    /// UUIDv7.
    pub id: PageId,
    /// The tenant.
    #[serde(skip)]
    pub tenant: TenantId,
    /// The site.
    pub site_id: SiteId,
    /// Heading in the browser tab and in navigation.
    pub title: String,
    /// Last part of the address; unique in the site.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub slug: Slug,
    /// Whether it is part of the next deployment.
    pub status: PageStatus,
    /// Whether it answers at `/`. At most one page of a site.
    pub is_home: bool,
    /// The template it was made from.
    pub template_id: Option<TemplateId>,
    /// Language, BCP 47; the site's when absent.
    pub language: Option<String>,
    /// The page that this one is a translation of. Pages with the same one are translations of each other.
    pub translation_of: Option<PageId>,
    /// When its status is to become published.
    pub publish_at: Option<Timestamp>,
    /// When its status last became published.
    pub published_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

/// Input of a new page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewPage {
    /// Title, 1 to 200 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 200))]
    pub title: String,
    /// Last part of the address; made from the title when absent.
    #[cfg_attr(feature = "openapi", schema(max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub slug: Option<String>,
    /// `draft` when absent.
    pub status: Option<PageStatus>,
    /// Whether it answers at `/`; the page that did so until now no longer does.
    #[serde(alias = "is_home")]
    pub is_home: Option<bool>,
    /// The template it is made from.
    #[serde(alias = "template_id")]
    pub template_id: Option<TemplateId>,
    /// Language, BCP 47; the site's when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "es", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
    /// The page of the same site that this one is a translation of.
    #[serde(alias = "translation_of")]
    pub translation_of: Option<PageId>,
}

/// What to change about a page. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PageUpdate {
    /// Title, 1 to 200 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 200))]
    pub title: Option<String>,
    /// Last part of the address.
    #[cfg_attr(feature = "openapi", schema(max_length = 100, pattern = "^[a-z0-9]+(-[a-z0-9]+)*$"))]
    pub slug: Option<String>,
    /// Any status may follow any other.
    pub status: Option<PageStatus>,
    /// Whether it answers at `/`; the page that did so until now no longer does.
    #[serde(alias = "is_home")]
    pub is_home: Option<bool>,
    /// Language, BCP 47; null means the site's.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "es", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$"))]
    pub language: Option<Option<String>>,
    /// The page of the same site that this one is a translation of; null when it is none.
    #[serde(alias = "translation_of", deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<PageId>))]
    pub translation_of: Option<Option<PageId>>,
    /// When a draft is to be published by itself, at most a year ahead; null when it is not. A live site is deployed then.
    #[serde(alias = "publish_at", deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Timestamp>))]
    pub publish_at: Option<Option<Timestamp>>,
}

/// The use cases of pages, inside one unit of work.
pub struct Pages<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Pages<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Makes a page of the given site, or of the tenant's primary one.
    ///
    /// One insert and one event where the site is given and the page is not to be home: the keys of the store do the
    /// checks.
    ///
    /// # Errors
    /// `Invalid`; `NotFound` (site); `NoSite`; `SlugTaken`. A given site that is not there and a slug that is taken may be told by the
    /// commit only.
    pub async fn create(&mut self, site: Option<SiteId>, input: NewPage) -> Result<Page, SitesError> {
        self.make(site, input, true).await
    }

    /// Like [`Pages::create`], where more than events is stored after it in the unit of work.
    pub(crate) async fn create_first(
        &mut self,
        site: Option<SiteId>,
        input: NewPage,
    ) -> Result<Page, SitesError> {
        self.make(site, input, false).await
    }

    async fn make(
        &mut self,
        site: Option<SiteId>,
        input: NewPage,
        is_last: bool,
    ) -> Result<Page, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let mut violations = Violations::default();
        violations.line("title", &input.title, 1, MAX_TITLE);
        let slug = match &input.slug {
            Some(wish) => violations.take("slug", Slug::parse(wish)),
            None => Some(Slug::from_title(&input.title)),
        };
        let status = input.status.unwrap_or_default();
        let is_home = input.is_home.unwrap_or_default();
        check_home(&mut violations, is_home, status);
        if let Some(language) = &input.language {
            language::check(&mut violations, "language", language);
        }
        let original = match input.translation_of {
            Some(id) => self.original(tenant, id, &mut violations).await?,
            None => None,
        };
        if let Some(template) = input.template_id {
            let is_there = self.repositories.templates().exists(template).await?;
            violations.check(is_there, "templateId", "unknown_template", "There is no such template.");
        }
        violations.into_result().map_err(SitesError::Invalid)?;
        let Some(slug) = slug else { return Err(SitesError::Invalid(Vec::new())) };

        let site_id = site::resolve(self.repositories, tenant, site).await?;
        let translation_of = same_site(original, site_id)?;
        let now = self.env.now();
        let page = Page {
            id: self.env.new_id(),
            tenant,
            site_id,
            title: input.title.trim().to_owned(),
            slug,
            status,
            is_home,
            template_id: input.template_id,
            language: input.language,
            translation_of,
            publish_at: None,
            published_at: (status == PageStatus::Published).then_some(now),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        let mut pages = self.repositories.pages();
        if is_home {
            pages.clear_home(tenant, site_id).await?;
        }
        let inserted = match is_last && !is_home {
            true => pages.insert_later(&page).await,
            false => pages.insert(&page).await,
        };
        drop(pages);
        inserted.map_err(|error| refused(error, None))?;
        self.append(self.event(&events::PAGE_CREATED, &page).after(&page)).await?;
        if status == PageStatus::Published {
            self.append(self.event(&events::PAGE_PUBLISHED, &page).after(&page)).await?;
        }
        Ok(page)
    }

    /// The page.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, id: PageId) -> Result<Page, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        self.find(tenant, id).await
    }

    /// The page at a slug of the given site, or of the tenant's primary one.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn by_slug(&mut self, site: Option<SiteId>, slug: &str) -> Result<Page, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        self.repositories.pages().by_slug(tenant, site, slug).await?.ok_or(SitesError::NotFound("page"))
    }

    /// The pages of the given site, or of the tenant's primary one.
    ///
    /// # Errors
    /// `NotFound` (site); `NoSite`.
    pub async fn list(
        &mut self,
        site: Option<SiteId>,
        filter: PageFilter,
        page: PageRequest,
    ) -> Result<List<Page>, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        let site_id = site::resolve(self.repositories, tenant, site).await?;
        let list = self.repositories.pages().list(tenant, site_id, filter, page).await?;
        if list.total == 0 {
            // An empty list is right for a site that exists; one that does not exist is 404.
            site::find(self.repositories, tenant, site_id).await?;
        }
        Ok(list)
    }

    /// Changes a page. `expected` is the version that the client saw, if it says.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `SlugTaken`; `PreconditionFailed`.
    pub async fn update(
        &mut self,
        id: PageId,
        input: PageUpdate,
        expected: Option<i64>,
    ) -> Result<Page, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let before = self.find(tenant, id).await?;
        version::check(before.version, expected)?;
        let mut page = before.clone();
        let mut violations = Violations::default();
        if let Some(title) = &input.title {
            violations.line("title", title, 1, MAX_TITLE);
            page.title = title.trim().to_owned();
        }
        if let Some(wish) = &input.slug
            && let Some(slug) = violations.take("slug", Slug::parse(wish))
        {
            page.slug = slug;
        }
        page.status = input.status.unwrap_or(before.status);
        page.is_home = input.is_home.unwrap_or(before.is_home);
        check_home(&mut violations, page.is_home, page.status);
        if let Some(language) = input.language {
            if let Some(language) = &language {
                language::check(&mut violations, "language", language);
            }
            page.language = language;
        }
        let original = match input.translation_of {
            Some(Some(original)) if original == id => {
                violations.add("translationOf", "own_translation", "A page is no translation of itself.");
                None
            }
            Some(Some(original)) => self.original(tenant, original, &mut violations).await?,
            _ => None,
        };
        if let Some(publish_at) = input.publish_at {
            // It deploys a live site.
            if publish_at.is_some() {
                self.scope.require_verified()?;
            }
            schedule::check(&mut violations, publish_at, page.status, self.env.now());
            page.publish_at = publish_at;
        }
        violations.into_result().map_err(SitesError::Invalid)?;
        if input.translation_of.is_some() {
            page.translation_of = same_site(original, page.site_id)?;
        }

        page.updated_at = self.env.now();
        let published = page.status == PageStatus::Published && before.status != PageStatus::Published;
        let unpublished = page.status != PageStatus::Published && before.status == PageStatus::Published;
        if page.status != PageStatus::Draft {
            page.publish_at = None;
        }
        if published {
            page.published_at = Some(page.updated_at);
        }
        if page.is_home && !before.is_home {
            self.repositories.pages().clear_home(tenant, page.site_id).await?;
        }
        self.repositories.pages().update(&page).await.map_err(|error| refused(error, expected))?;
        page.version += 1;
        self.append(self.event(&events::PAGE_UPDATED, &page).before(&before).after(&page)).await?;
        if published {
            self.append(self.event(&events::PAGE_PUBLISHED, &page).before(&before).after(&page)).await?;
        }
        if unpublished {
            self.append(self.event(&events::PAGE_UNPUBLISHED, &page).before(&before).after(&page)).await?;
        }
        if let Some(at) = page.publish_at.filter(|_| page.publish_at != before.publish_at) {
            self.schedule(&page, at).await?;
        }
        Ok(page)
    }

    /// Deletes a page with its sections and the navigation items that lead to it, with everything under those.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`.
    pub async fn delete(&mut self, id: PageId, expected: Option<i64>) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let before = self.find(tenant, id).await?;
        version::check(before.version, expected)?;
        Navigation::new(self.repositories, self.scope, self.env).forget(tenant, before.site_id, id).await?;
        if !self.repositories.pages().delete(tenant, id).await? {
            return Err(SitesError::NotFound("page"));
        }
        self.append(self.event(&events::PAGE_DELETED, &before).before(&before)).await
    }

    async fn find(&mut self, tenant: TenantId, id: PageId) -> Result<Page, SitesError> {
        self.repositories.pages().find(tenant, id).await?.ok_or(SitesError::NotFound("page"))
    }

    /// The page that a translation is made of; recorded as an error when there is none.
    async fn original(
        &mut self,
        tenant: TenantId,
        id: PageId,
        violations: &mut Violations,
    ) -> Result<Option<Page>, SitesError> {
        let page = self.repositories.pages().find(tenant, id).await?;
        violations.check(page.is_some(), "translationOf", "unknown_page", "There is no such page.");
        Ok(page)
    }

    fn event(&self, kind: &'static EventDeclaration, page: &Page) -> Event {
        Event::new(self.env, self.scope, kind, page.id.uuid())
    }

    async fn append(&mut self, event: Event) -> Result<(), SitesError> {
        Ok(self.repositories.events().append(event).await?)
    }
}

/// An archived page cannot answer at `/`.
fn check_home(violations: &mut Violations, is_home: bool, status: PageStatus) {
    violations.check(
        !(is_home && status == PageStatus::Archived),
        "status",
        "home_page_archived",
        "The home page cannot be archived. Make another page the home page first.",
    );
}

/// The page that all translations of `original` name, given that it is of this site.
fn same_site(original: Option<Page>, site: SiteId) -> Result<Option<PageId>, SitesError> {
    match original {
        Some(page) if page.site_id != site => Err(SitesError::Invalid(vec![FieldError::new(
            "translationOf",
            "unknown_page",
            "This page is of another site.",
        )])),
        original => Ok(original.map(|page| page.translation_of.unwrap_or(page.id))),
    }
}

/// What a refused insert or update of a page means.
pub fn refused(error: StoreError, expected: Option<i64>) -> SitesError {
    match error {
        // Two pages were made home at the same moment: not the slug, and trying again helps.
        StoreError::Conflict(constraint) if constraint.contains("home") => {
            SitesError::Store(StoreError::Stale)
        }
        StoreError::Conflict(_) => SitesError::SlugTaken,
        StoreError::MissingReference(_) => SitesError::NotFound("site"),
        error => version::refused(error, expected),
    }
}

#[cfg(test)]
mod tests;
