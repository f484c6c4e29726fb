//! Ports of tenancy.

mod delivery_queue;
mod seals;
mod webhooks;

use async_trait::async_trait;
use portico_kernel::{
    CursorPage, CursorRequest, CustomerNoteId, Headroom, InvitationId, List, Month, Outbox, PageRequest,
    StoreError, TenantId, TenantRole, Timestamp, UserId,
};
use time::{Date, Duration};

use crate::{
    audit::{AuditEntry, AuditFilter},
    branding::Branding,
    customer::{Customer, CustomerPerson},
    customer_note::CustomerNote,
    dealer::Dealer,
    growth::Figure,
    invitation::{Invitation, InvitationStatus, ReceivedInvitation},
    member::{Member, MemberFilter, TenantSummary},
    membership::Membership,
    settings::TenantSettings,
    tenant::{Tenant, TenantFilter},
};

pub use delivery_queue::*;
pub use seals::*;
pub use webhooks::*;

/// Tenants.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait TenantRepository: Send {
    /// Stores a new tenant and claims its subdomain (`tenant.plan` is not stored here). MUST answer `Conflict` when any
    /// tenant or site has the subdomain, also under concurrency.
    async fn insert(&mut self, tenant: &Tenant) -> Result<(), StoreError>;

    /// The tenant, deleted ones included.
    async fn find(&mut self, id: TenantId) -> Result<Option<Tenant>, StoreError>;

    /// Stores the tenant with `version + 1`, and claims a changed subdomain like [`TenantRepository::insert`] (the old one is
    /// released unless a site uses it). MUST answer `Stale` when the stored version is not `tenant.version`.
    async fn update(&mut self, tenant: &Tenant) -> Result<(), StoreError>;

    /// Locks the tenant's row until the unit of work ends. Every other call for the tenant MUST wait until then, and its unit of
    /// work MUST see in what it reads next what was committed meanwhile.
    async fn lock(&mut self, id: TenantId) -> Result<(), StoreError>;

    /// The tenants, not deleted, that `member` belongs to, or all of them for `None`.
    async fn list(
        &mut self,
        member: Option<UserId>,
        filter: TenantFilter,
        page: PageRequest,
    ) -> Result<List<Tenant>, StoreError>;
}

/// Tenants with what belongs to them, as the people of the operator see them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CustomerRepository: Send {
    /// The tenants, not deleted. Unless `all`, MUST leave out every tenant with an owner who has a role of the platform. `q` of the
    /// filter matches a part of the name, the subdomain, a domain, and of the name and the address of a member (but not of staff who are no
    /// owners); also the whole id of the tenant, of a member, a purchase, an invoice, a license or a ticket, and the whole number of an
    /// invoice.
    async fn list(
        &mut self,
        all: bool,
        filter: TenantFilter,
        page: PageRequest,
    ) -> Result<List<Customer>, StoreError>;

    /// One of them.
    async fn find(&mut self, id: TenantId, all: bool) -> Result<Option<Customer>, StoreError>;

    /// The members of a tenant whose accounts are not deleted, those who signed in last first; at most `limit`.
    async fn people(&mut self, tenant: TenantId, limit: u64) -> Result<Vec<CustomerPerson>, StoreError>;

    /// Whether it is one of them.
    async fn exists(&mut self, id: TenantId, all: bool) -> Result<bool, StoreError>;

    /// Whether it is one of them, or was one until it was deleted.
    async fn existed(&mut self, id: TenantId, all: bool) -> Result<bool, StoreError>;
}

