//! Ports of sites.

mod assets;
mod domains;
mod generator;
mod seo;
mod submissions;
mod templates;
mod versions;
mod visits;
mod wizards;

pub use assets::*;
pub use domains::*;
pub use generator::*;
pub use seo::*;
pub use submissions::*;
pub use templates::*;
pub use versions::*;
pub use visits::*;
pub use wizards::*;

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_kernel::{
    AssetId, DeploymentId, Entitlements, List, NavItemId, Outbox, PageId, PageRequest, SectionId, SiteId,
    StoreError, TenantId, Timestamp,
};

use crate::{
    deployment::Deployment,
    look::Style,
    navigation::NavItem,
    page::{Page, PageStatus},
    section::{ContentReview, SamplePlace, Section},
    seo::Seo,
    site::{Frozen, Site, SiteStatus},
};

/// By what a list of sites or pages is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// Time of creation.
    #[default]
    CreatedAt,
    /// Time of the last change.
    UpdatedAt,
    /// Name or title.
    Name,
}

/// Order of a list. The default is newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// The key.
    pub key: SortKey,
    /// Largest first.
    pub descending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self { key: SortKey::CreatedAt, descending: true }
    }
}

/// Which sites to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteFilter {
    /// Part of the name or subdomain, ignoring case.
    pub q: Option<String>,
    /// Status.
    pub status: Option<SiteStatus>,
    /// Order.
    pub sort: Sort,
}

/// Which pages to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageFilter {
    /// Part of the title or slug, ignoring case.
    pub q: Option<String>,
    /// Whether it is part of the next deployment.
    pub status: Option<PageStatus>,
    /// Order.
    pub sort: Sort,
}

/// What is served at a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSite {
    /// The tenant.
    pub tenant: TenantId,
    /// The site.
    pub site: SiteId,
    /// The deployment.
    pub deployment: DeploymentId,
}

