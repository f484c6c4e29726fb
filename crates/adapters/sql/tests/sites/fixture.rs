//! Tenants, sites and pages to test with.

use portico_kernel::name::{Slug, Subdomain};
use std::sync::atomic::{AtomicI64, Ordering};

use portico_kernel::{StoreError, TenantId, Timestamp};
use portico_sites::{
    deployment::{Deployment, DeploymentStatus},
    navigation::NavItem,
    page::{Page, PageStatus},
    ports::SiteRepositories,
    section::{Section, SectionType},
    site::{Site, SiteStatus},
};
use portico_sql::SqlUnitOfWork;
use portico_tenancy::{
    ports::TenancyRepositories,
    tenant::{Tenant, TenantStatus},
};
use portico_testkit::{TestDatabase, TestEnv, env};
use serde_json::json;
use time::Duration;

/// A database and what a test makes in it.
pub struct Fixture<'d> {
    pub database: &'d TestDatabase,
    env: TestEnv,
    made: AtomicI64,
}

impl<'d> Fixture<'d> {
    pub fn new(database: &'d TestDatabase) -> Self {
        Self { database, env: env(), made: AtomicI64::new(0) }
    }

    /// A later time at each call.
    pub fn now(&self) -> Timestamp {
        self.env.now() + Duration::seconds(self.made.fetch_add(1, Ordering::SeqCst))
    }

    pub async fn begin(&self) -> SqlUnitOfWork {
        self.database.store().begin().await.expect("a unit of work begins")
    }

    /// Runs `work` in a unit of work of its own, and commits it if it succeeds.
    pub async fn write<T>(
        &self,
        work: impl AsyncFnOnce(&mut SqlUnitOfWork) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut unit = self.begin().await;
        let result = work(&mut unit).await?;
        unit.commit().await?;
        Ok(result)
    }

