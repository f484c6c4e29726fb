//! Previews: a draft as it would be published, for every holder of the link.

use portico_kernel::{Env, Event, Permission, RuleMessage, Scope, SiteId, Timestamp, Violations};
use serde::{Deserialize, Serialize};
use serde_json::json;
use time::Duration;

use crate::{
    SitesError,
    deployment::SnapshotParts,
    events,
    ports::SiteRepositories,
    site::{self, Site, SiteStatus},
};

/// How long a link works by default.
const DEFAULT: Duration = Duration::HOUR;
/// The shortest time.
const SHORTEST: Duration = Duration::MINUTE;
/// The longest time.
const LONGEST: Duration = Duration::WEEK;

/// Input of a new preview.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewPreview {
    /// Seconds until the link stops working, 60 to 604,800 (a week); an hour when absent.
    #[serde(alias = "expires_in")]
    #[cfg_attr(feature = "openapi", schema(minimum = 60, maximum = 604_800, example = 3600))]
    pub expires_in: Option<i64>,
}

/// What a link shows, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewGrant {
    /// The site.
    pub site: SiteId,
    /// From then on it shows nothing.
    pub expires_at: Timestamp,
}

/// The use cases of previews, inside one unit of work.
pub struct Previews<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Previews<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Grants every holder of a link access to the draft of a site for a while. The caller signs the link. Nothing is stored: the
    /// link ends early only when the site or its tenant is suspended or deleted.
    ///
    /// # Errors
    /// `Denied`, also without a verified address; `Invalid`; `NotFound`; `SiteSuspended`.
    pub async fn grant(&mut self, site: SiteId, input: NewPreview) -> Result<PreviewGrant, SitesError> {
        let tenant = self.scope.require(Permission::SitesWrite)?;
        self.scope.require_verified()?;
        let life = input.expires_in.map_or(DEFAULT, Duration::seconds);
        let mut violations = Violations::default();
        violations.check(
            (SHORTEST..=LONGEST).contains(&life),
            "expiresIn",
            "out_of_range",
            RuleMessage::number(SHORTEST.whole_seconds(), LONGEST.whole_seconds()),
        );
        violations.into_result().map_err(SitesError::Invalid)?;
        active(site::find(self.repositories, tenant, site).await?)?;
        // Whole seconds are what an address has room for.
        let end = self.env.now() + life;
        let expires_at = Timestamp::from_unix_seconds(end.unix_seconds()).unwrap_or(end);
        let grant = PreviewGrant { site, expires_at };
        let event = Event::new(self.env, self.scope, &events::PREVIEW_CREATED, site.uuid())
            .after(&json!({"siteId": site, "expiresAt": grant.expires_at}));
        self.repositories.events().append(event).await?;
        Ok(grant)
    }

    /// What a preview shows: what would be deployed if all drafts were published.
    ///
    /// # Errors
    /// `NotFound`; `SiteSuspended`.
    pub async fn draft(&mut self, site: SiteId) -> Result<SnapshotParts, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        let site = active(site::find(self.repositories, tenant, site).await?)?;
        let pages = self.repositories.pages().unarchived(tenant, site.id).await?;
        let sections = self.repositories.sections().unarchived(tenant, site.id).await?;
        let seo = self.repositories.seo().unarchived(tenant, site.id).await?;
        let navigation = self.repositories.navigation().list(tenant, site.id, false).await?;
        Ok(SnapshotParts::assemble(site, pages, sections, seo, navigation))
    }
}

fn active(site: Site) -> Result<Site, SitesError> {
    if site.status == SiteStatus::Suspended { Err(SitesError::SiteSuspended) } else { Ok(site) }
}

#[cfg(test)]
mod tests;
