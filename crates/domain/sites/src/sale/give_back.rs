//! Returning a site that was handed over and paid back to the tenant that sold it.
//!
//! The way back is that of the hand-over: everything is stored anew under the other tenant with the ids that it has, and the rows of the
//! buyer go with their site. The seller gets what came with the site, as it is now, and what the buyer has added and shown to visitors,
//! as a draft that answers nowhere. All else of the buyer's time is deleted: messages, visits, versions, deployments, domains, and pages,
//! sections and entries of the navigation that were not deployed.
//!
//! These use cases ask for no permission: what they do follows from the decision about a refund.

use std::collections::BTreeSet;

use portico_kernel::{
    AssetId, Event, Meter, NavItemId, NewJob, PageId, SiteId, StoreError, TenantId, Timestamp,
};

use super::{
    Sales,
    hand_over::{Contents, Parcel, STALE, pictures},
};
use crate::{
    SitesError,
    asset::Asset,
    events,
    page::PageStatus,
    site::{self, PurgeSite, Site, SiteStatus},
};

/// A site that was returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Returned {
    /// As the seller has it again.
    pub site: Site,
    /// Bytes of the pictures that the seller did not have any more.
    pub bytes: u64,
}

impl Sales<'_> {
    /// What is to be copied before a site is returned: its pictures. `sold_at` is when it was paid.
    ///
    /// # Errors
    /// `NotFound` where the buyer does not have it any more.
    pub async fn return_parcel(
        &mut self,
        buyer: TenantId,
        id: SiteId,
        sold_at: Timestamp,
    ) -> Result<Parcel, SitesError> {
        let site = site::find(self.repositories, buyer, id).await?;
        let assets = self.contents(&site).await?.shown(sold_at).assets;
        Ok(Parcel { site, assets })
    }

    /// Takes a site from its buyer and gives it back to the tenant that sold it, as a draft. `sold_at` is when it was paid, `copied` are
    /// the pictures whose files were copied. The storage of the seller is the caller's matter.
    ///
    /// # Errors
    /// `NotFound` where the buyer does not have it any more; `SiteForSale` or `SiteSold` where they sell it themselves; `Store` with
    /// `Stale` where the site has changed since its files were copied: copy them, and call again.
    pub async fn give_back(
        &mut self,
        buyer: TenantId,
        id: SiteId,
        seller: TenantId,
        sold_at: Timestamp,
        copied: &[AssetId],
    ) -> Result<Returned, SitesError> {
        let before = site::lock_for_deletion(self.repositories, buyer, id).await?;
        match before.status {
            SiteStatus::ForSale => return Err(SitesError::SiteForSale),
            SiteStatus::Sold => return Err(SitesError::SiteSold),
            // One that is suspended is offline as a draft, too.
            SiteStatus::Draft | SiteStatus::Published | SiteStatus::Suspended => {}
        }
        let contents = self.contents(&before).await?;
        let domains_before = contents.domains.len() as u64;
        let mut contents = contents.shown(sold_at);
        if contents.assets.iter().any(|asset| !copied.contains(&asset.id)) {
            return Err(StoreError::Stale.into());
        }

        // Before the name of the site, see `site::lock_for_deletion`.
        let mut counters = self.repositories.entitlements();
        let domains_after = contents.domains.len() as u64;
        counters.transfer(Meter::CustomDomains, (buyer, domains_before), (seller, domains_after)).await?;
        counters.transfer(Meter::Sites, (buyer, 1), (seller, 1)).await?;
        drop(counters);
        self.repositories.domains().delete_of_site(buyer, id).await?;
        // Not `NotFound`: the buyer had it a moment ago, and counters and domains are changed already.
        if !self.repositories.sites().delete(buyer, id).await? {
            return Err(StoreError::Stale.into());
        }
        let event = Event::new(self.env, self.scope, &events::SITE_TAKEN_BACK, id.uuid());
        self.repositories.events().append(event.in_tenant(buyer).before(&before)).await?;
        let now = self.env.now();
        let purge = NewJob::new(self.env, self.scope, buyer, &PurgeSite { site_id: id }).at(now + STALE);
        self.repositories.jobs().enqueue(purge).await?;

        let has_domain = |name: &String| contents.domains.iter().any(|domain| domain.name == *name);
        let site = Site {
            tenant_id: seller,
            status: SiteStatus::Draft,
            price: None,
            over_limit: false,
            live_deployment_id: None,
            custom_domain: before.custom_domain.clone().filter(has_domain),
            updated_at: now,
            version: before.version + 1,
            ..before
        };
        self.repositories.sites().insert(&site).await?;
        let event = Event::new(self.env, self.scope, &events::SITE_RETURNED, id.uuid());
        self.repositories.events().append(event.in_tenant(seller).after(&site)).await?;
        contents.assets = self.missing(seller, contents.assets).await?;
        let bytes = contents.assets.iter().map(|asset| asset.size).sum();
        // Those that were deleted there are restored, all others are new.
        let mut new = Vec::new();
        for asset in contents.assets {
            let deleted = self.repositories.assets().deleted(seller, asset.id).await?;
            match deleted {
                Some(deleted) => {
                    let restored = Asset { purge_at: None, updated_at: now, ..deleted };
                    self.repositories.assets().update(&restored).await?;
                }
                None => new.push(asset),
            }
        }
        contents.assets = new;
        self.store(contents, seller, now).await?;
        Ok(Returned { site, bytes })
    }

    /// Those of the pictures that the tenant does not have any more: it kept its own when the site was sold.
    async fn missing(&mut self, tenant: TenantId, assets: Vec<Asset>) -> Result<Vec<Asset>, SitesError> {
        let ids: Vec<AssetId> = assets.iter().map(|asset| asset.id).collect();
        let there = self.repositories.assets().find_many(tenant, &ids).await?;
        let is_missing = |asset: &Asset| there.iter().all(|other| other.id != asset.id);
        Ok(assets.into_iter().filter(is_missing).collect())
    }
}

