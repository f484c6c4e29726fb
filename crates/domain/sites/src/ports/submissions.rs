//! What visitors sent through contact forms: the port.

use async_trait::async_trait;
use portico_kernel::{CursorPage, CursorRequest, SiteId, StoreError, SubmissionId, TenantId, Timestamp};

use crate::{
    ports::RenderError,
    submission::{DeployedForm, DeployedForms, FormInput, Submission, SubmissionFilter},
};

/// What visitors sent through contact forms.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SubmissionRepository: Send {
    /// Stores a new submission. Answers whether it did: MUST NOT store one with the digest of another one of the site, also under
    /// concurrency. MUST answer `MissingReference` when the tenant has no such site.
    async fn insert(&mut self, submission: &Submission) -> Result<bool, StoreError>;

    /// Whether the site has so many submissions, or more.
    async fn has(&mut self, tenant: TenantId, site: SiteId, count: u64) -> Result<bool, StoreError>;

    /// The submission.
    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: SubmissionId,
    ) -> Result<Option<Submission>, StoreError>;

    /// The site's submissions, newest first.
    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        filter: SubmissionFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<Submission>, StoreError>;

    /// Stores the status, with `version + 1`. MUST answer `Stale` when the stored version is not `submission.version`.
    async fn update(&mut self, submission: &Submission) -> Result<(), StoreError>;

    /// Deletes the submission. Answers whether it was there.
    async fn delete(&mut self, tenant: TenantId, site: SiteId, id: SubmissionId) -> Result<bool, StoreError>;

    /// Deletes what came before `time`, at most `limit` of them. Answers how many.
    async fn forget(&mut self, time: Timestamp, limit: u64) -> Result<u64, StoreError>;
}

/// Why a form is shown again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormTrouble<'a> {
    /// Fields are wrong.
    Fields(&'a [portico_kernel::FieldError]),
    /// Too much came from the visitor, or to the site.
    TooMany,
    /// It cannot be stored right now.
    Unavailable,
}

/// Renders the answer to a form that is refused.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait FormRenderer: Send + Sync {
    /// A page with the form, what the visitor wrote, and what is wrong with it, in the language and look of the site. `action`
    /// is where the form is posted. MUST escape everything.
    fn form<'a>(
        &self,
        forms: &'a DeployedForms,
        form: &'a DeployedForm,
        action: &'a str,
        input: &'a FormInput,
        trouble: FormTrouble<'a>,
    ) -> Result<String, RenderError>;
}
