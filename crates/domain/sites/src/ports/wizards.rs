//! Runs through the wizard: the port.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, StoreError, TenantId, WizardId};

use crate::wizard::{Generation, Wizard, WizardStatus, WrittenPage};

/// Which wizards to list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WizardFilter {
    /// Status.
    pub status: Option<WizardStatus>,
}

/// Runs through the wizard.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait WizardRepository: Send {
    /// Stores a new wizard and answers `true`, unless the tenant has `most` in progress. MUST NOT let there be more, also
    /// under concurrency.
    async fn insert(&mut self, wizard: &Wizard, most: u64) -> Result<bool, StoreError>;

    /// The wizard.
    async fn find(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Wizard>, StoreError>;

    /// The wizard, locked: other units of work that lock it wait until this one ends.
    async fn lock(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Wizard>, StoreError>;

    /// The tenant's wizards, the one that was changed last first.
    async fn list(
        &mut self,
        tenant: TenantId,
        filter: WizardFilter,
        page: PageRequest,
    ) -> Result<List<Wizard>, StoreError>;

    /// Stores the wizard with `version + 1`. MUST answer `Stale` when the stored version is not `wizard.version`, and
    /// `MissingReference` when the tenant has no such site. A wizard goes with the site that it has made.
    async fn update(&mut self, wizard: &Wizard) -> Result<(), StoreError>;

    /// Deletes the wizard with its texts. Answers whether it was there.
    async fn delete(&mut self, tenant: TenantId, id: WizardId) -> Result<bool, StoreError>;

    /// The last run that generated texts, with its pages in their order.
    async fn generation(&mut self, tenant: TenantId, id: WizardId) -> Result<Option<Generation>, StoreError>;

    /// Stores a run with its pages in place of the one before. MUST answer `MissingReference` when the tenant has no such
    /// wizard.
    async fn put_generation(&mut self, generation: &Generation) -> Result<(), StoreError>;

    /// Stores status, error and times of the run, and leaves its pages as they are.
    async fn update_generation(&mut self, generation: &Generation) -> Result<(), StoreError>;

    /// Stores state and texts of one page of the run.
    async fn update_page(
        &mut self,
        tenant: TenantId,
        id: WizardId,
        page: &WrittenPage,
    ) -> Result<(), StoreError>;

    /// Deletes the run and its texts, if there is one.
    async fn delete_generation(&mut self, tenant: TenantId, id: WizardId) -> Result<(), StoreError>;
}