    /// A tenant that is stored.
    pub async fn tenant(&self, subdomain: &str) -> TenantId {
        let now = self.now();
        let tenant = Tenant {
            id: self.env.new_id(),
            name: subdomain.to_owned(),
            subdomain: Subdomain::trusted(subdomain.to_owned()),
            status: TenantStatus::Active,
            plan: "free".to_owned(),
            delete_at: None,
            suspension_reason: None,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        self.write(async |unit| unit.tenants().insert(&tenant).await).await.expect("the tenant is stored");
        tenant.id
    }

    /// A site that is not stored yet.
    pub fn new_site(&self, tenant: TenantId, subdomain: &str) -> Site {
        let now = self.now();
        Site {
            id: self.env.new_id(),
            tenant_id: tenant,
            name: subdomain.to_owned(),
            subdomain: Subdomain::trusted(subdomain.to_owned()),
            custom_domain: None,
            status: SiteStatus::Draft,
            live_deployment_id: None,
            language: "en".to_owned(),
            industry: None,
            look: None,
            price: None,
            over_limit: false,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// A site that is stored.
    pub async fn site(&self, tenant: TenantId, subdomain: &str) -> Site {
        let site = self.new_site(tenant, subdomain);
        self.insert_site(&site).await.expect("the site is stored");
        site
    }

    pub async fn insert_site(&self, site: &Site) -> Result<(), StoreError> {
        self.write(async |unit| unit.sites().insert(site).await).await
    }

    /// A published page that is not stored yet.
    pub fn new_page(&self, site: &Site, slug: &str) -> Page {
        let now = self.now();
        Page {
            id: self.env.new_id(),
            tenant: site.tenant_id,
            site_id: site.id,
            title: slug.to_owned(),
            slug: Slug::trusted(slug.to_owned()),
            status: PageStatus::Published,
            is_home: false,
            template_id: Some(self.env.new_id()),
            language: None,
            translation_of: None,
            publish_at: None,
            published_at: Some(now),
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    /// A published page that is stored.
    pub async fn page(&self, site: &Site, slug: &str) -> Page {
        let page = self.new_page(site, slug);
        self.insert_page(&page).await.expect("the page is stored");
        page
    }

    pub async fn insert_page(&self, page: &Page) -> Result<(), StoreError> {
        self.write(async |unit| unit.pages().insert(page).await).await
    }

    /// A section that is not stored yet.
    pub fn new_section(&self, page: &Page, position: i32) -> Section {
        let now = self.now();
        Section {
            id: self.env.new_id(),
            tenant: page.tenant,
            page_id: page.id,
            kind: SectionType::Hero,
            content: json!({"title": "Óptica \"Luz\"", "items": [1, 2.5, null, true, {"deep": []}]}),
            position,
            visible: true,
            provenance: portico_sites::section::Provenance::Own,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    pub async fn insert_sections(&self, sections: &[Section]) -> Result<(), StoreError> {
        self.write(async |unit| unit.sections().insert(sections).await).await
    }

    /// A navigation item that is not stored yet.
    pub fn new_item(&self, site: &Site, label: &str, position: i32) -> NavItem {
        let now = self.now();
        NavItem {
            id: self.env.new_id(),
            tenant: site.tenant_id,
            site_id: site.id,
            label: label.to_owned(),
            page_id: None,
            url: Some("https://example.com/".to_owned()),
            parent_id: None,
            position,
            opens_new_tab: true,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    pub async fn insert_item(&self, item: &NavItem) -> Result<(), StoreError> {
        self.write(async |unit| unit.navigation().insert(item).await).await
    }

    /// A queued deployment that is not stored yet.
    pub fn new_deployment(&self, site: &Site) -> Deployment {
        Deployment {
            id: self.env.new_id(),
            tenant: site.tenant_id,
            site_id: site.id,
            status: DeploymentStatus::Queued,
            progress: 0,
            error: None,
            created_at: self.now(),
            started_at: None,
            finished_at: None,
            cleaned_at: None,
        }
    }

    pub async fn insert_deployment(&self, deployment: &Deployment) -> Result<(), StoreError> {
        self.write(async |unit| unit.deployments().insert(deployment).await).await
    }
}

/// That a result is `Conflict`.
#[track_caller]
pub fn assert_conflict<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Conflict(_))), "expected a conflict, got {result:?}");
}

/// That a result is `MissingReference`.
#[track_caller]
pub fn assert_missing<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(
        matches!(result, Err(StoreError::MissingReference(_))),
        "expected a missing reference, got {result:?}"
    );
}

/// That a result is `Stale`.
#[track_caller]
pub fn assert_stale<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Stale)), "expected a stale version, got {result:?}");
}

/// Runs `attempts` at the same time, and asserts that exactly one succeeds and the others conflict.
pub async fn assert_one_wins(
    attempts: impl IntoIterator<Item = impl Future<Output = Result<(), StoreError>>>,
) {
    let results = futures_util::future::join_all(attempts).await;
    let winners = results.iter().filter(|result| result.is_ok()).count();
    let conflicts = results.iter().filter(|result| matches!(result, Err(StoreError::Conflict(_)))).count();
    assert_eq!((winners, conflicts), (1, results.len() - 1), "{results:?}");
}

/// Asserts that a second unit of work cannot take a lock before the first one ends, and can afterwards.
///
/// SQLite has one unit of work at a time: there the second one cannot even begin.
pub async fn assert_blocks<'f>(fixture: &'f Fixture<'f>, lock: impl AsyncFn(&mut SqlUnitOfWork)) {
    let mut first = fixture.begin().await;
    lock(&mut first).await;
    let second = async {
        let mut second = fixture.begin().await;
        lock(&mut second).await;
        second.commit().await.expect("the second unit of work commits");
    };
    let mut second = std::pin::pin!(second);
    let early = tokio::time::timeout(std::time::Duration::from_millis(300), second.as_mut()).await;
    assert!(early.is_err(), "the second unit of work did not wait for the lock");
    first.commit().await.expect("the first unit of work commits");
    second.await;
}
