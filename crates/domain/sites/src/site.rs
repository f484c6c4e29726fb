//! A website of a tenant.

mod frozen;
mod over_limit;

pub use frozen::{Frozen, RefusedChange, SiteChange, TenantChanges, by_tenant, changes};
pub(crate) use frozen::{editable, editable_pages, removable};

use portico_kernel::{
    DeploymentId, Env, Event, JobType, List, Meter, Money, NewJob, PageRequest, Permission, Scope, SiteId,
    StoreError, TenantId, Timestamp, Violations, name::Subdomain, patch,
};
use serde::{Deserialize, Serialize};

use crate::{
    SitesError, events,
    industry::Industry,
    language,
    look::{Look, LookInput},
    ports::{SiteFilter, SiteRepositories},
    version,
};

/// The most characters of a site's name.
const MAX_NAME: usize = 120;

/// The language of a site that names none.
pub const DEFAULT_LANGUAGE: &str = "en";

/// Status of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SiteStatus {
    /// Never published.
    #[default]
    Draft,
    /// Answers at its address.
    Published,
    /// Offered for sale; answers as a demo.
    ForSale,
    /// Sold.
    Sold,
    /// Locked by the operator; does not answer.
    Suspended,
}

impl SiteStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Draft, Self::Published, Self::ForSale, Self::Sold, Self::Suspended];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::ForSale => "for_sale",
            Self::Sold => "sold",
            Self::Suspended => "suspended",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// A website of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Site {
    /// UUIDv7.
    pub id: SiteId,
    /// The tenant.
    pub tenant_id: TenantId,
    /// Display name.
    pub name: String,
    /// Answers at `{subdomain}.{sites.domain}`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub subdomain: Subdomain,
    /// Own domain, once connected.
    pub custom_domain: Option<String>,
    /// Status.
    pub status: SiteStatus,
    /// The deployment that answers now.
    pub live_deployment_id: Option<DeploymentId>,
    /// Language of its pages unless they say otherwise, BCP 47.
    pub language: String,
    /// What its owner does, an id of the list of industries; published as structured data.
    pub industry: Option<String>,
    /// How it looks, where it differs from the tenant's branding.
    pub look: Option<Look>,
    /// What it costs, while it is for sale.
    pub price: Option<Money>,
    /// Whether it is read-only because the plan includes fewer sites than the tenant has: the newest ones are, 30 days after that began.
    pub over_limit: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Counts changes, for optimistic locking and `ETag`.
    #[serde(skip)]
    pub version: i64,
}

impl Site {
    /// The folder in the file store that holds all published files of a site, and nothing else.
    pub fn folder(tenant: TenantId, id: SiteId) -> String {
        format!("sites/{tenant}/{id}")
    }
}

/// Input of a new site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewSite {
    /// Display name, 1 to 120 characters.
    #[cfg_attr(feature = "openapi", schema(required = true, min_length = 1, max_length = 120))]
    pub name: String,
    /// Where it is to answer; made from the name when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 3, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]*[a-z0-9]$")
    )]
    pub subdomain: Option<String>,
    /// Language of its pages, BCP 47; `en` when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "en", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
    /// What its owner does, an id of the list of industries.
    #[cfg_attr(feature = "openapi", schema(example = "bakery", max_length = 40))]
    pub industry: Option<String>,
    /// How it looks; like the tenant's branding when absent.
    pub look: Option<LookInput>,
}

/// What to change about a site. Absent fields stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteUpdate {
    /// Display name, 1 to 120 characters.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 120))]
    pub name: Option<String>,
    /// Where it answers.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 3, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]*[a-z0-9]$")
    )]
    pub subdomain: Option<String>,
    /// Language of its pages, BCP 47.
    #[cfg_attr(
        feature = "openapi",
        schema(example = "en", max_length = 8, pattern = "^[A-Za-z]{2,3}(-([A-Za-z]{2}|[A-Za-z]{4}))?$")
    )]
    pub language: Option<String>,
    /// What its owner does, an id of the list of industries; null when none of them fits.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, example = "bakery", max_length = 40))]
    pub industry: Option<Option<String>>,
    /// How it looks; null resets it to the tenant's branding.
    #[serde(deserialize_with = "patch::double_option")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<LookInput>))]
    pub look: Option<Option<LookInput>>,
}

/// The job that deletes the files of a site that was deleted.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurgeSite {
    /// The site.
    pub site_id: SiteId,
}