/// Sites.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SiteRepository: Send {
    /// Stores a new site and claims its subdomain. MUST answer `Conflict` when another site, or another tenant, has the
    /// subdomain, also under concurrency; where another tenant has it, the unit of work MUST stay usable. A site may take the
    /// subdomain that its own tenant holds.
    async fn insert(&mut self, site: &Site) -> Result<(), StoreError>;

    /// Whether a new site of the tenant could have the subdomain now: no site uses it, and no other tenant holds it.
    /// Somebody else may still be quicker; [`SiteRepository::insert`] decides.
    async fn subdomain_is_free<'s>(
        &mut self,
        tenant: TenantId,
        subdomain: &'s str,
    ) -> Result<bool, StoreError>;

    /// The site.
    async fn find(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError>;

    /// The site, locked: other units of work that lock it wait until this one ends.
    async fn lock(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError>;

    /// The same for a site that is to be deleted: whoever adds something to it waits, too.
    async fn lock_for_deletion(&mut self, tenant: TenantId, id: SiteId) -> Result<Option<Site>, StoreError>;

    /// Why only staff change one of these sites, or of the sites of these pages, as [`Site::frozen`] has it; `None` when members may
    /// change all of them. MUST see what the unit of work has changed, and take one statement: every change of a page asks.
    async fn frozen_among(
        &mut self,
        tenant: TenantId,
        sites: &[SiteId],
        pages: &[PageId],
    ) -> Result<Option<Frozen>, StoreError>;

    /// Whether [`SiteRepository::set_over_limit`] would change a site.
    async fn over_limit_differs(&mut self, tenant: TenantId, keep: Option<u64>) -> Result<bool, StoreError>;

    /// Makes all sites of the tenant read-only for being over the limit, but for the `keep` oldest, by time and then by id, which it
    /// makes writable; `None` keeps all. Answers those that it has changed, as they are then, with `version + 1`. MUST leave those that
    /// are right as they are, also where two units of work do the same at the same time. Nothing else changes that mark.
    async fn set_over_limit(&mut self, tenant: TenantId, keep: Option<u64>) -> Result<Vec<Site>, StoreError>;

    /// The tenant's oldest site: the one that paths without a site act on.
    async fn primary(&mut self, tenant: TenantId) -> Result<Option<SiteId>, StoreError>;

    /// The tenant's sites.
    async fn list(
        &mut self,
        tenant: TenantId,
        filter: SiteFilter,
        page: PageRequest,
    ) -> Result<List<Site>, StoreError>;

    /// Stores the site with `version + 1`, claiming a changed subdomain like [`SiteRepository::insert`] and giving up the
    /// old one. MUST answer `Stale` when the stored version is not `site.version`.
    async fn update(&mut self, site: &Site) -> Result<(), StoreError>;

    /// Deletes the site with its pages, sections, navigation and deployments, and gives up its subdomain (unless it is
    /// the tenant's own). Answers whether it was there.
    async fn delete(&mut self, tenant: TenantId, id: SiteId) -> Result<bool, StoreError>;

    /// The sites for sale whose tenant is active, newest first; `q` is a part of the name or subdomain.
    async fn on_offer(&mut self, q: Option<String>, page: PageRequest) -> Result<List<Site>, StoreError>;

    /// The site for sale with this subdomain, given that its tenant is active.
    async fn on_offer_at(&mut self, subdomain: &str) -> Result<Option<Site>, StoreError>;
}

/// Pages.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PageRepository: Send {
    /// Stores a new page. MUST answer `Conflict` when the slug is taken in the site, also under concurrency, and
    /// `MissingReference` when the tenant has no such site.
    async fn insert(&mut self, page: &Page) -> Result<(), StoreError>;

    /// The same, perhaps together with what else the transaction writes: the error may come from a later statement about pages, or from
    /// the commit. For when nothing is done after it but events.
    async fn insert_later(&mut self, page: &Page) -> Result<(), StoreError> {
        self.insert(page).await
    }

    /// Stores new pages in one round trip, all or none. MUST answer like [`PageRepository::insert`].
    async fn insert_all(&mut self, pages: &[Page]) -> Result<(), StoreError>;

    /// The page.
    async fn find(&mut self, tenant: TenantId, id: PageId) -> Result<Option<Page>, StoreError>;

    /// The page, locked: other units of work that lock it wait until this one ends.
    async fn lock(&mut self, tenant: TenantId, id: PageId) -> Result<Option<Page>, StoreError>;

    /// Those of the pages that are there, each locked, in one round trip. MUST lock them in the order of their ids.
    async fn lock_all(&mut self, tenant: TenantId, ids: &[PageId]) -> Result<Vec<Page>, StoreError>;

    /// The page at a slug. `site` absent: of the tenant's primary site, in the same round trip.
    async fn by_slug<'s>(
        &mut self,
        tenant: TenantId,
        site: Option<SiteId>,
        slug: &'s str,
    ) -> Result<Option<Page>, StoreError>;

    /// The site's pages.
    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        filter: PageFilter,
        page: PageRequest,
    ) -> Result<List<Page>, StoreError>;

    /// All published pages of the site, home first, then oldest first.
    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Page>, StoreError>;

    /// All pages of the site that are not archived, home first, then oldest first.
    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Page>, StoreError>;

    /// The slugs of the site that are `base` or start with `base-`.
    async fn slugs_like<'s>(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        base: &'s str,
    ) -> Result<Vec<String>, StoreError>;

    /// Stores the page with `version + 1`. MUST answer `Stale` when the stored version is not `page.version`, and
    /// `Conflict` like [`PageRepository::insert`].
    async fn update(&mut self, page: &Page) -> Result<(), StoreError>;

    /// Takes the home mark off every page of the site.
    async fn clear_home(&mut self, tenant: TenantId, site: SiteId) -> Result<(), StoreError>;

    /// Deletes the page with its sections and the navigation items that lead to it. Answers whether it was there.
    async fn delete(&mut self, tenant: TenantId, id: PageId) -> Result<bool, StoreError>;
}