/// Memberships.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MembershipRepository: Send {
    /// Stores a new membership. MUST answer `Conflict` when the user is a member already.
    async fn insert(&mut self, membership: &Membership) -> Result<(), StoreError>;

    /// The user's tenants with their dealers, not deleted, oldest membership first.
    async fn of_user(&mut self, user: UserId) -> Result<Vec<TenantSummary>, StoreError>;

    /// The user's role in the tenant; `None` for one who is no member.
    async fn role(&mut self, tenant: TenantId, user: UserId) -> Result<Option<TenantRole>, StoreError>;

    /// The member as the other members see them.
    async fn member(&mut self, tenant: TenantId, user: UserId) -> Result<Option<Member>, StoreError>;

    /// The members, without those whose account is deleted, oldest first. `q` matches a part of the name or the address,
    /// ignoring case.
    async fn list(
        &mut self,
        tenant: TenantId,
        filter: MemberFilter,
        page: PageRequest,
    ) -> Result<List<Member>, StoreError>;

    /// Changes a role. Answers whether there is such a member.
    async fn set_role(
        &mut self,
        tenant: TenantId,
        user: UserId,
        role: TenantRole,
    ) -> Result<bool, StoreError>;

    /// Ends a membership. Answers whether there was one.
    async fn remove(&mut self, tenant: TenantId, user: UserId) -> Result<bool, StoreError>;

    /// How many owners the tenant has, without those whose account is deleted.
    async fn owners(&mut self, tenant: TenantId) -> Result<u64, StoreError>;

    /// How many tenants, not deleted, the user owns. Every other call for the same user MUST wait until the unit of work ends,
    /// and MUST count what it has added.
    async fn count_owned(&mut self, user: UserId) -> Result<u64, StoreError>;

    /// Whether an account with this address is a member.
    async fn has_address(&mut self, tenant: TenantId, email: &str) -> Result<bool, StoreError>;
}

/// Invitations. One that is stored as pending and has expired is read as expired.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait InvitationRepository: Send {
    /// Stores a new, pending invitation. MUST answer `Conflict` when another one of the tenant to the same address is
    /// pending, also under concurrency.
    async fn insert(&mut self, invitation: &Invitation) -> Result<(), StoreError>;

    /// Marks the tenant's pending invitations whose time is over as expired, so that their addresses are free.
    async fn expire(&mut self, tenant: TenantId, now: Timestamp) -> Result<(), StoreError>;

    /// One of the tenant's invitations.
    async fn find(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        now: Timestamp,
    ) -> Result<Option<Invitation>, StoreError>;

    /// The tenant's invitations (with one status for `Some`), newest first.
    async fn list(
        &mut self,
        tenant: TenantId,
        status: Option<InvitationStatus>,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<Invitation>, StoreError>;

    /// How many of the tenant's invitations are pending.
    async fn open(&mut self, tenant: TenantId) -> Result<u64, StoreError>;

    /// How many messages the invitations of the tenant, and those by the inviter in any tenant, requested that were made or
    /// sent again since. May count too many, never too few.
    async fn sent_since(
        &mut self,
        tenant: TenantId,
        inviter: UserId,
        since: Timestamp,
    ) -> Result<(u64, u64), StoreError>;

    /// Makes a pending or expired invitation pending again with the times and the number of messages given, and forgets its
    /// secret. MUST answer whether it did, and `Conflict` like [`InvitationRepository::insert`].
    async fn renew(&mut self, invitation: &Invitation) -> Result<bool, StoreError>;

    /// Stores the digest of a new secret of a pending invitation whose time is not over, in place of the one before. Answers
    /// whether it did.
    async fn set_token(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Gives a pending invitation whose time is not over its last status, and forgets its secret. MUST answer whether it did;
    /// of several at once exactly one does.
    async fn close(
        &mut self,
        tenant: TenantId,
        id: InvitationId,
        status: InvitationStatus,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Revokes the pending invitations of an inviter in the tenant, and answers them as they are afterwards.
    async fn revoke_of(
        &mut self,
        tenant: TenantId,
        inviter: UserId,
        now: Timestamp,
    ) -> Result<Vec<Invitation>, StoreError>;

    /// The pending invitation with this digest, whose time is not over, to a tenant that is active.
    async fn by_token(
        &mut self,
        hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<ReceivedInvitation>, StoreError>;

    /// Those to an address, newest first.
    async fn for_address(
        &mut self,
        email: &str,
        now: Timestamp,
    ) -> Result<Vec<ReceivedInvitation>, StoreError>;
}

/// Settings, one row at most for a tenant.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SettingsRepository: Send {
    /// The settings that were stored.
    async fn find(&mut self, tenant: TenantId) -> Result<Option<TenantSettings>, StoreError>;

    /// Stores them with `version + 1`. MUST answer `Stale` when the stored version (1 for none) is not `settings.version`,
    /// also under concurrency.
    async fn save(&mut self, settings: &TenantSettings) -> Result<(), StoreError>;
}

/// Dealers, one at most for a tenant.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DealerRepository: Send {
    /// The tenant's dealer.
    async fn find(&mut self, tenant: TenantId) -> Result<Option<Dealer>, StoreError>;

    /// Stores it with `version + 1`. MUST answer `Stale` when the stored version (0 for none) is not `dealer.version`, also
    /// under concurrency.
    async fn save(&mut self, dealer: &Dealer) -> Result<(), StoreError>;

    /// Deletes it. Answers whether there was one.
    async fn remove(&mut self, tenant: TenantId) -> Result<bool, StoreError>;
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

/// Notes of staff about customers.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CustomerNoteRepository: Send {
    /// Stores a note.
    async fn insert(&mut self, note: &CustomerNote) -> Result<(), StoreError>;

    /// The notes about a tenant, newest first.
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<CustomerNote>, StoreError>;

    /// Deletes the note, if it is about this tenant. MUST answer whether it was there, `true` once for a note.
    async fn delete(&mut self, tenant: TenantId, id: CustomerNoteId) -> Result<bool, StoreError>;
}

/// Figures of growth. They are about all tenants.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait GrowthRepository: Send {
    /// The last day of which was recorded what tenants did.
    async fn last_day(&mut self) -> Result<Option<Date>, StoreError>;

    /// The day (UTC) of the oldest event in the log, by its id. MUST read no more of the log than this event.
    async fn oldest_event(&mut self) -> Result<Option<Date>, StoreError>;

    /// Records from the event log which tenants did something on a day (UTC), with which sorts of resources, and which of them have
    /// published a site for the first time. MUST count what members
    /// and API keys did and nothing else: neither impersonators, nor staff who are no members, nor Portico itself. MUST do it once for a
    /// day, also under concurrency; answers whether it was done now.
    async fn record_day(&mut self, day: Date) -> Result<bool, StoreError>;

    /// Counts the figures of a month anew, from what is stored and what was recorded, and replaces those that are there. New tenants are
    /// activated that publish a site or pay for something, a finished site included, within this time; MUST count them also where the site
    /// is gone by now.
    async fn count(&mut self, month: Month, activation: Duration) -> Result<(), StoreError>;

    /// The figures of the months from the first to the last that were counted.
    async fn figures(&mut self, from: Month, to: Month) -> Result<Vec<(Month, Figure, u64)>, StoreError>;
}