impl JobType for PurgeSite {
    const KIND: &'static str = "site.purge";
    const MAX_ATTEMPTS: u32 = 10;
}

/// The use cases of sites, inside one unit of work.
pub struct Sites<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Sites<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Makes a site, which counts against the tenant's plan.
    ///
    /// # Errors
    /// `Invalid`; `SubdomainTaken`; `Entitlement`.
    pub async fn create(&mut self, input: NewSite) -> Result<Site, SitesError> {
        let (site, is_named) = self.plan(input).await?;
        // Before the name is claimed, as everywhere: else this and the wizard could wait for each other.
        self.repositories.entitlements().take(site.tenant_id, Meter::Sites, 1).await?;
        self.insert(site, is_named).await
    }

    /// Like [`Sites::create`], for what has counted the site before.
    pub(crate) async fn add(&mut self, input: NewSite) -> Result<Site, SitesError> {
        let (site, is_named) = self.plan(input).await?;
        self.insert(site, is_named).await
    }

    /// The site that is asked for, and whether its subdomain is.
    async fn plan(&mut self, input: NewSite) -> Result<(Site, bool), SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        let mut violations = Violations::default();
        violations.name("name", &input.name, 1, MAX_NAME);
        let subdomain = match &input.subdomain {
            Some(wish) => violations.take("subdomain", Subdomain::wish(wish, self.env)),
            None => Some(self.subdomain_from(tenant, &input.name).await?),
        };
        let language = input.language.unwrap_or_else(|| DEFAULT_LANGUAGE.to_owned());
        language::check(&mut violations, "language", &language);
        check_industry(&mut violations, input.industry.as_deref());
        let look = input.look.map(|look| look.read("look", &mut violations));
        violations.into_result().map_err(SitesError::Invalid)?;
        let Some(subdomain) = subdomain else { return Err(SitesError::Invalid(Vec::new())) };

        let now = self.env.now();
        let site = Site {
            id: self.env.new_id(),
            tenant_id: tenant,
            name: input.name.trim().to_owned(),
            subdomain,
            custom_domain: None,
            status: SiteStatus::Draft,
            live_deployment_id: None,
            language,
            industry: input.industry,
            look,
            price: None,
            over_limit: false,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        Ok((site, input.subdomain.is_some()))
    }

    async fn insert(&mut self, mut site: Site, is_named: bool) -> Result<Site, SitesError> {
        let mut inserted = self.repositories.sites().insert(&site).await.map_err(|error| taken(error, None));
        if !is_named && matches!(inserted, Err(SitesError::SubdomainTaken)) {
            // Another tenant has taken it since it was found free.
            let suffix = Subdomain::random_suffix(self.env);
            site.subdomain = Subdomain::suggest(&site.name, &suffix, self.env);
            inserted = self.repositories.sites().insert(&site).await.map_err(|error| taken(error, None));
        }
        inserted?;
        let event = Event::new(self.env, self.scope, &events::SITE_CREATED, site.id.uuid()).after(&site);
        self.repositories.events().append(event).await?;
        Ok(site)
    }

    /// The site.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, id: SiteId) -> Result<Site, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        find(self.repositories, tenant, id).await
    }

    /// The tenant's sites.
    pub async fn list(&mut self, filter: SiteFilter, page: PageRequest) -> Result<List<Site>, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        Ok(self.repositories.sites().list(tenant, filter, page).await?)
    }

    /// Changes name or subdomain. `expected` is the version that the client saw, if it says.
    ///
    /// # Errors
    /// `Invalid`; `NotFound`; `SubdomainTaken`; `PreconditionFailed`.
    pub async fn update(
        &mut self,
        id: SiteId,
        input: SiteUpdate,
        expected: Option<i64>,
    ) -> Result<Site, SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        let before = find(self.repositories, tenant, id).await?;
        version::check(before.version, expected)?;
        editable(self.scope, &before)?;
        let mut site = before.clone();
        let mut violations = Violations::default();
        if let Some(name) = &input.name {
            violations.name("name", name, 1, MAX_NAME);
            site.name = name.trim().to_owned();
        }
        // A subdomain that a site already has stays valid, also when the rules for new ones have become stricter.
        if let Some(wish) = input.subdomain.filter(|wish| before.subdomain != **wish)
            && let Some(subdomain) = violations.take("subdomain", Subdomain::wish(&wish, self.env))
        {
            site.subdomain = subdomain;
        }
        if let Some(language) = input.language {
            language::check(&mut violations, "language", &language);
            site.language = language;
        }
        if let Some(industry) = input.industry {
            check_industry(&mut violations, industry.as_deref());
            site.industry = industry;
        }
        if let Some(look) = input.look {
            site.look = look.map(|look| look.read("look", &mut violations));
        }
        violations.into_result().map_err(SitesError::Invalid)?;
        site.updated_at = self.env.now();
        self.repositories.sites().update(&site).await.map_err(|error| taken(error, expected))?;
        site.version += 1;
        let event =
            Event::new(self.env, self.scope, &events::SITE_UPDATED, id.uuid()).before(&before).after(&site);
        self.repositories.events().append(event).await?;
        Ok(site)
    }

    /// Deletes the site with everything in it; a job removes its files. Its domains must be gone. Answers the site as it was. One that is
    /// read-only for being over the limit can be deleted: that is how the tenant chooses.
    ///
    /// # Errors
    /// `NotFound`; `PreconditionFailed`.
    pub async fn delete(&mut self, id: SiteId, expected: Option<i64>) -> Result<Site, SitesError> {
        let tenant = self.scope.require(Permission::SitesDelete)?;
        // Two at the same moment: one of them deletes, so that the quota is released once.
        let before = lock_for_deletion(self.repositories, tenant, id).await?;
        version::check(before.version, expected)?;
        removable(self.scope, &before)?;
        // Before the name is given up, see `create`.
        self.repositories.entitlements().release(tenant, Meter::Sites, 1).await?;
        if !self.repositories.sites().delete(tenant, id).await? {
            return Err(SitesError::NotFound("site"));
        }
        let event = Event::new(self.env, self.scope, &events::SITE_DELETED, id.uuid()).before(&before);
        self.repositories.events().append(event).await?;
        let job = NewJob::new(self.env, self.scope, tenant, &PurgeSite { site_id: id });
        self.repositories.jobs().enqueue(job).await?;
        Ok(before)
    }

    /// The given site, or the tenant's primary one. Whether a given one exists shows when it is used.
    ///
    /// # Errors
    /// `NoSite` when none is given and the tenant has none.
    pub async fn resolve(&mut self, site: Option<SiteId>) -> Result<SiteId, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        resolve(self.repositories, tenant, site).await
    }

    /// A subdomain that resembles the name; with random letters behind it where the plain one is taken.
    async fn subdomain_from(&mut self, tenant: TenantId, name: &str) -> Result<Subdomain, SitesError> {
        let plain = Subdomain::suggest(name, "", self.env);
        if self.repositories.sites().subdomain_is_free(tenant, plain.as_str()).await? {
            return Ok(plain);
        }
        Ok(Subdomain::suggest(name, &Subdomain::random_suffix(self.env), self.env))
    }
}

