//! Handing a sold site over to the tenant of its buyer.
//!
//! A site is rows keyed by its tenant, and files below a folder of its tenant. Everything that makes
//! the site what visitors see is stored anew under the other tenant with the ids that it has, and
//! the old rows go with their site. What tells about the time of the seller stays behind: visits,
//! messages of visitors, versions of pages, earlier deployments, the wizard. Files are copied
//! before, by the caller: their keys differ in nothing but the tenant.
//!
//! These use cases ask for no permission: what they do follows from a payment.

use std::collections::BTreeSet;

use portico_kernel::{
    AssetId, DomainId, Event, Meter, NewJob, PageId, PageRequest, SiteId, StoreError, TenantId, Timestamp,
    look::{Colors, Fonts},
};

use time::Duration;

use super::Sales;
use crate::{
    SitesError,
    asset::Asset,
    deployment::Deployment,
    domain::{CheckDomain, Domain, next_check},
    events,
    look::Look,
    navigation::NavItem,
    page::Page,
    ports::PageFilter,
    section::{Section, SectionOrigin, content::SectionContent, pictures_in},
    seo::Seo,
    site::{self, PurgeSite, Site, SiteStatus},
};

/// How long files are kept at the seller after the hand-over: processes may answer from what they knew of the site before.
pub(super) const STALE: Duration = Duration::HOUR;

/// What is to be copied in the file store before a site is handed over: the folder of the site, and those of its pictures.
#[derive(Clone, Debug, PartialEq)]
pub struct Parcel {
    /// The site.
    pub site: Site,
    /// Its pictures, which are files of the tenant.
    pub assets: Vec<Asset>,
}

/// A site that was handed over.
#[derive(Clone, Debug, PartialEq)]
pub struct HandedOver {
    /// As the buyer has it.
    pub site: Site,
    /// Bytes of the pictures that came with it.
    pub bytes: u64,
}

/// All rows that go to the other tenant.
pub(super) struct Contents {
    pub pages: Vec<Page>,
    pub sections: Vec<Section>,
    pub origins: Vec<SectionOrigin>,
    pub seo: Vec<Seo>,
    pub items: Vec<NavItem>,
    pub domains: Vec<Domain>,
    pub live: Option<Deployment>,
    pub assets: Vec<Asset>,
}

