//! What the unit tests of this crate share.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, atomic::AtomicU8, atomic::Ordering},
};

use async_trait::async_trait;
use portico_kernel::{
    Clock, Env, Event, EventLog, JobQueue, Outbox, Random, StoreError, Timestamp, job::MockJobQueue,
};

use crate::ports::{
    BillingRepositories, GenerationRepository, MeterRepository, MockGenerationRepository,
    MockMeterRepository, MockPlanRepository, MockSubscriptionRepository, PlanRepository,
    SubscriptionRepository,
};
use crate::{
    limits::{Allowance, Overrides},
    plan::Plan,
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

/// A plan that began a second before [`env`], and nothing that was agreed on instead.
pub fn allowance(plan: Plan) -> Allowance {
    let period_anchor = Timestamp::from_unix_seconds(1_789_999_999).unwrap();
    Allowance { plan, overrides: Overrides::default(), period_anchor, bandwidth_spent_until: None }
}

/// Returns the mocks in the order in which they were put in; a mock too few panics, and each checks its expectations when
/// dropped.
#[derive(Default)]
pub struct Repositories {
    pub plans: VecDeque<MockPlanRepository>,
    pub subscriptions: VecDeque<MockSubscriptionRepository>,
    pub meters: VecDeque<MockMeterRepository>,
    pub generations: VecDeque<MockGenerationRepository>,
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

impl BillingRepositories for Repositories {
    fn plans<'c>(&'c mut self) -> Box<dyn PlanRepository + 'c> {
        Box::new(self.plans.pop_front().unwrap())
    }
    fn subscriptions<'c>(&'c mut self) -> Box<dyn SubscriptionRepository + 'c> {
        Box::new(self.subscriptions.pop_front().unwrap())
    }
    fn generations<'c>(&'c mut self) -> Box<dyn GenerationRepository + 'c> {
        Box::new(self.generations.pop_front().unwrap())
    }
    fn meters<'c>(&'c mut self) -> Box<dyn MeterRepository + 'c> {
        Box::new(self.meters.pop_front().unwrap())
    }
}
