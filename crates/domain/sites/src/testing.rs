//! Repositories in memory, for the tests of the use cases. They keep the promises of the ports that the use cases rely on.

mod assets;
mod domains;
mod entitlements;
mod pages;
mod seo;
mod submissions;
mod templates;
mod versions;
mod visits;
mod wizards;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use portico_kernel::{
    Actor, Clock, DeploymentId, Entitlements, Env, Event, EventLog, JobQueue, List, NavItemId, NewJob,
    Outbox, PageId, PageRequest, Permissions, PlatformRole, Random, RequestInfo, Scope, SiteId, StoreError,
    TenantId, TenantRole, Timestamp,
};

use crate::{
    deployment::{Deployment, DeploymentStatus},
    navigation::NavItem,
    page::Page,
    ports::*,
    section::Section,
    seo::Seo,
    site::{Frozen, Site, SiteStatus},
};

/// Everything that was stored, in the order in which it was.
#[derive(Default)]
pub(crate) struct Store {
    pub sites: Vec<Site>,
    pub pages: Vec<Page>,
    pub sections: Vec<Section>,
    pub items: Vec<NavItem>,
    pub deployments: Vec<Deployment>,
    pub seo: Vec<Seo>,
    pub templates: templates::State,
    pub wizards: wizards::State,
    pub assets: assets::State,
    pub versions: versions::State,
    pub domains: domains::State,
    pub visits: visits::State,
    pub submissions: submissions::State,
    pub entitlements: entitlements::State,
    pub events: Vec<Event>,
    pub jobs: Vec<NewJob>,
    /// How many calls of repositories there were.
    pub calls: usize,
}

impl Store {
    /// The kinds of the events so far; they are taken out.
    pub fn take_events(&mut self) -> Vec<String> {
        self.events.drain(..).map(|event| event.kind.to_string()).collect()
    }
}

struct View<'c>(&'c mut Store);

impl Outbox for Store {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(View(self))
    }
}

impl SiteRepositories for Store {
    fn sites<'c>(&'c mut self) -> Box<dyn SiteRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn pages<'c>(&'c mut self) -> Box<dyn PageRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn sections<'c>(&'c mut self) -> Box<dyn SectionRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn navigation<'c>(&'c mut self) -> Box<dyn NavigationRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn deployments<'c>(&'c mut self) -> Box<dyn DeploymentRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn templates<'c>(&'c mut self) -> Box<dyn TemplateRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn wizards<'c>(&'c mut self) -> Box<dyn WizardRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn assets<'c>(&'c mut self) -> Box<dyn AssetRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn seo<'c>(&'c mut self) -> Box<dyn SeoRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn versions<'c>(&'c mut self) -> Box<dyn PageVersionRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn domains<'c>(&'c mut self) -> Box<dyn DomainRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn visits<'c>(&'c mut self) -> Box<dyn VisitRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn submissions<'c>(&'c mut self) -> Box<dyn SubmissionRepository + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
    fn entitlements<'c>(&'c mut self) -> Box<dyn Entitlements + 'c> {
        self.calls += 1;
        Box::new(View(self))
    }
}

#[async_trait]
impl EventLog for View<'_> {
    async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        self.0.events.push(event);
        Ok(())
    }
}

#[async_trait]
impl JobQueue for View<'_> {
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        self.0.jobs.push(job);
        Ok(())
    }
}

fn conflict<T>(name: &str) -> Result<T, StoreError> {
    Err(StoreError::Conflict(name.to_owned()))
}

fn missing<T>(name: &str) -> Result<T, StoreError> {
    Err(StoreError::MissingReference(name.to_owned()))
}

fn page_of<T>(items: Vec<T>, request: PageRequest) -> List<T> {
    let total = items.len() as u64;
    let shown = items.into_iter().skip(request.offset() as usize).take(request.limit as usize);
    List::new(shown.collect(), request, total)
}

/// Replaces the stored row, given that it has the version that the new one was made from.
fn replace<T: Clone>(
    stored: &mut [T],
    is_it: impl Fn(&T) -> bool,
    version: impl Fn(&mut T) -> &mut i64,
    new: &T,
) -> Result<(), StoreError> {
    let mut new = new.clone();
    let place = stored.iter_mut().find(|other| is_it(other)).ok_or(StoreError::Stale)?;
    if *version(place) != *version(&mut new) {
        return Err(StoreError::Stale);
    }
    *version(&mut new) += 1;
    *place = new;
    Ok(())
}

/// The tenant's sites that are read-only though they are among the `keep` oldest, or the other way round.
fn marked_wrongly(sites: &mut [Site], tenant: TenantId, keep: Option<u64>) -> Vec<&mut Site> {
    let mut mine: Vec<&mut Site> = sites.iter_mut().filter(|site| site.tenant_id == tenant).collect();
    mine.sort_by_key(|site| (site.created_at, site.id));
    let is_over = |place: usize| keep.is_some_and(|keep| place as u64 >= keep);
    let wrong = mine.into_iter().enumerate().filter(|(place, site)| site.over_limit != is_over(*place));
    wrong.map(|(_, site)| site).collect()
}