/// The repositories of tenancy, over one unit of work.
pub trait TenancyRepositories: Outbox {
    /// Tenants.
    fn tenants<'c>(&'c mut self) -> Box<dyn TenantRepository + 'c>;
    /// Tenants as the people of the operator see them.
    fn customers<'c>(&'c mut self) -> Box<dyn CustomerRepository + 'c>;
    /// Notes of staff about them.
    fn customer_notes<'c>(&'c mut self) -> Box<dyn CustomerNoteRepository + 'c>;
    /// Memberships.
    fn memberships<'c>(&'c mut self) -> Box<dyn MembershipRepository + 'c>;
    /// Invitations.
    fn invitations<'c>(&'c mut self) -> Box<dyn InvitationRepository + 'c>;
    /// Settings.
    fn settings<'c>(&'c mut self) -> Box<dyn SettingsRepository + 'c>;
    /// Dealers.
    fn dealers<'c>(&'c mut self) -> Box<dyn DealerRepository + 'c>;
    /// Branding.
    fn branding<'c>(&'c mut self) -> Box<dyn BrandingRepository + 'c>;
    /// The audit trail.
    fn audit<'c>(&'c mut self) -> Box<dyn AuditTrail + 'c>;
    /// The seals of the audit trail.
    fn seals<'c>(&'c mut self) -> Box<dyn SealRepository + 'c>;
    /// Webhooks.
    fn webhooks<'c>(&'c mut self) -> Box<dyn WebhookRepository + 'c>;
    /// Attempts to deliver to them.
    fn deliveries<'c>(&'c mut self) -> Box<dyn DeliveryRepository + 'c>;
    /// Plans of deliveries.
    fn delivery_plans<'c>(&'c mut self) -> Box<dyn DeliveryPlans + 'c>;
    /// Figures of growth.
    fn growth<'c>(&'c mut self) -> Box<dyn GrowthRepository + 'c>;
    /// How many members the tenant's plan leaves.
    fn headroom<'c>(&'c mut self) -> Box<dyn Headroom + 'c>;
}
