//! Events of payment providers: stored once, each with its job.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use portico_billing::{
    inbound::{FoundEvent, InboundStatus, StoredEvent},
    paid::BillingAccount,
    payment::Provider,
    ports::{BillingRepositories, PaymentInbox},
};
use portico_kernel::{
    CommitListener, Env, Event, Job, JobState, NewJob, PageRequest, StoreError, WorkQueue, job::QueueFigures,
};
use portico_sql::SqlStore;
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{at_once, stored_tenant},
    jobs::new_job,
    paid_plans::account,
};

const LEASE: Duration = Duration::seconds(30);

pub fn event(env: &Env, id: &str) -> StoredEvent {
    StoredEvent {
        provider: Provider::Stripe,
        id: id.to_owned(),
        kind: "checkout.session.completed".to_owned(),
        customer: None,
        checkout: Some("cs_1".to_owned()),
        payment: None,
        refund: Some("re_1".to_owned()),
        status: InboundStatus::Received,
        received_at: env.now(),
    }
}

async fn found(store: &SqlStore, id: &str) -> Option<FoundEvent> {
    store.find(Provider::Stripe, id).await.unwrap()
}

/// Counts the commits with jobs that it hears of.
#[derive(Default)]
struct Heard(AtomicUsize);

impl CommitListener for Heard {
    fn committed(&self, events: &[Event], jobs: bool) {
        assert!(events.is_empty() && jobs);
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_stored_once_and_changes_its_status() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let event = event(&env, "evt_1");
        assert!(store.receive(&event, None).await.unwrap());
        assert!(!store.receive(&StoredEvent { checkout: None, ..event.clone() }, None).await.unwrap());
        assert_eq!(found(store, "evt_1").await, Some(FoundEvent { event: event.clone(), tenant: None }));
        assert_eq!(found(store, "evt_2").await, None);
        assert_eq!(
            store.find(Provider::Recurrente, "evt_1").await.unwrap(),
            None,
            "ids are those of a provider"
        );
        store.set_status(Provider::Recurrente, "evt_1", InboundStatus::Ignored).await.unwrap();
        store.set_status(Provider::Stripe, "evt_1", InboundStatus::Done).await.unwrap();
        let done = StoredEvent { status: InboundStatus::Done, ..event };
        assert_eq!(found(store, "evt_1").await, Some(FoundEvent { event: done, tenant: None }));
        assert_eq!(store.figures(env.now()).await.unwrap(), QueueFigures::default(), "no job was given");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_event_has_its_job_and_one_that_comes_again_has_none() {
    on_each_database(async |database| {
        let env = env();
        let heard = Arc::new(Heard::default());
        let store = database.store().clone().with_listener(heard.clone());
        let event = event(&env, "evt_1");
        let job = new_job(&env, "payment.event");
        assert!(store.receive(&event, Some(job.clone())).await.unwrap());
        for _ in 0..3 {
            assert!(!store.receive(&event, Some(new_job(&env, "payment.event"))).await.unwrap());
        }
        assert_eq!(heard.0.load(Ordering::Relaxed), 1, "only what was stored wakes a worker");
        let claimed = store.claim("worker", 10, LEASE, env.now()).await.unwrap();
        let expected = Job {
            id: job.id,
            kind: job.kind.to_owned(),
            payload: job.payload,
            tenant_id: job.tenant,
            state: JobState::Running,
            attempts: 1,
            max_attempts: 5,
            run_at: job.run_at,
            due_at: None,
            last_error: None,
            request_id: job.request_id,
            trace_parent: None,
            created_at: env.now(),
        };
        assert_eq!(claimed, [expected], "as a unit of work enqueues it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_events_that_come_twice_at_once_each_is_stored_with_one_job() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let event = event(&env, "evt_1");
        let stored = at_once(store, 64, |store, number| {
            // Each comes twice.
            let event = StoredEvent { id: format!("evt_{}", number % 32), ..event.clone() };
            let job = new_job(&env, "payment.event");
            async move { store.receive(&event, Some(job)).await.unwrap().then_some(event.id) }
        })
        .await;
        let stored: Vec<String> = stored.into_iter().flatten().collect();
        let ids: BTreeSet<String> = (0..32).map(|number| format!("evt_{number}")).collect();
        assert_eq!((stored.len(), stored.into_iter().collect::<BTreeSet<_>>()), (32, ids));
        assert_eq!(store.figures(env.now()).await.unwrap().queued, 32);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_job_cannot_be_stored_is_not_stored() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let job = new_job(&env, "payment.event");
        assert!(store.receive(&event(&env, "evt_1"), Some(job.clone())).await.unwrap());
        let same = NewJob { id: job.id, ..new_job(&env, "payment.event") };
        let refused = store.receive(&event(&env, "evt_2"), Some(same)).await;
        assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
        assert_eq!(found(store, "evt_2").await, None);
        assert_eq!(WorkQueue::list(store, None, PageRequest::default()).await.unwrap().total, 1);
        assert!(store.receive(&event(&env, "evt_2"), Some(new_job(&env, "payment.event"))).await.unwrap());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_found_with_the_tenant_that_is_the_customer() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        // No customer yet, so not that of an event without one.
        let other = stored_tenant(store, &env, "two").await.id;
        let known = BillingAccount { customer_id: Some("cus_1".to_owned()), ..account(&env, tenant) };
        let mut work = store.begin().await.unwrap();
        work.accounts().insert_missing(&known).await.unwrap();
        work.accounts().insert_missing(&account(&env, other)).await.unwrap();
        work.commit().await.unwrap();
        for (id, provider, customer, expected) in [
            ("evt_1", Provider::Stripe, Some("cus_1"), Some(tenant)),
            ("evt_2", Provider::Stripe, Some("cus_2"), None),
            ("evt_3", Provider::Stripe, None, None),
            ("evt_4", Provider::Recurrente, Some("cus_1"), None),
        ] {
            let customer = customer.map(str::to_owned);
            store.receive(&StoredEvent { provider, customer, ..event(&env, id) }, None).await.unwrap();
            let tenant = store.find(provider, id).await.unwrap().unwrap().tenant;
            assert_eq!(tenant, expected, "{id}");
        }
    })
    .await;
}