#[async_trait]
impl SiteRepository for View<'_> {
    async fn insert(&mut self, site: &Site) -> Result<(), StoreError> {
        if self.0.sites.iter().any(|other| other.subdomain == site.subdomain) {
            return conflict("subdomains");
        }
        self.0.sites.push(site.clone());
        Ok(())
    }
    async fn subdomain_is_free<'s>(&mut self, _: TenantId, subdomain: &'s str) -> Result<bool, StoreError> {
        Ok(self.0.sites.iter().all(|site| site.subdomain != subdomain))
    }
    async fn find(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError> {
        Ok(self.0.sites.iter().find(|site| site.tenant_id == tenant && site.id == id).cloned())
    }
    async fn lock(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError> {
        SiteRepository::find(self, tenant, id).await
    }
    async fn lock_for_deletion(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError> {
        SiteRepository::find(self, tenant, id).await
    }
    async fn frozen_among(
        &mut self,
        tenant: TenantId,
        sites: &[SiteId],
        pages: &[PageId],
    ) -> Result<Option<Frozen>, StoreError> {
        let of_pages = self.0.pages.iter().filter(|page| page.tenant == tenant && pages.contains(&page.id));
        let all: Vec<SiteId> = sites.iter().copied().chain(of_pages.map(|page| page.site_id)).collect();
        let mut sites = self.0.sites.iter().filter(|site| site.tenant_id == tenant && all.contains(&site.id));
        Ok(sites.find_map(Site::frozen))
    }
    async fn over_limit_differs(&mut self, tenant: TenantId, keep: Option<u64>) -> Result<bool, StoreError> {
        Ok(!marked_wrongly(&mut self.0.sites, tenant, keep).is_empty())
    }
    async fn set_over_limit(&mut self, tenant: TenantId, keep: Option<u64>) -> Result<Vec<Site>, StoreError> {
        let change = |site: &mut Site| {
            site.over_limit = !site.over_limit;
            site.version += 1;
            site.clone()
        };
        Ok(marked_wrongly(&mut self.0.sites, tenant, keep).into_iter().map(change).collect())
    }
    async fn primary(&mut self, tenant: TenantId) -> Result<Option<SiteId>, StoreError> {
        Ok(self.0.sites.iter().find(|site| site.tenant_id == tenant).map(|site| site.id))
    }
    async fn list(
        &mut self,
        tenant: TenantId,
        filter: SiteFilter,
        page: PageRequest,
    ) -> Result<List<Site>, StoreError> {
        let mine = self.0.sites.iter().filter(|site| site.tenant_id == tenant);
        let found = mine.filter(|site| filter.status.is_none_or(|status| site.status == status));
        Ok(page_of(found.cloned().collect(), page))
    }
    async fn update(&mut self, site: &Site) -> Result<(), StoreError> {
        if self.0.sites.iter().any(|other| other.id != site.id && other.subdomain == site.subdomain) {
            return conflict("subdomains");
        }
        replace(&mut self.0.sites, |other| other.id == site.id, |site| &mut site.version, site)
    }
    async fn delete(&mut self, tenant: TenantId, id: SiteId) -> Result<bool, StoreError> {
        let before = self.0.sites.len();
        self.0.sites.retain(|site| (site.tenant_id, site.id) != (tenant, id));
        let pages = self.0.pages.iter().filter(|page| (page.tenant, page.site_id) == (tenant, id));
        let pages: Vec<PageId> = pages.map(|page| page.id).collect();
        self.0.pages.retain(|page| (page.tenant, page.site_id) != (tenant, id));
        self.0.sections.retain(|section| section.tenant != tenant || !pages.contains(&section.page_id));
        self.0.seo.retain(|seo| seo.tenant != tenant || !pages.contains(&seo.page_id));
        self.0.items.retain(|item| (item.tenant, item.site_id) != (tenant, id));
        self.0.deployments.retain(|deployment| (deployment.tenant, deployment.site_id) != (tenant, id));
        Ok(self.0.sites.len() < before)
    }
    async fn on_offer(&mut self, q: Option<String>, page: PageRequest) -> Result<List<Site>, StoreError> {
        let named = |site: &&Site| q.as_ref().is_none_or(|part| site.name.contains(part.as_str()));
        let offered = self.0.sites.iter().rev().filter(|site| site.status == SiteStatus::ForSale);
        Ok(page_of(offered.filter(named).cloned().collect(), page))
    }
    async fn on_offer_at(&mut self, subdomain: &str) -> Result<Option<Site>, StoreError> {
        let mut offered = self.0.sites.iter().filter(|site| site.status == SiteStatus::ForSale);
        Ok(offered.find(|site| site.subdomain == subdomain).cloned())
    }
}

#[async_trait]
impl NavigationRepository for View<'_> {
    async fn insert(&mut self, item: &NavItem) -> Result<(), StoreError> {
        self.0.items.push(item.clone());
        Ok(())
    }
    async fn insert_all(&mut self, items: &[NavItem]) -> Result<(), StoreError> {
        self.0.items.extend_from_slice(items);
        Ok(())
    }
    async fn find(&mut self, tenant: TenantId, id: NavItemId) -> Result<Option<NavItem>, StoreError> {
        Ok(self.0.items.iter().find(|item| item.tenant == tenant && item.id == id).cloned())
    }
    async fn list(&mut self, tenant: TenantId, site: SiteId, _: bool) -> Result<Vec<NavItem>, StoreError> {
        let mine = self.0.items.iter().filter(|item| item.tenant == tenant && item.site_id == site);
        let mut items: Vec<NavItem> = mine.cloned().collect();
        items.sort_by_key(|item| (item.parent_id, item.position));
        Ok(items)
    }
    async fn update(&mut self, item: &NavItem) -> Result<(), StoreError> {
        replace(&mut self.0.items, |other| other.id == item.id, |item| &mut item.version, item)
    }
    async fn delete(&mut self, _: TenantId, id: NavItemId) -> Result<bool, StoreError> {
        let mut gone = vec![id];
        while let Some(item) = self.0.items.iter().find(|item| {
            item.parent_id.is_some_and(|parent| gone.contains(&parent)) && !gone.contains(&item.id)
        }) {
            gone.push(item.id);
        }
        let before = self.0.items.len();
        self.0.items.retain(|item| !gone.contains(&item.id));
        Ok(self.0.items.len() < before)
    }
}

#[async_trait]
impl DeploymentRepository for View<'_> {
    async fn insert(&mut self, deployment: &Deployment) -> Result<(), StoreError> {
        let busy = |other: &Deployment| {
            other.site_id == deployment.site_id
                && matches!(other.status, DeploymentStatus::Queued | DeploymentStatus::Building)
        };
        if self.0.deployments.iter().any(busy) {
            return conflict("deployments_busy");
        }
        self.0.deployments.push(deployment.clone());
        Ok(())
    }
    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DeploymentId,
    ) -> Result<Option<Deployment>, StoreError> {
        let mut mine = self.0.deployments.iter().filter(|deployment| deployment.tenant == tenant);
        Ok(mine.find(|deployment| deployment.site_id == site && deployment.id == id).cloned())
    }
    async fn latest(&mut self, tenant: TenantId, site: SiteId) -> Result<Option<Deployment>, StoreError> {
        let mut mine = self.0.deployments.iter().rev().filter(|deployment| deployment.tenant == tenant);
        Ok(mine.find(|deployment| deployment.site_id == site).cloned())
    }
    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageRequest,
    ) -> Result<List<Deployment>, StoreError> {
        let mine = self.0.deployments.iter().rev().filter(|d| d.tenant == tenant && d.site_id == site);
        Ok(page_of(mine.cloned().collect(), page))
    }
    async fn live(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Deployment>, StoreError> {
        let mine = self.0.deployments.iter().rev().filter(|d| d.tenant == tenant && d.site_id == site);
        let kept = mine.filter(|d| d.status == DeploymentStatus::Live && d.cleaned_at.is_none());
        Ok(kept.cloned().collect())
    }
    async fn update(&mut self, deployment: &Deployment) -> Result<(), StoreError> {
        let stored = self.0.deployments.iter_mut().find(|other| other.id == deployment.id);
        *stored.ok_or(StoreError::Stale)? = deployment.clone();
        Ok(())
    }
}