impl Contents {
    /// Without what the buyer has made since and visitors could not see, and what belongs to it. Visitors see what was last changed before
    /// the deployment that answers was begun.
    fn shown(mut self, sold_at: Timestamp) -> Self {
        let deployed_at = self.live.as_ref().and_then(|live| live.started_at);
        let came_along = |created_at: Timestamp| created_at <= sold_at;
        let is_seen = |updated_at: Timestamp| deployed_at.is_some_and(|begun| updated_at < begun);
        self.pages.retain(|page| {
            came_along(page.created_at) || (page.status == PageStatus::Published && is_seen(page.updated_at))
        });
        let kept: BTreeSet<PageId> = self.pages.iter().map(|page| page.id).collect();
        for page in &mut self.pages {
            page.translation_of = page.translation_of.filter(|original| kept.contains(original));
        }
        self.sections.retain(|section| {
            let is_shown = section.visible && is_seen(section.updated_at);
            kept.contains(&section.page_id) && (came_along(section.created_at) || is_shown)
        });
        self.origins.retain(|origin| kept.contains(&origin.page_id));
        self.seo.retain(|seo| kept.contains(&seo.page_id));
        self.items.retain(|item| {
            let has_page = item.page_id.is_none_or(|page| kept.contains(&page));
            has_page && (came_along(item.created_at) || is_seen(item.updated_at))
        });
        // Whatever is under an entry that is gone goes, too.
        loop {
            let ids: BTreeSet<NavItemId> = self.items.iter().map(|item| item.id).collect();
            let before = self.items.len();
            self.items.retain(|item| item.parent_id.is_none_or(|parent| ids.contains(&parent)));
            if self.items.len() == before {
                break;
            }
        }
        self.domains.retain(|domain| came_along(domain.created_at));
        let shown = pictures(&self.sections, &self.seo);
        self.assets.retain(|asset| shown.contains(&asset.id));
        self.live = None;
        self
    }
}

#[cfg(test)]
mod tests;
