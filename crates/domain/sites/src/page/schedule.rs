//! Scheduled publication of a page.

use portico_kernel::{JobType, NewJob, PageId, Permission, SiteId, Timestamp, Violations};
use serde::{Deserialize, Serialize};
use time::Duration;

use super::{Page, PageStatus, Pages};
use crate::{SitesError, events, site};

/// How far ahead a page can be scheduled.
const LONGEST: Duration = Duration::days(365);

/// Attempts to publish or deploy: the database may be down, or other deployments under way, for hours.
const ATTEMPTS: u32 = 20;

/// The job that publishes a page at its time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishPage {
    /// The page.
    pub page_id: PageId,
    /// The requested time; a job for an earlier request does nothing.
    pub publish_at: Timestamp,
}

impl JobType for PublishPage {
    const KIND: &'static str = "page.publish";
    const MAX_ATTEMPTS: u32 = ATTEMPTS;
}

/// The job that deploys a live site after a page of it was published at its time.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploySite {
    /// The site.
    pub site_id: SiteId,
}

impl JobType for DeploySite {
    const KIND: &'static str = "site.deploy";
    const MAX_ATTEMPTS: u32 = ATTEMPTS;
}

/// Checks a request to publish at a time (or not to, for `None`) a page that will have this status.
pub(super) fn check(
    violations: &mut Violations,
    publish_at: Option<Timestamp>,
    status: PageStatus,
    now: Timestamp,
) {
    let Some(at) = publish_at else { return };
    if at <= now || at - now > LONGEST {
        violations.add("publishAt", "out_of_range", "Use a time in the future, at most a year ahead.");
    }
    if status != PageStatus::Draft {
        violations.add("publishAt", "exclusive", "Only a draft can be published later.");
    }
}

impl Pages<'_> {
    /// Enqueues the job for a page whose time was set. A job for an earlier request finds another time on the page, and does
    /// nothing.
    pub(super) async fn schedule(&mut self, page: &Page, at: Timestamp) -> Result<(), SitesError> {
        let job = PublishPage { page_id: page.id, publish_at: at };
        let job = NewJob::new(self.env, self.scope, page.tenant, &job).at(at);
        Ok(self.repositories.jobs().enqueue(job).await?)
    }

    /// Publishes a page that is scheduled for exactly this time, and has its site deployed if that is live. Answers the page, or
    /// `None` when there is nothing to do: published, archived, rescheduled or deleted meanwhile, or on a site that only staff change.
    pub async fn publish_scheduled(&mut self, id: PageId, at: Timestamp) -> Result<Option<Page>, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let Some(before) = self.repositories.pages().lock(tenant, id).await? else { return Ok(None) };
        let now = self.env.now();
        if before.publish_at != Some(at) || before.status != PageStatus::Draft || now < at {
            return Ok(None);
        }
        let site = site::find(self.repositories, tenant, before.site_id).await?;
        if site.frozen().is_some() {
            // It stays a draft; a caller who may change the site can publish it.
            return Ok(None);
        }
        let mut page = Page {
            status: PageStatus::Published,
            publish_at: None,
            published_at: Some(now),
            updated_at: now,
            ..before.clone()
        };
        self.repositories.pages().update(&page).await?;
        page.version += 1;
        self.append(self.event(&events::PAGE_UPDATED, &page).before(&before).after(&page)).await?;
        self.append(self.event(&events::PAGE_PUBLISHED, &page).before(&before).after(&page)).await?;
        if site.live_deployment_id.is_some() {
            self.deploy_soon(&page, page.site_id).await?;
        }
        Ok(Some(page))
    }

    /// A deployment without this page may be under way: a job requests one until it is accepted.
    async fn deploy_soon(&mut self, page: &Page, site: SiteId) -> Result<(), SitesError> {
        let job = NewJob::new(self.env, self.scope, page.tenant, &DeploySite { site_id: site });
        Ok(self.repositories.jobs().enqueue(job).await?)
    }
}

#[cfg(test)]
mod tests;