/// A clock that advances by a second whenever it is read, and bytes that count.
struct Counter(AtomicU64);

impl Clock for Counter {
    fn now(&self) -> Timestamp {
        let seconds = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_unix_seconds(1_800_000_000 + seconds as i64).unwrap()
    }
}

impl Random for Counter {
    fn fill(&self, buffer: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        let last = buffer.len();
        for (offset, byte) in buffer.iter_mut().enumerate() {
            *byte = if last - offset <= 8 { number[8 - (last - offset)] } else { 0 };
        }
    }
}

/// Time and randomness that repeat.
pub(crate) fn env() -> Env {
    Env::new(Arc::new(Counter(AtomicU64::new(0))), Arc::new(Counter(AtomicU64::new(0))))
}

/// A tenant of this number.
pub(crate) fn tenant(number: u8) -> TenantId {
    format!("00000000-0000-7000-8000-0000000000{number:02x}").parse().unwrap()
}

/// A verified member of tenant 1 with this role.
pub(crate) fn member(role: TenantRole) -> Scope {
    user(Some(tenant(1)), role.permissions(), true)
}

/// A caller with these permissions.
pub(crate) fn user(tenant: Option<TenantId>, permissions: Permissions, email_verified: bool) -> Scope {
    let env = env();
    let actor = Actor::User {
        id: env.new_id(),
        session: env.new_id(),
        email_verified,
        role: PlatformRole::Customer,
        impersonator: None,
    };
    let request = RequestInfo { id: "request-1".to_owned(), ..RequestInfo::default() };
    Scope::user(actor, tenant, permissions, request)
}
