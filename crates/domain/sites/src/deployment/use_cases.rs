//! Use cases of deployments for customers.

use portico_kernel::{
    DeploymentId, Env, Event, EventDeclaration, JobType, List, NewJob, PageRequest, Permission, Scope,
    SiteId, StoreError, TenantId,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Deployment, DeploymentStatus};
use crate::{
    SitesError, events,
    page::PageStatus,
    ports::{PageFilter, SiteRepositories},
    section::ContentReview,
    site::{self, Site, SiteStatus},
};

/// The job that builds a deployment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDeployment {
    /// The site.
    pub site_id: SiteId,
    /// The deployment.
    pub deployment_id: DeploymentId,
}

impl JobType for BuildDeployment {
    const KIND: &'static str = "deployment.build";
    const MAX_ATTEMPTS: u32 = 5;
}

/// The use cases of deployments, inside one unit of work. Those of the worker are `begin`, `progress`, `finish` and `fail`.
pub struct Deployments<'a> {
    pub(super) repositories: &'a mut dyn SiteRepositories,
    pub(super) scope: &'a Scope,
    pub(super) env: &'a Env,
}

impl<'a> Deployments<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Requests a deployment of the site's published pages; a job builds it. `confirm`: the caller confirms all sample content
    /// that it will show, from now on.
    ///
    /// # Errors
    /// `Denied`, also while the caller's address is not verified; `NotFound`; `SiteSuspended`; `OverLimit`; `NothingToDeploy`;
    /// `SampleContent` without `confirm`; `DeploymentInProgress`.
    pub async fn request(&mut self, site: SiteId, confirm: bool) -> Result<Deployment, SitesError> {
        let tenant = self.scope.require(Permission::SitesDeploy)?;
        self.scope.require_verified()?;
        // The lock is against an offer at the same moment: what is for sale stays as it was shown.
        let found = site::lock(self.repositories, tenant, site).await?;
        self.deployable(&found)?;
        let filter = PageFilter { status: Some(PageStatus::Published), ..PageFilter::default() };
        let one = PageRequest { page: 1, limit: 1 };
        if self.repositories.pages().list(tenant, site, filter, one).await?.total == 0 {
            return Err(SitesError::NothingToDeploy);
        }
        self.check_samples(&found, confirm).await?;
        let now = self.env.now();
        let deployment = Deployment {
            id: self.env.new_id(),
            tenant,
            site_id: site,
            status: DeploymentStatus::Queued,
            progress: 0,
            error: None,
            created_at: now,
            started_at: None,
            finished_at: None,
            cleaned_at: None,
        };
        self.repositories.deployments().insert(&deployment).await.map_err(|error| match error {
            StoreError::Conflict(_) => SitesError::DeploymentInProgress,
            StoreError::MissingReference(_) => SitesError::NotFound("site"),
            error => SitesError::Store(error),
        })?;
        self.append(self.event(&events::DEPLOYMENT_CREATED, deployment.id).after(&deployment)).await?;
        let job = BuildDeployment { site_id: site, deployment_id: deployment.id };
        let job = NewJob::new(self.env, self.scope, tenant, &job);
        self.repositories.jobs().enqueue(job).await?;
        Ok(deployment)
    }

    /// Refuses sections with content that nobody wrote or confirmed, or confirms them.
    async fn check_samples(&mut self, site: &Site, confirm: bool) -> Result<(), SitesError> {
        let samples = self.repositories.sections().samples(site.tenant_id, site.id).await?;
        if samples.is_empty() {
            return Ok(());
        }
        if !confirm {
            return Err(SitesError::SampleContent(serde_json::json!(samples)));
        }
        // To confirm a text is to write it.
        self.scope.require(Permission::PagesWrite)?;
        self.repositories.sections().confirm(site.tenant_id, site.id, self.env.now()).await?;
        let event = Event::new(self.env, self.scope, &events::SITE_CONTENT_CONFIRMED, site.id.uuid());
        self.append(event.after(&json!({"sampleContent": samples}))).await
    }

    /// The sections that keep the site from being deployed, until they are edited, confirmed or deleted, and the fields with
    /// pictures of our library.
    ///
    /// # Errors
    /// `Denied`.
    pub async fn review(&mut self, site: SiteId) -> Result<ContentReview, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        Ok(self.repositories.sections().review(tenant, site).await?)
    }

    /// The site's latest deployment; `None` when it was never deployed.
    ///
    /// # Errors
    /// `NotFound` (site).
    pub async fn latest(&mut self, site: SiteId) -> Result<Option<Deployment>, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        let latest = self.repositories.deployments().latest(tenant, site).await?;
        if latest.is_none() {
            site::find(self.repositories, tenant, site).await?;
        }
        Ok(latest)
    }

    /// The deployment.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, site: SiteId, id: DeploymentId) -> Result<Deployment, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        self.find(tenant, site, id).await?.ok_or(SitesError::NotFound("deployment"))
    }

    /// The site's deployments, newest first.
    ///
    /// # Errors
    /// `NotFound` (site).
    pub async fn list(&mut self, site: SiteId, page: PageRequest) -> Result<List<Deployment>, SitesError> {
        let tenant = self.scope.require(Permission::SitesRead)?;
        let list = self.repositories.deployments().list(tenant, site, page).await?;
        if list.total == 0 {
            site::find(self.repositories, tenant, site).await?;
        }
        Ok(list)
    }

    /// Switches the site over to an earlier deployment. Switching to the one that is live changes nothing.
    ///
    /// # Errors
    /// `Denied`, also while the caller's address is not verified; `NotFound`; `NotDeployed`; `DeploymentCleaned`;
    /// `SiteSuspended`; `OverLimit`.
    pub async fn rollback(&mut self, site: SiteId, id: DeploymentId) -> Result<Site, SitesError> {
        let tenant = self.scope.require(Permission::SitesDeploy)?;
        self.scope.require_verified()?;
        // The lock is against `retire`: what is kept now is still there when the site points to it.
        let before = site::lock(self.repositories, tenant, site).await?;
        self.deployable(&before)?;
        let deployment = self.find(tenant, site, id).await?.ok_or(SitesError::NotFound("deployment"))?;
        if deployment.status != DeploymentStatus::Live {
            return Err(SitesError::NotDeployed);
        }
        if deployment.cleaned_at.is_some() {
            return Err(SitesError::DeploymentCleaned);
        }
        if before.live_deployment_id == Some(id) {
            return Ok(before);
        }
        let mut after = Site { live_deployment_id: Some(id), updated_at: self.env.now(), ..before.clone() };
        self.repositories.sites().update(&after).await?;
        after.version += 1;
        let event = Event::new(self.env, self.scope, &events::SITE_ROLLED_BACK, site.uuid());
        self.append(event.before(&before).after(&after)).await?;
        Ok(after)
    }

    /// Checks that the site is not suspended, and that the caller may decide what it shows.
    fn deployable(&self, site: &Site) -> Result<(), SitesError> {
        site::editable(self.scope, site)?;
        if site.status == SiteStatus::Suspended { Err(SitesError::SiteSuspended) } else { Ok(()) }
    }

    pub(super) async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DeploymentId,
    ) -> Result<Option<Deployment>, SitesError> {
        Ok(self.repositories.deployments().find(tenant, site, id).await?)
    }

    pub(super) fn event(&self, kind: &'static EventDeclaration, id: DeploymentId) -> Event {
        Event::new(self.env, self.scope, kind, id.uuid())
    }

    pub(super) async fn append(&mut self, event: Event) -> Result<(), SitesError> {
        Ok(self.repositories.events().append(event).await?)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
