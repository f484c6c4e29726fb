//! What the unit tests of this crate share.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use portico_kernel::{
    Actor, EntitlementError, Event, EventLog, Headroom, Id, JobQueue, Meter, NewJob, Outbox, Permission,
    Permissions, PlatformRole, RequestInfo, Scope, StoreError, TenantId, TenantRole, UserId,
    catalogue::EventCatalogue,
    declare_events,
    event::{
        Audience::{Holders, HoldersUnderName, Internal},
        AuditClass::Sealed,
    },
};

use crate::events;
use crate::ports::{
    AuditTrail, BrandingRepository, CustomerNoteRepository, CustomerRepository, DealerRepository,
    DeliveryPlans, DeliveryRepository, GrowthRepository, InvitationRepository, MembershipRepository,
    MockAuditTrail, MockBrandingRepository, MockCustomerNoteRepository, MockCustomerRepository,
    MockDealerRepository, MockDeliveryPlans, MockDeliveryRepository, MockGrowthRepository,
    MockInvitationRepository, MockMembershipRepository, MockSealRepository, MockSettingsRepository,
    MockTenantRepository, MockWebhookRepository, SealRepository, SettingsRepository, TenancyRepositories,
    TenantRepository, WebhookRepository,
};

pub use portico_kernel::testing::env;

/// The user of every scope here.
pub fn user() -> UserId {
    "0190a5b0-c0d0-7e00-8f00-0000000000aa".parse().unwrap()
}

fn scope(tenant: TenantId, role: PlatformRole, permissions: Permissions) -> Scope {
    let session = Id::from_uuid(user().uuid());
    let actor = Actor::User { id: user(), session, email_verified: true, role, impersonator: None };
    Scope::user(actor, Some(tenant), permissions, RequestInfo::default())
}

pub fn owner_of(tenant: TenantId) -> Scope {
    scope(tenant, PlatformRole::Customer, TenantRole::Owner.permissions())
}

pub fn admin_of(tenant: TenantId) -> Scope {
    scope(tenant, PlatformRole::Customer, TenantRole::Admin.permissions())
}

/// An owner whose address is not proven.
pub fn unverified_owner_of(tenant: TenantId) -> Scope {
    let session = Id::from_uuid(user().uuid());
    let role = PlatformRole::Customer;
    let actor = Actor::User { id: user(), session, email_verified: false, role, impersonator: None };
    Scope::user(actor, Some(tenant), TenantRole::Owner.permissions(), RequestInfo::default())
}

pub fn viewer_of(tenant: TenantId) -> Scope {
    scope(tenant, PlatformRole::Customer, TenantRole::Viewer.permissions())
}

pub fn super_admin_in(tenant: TenantId) -> Scope {
    scope(tenant, PlatformRole::SuperAdmin, PlatformRole::SuperAdmin.permissions())
}

/// One of the operator's people, whose own tenant this is.
pub fn staff_in(tenant: TenantId) -> Scope {
    let permissions = TenantRole::Owner.permissions().union(PlatformRole::Staff.permissions());
    scope(tenant, PlatformRole::Staff, permissions)
}

/// A caller with exactly these permissions.
pub fn scope_with(tenant: TenantId, permissions: Permissions) -> Scope {
    scope(tenant, PlatformRole::Customer, permissions)
}

pub fn registering() -> Scope {
    Scope::anonymous(RequestInfo::default())
}

/// Returns the mocks in the order in which they were put in; a mock too few panics, and each checks its expectations when
/// dropped.
#[derive(Default)]
pub struct Repositories {
    pub tenants: VecDeque<MockTenantRepository>,
    pub customers: VecDeque<MockCustomerRepository>,
    pub customer_notes: VecDeque<MockCustomerNoteRepository>,
    pub memberships: VecDeque<MockMembershipRepository>,
    pub branding: VecDeque<MockBrandingRepository>,
    pub invitations: VecDeque<MockInvitationRepository>,
    pub settings: VecDeque<MockSettingsRepository>,
    pub dealers: VecDeque<MockDealerRepository>,
    pub audit: VecDeque<MockAuditTrail>,
    pub seals: VecDeque<MockSealRepository>,
    pub webhooks: VecDeque<MockWebhookRepository>,
    pub deliveries: VecDeque<MockDeliveryRepository>,
    pub delivery_plans: VecDeque<MockDeliveryPlans>,
    pub growth: VecDeque<MockGrowthRepository>,
    /// Members that the plan includes; no limit for `None`.
    pub seats: Option<u64>,
    /// Members that there are, without those that a test adds.
    pub seated: u64,
    events: Arc<Mutex<Vec<Event>>>,
    jobs: Arc<Mutex<Vec<NewJob>>>,
}

impl Repositories {
    /// The events appended so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
    }

    /// The jobs enqueued so far.
    pub fn enqueued(&self) -> Vec<NewJob> {
        self.jobs.lock().unwrap().clone()
    }
}