/// Sections.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SectionRepository: Send {
    /// Stores new sections. MUST answer `MissingReference` when the tenant has no such page.
    async fn insert(&mut self, sections: &[Section]) -> Result<(), StoreError>;

    /// The section.
    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: SectionId,
    ) -> Result<Option<Section>, StoreError>;

    /// The page's sections by position.
    async fn list(&mut self, tenant: TenantId, page: PageId) -> Result<Vec<Section>, StoreError>;

    /// The sections of these pages, by page and position, in one round trip.
    async fn of_pages(&mut self, tenant: TenantId, pages: &[PageId]) -> Result<Vec<Section>, StoreError>;

    /// The visible sections of all published pages of the site, by page and position, in one round trip.
    async fn published(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Section>, StoreError>;

    /// The visible sections of all pages of the site that are not archived, by page and position, in one round trip.
    async fn unarchived(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Section>, StoreError>;

    /// The sections with content that nobody wrote or confirmed, of those that the next deployment shows (visible, on published
    /// pages of the site): home page first, then oldest page first, by position. In one round trip.
    async fn samples(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<SamplePlace>, StoreError>;

    /// Those that [`SectionRepository::samples`] answers, and the fields with pictures of our library, of the same sections and in
    /// the same order. In one round trip.
    async fn review(&mut self, tenant: TenantId, site: SiteId) -> Result<ContentReview, StoreError>;

    /// Makes those that [`SectionRepository::samples`] answers the tenant's own, each with `version + 1` and `updated_at` `at`, in
    /// one round trip. MUST leave all other sections as they are.
    async fn confirm(&mut self, tenant: TenantId, site: SiteId, at: Timestamp) -> Result<(), StoreError>;

    /// Stores the section with `version + 1`. MUST answer `Stale` when the stored version is not `section.version`.
    async fn update(&mut self, section: &Section) -> Result<(), StoreError>;

    /// Deletes sections of the page.
    async fn delete(&mut self, tenant: TenantId, page: PageId, ids: &[SectionId]) -> Result<(), StoreError>;

    /// Gives the sections of the page the positions 0, 1, 2 … in the order of `ids`. Does not change their versions.
    async fn order(&mut self, tenant: TenantId, page: PageId, ids: &[SectionId]) -> Result<(), StoreError>;
}

/// Navigation.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait NavigationRepository: Send {
    /// Stores a new item. MUST answer `MissingReference` when the tenant has no such site, page or parent.
    async fn insert(&mut self, item: &NavItem) -> Result<(), StoreError>;

    /// Stores new items in one round trip, all or none. MUST answer like [`NavigationRepository::insert`].
    async fn insert_all(&mut self, items: &[NavItem]) -> Result<(), StoreError>;

    /// The item.
    async fn find(&mut self, tenant: TenantId, id: NavItemId) -> Result<Option<NavItem>, StoreError>;

    /// All items of the site by parent and position. With `lock`, other units of work that lock the site's navigation
    /// wait until this one ends.
    async fn list(&mut self, tenant: TenantId, site: SiteId, lock: bool) -> Result<Vec<NavItem>, StoreError>;

    /// Stores the item with `version + 1`. MUST answer `Stale` when the stored version is not `item.version`.
    async fn update(&mut self, item: &NavItem) -> Result<(), StoreError>;

    /// Deletes the item and everything under it. Answers whether it was there.
    async fn delete(&mut self, tenant: TenantId, id: NavItemId) -> Result<bool, StoreError>;
}

/// Deployments.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeploymentRepository: Send {
    /// Stores a new deployment. MUST answer `Conflict` when one of the site is queued or building, also under concurrency.
    async fn insert(&mut self, deployment: &Deployment) -> Result<(), StoreError>;

    /// The deployment.
    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DeploymentId,
    ) -> Result<Option<Deployment>, StoreError>;

    /// The site's latest deployment.
    async fn latest(&mut self, tenant: TenantId, site: SiteId) -> Result<Option<Deployment>, StoreError>;

    /// The site's deployments, newest first.
    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        page: PageRequest,
    ) -> Result<List<Deployment>, StoreError>;

    /// The site's deployments that went live and whose files are kept, newest first.
    async fn live(&mut self, tenant: TenantId, site: SiteId) -> Result<Vec<Deployment>, StoreError>;

    /// Stores status, progress, error and times.
    async fn update(&mut self, deployment: &Deployment) -> Result<(), StoreError>;
}

