//! What the unit tests of this crate share.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::AtomicU8, atomic::Ordering},
};

use async_trait::async_trait;
use portico_kernel::{
    Actor, Clock, Env, Event, EventLog, Id, JobQueue, Outbox, Permissions, PlatformRole, Random, RequestInfo,
    Scope, StoreError, TenantId, TenantRole, Timestamp, UserId, job::MockJobQueue,
};

use crate::ports::{
    AuditTrail, BrandingRepository, MembershipRepository, MockAuditTrail, MockBrandingRepository,
    MockMembershipRepository, MockTenantRepository, TenancyRepositories, TenantRepository,
};

struct Fixed;

impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000).unwrap()
    }
}

/// Counts, so that two ids differ.
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
    }
}

pub fn env() -> Env {
    Env::new(Arc::new(Fixed), Arc::new(Counting(AtomicU8::new(1))))
}

/// The user behind every scope here.
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

pub fn viewer_of(tenant: TenantId) -> Scope {
    scope(tenant, PlatformRole::Customer, TenantRole::Viewer.permissions())
}

pub fn super_admin_in(tenant: TenantId) -> Scope {
    scope(tenant, PlatformRole::SuperAdmin, PlatformRole::SuperAdmin.permissions())
}

pub fn registering() -> Scope {
    Scope::anonymous(RequestInfo::default())
}

/// Hands out the mocks in the order in which they were put in; a mock too few panics, and each checks its expectations
/// when dropped.
#[derive(Default)]
pub struct Repositories {
    pub tenants: VecDeque<MockTenantRepository>,
    pub memberships: VecDeque<MockMembershipRepository>,
    pub branding: VecDeque<MockBrandingRepository>,
    pub audit: VecDeque<MockAuditTrail>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Repositories {
    /// The events appended so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.lock().unwrap().clone()
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

impl Outbox for Repositories {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Box::new(Recorder(self.events.clone()))
    }
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(MockJobQueue::new())
    }
}

impl TenancyRepositories for Repositories {
    fn tenants<'c>(&'c mut self) -> Box<dyn TenantRepository + 'c> {
        Box::new(self.tenants.pop_front().unwrap())
    }
    fn memberships<'c>(&'c mut self) -> Box<dyn MembershipRepository + 'c> {
        Box::new(self.memberships.pop_front().unwrap())
    }
    fn branding<'c>(&'c mut self) -> Box<dyn BrandingRepository + 'c> {
        Box::new(self.branding.pop_front().unwrap())
    }
    fn audit<'c>(&'c mut self) -> Box<dyn AuditTrail + 'c> {
        Box::new(self.audit.pop_front().unwrap())
    }
}