impl Sales<'_> {
    /// Takes a site that was paid off the offer. One that was withdrawn meanwhile is sold all the same: it was reserved.
    ///
    /// # Errors
    /// `NotFound`; `SiteSold`; `SiteSuspended`.
    pub async fn sell(&mut self, seller: TenantId, id: SiteId) -> Result<Site, SitesError> {
        // As the hand-over locks it, which may come with this.
        let before = site::lock_for_deletion(self.repositories, seller, id).await?;
        match before.status {
            SiteStatus::Sold => return Err(SitesError::SiteSold),
            SiteStatus::Suspended => return Err(SitesError::SiteSuspended),
            SiteStatus::Draft | SiteStatus::Published | SiteStatus::ForSale => {}
        }
        let mut after = Site { status: SiteStatus::Sold, updated_at: self.env.now(), ..before.clone() };
        self.repositories.sites().update(&after).await?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, &events::SITE_SOLD, id.uuid()).in_tenant(seller);
        self.repositories.events().append(event.before(&before).after(&after)).await?;
        Ok(after)
    }

    /// Takes back the sale of a site that was not handed over: it is an ordinary published one again. One that is not sold stays as it is.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn take_back(&mut self, seller: TenantId, id: SiteId) -> Result<Site, SitesError> {
        let before = site::lock(self.repositories, seller, id).await?;
        if before.status != SiteStatus::Sold {
            return Ok(before);
        }
        let now = self.env.now();
        let mut after =
            Site { status: SiteStatus::Published, price: None, updated_at: now, ..before.clone() };
        self.repositories.sites().update(&after).await?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, &events::SITE_UNSOLD, id.uuid()).in_tenant(seller);
        self.repositories.events().append(event.before(&before).after(&after)).await?;
        Ok(after)
    }

    /// What is to be copied before a site is handed over.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn parcel(&mut self, seller: TenantId, id: SiteId) -> Result<Parcel, SitesError> {
        let site = site::find(self.repositories, seller, id).await?;
        let assets = self.contents(&site).await?.assets;
        Ok(Parcel { site, assets })
    }

    /// Gives a sold site to another tenant, live as it is. `copied` are the pictures whose files were copied. The look is made independent
    /// of the branding of the tenant that sells, whose colours and fonts these are, so that a later deployment looks the same. The storage
    /// of the buyer is the caller's matter.
    ///
    /// # Errors
    /// `NotFound`; `SiteSuspended`; `NotForSale` where it was not sold; `Store` with `Stale` where the site has changed since its files
    /// were copied: copy them, and call again.
    pub async fn hand_over(
        &mut self,
        seller: TenantId,
        id: SiteId,
        buyer: TenantId,
        branding: (Colors, Fonts),
        copied: &[AssetId],
    ) -> Result<HandedOver, SitesError> {
        let before = site::lock_for_deletion(self.repositories, seller, id).await?;
        match before.status {
            SiteStatus::Sold => {}
            SiteStatus::Suspended => return Err(SitesError::SiteSuspended),
            SiteStatus::Draft | SiteStatus::Published | SiteStatus::ForSale => {
                return Err(SitesError::NotForSale);
            }
        }
        let contents = self.contents(&before).await?;
        if contents.assets.iter().any(|asset| !copied.contains(&asset.id)) {
            return Err(StoreError::Stale.into());
        }
        let domains = contents.domains.len() as u64;
        let bytes = contents.assets.iter().map(|asset| asset.size).sum();

        // Before the name of the site, see `site::lock_for_deletion`.
        let mut counters = self.repositories.entitlements();
        counters.transfer(Meter::CustomDomains, (seller, domains), (buyer, domains)).await?;
        counters.transfer(Meter::Sites, (seller, 1), (buyer, 1)).await?;
        drop(counters);
        self.repositories.domains().delete_of_site(seller, id).await?;
        // Not `NotFound`: it was there a moment ago, and whoever calls again finds out.
        if !self.repositories.sites().delete(seller, id).await? {
            return Err(StoreError::Stale.into());
        }
        let event = Event::new(self.env, self.scope, &events::SITE_HANDED_OVER, id.uuid());
        self.repositories.events().append(event.in_tenant(seller).before(&before)).await?;
        let now = self.env.now();
        let purge = NewJob::new(self.env, self.scope, seller, &PurgeSite { site_id: id }).at(now + STALE);
        self.repositories.jobs().enqueue(purge).await?;

        let site = Site {
            tenant_id: buyer,
            status: SiteStatus::Published,
            price: None,
            over_limit: false,
            look: Some(independent(before.look.clone(), branding)),
            updated_at: now,
            version: before.version + 1,
            ..before
        };
        self.repositories.sites().insert(&site).await?;
        let event = Event::new(self.env, self.scope, &events::SITE_RECEIVED, id.uuid());
        self.repositories.events().append(event.in_tenant(buyer).after(&site)).await?;
        self.store(contents, buyer, now).await?;
        Ok(HandedOver { site, bytes })
    }

    /// Everything that goes to the buyer.
    pub(super) async fn contents(&mut self, site: &Site) -> Result<Contents, SitesError> {
        let (tenant, id) = (site.tenant_id, site.id);
        let repositories = &mut *self.repositories;
        let (mut pages, mut request) = (Vec::new(), PageRequest { page: 1, limit: PageRequest::MAX_LIMIT });
        loop {
            let piece = repositories.pages().list(tenant, id, PageFilter::default(), request).await?;
            pages.extend(piece.items);
            if pages.len() as u64 >= piece.total {
                break;
            }
            request.page += 1;
        }
        let (mut domains, mut request) = (Vec::new(), PageRequest { page: 1, limit: PageRequest::MAX_LIMIT });
        loop {
            let piece = repositories.domains().list(tenant, id, request).await?;
            domains.extend(piece.items);
            if domains.len() as u64 >= piece.total {
                break;
            }
            request.page += 1;
        }
        let ids: Vec<PageId> = pages.iter().map(|page| page.id).collect();
        let sections = repositories.sections().of_pages(tenant, &ids).await?;
        let seo = repositories.seo().of_pages(tenant, &ids).await?;
        let items = repositories.navigation().list(tenant, id, false).await?;
        let mut origins = Vec::new();
        for page in pages.iter().filter(|page| page.template_id.is_some()) {
            origins.extend(repositories.templates().origins(tenant, page.id).await?);
        }
        let live = match site.live_deployment_id {
            Some(live) => repositories.deployments().find(tenant, id, live).await?,
            None => None,
        };
        let shown = pictures(&sections, &seo);
        let assets = repositories.assets().find_many(tenant, &shown).await?;
        Ok(Contents { pages, sections, origins, seo, items, domains, live, assets })
    }

    /// Stores everything for another tenant.
    pub(super) async fn store(
        &mut self,
        contents: Contents,
        buyer: TenantId,
        now: Timestamp,
    ) -> Result<(), SitesError> {
        let Contents { mut pages, mut sections, mut origins, mut seo, mut items, domains, live, mut assets } =
            contents;
        // Publishing later was planned by the seller, and is a job of theirs.
        pages.iter_mut().for_each(|page| (page.tenant, page.publish_at) = (buyer, None));
        sections.iter_mut().for_each(|section| section.tenant = buyer);
        origins.iter_mut().for_each(|origin| origin.tenant = buyer);
        seo.iter_mut().for_each(|seo| seo.tenant = buyer);
        items.iter_mut().for_each(|item| item.tenant = buyer);
        assets.iter_mut().for_each(|asset| asset.tenant = buyer);
        let repositories = &mut *self.repositories;
        if !pages.is_empty() {
            repositories.pages().insert_all(&pages).await?;
        }
        if !sections.is_empty() {
            repositories.sections().insert(&sections).await?;
        }
        if !origins.is_empty() {
            repositories.templates().track(&origins).await?;
        }
        if !seo.is_empty() {
            repositories.seo().insert(&seo).await?;
        }
        if !items.is_empty() {
            repositories.navigation().insert_all(&items).await?;
        }
        if !assets.is_empty() {
            repositories.assets().insert(&assets).await?;
        }
        if let Some(live) = live {
            repositories.deployments().insert(&Deployment { tenant: buyer, ..live }).await?;
        }
        // At the buyer they are new, and have a first version of their own.
        for page in &pages {
            let event = Event::new(self.env, self.scope, &events::PAGE_CREATED, page.id.uuid());
            self.repositories.events().append(event.in_tenant(buyer).after(page)).await?;
        }
        for domain in domains {
            let domain = Domain { tenant: buyer, round: domain.round + 1, ..domain };
            self.repositories.domains().insert(&domain).await?;
            self.keep_checking(&domain, now).await?;
        }
        Ok(())
    }

    /// The checks of a domain are jobs of its tenant.
    async fn keep_checking(&mut self, domain: &Domain, now: Timestamp) -> Result<(), SitesError> {
        let Some(pause) = next_check(domain, now) else { return Ok(()) };
        let domain_id: DomainId = domain.id;
        let job = CheckDomain { site_id: domain.site_id, domain_id, round: domain.round };
        let job = NewJob::new(self.env, self.scope, domain.tenant, &job).at(now + pause);
        Ok(self.repositories.jobs().enqueue(job).await?)
    }
}

/// The look with what it took from a branding until now.
fn independent(look: Option<Look>, (colors, fonts): (Colors, Fonts)) -> Look {
    let look = look.unwrap_or_default();
    Look { style: look.style, colors: look.colors.or(Some(colors)), fonts: look.fonts.or(Some(fonts)) }
}

/// The pictures that pages refer to, each once.
pub(super) fn pictures(sections: &[Section], seo: &[Seo]) -> Vec<AssetId> {
    let contents = sections.iter().filter_map(|section| {
        // It was checked when it was stored.
        SectionContent::read(section.kind, section.content.clone(), "content").ok()
    });
    let shown = contents.flat_map(|content| pictures_in(&content)).map(|(_, id)| id);
    let linked = seo.iter().filter_map(|seo| seo.open_graph.image_asset_id);
    shown.chain(linked).collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
pub(super) mod tests;