/// The repositories of sites, over one unit of work.
pub trait SiteRepositories: Outbox {
    /// Whether sections or search engine texts may have been written over these repositories. `false` MUST mean that none were; a
    /// page that was made then has none.
    fn may_have_written_content(&self) -> bool {
        true
    }
    /// Sites.
    fn sites<'c>(&'c mut self) -> Box<dyn SiteRepository + 'c>;
    /// Pages.
    fn pages<'c>(&'c mut self) -> Box<dyn PageRepository + 'c>;
    /// Sections.
    fn sections<'c>(&'c mut self) -> Box<dyn SectionRepository + 'c>;
    /// Navigation.
    fn navigation<'c>(&'c mut self) -> Box<dyn NavigationRepository + 'c>;
    /// Deployments.
    fn deployments<'c>(&'c mut self) -> Box<dyn DeploymentRepository + 'c>;
    /// Website templates.
    fn templates<'c>(&'c mut self) -> Box<dyn TemplateRepository + 'c>;
    /// Runs through the wizard.
    fn wizards<'c>(&'c mut self) -> Box<dyn WizardRepository + 'c>;
    /// Files that tenants uploaded.
    fn assets<'c>(&'c mut self) -> Box<dyn AssetRepository + 'c>;
    /// SEO metadata of pages.
    fn seo<'c>(&'c mut self) -> Box<dyn SeoRepository + 'c>;
    /// Versions of pages.
    fn versions<'c>(&'c mut self) -> Box<dyn PageVersionRepository + 'c>;
    /// Domains of customers.
    fn domains<'c>(&'c mut self) -> Box<dyn DomainRepository + 'c>;
    /// Visits of published sites.
    fn visits<'c>(&'c mut self) -> Box<dyn VisitRepository + 'c>;
    /// What visitors sent.
    fn submissions<'c>(&'c mut self) -> Box<dyn SubmissionRepository + 'c>;
    /// What the tenant's plan includes.
    fn entitlements<'c>(&'c mut self) -> Box<dyn Entitlements + 'c>;
}

/// A page and its visible sections.
#[derive(Clone, Debug, PartialEq)]
pub struct PageSnapshot {
    /// The page.
    pub page: Page,
    /// Its visible sections by position.
    pub sections: Vec<Section>,
    /// SEO metadata, where something is set.
    pub seo: Option<Seo>,
}

/// A picture as files of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SitePicture {
    /// Width of the original in pixels.
    pub width: u32,
    /// Height of the original in pixels.
    pub height: u32,
    /// What it shows, for those who do not see it.
    pub alt: Option<String>,
    /// The same picture in several widths, smallest first. Never empty.
    pub sources: Vec<PictureSource>,
}

/// One file of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureSource {
    /// Width in pixels.
    pub width: u32,
    /// Path in the deployment without a leading slash, for instance `assets/0123abcd.webp`.
    pub path: String,
    /// Media type.
    pub content_type: String,
}

/// How a site looks. Made from the tenant's branding and the site's own look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Buttons and links, as `#rrggbb`.
    pub primary: String,
    /// Bands and quiet surfaces.
    pub secondary: String,
    /// Highlights.
    pub accent: String,
    /// Page background.
    pub background: String,
    /// Body text.
    pub text: String,
    /// CSS font stack of headings.
    pub heading_font: String,
    /// CSS font stack of everything else.
    pub body_font: String,
    /// Layout, shapes and sizes.
    pub style: Style,
    /// Logo for the header.
    pub logo: Option<SitePicture>,
    /// Icon for the browser tab.
    pub favicon: Option<SitePicture>,
}

/// Everything that a deployment shows, read at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteSnapshot {
    /// The site.
    pub site: Site,
    /// Where it answers, without a trailing slash.
    pub base_url: String,
    /// Language of the pages, BCP 47.
    pub language: String,
    /// How it looks.
    pub theme: Theme,
    /// Published pages, home first. The first one answers at `/`.
    pub pages: Vec<PageSnapshot>,
    /// Navigation by parent and position; items that lead to pages not published are left out.
    pub navigation: Vec<NavItem>,
    /// The pictures that pages refer to by the id of an asset.
    pub assets: BTreeMap<AssetId, SitePicture>,
}

/// A file of a deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedFile {
    /// Path without a leading slash, for instance `about/index.html`.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Turns a site into files.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait SiteRenderer: Send + Sync {
    /// The files of a site: `index.html`, `{slug}/index.html` for every other page, `404.html`, `sitemap.xml`,
    /// `robots.txt` and whatever those refer to. MUST be a pure function of the snapshot: the same bytes for the same
    /// snapshot. MUST escape everything that is not sanitised HTML.
    fn render(&self, snapshot: &SiteSnapshot) -> Result<Vec<RenderedFile>, RenderError>;
}

/// A template failed; a bug.
#[derive(Debug, thiserror::Error)]
#[error("rendering failed: {0}")]
pub struct RenderError(pub String);
