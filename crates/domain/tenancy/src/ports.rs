//! What tenancy needs from the outside.

use async_trait::async_trait;
use portico_kernel::{CursorPage, CursorRequest, Outbox, Page, PageRequest, StoreError, TenantId, UserId};

use crate::{
    audit::{AuditEntry, AuditFilter},
    branding::Branding,
    member::{Membership, TenantSummary},
    tenant::Tenant,
};

/// Tenants.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TenantRepository: Send {
    /// Stores a new tenant and claims its subdomain (`tenant.plan` is not stored here). MUST answer `Conflict` when any
    /// tenant or site has the subdomain, also under concurrency.
    async fn insert(&mut self, tenant: &Tenant) -> Result<(), StoreError>;

    /// The tenant, deleted ones included.
    async fn find(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError>;

    /// Stores the tenant with `version + 1`, and claims a changed subdomain like [`TenantRepository::insert`] (the old
    /// one is given up unless a site uses it). MUST answer `Stale` when the stored version is not `tenant.version`.
    async fn update(&mut self, tenant: &Tenant) -> Result<(), StoreError>;

    /// The tenants, not deleted, that `member` belongs to, or all of them for `None`; newest first. `q` matches a part
    /// of the name or the subdomain, ignoring case.
    async fn list<'q>(
        &mut self,
        member: Option<UserId>,
        q: Option<&'q str>,
        page: PageRequest,
    ) -> Result<Page<Tenant>, StoreError>;
}

/// Who belongs where.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MembershipRepository: Send {
    /// Stores a new membership. MUST answer `Conflict` when the user is a member already.
    async fn insert(&mut self, membership: &Membership) -> Result<(), StoreError>;

    /// The user's tenants, not deleted, oldest membership first.
    async fn of_user(&mut self, user: UserId) -> Result<Vec<TenantSummary>, StoreError>;
}

/// Branding, one per tenant.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait BrandingRepository: Send {
    /// Stores the branding of a new tenant.
    async fn insert(&mut self, branding: &Branding) -> Result<(), StoreError>;

    /// The tenant's branding.
    async fn find(&mut self, tenant: TenantId) -> Result<Option<Branding>, StoreError>;

    /// Stores it with `version + 1`. MUST answer `Stale` when the stored version is not `branding.version`.
    async fn update(&mut self, branding: &Branding) -> Result<(), StoreError>;
}

/// The event log as people read it.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait AuditTrail: Send {
    /// Entries of one tenant (or of all for `None`), newest first. The cursor is the id of the last entry of the piece
    /// before; the use case has checked that it is an id. MUST answer an empty piece when the id is not of an entry in
    /// the list.
    async fn list(
        &mut self,
        tenant: Option<TenantId>,
        filter: AuditFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<AuditEntry>, StoreError>;
}

/// The repositories of tenancy, over one unit of work.
pub trait TenancyRepositories: Outbox {
    /// Tenants.
    fn tenants<'c>(&'c mut self) -> Box<dyn TenantRepository + 'c>;
    /// Who belongs where.
    fn memberships<'c>(&'c mut self) -> Box<dyn MembershipRepository + 'c>;
    /// Branding.
    fn branding<'c>(&'c mut self) -> Box<dyn BrandingRepository + 'c>;
    /// The audit trail.
    fn audit<'c>(&'c mut self) -> Box<dyn AuditTrail + 'c>;
}
