//! The use cases: read, change, delete.

use portico_kernel::{
    AssetId, Env, Event, PageId, Permission, RuleMessage, Scope, StoreError, TenantId, Violations, patch,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{OpenGraph, Seo, robots::directives, structured_data};
use crate::{SitesError, asset::check_pictures, events, link::link_target, ports::SiteRepositories, version};

/// The most characters of a title. Search engines show about 60.
const MAX_TITLE: usize = 120;
/// The most characters of a description. Search engines show about 155.
const MAX_DESCRIPTION: usize = 320;
/// The most keywords.
const MAX_KEYWORDS: usize = 20;
/// The most characters of a keyword.
const MAX_KEYWORD: usize = 60;

/// What to change. What is absent stays, null removes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeoUpdate {
    /// Title in results, at most 120 characters.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 120))]
    pub title: Option<Option<String>>,
    /// A sentence or two, at most 320 characters.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 320))]
    pub description: Option<Option<String>>,
    /// What it is about, at most 20.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(max_items = 20, min_length = 1, max_length = 60, value_type = Option<Vec<String>>))]
    pub keywords: Option<Option<Vec<String>>>,
    /// Canonical address, `https:` or `http:`.
    #[serde(alias = "canonical_url", deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 2048))]
    pub canonical_url: Option<Option<String>>,
    /// Directives, for instance `noindex, nofollow`.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(max_length = 100, value_type = Option<String>))]
    pub robots: Option<Option<String>>,
    /// What social networks show.
    #[serde(alias = "open_graph", deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<OpenGraphUpdate>))]
    pub open_graph: Option<Option<OpenGraphUpdate>>,
    /// Data in the vocabulary of schema.org: an object with a `@type`, or a list of such.
    #[serde(alias = "structured_data", deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub structured_data: Option<Option<Value>>,
}

/// What to change about what social networks show. What is absent stays, null removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OpenGraphUpdate {
    /// Title, at most 120 characters.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 120))]
    pub title: Option<Option<String>>,
    /// Description, at most 320 characters.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, max_length = 320))]
    pub description: Option<Option<String>>,
    /// Picture, an asset of the tenant.
    #[serde(alias = "image_asset_id", deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<AssetId>))]
    pub image_asset_id: Option<Option<AssetId>>,
}

impl SeoUpdate {
    /// Changes `seo`. Everything that is wrong is recorded.
    pub fn apply(self, seo: &mut Seo, violations: &mut Violations) {
        text(&mut seo.title, "title", self.title, MAX_TITLE, violations);
        text(&mut seo.description, "description", self.description, MAX_DESCRIPTION, violations);
        if let Some(keywords) = self.keywords {
            seo.keywords = keywords_of(keywords.unwrap_or_default(), violations);
        }
        if let Some(address) = self.canonical_url {
            seo.canonical_url = address.and_then(|address| canonical(&address, violations));
        }
        if let Some(robots) = self.robots {
            seo.robots = robots.and_then(|text| {
                let found = directives(&text);
                let message = "Use directives such as noindex, nofollow, noarchive, max-snippet:120.";
                violations.check(found.is_some(), "robots", "unknown_directive", message);
                found
            });
        }
        match self.open_graph {
            None => {}
            Some(None) => seo.open_graph = OpenGraph::default(),
            Some(Some(change)) => {
                let shown = &mut seo.open_graph;
                text(&mut shown.title, "openGraph.title", change.title, MAX_TITLE, violations);
                let field = "openGraph.description";
                text(&mut shown.description, field, change.description, MAX_DESCRIPTION, violations);
                if let Some(image) = change.image_asset_id {
                    shown.image_asset_id = image;
                }
            }
        }
        if let Some(data) = self.structured_data {
            if let Some(Err((code, message))) = data.as_ref().map(structured_data::check) {
                violations.add("structuredData", code, message);
            }
            seo.structured_data = data;
        }
    }
}

fn text(
    place: &mut Option<String>,
    field: &str,
    wished: Option<Option<String>>,
    max: usize,
    violations: &mut Violations,
) {
    let Some(wished) = wished else { return };
    violations.optional_text(field, wished.as_deref(), max);
    *place = wished.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
}

