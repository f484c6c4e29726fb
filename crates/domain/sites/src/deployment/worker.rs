//! The steps of the worker that builds a deployment. Each is a unit of work of its own and may be run again: the worker can
//! die between any two of them.

use portico_kernel::{DeploymentId, Event, Permission, SiteId, TenantId};

use super::{Deployment, DeploymentStatus, Deployments, SnapshotParts};
use crate::{
    SitesError, events, page,
    site::{Site, SiteStatus},
};

impl Deployments<'_> {
    /// Marks the deployment as being built and reads what it is to show, in a few queries.
    ///
    /// `None` when there is nothing to do: it is live already, or it or the site is gone. A deployment that failed is
    /// built again, so that staff can replay its job.
    ///
    /// # Errors
    /// `SiteSuspended`, `NothingToDeploy`, `SampleContent`: trying again does not help. `DeploymentInProgress`: a failed one is to be built
    /// again while another one is under way.
    pub async fn begin(
        &mut self,
        site: SiteId,
        id: DeploymentId,
    ) -> Result<Option<SnapshotParts>, SitesError> {
        let tenant = self.scope.require(Permission::SitesDeploy)?;
        let Some(mut deployment) = self.find(tenant, site, id).await? else { return Ok(None) };
        if deployment.status == DeploymentStatus::Live {
            return Ok(None);
        }
        let Some(site) = self.repositories.sites().find(tenant, site).await? else { return Ok(None) };
        // A deployment of a site for sale was requested by staff.
        if site.status == SiteStatus::Suspended {
            return Err(SitesError::SiteSuspended);
        }
        let before = deployment.clone();
        deployment.status = DeploymentStatus::Building;
        deployment.progress = 0;
        deployment.error = None;
        deployment.started_at = Some(self.env.now());
        deployment.finished_at = None;
        self.store(&deployment).await?;
        self.append(self.event(&events::DEPLOYMENT_STARTED, id).before(&before).after(&deployment)).await?;

        let pages = self.repositories.pages().published(tenant, site.id).await?;
        if pages.is_empty() {
            return Err(SitesError::NothingToDeploy);
        }
        let sections = self.repositories.sections().published(tenant, site.id).await?;
        // A template may have been applied since the request.
        let samples = page::sample_places(&pages, &sections);
        if !samples.is_empty() {
            return Err(SitesError::SampleContent(serde_json::json!(samples)));
        }
        let seo = self.repositories.seo().published(tenant, site.id).await?;
        let navigation = self.repositories.navigation().list(tenant, site.id, false).await?;
        Ok(Some(SnapshotParts::assemble(site, pages, sections, seo, navigation)))
    }

    /// Retires deployments that went live long ago, so that with the one that is being built there are `keep` of them, and
    /// the one that answers now. Answers those whose files have to stay, newest first.
    pub async fn retire(&mut self, site: SiteId, keep: usize) -> Result<Vec<DeploymentId>, SitesError> {
        let tenant = self.scope.require(Permission::SitesDeploy)?;
        let Some(site) = self.repositories.sites().lock(tenant, site).await? else { return Ok(Vec::new()) };
        let live = self.repositories.deployments().live(tenant, site.id).await?;
        let mut kept = Vec::new();
        for before in live {
            if kept.len() + 1 < keep || site.live_deployment_id == Some(before.id) {
                kept.push(before.id);
                continue;
            }
            let after = Deployment { cleaned_at: Some(self.env.now()), ..before.clone() };
            self.store(&after).await?;
            let event = self.event(&events::DEPLOYMENT_CLEANED, before.id);
            self.append(event.before(&before).after(&after)).await?;
        }
        Ok(kept)
    }

    /// Records the progress of the build. Only forward, and never to 100: that is for `finish`.
    pub async fn progress(&mut self, site: SiteId, id: DeploymentId, percent: i32) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::SitesDeploy)?;
        let Some(mut deployment) = self.find(tenant, site, id).await? else { return Ok(()) };
        let percent = percent.clamp(0, 99);
        if deployment.status == DeploymentStatus::Building && percent > deployment.progress {
            deployment.progress = percent;
            self.store(&deployment).await?;
        }
        Ok(())
    }

    /// Switches the site over to a deployment whose files are all stored. Run again, it changes nothing.
    ///
    /// # Errors
    /// `NotFound` when the site was deleted meanwhile; `Store(Stale)` when the site was changed at the same moment: run it
    /// again.
    pub async fn finish(&mut self, site: SiteId, id: DeploymentId) -> Result<Site, SitesError> {
        let tenant = self.scope.require(Permission::SitesDeploy)?;
        let before = crate::site::find(self.repositories, tenant, site).await?;
        let deployment = self.found(tenant, site, id).await?;
        if deployment.status == DeploymentStatus::Live {
            return Ok(before);
        }
        let now = self.env.now();
        let mut after = Site { live_deployment_id: Some(id), updated_at: now, ..before.clone() };
        // What is for sale, sold or suspended stays so.
        if before.status == SiteStatus::Draft {
            after.status = SiteStatus::Published;
        }
        // The site's version decides between two workers that both assume to hold the job.
        self.repositories.sites().update(&after).await?;
        after.version += 1;
        let live = Deployment {
            status: DeploymentStatus::Live,
            progress: 100,
            error: None,
            finished_at: Some(now),
            ..deployment
        };
        self.store(&live).await?;
        let event = Event::new(self.env, self.scope, &events::SITE_DEPLOYED, site.uuid());
        self.append(event.before(&before).after(&after)).await?;
        Ok(after)
    }

    /// Gives the deployment up. The site stays as it is; `reason` is for the customer to read. Does nothing to one that is
    /// live, failed already, or gone.
    pub async fn fail(&mut self, site: SiteId, id: DeploymentId, reason: &str) -> Result<(), SitesError> {
        let tenant = self.scope.require(Permission::SitesDeploy)?;
        let Some(before) = self.find(tenant, site, id).await? else { return Ok(()) };
        if matches!(before.status, DeploymentStatus::Live | DeploymentStatus::Failed) {
            return Ok(());
        }
        let failed = Deployment {
            status: DeploymentStatus::Failed,
            error: Some(reason.to_owned()),
            finished_at: Some(self.env.now()),
            ..before.clone()
        };
        self.store(&failed).await?;
        self.append(self.event(&events::DEPLOYMENT_FAILED, id).before(&before).after(&failed)).await
    }

    async fn found(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: DeploymentId,
    ) -> Result<Deployment, SitesError> {
        self.find(tenant, site, id).await?.ok_or(SitesError::NotFound("deployment"))
    }

    async fn store(&mut self, deployment: &Deployment) -> Result<(), SitesError> {
        use portico_kernel::StoreError;
        self.repositories.deployments().update(deployment).await.map_err(|error| match error {
            StoreError::Conflict(_) => SitesError::DeploymentInProgress,
            error => SitesError::Store(error),
        })
    }
}