struct Recorder(Arc<Mutex<Vec<Event>>>);

#[async_trait]
impl EventLog for Recorder {
    async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(event);
        Ok(())
    }
}

struct JobRecorder(Arc<Mutex<Vec<NewJob>>>);

#[async_trait]
impl JobQueue for JobRecorder {
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(job);
        Ok(())
    }
}

#[async_trait]
impl Headroom for &mut Repositories {
    async fn check_room(&mut self, _: TenantId, meter: Meter, _: u64) -> Result<(), EntitlementError> {
        assert_eq!(meter, Meter::Members);
        match self.seats {
            Some(limit) if self.seated >= limit => {
                Err(EntitlementError::QuotaExceeded { meter, limit, used: self.seated, plan: None })
            }
            _ => Ok(()),
        }
    }
}

impl Outbox for Repositories {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Box::new(Recorder(self.events.clone()))
    }
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(JobRecorder(self.jobs.clone()))
    }
}

impl TenancyRepositories for Repositories {
    fn tenants<'c>(&'c mut self) -> Box<dyn TenantRepository + 'c> {
        Box::new(self.tenants.pop_front().unwrap())
    }
    fn customers<'c>(&'c mut self) -> Box<dyn CustomerRepository + 'c> {
        Box::new(self.customers.pop_front().unwrap())
    }
    fn customer_notes<'c>(&'c mut self) -> Box<dyn CustomerNoteRepository + 'c> {
        Box::new(self.customer_notes.pop_front().unwrap())
    }
    fn memberships<'c>(&'c mut self) -> Box<dyn MembershipRepository + 'c> {
        Box::new(self.memberships.pop_front().unwrap())
    }
    fn invitations<'c>(&'c mut self) -> Box<dyn InvitationRepository + 'c> {
        Box::new(self.invitations.pop_front().unwrap())
    }
    fn settings<'c>(&'c mut self) -> Box<dyn SettingsRepository + 'c> {
        Box::new(self.settings.pop_front().unwrap())
    }
    fn dealers<'c>(&'c mut self) -> Box<dyn DealerRepository + 'c> {
        Box::new(self.dealers.pop_front().unwrap())
    }
    fn branding<'c>(&'c mut self) -> Box<dyn BrandingRepository + 'c> {
        Box::new(self.branding.pop_front().unwrap())
    }
    fn audit<'c>(&'c mut self) -> Box<dyn AuditTrail + 'c> {
        Box::new(self.audit.pop_front().unwrap())
    }
    fn seals<'c>(&'c mut self) -> Box<dyn SealRepository + 'c> {
        Box::new(self.seals.pop_front().unwrap())
    }
    fn webhooks<'c>(&'c mut self) -> Box<dyn WebhookRepository + 'c> {
        Box::new(self.webhooks.pop_front().unwrap())
    }
    fn deliveries<'c>(&'c mut self) -> Box<dyn DeliveryRepository + 'c> {
        Box::new(self.deliveries.pop_front().unwrap())
    }
    fn delivery_plans<'c>(&'c mut self) -> Box<dyn DeliveryPlans + 'c> {
        Box::new(self.delivery_plans.pop_front().unwrap())
    }
    fn growth<'c>(&'c mut self) -> Box<dyn GrowthRepository + 'c> {
        Box::new(self.growth.pop_front().unwrap())
    }
    fn headroom<'c>(&'c mut self) -> Box<dyn Headroom + 'c> {
        Box::new(self)
    }
}

/// Events of other domains, which webhooks get as well.
mod others {
    use super::*;

    declare_events! {
        "A page was made."
        PAGE_CREATED { name: "page.created", audience: Holders(Permission::PagesRead), invalidates: &[], audit: Sealed }

        "A page was changed."
        PAGE_UPDATED { name: "page.updated", audience: Holders(Permission::PagesRead), invalidates: &[], audit: Sealed }

        "A visitor sent a contact form."
        SUBMISSION_RECEIVED { name: "submission.received", audience: Holders(Permission::SubmissionsRead), invalidates: &[], audit: Sealed }

        "An account was made by the operator."
        USER_CREATED { name: "user.created", audience: Holders(Permission::MembersRead), invalidates: &[], audit: Sealed }

        "Somebody made an account."
        USER_REGISTERED { name: "user.registered", audience: HoldersUnderName(Permission::MembersRead, "user.created"), invalidates: &[], audit: Sealed }

        "Somebody signed in."
        SESSION_STARTED { name: "session.started", audience: Internal, invalidates: &[], audit: Sealed }

        "An authenticator app was added."
        USER_TOTP_ADDED { name: "user.totp_added", audience: Internal, invalidates: &[], audit: Sealed }
    }
}

/// The events of this domain, and some of others.
pub fn catalogue() -> EventCatalogue {
    EventCatalogue::new(events::ALL.iter().chain(others::ALL).copied())
}
