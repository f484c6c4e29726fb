//! What visitors sent through contact forms, in memory.

use async_trait::async_trait;
use portico_kernel::{CursorPage, CursorRequest, SiteId, StoreError, SubmissionId, TenantId, Timestamp};

use super::{View, missing, replace};
use crate::{
    ports::SubmissionRepository,
    submission::{Submission, SubmissionFilter},
};

/// The stored rows.
#[derive(Default)]
pub(crate) struct State {
    stored: Vec<Submission>,
}

fn is_it(submission: &Submission, tenant: TenantId, site: SiteId, id: SubmissionId) -> bool {
    (submission.tenant, submission.site_id, submission.id) == (tenant, site, id)
}

#[async_trait]
impl SubmissionRepository for View<'_> {
    async fn insert(&mut self, submission: &Submission) -> Result<bool, StoreError> {
        if !self
            .0
            .sites
            .iter()
            .any(|site| site.id == submission.site_id && site.tenant_id == submission.tenant)
        {
            return missing("submissions_site");
        }
        let stored = &mut self.0.submissions.stored;
        let twin =
            |other: &Submission| other.site_id == submission.site_id && other.digest == submission.digest;
        if stored.iter().any(twin) {
            return Ok(false);
        }
        stored.push(submission.clone());
        Ok(true)
    }
    async fn has(&mut self, tenant: TenantId, site: SiteId, count: u64) -> Result<bool, StoreError> {
        let stored = self.0.submissions.stored.iter();
        let kept = stored.filter(|other| (other.tenant, other.site_id) == (tenant, site)).count();
        Ok(kept as u64 >= count)
    }
    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: SubmissionId,
    ) -> Result<Option<Submission>, StoreError> {
        let mut stored = self.0.submissions.stored.iter();
        Ok(stored.find(|submission| is_it(submission, tenant, site, id)).cloned())
    }
    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        filter: SubmissionFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<Submission>, StoreError> {
        let mine = self.0.submissions.stored.iter().rev().filter(|s| s.tenant == tenant && s.site_id == site);
        let found = mine.filter(|s| filter.status.is_none_or(|status| s.status == status));
        Ok(CursorPage { items: found.take(request.limit as usize).cloned().collect(), next_cursor: None })
    }
    async fn update(&mut self, submission: &Submission) -> Result<(), StoreError> {
        replace(
            &mut self.0.submissions.stored,
            |other| other.id == submission.id,
            |s| &mut s.version,
            submission,
        )
    }
    async fn delete(&mut self, tenant: TenantId, site: SiteId, id: SubmissionId) -> Result<bool, StoreError> {
        let stored = &mut self.0.submissions.stored;
        let before = stored.len();
        stored.retain(|submission| !is_it(submission, tenant, site, id));
        Ok(stored.len() < before)
    }
    async fn forget(&mut self, time: Timestamp, _: u64) -> Result<u64, StoreError> {
        let stored = &mut self.0.submissions.stored;
        let before = stored.len();
        stored.retain(|submission| submission.created_at >= time);
        Ok((before - stored.len()) as u64)
    }
}