fn keywords_of(wished: Vec<String>, violations: &mut Violations) -> Vec<String> {
    let few = wished.len() <= MAX_KEYWORDS;
    violations.check(
        few,
        "keywords",
        "too_many",
        RuleMessage::new(format!("Use at most {MAX_KEYWORDS} keywords.")).max(MAX_KEYWORDS),
    );
    let mut keywords: Vec<String> = Vec::with_capacity(wished.len().min(MAX_KEYWORDS));
    for (number, keyword) in wished.iter().take(MAX_KEYWORDS).enumerate() {
        violations.text(format!("keywords[{number}]"), keyword, 1, MAX_KEYWORD);
        violations.check(
            !keyword.contains(','),
            format!("keywords[{number}]"),
            "invalid_keyword",
            "A keyword has no comma.",
        );
        let keyword = keyword.trim();
        if !keywords.iter().any(|other| other == keyword) {
            keywords.push(keyword.to_owned());
        }
    }
    keywords
}

fn canonical(address: &str, violations: &mut Violations) -> Option<String> {
    let absolute = |address: &String| {
        let lower = address.to_ascii_lowercase();
        lower.starts_with("https://") || lower.starts_with("http://")
    };
    let found = link_target(address).ok().filter(absolute);
    let message = "Use an address that starts with https:// or http://.";
    violations.check(found.is_some(), "canonicalUrl", "invalid_url", message);
    found
}

/// The use cases of SEO metadata, inside one unit of work.
pub struct Seos<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Seos<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// What is set for the page; all of it absent when nothing is.
    ///
    /// # Errors
    /// `NotFound` (page).
    pub async fn get(&mut self, page: PageId) -> Result<Seo, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        self.find(tenant, page).await
    }

    /// Changes what is set for the page. `expected` is the version that the client saw, if it says; 0 is that of a page
    /// for which nothing is set.
    ///
    /// # Errors
    /// `Invalid`; `NotFound` (page); `PreconditionFailed`.
    pub async fn update(
        &mut self,
        page: PageId,
        input: SeoUpdate,
        expected: Option<i64>,
    ) -> Result<Seo, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        self.lock(tenant, page).await?;
        let before = self.find(tenant, page).await?;
        version::check(before.version, expected)?;
        let mut seo = before.clone();
        let mut violations = Violations::default();
        input.apply(&mut seo, &mut violations);
        let picture =
            seo.open_graph.image_asset_id.filter(|id| before.open_graph.image_asset_id != Some(*id));
        let named: Vec<_> = picture.map(|id| ("openGraph.imageAssetId".to_owned(), id)).into_iter().collect();
        check_pictures(self.repositories, tenant, &named, &mut violations).await?;
        violations.into_result().map_err(SitesError::Invalid)?;
        seo.updated_at = self.env.now();
        if before.version == 0 {
            let new = Seo { version: 1, ..seo.clone() };
            self.repositories.seo().insert(&[new]).await.map_err(|error| match error {
                StoreError::MissingReference(_) => SitesError::NotFound("page"),
                // Another transaction was quicker.
                StoreError::Conflict(_) => version::refused(StoreError::Stale, expected),
                error => SitesError::Store(error),
            })?;
        } else {
            self.repositories.seo().update(&seo).await.map_err(|error| version::refused(error, expected))?;
        }
        seo.version += 1;
        let event = Event::new(self.env, self.scope, &events::SEO_UPDATED, page.uuid());
        self.repositories.events().append(event.before(&before).after(&seo)).await?;
        Ok(seo)
    }

    /// Deletes what is set for the page.
    ///
    /// # Errors
    /// `NotFound` (page); `PreconditionFailed`.
    pub async fn delete(&mut self, page: PageId, expected: Option<i64>) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        self.lock(tenant, page).await?;
        let before = self.find(tenant, page).await?;
        version::check(before.version, expected)?;
        if self.repositories.seo().delete(tenant, page).await? {
            let event = Event::new(self.env, self.scope, &events::SEO_DELETED, page.uuid()).before(&before);
            self.repositories.events().append(event).await?;
        }
        Ok(())
    }

    /// Locks the page before anything of it, as every transaction does that changes what a version of it keeps: so no two wait
    /// for each other.
    async fn lock(&mut self, tenant: TenantId, page: PageId) -> Result<(), SitesError> {
        let locked = self.repositories.pages().lock(tenant, page).await?;
        locked.map(drop).ok_or(SitesError::NotFound("page"))
    }

    async fn find(&mut self, tenant: TenantId, page: PageId) -> Result<Seo, SitesError> {
        if let Some(seo) = self.repositories.seo().find(tenant, page).await? {
            return Ok(seo);
        }
        let found = self.repositories.pages().find(tenant, page).await?;
        let page = found.ok_or(SitesError::NotFound("page"))?;
        Ok(Seo::nothing(tenant, page.id, page.created_at))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