/// The site of this tenant.
pub(crate) async fn find(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    id: SiteId,
) -> Result<Site, SitesError> {
    repositories.sites().find(tenant, id).await?.ok_or(SitesError::NotFound("site"))
}

/// The site of this tenant, locked: a deployment that ends at the same moment waits.
pub(crate) async fn lock(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    id: SiteId,
) -> Result<Site, SitesError> {
    repositories.sites().lock(tenant, id).await?.ok_or(SitesError::NotFound("site"))
}

/// The site of this tenant, locked before it is deleted. Whatever deletes a site or makes one locks in this order, so that none waits for
/// another one in a circle: the site, the counters of domains and of sites, the name.
pub(crate) async fn lock_for_deletion(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    id: SiteId,
) -> Result<Site, SitesError> {
    repositories.sites().lock_for_deletion(tenant, id).await?.ok_or(SitesError::NotFound("site"))
}

/// The given site, or the tenant's primary one.
pub(crate) async fn resolve(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    site: Option<SiteId>,
) -> Result<SiteId, SitesError> {
    match site {
        Some(site) => Ok(site),
        None => repositories.sites().primary(tenant).await?.ok_or(SitesError::NoSite),
    }
}

fn check_industry(violations: &mut Violations, industry: Option<&str>) {
    violations.check(
        industry.is_none_or(|id| Industry::find(id).is_some()),
        "industry",
        "unknown_industry",
        "Choose one of the industries that GET /industries lists.",
    );
}

fn taken(error: StoreError, expected: Option<i64>) -> SitesError {
    match error {
        StoreError::Conflict(_) => SitesError::SubdomainTaken,
        error => version::refused(error, expected),
    }
}

#[cfg(test)]
mod tests;
