//! Sites for sale: prepared by staff, shown to everyone, bought as they are.

mod give_back;
mod hand_over;

pub use give_back::Returned;
pub use hand_over::{HandedOver, Parcel};

use portico_kernel::{
    Env, Event, EventDeclaration, List, PageRequest, Permission, Scope, SiteId, StoreError, TenantId,
    Violations, money::Money,
};
use serde::{Deserialize, Serialize};

use crate::{
    SitesError, events,
    ports::SiteRepositories,
    site::{self, Site, SiteStatus},
    version,
};

/// The price of an offered site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Offer {
    /// Minor units, for instance cents.
    #[cfg_attr(feature = "openapi", schema(required = true, minimum = 1, example = 35900))]
    pub amount: i64,
    /// Lower-case ISO 4217.
    #[cfg_attr(
        feature = "openapi",
        schema(required = true, example = "usd", min_length = 3, max_length = 3)
    )]
    pub currency: String,
}

/// The use cases of sites for sale, inside one unit of work.
pub struct Sales<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Sales<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Offers a published site of the active tenant for sale, or changes its price. From now on only staff change it: a buyer
    /// gets what was shown. A deployment that is under way has to end first, because it would change that.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`; `NotPublished`; `SiteSuspended`; `SiteSold`; `DeploymentInProgress`; `PreconditionFailed`.
    pub async fn offer(
        &mut self,
        id: SiteId,
        offer: Offer,
        expected: Option<i64>,
    ) -> Result<Site, SitesError> {
        let tenant = self.tenant()?;
        // The lock is against a deployment requested at the same moment: what goes live after the offer was requested by staff.
        let before = site::lock(self.repositories, tenant, id).await?;
        version::check(before.version, expected)?;
        let mut violations = Violations::default();
        let price = Money::price(offer.amount, &offer.currency, &mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;
        match before.status {
            SiteStatus::Suspended => return Err(SitesError::SiteSuspended),
            SiteStatus::Sold => return Err(SitesError::SiteSold),
            SiteStatus::Published | SiteStatus::ForSale if before.live_deployment_id.is_some() => {}
            _ => return Err(SitesError::NotPublished),
        }
        let latest = self.repositories.deployments().latest(tenant, id).await?;
        if before.status == SiteStatus::Published
            && latest.is_some_and(|latest| latest.status.is_unfinished())
        {
            return Err(SitesError::DeploymentInProgress);
        }
        let after = Site { status: SiteStatus::ForSale, price: Some(price), ..before.clone() };
        self.change(&events::SITE_OFFERED, before, after, expected).await
    }

    /// Withdraws the offer: the site is an ordinary published one again.
    ///
    /// # Errors
    /// `NotFound`; `NotForSale`; `PreconditionFailed`.
    pub async fn withdraw(&mut self, id: SiteId, expected: Option<i64>) -> Result<Site, SitesError> {
        let tenant = self.tenant()?;
        let before = site::find(self.repositories, tenant, id).await?;
        version::check(before.version, expected)?;
        if before.status != SiteStatus::ForSale {
            return Err(SitesError::NotForSale);
        }
        let after = Site { status: SiteStatus::Published, price: None, ..before.clone() };
        self.change(&events::SITE_WITHDRAWN, before, after, expected).await
    }

    /// The sites on offer, newest first. For every caller, signed in or not.
    pub async fn on_offer(&mut self, q: Option<String>, page: PageRequest) -> Result<List<Site>, SitesError> {
        Ok(self.repositories.sites().on_offer(q, page).await?)
    }

    /// The site on offer with this subdomain. For every caller.
    ///
    /// # Errors
    /// `NotFound`, also when it is not for sale.
    pub async fn on_offer_at(&mut self, slug: &str) -> Result<Site, SitesError> {
        self.repositories.sites().on_offer_at(slug).await?.ok_or(SitesError::NotFound("site"))
    }

    /// The tenant whose sites the caller may offer. Staff have no access to tenants that they do not belong to.
    fn tenant(&self) -> Result<TenantId, SitesError> {
        self.scope.require_platform(Permission::PlatformSites)?;
        self.scope.active_tenant().ok_or(SitesError::NotFound("site"))
    }

    async fn change(
        &mut self,
        kind: &'static EventDeclaration,
        before: Site,
        mut after: Site,
        expected: Option<i64>,
    ) -> Result<Site, SitesError> {
        after.updated_at = self.env.now();
        self.repositories
            .sites()
            .update(&after)
            .await
            .map_err(|error: StoreError| version::refused(error, expected))?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, kind, after.id.uuid()).before(&before).after(&after);
        self.repositories.events().append(event).await?;
        Ok(after)
    }
}

#[cfg(test)]
mod tests;
