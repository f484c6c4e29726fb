//! Webhooks of payment providers: stored once, and worked off later.

use portico_kernel::{Env, JobType, NewJob, Scope, StoreError, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    BillingError,
    payment::{InboundEvent, InboundSubject, Provider, SignatureError},
    ports::PaymentInbox,
};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundStatus {
    /// Stored, and not worked off yet.
    Received,
    /// Worked off.
    Done,
    /// Of a kind that is of no interest here, or about a payment that was not made here.
    Ignored,
}

impl InboundStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Received, Self::Done, Self::Ignored];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Done => "done",
            Self::Ignored => "ignored",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// An event of a provider, as it is stored. Its body is not: it holds addresses and names, and is only a hint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Whose.
    pub provider: Provider,
    /// The provider's id of it.
    pub id: String,
    /// The provider's word for what happened.
    pub kind: String,
    /// The provider's id of the checkout that it is about; `None` where it is about something else.
    pub checkout: Option<String>,
    /// The provider's id of the payment that it is about; `None` where it is about something else.
    pub payment: Option<String>,
    /// The provider's id of the refund of that payment that it is about; `None` where it is about the payment, or something else.
    pub refund: Option<String>,
    /// The provider's id of the customer whose subscription it is about; `None` where it is about something else.
    pub customer: Option<String>,
    /// What became of it.
    pub status: InboundStatus,
    /// When it came.
    pub received_at: Timestamp,
}

/// A stored event, and whom it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEvent {
    /// The event.
    pub event: StoredEvent,
    /// The tenant that the provider knows by the customer of the event; `None` where it names none, or one that is not known here.
    pub tenant: Option<TenantId>,
}

/// The job that works an event off.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentEvent {
    /// Whose.
    pub provider: Provider,
    /// The provider's id of it.
    pub event: String,
}

impl JobType for PaymentEvent {
    const KIND: &'static str = "payment.event";
    /// With a backoff that grows to an hour, a provider may be unavailable for half a day. The schedule asks about its payments after that.
    const MAX_ATTEMPTS: u32 = 24;
}

/// Use cases around webhooks of providers. They ask for no permission: the signature was verified.
pub struct InboundEvents<'a> {
    inbox: &'a dyn PaymentInbox,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> InboundEvents<'a> {
    /// For a sender.
    pub fn new(inbox: &'a dyn PaymentInbox, scope: &'a Scope, env: &'a Env) -> Self {
        Self { inbox, scope, env }
    }

    /// Stores an event, with the job that works it off if there is anything to do. One that was stored before changes nothing: answers
    /// whether it was new. One with names that no provider gives is not believed, and not stored.
    pub async fn receive(&self, provider: Provider, event: InboundEvent) -> Result<bool, BillingError> {
        let status = match event.subject {
            InboundSubject::Other => InboundStatus::Ignored,
            _ => InboundStatus::Received,
        };
        let (checkout, payment, refund, customer) = match event.subject {
            InboundSubject::Checkout { id } => (Some(id), None, None, None),
            InboundSubject::Payment { id } => (None, Some(id), None, None),
            InboundSubject::Refund { id, payment } => (None, Some(payment), Some(id), None),
            InboundSubject::Customer { id } => (None, None, None, Some(id)),
            InboundSubject::Other => (None, None, None, None),
        };
        // The names of a provider are plain; what is not was not sent by one.
        let names = [
            Some(&event.id),
            Some(&event.kind),
            checkout.as_ref(),
            payment.as_ref(),
            refund.as_ref(),
            customer.as_ref(),
        ];
        if names.into_iter().flatten().any(|name| !is_name(name)) {
            return Err(SignatureError.into());
        }
        let received_at = self.env.now();
        let (id, kind) = (event.id, event.kind);
        let stored =
            StoredEvent { provider, id, kind, checkout, payment, refund, customer, status, received_at };
        let job = (status == InboundStatus::Received).then(|| {
            let job = PaymentEvent { provider, event: stored.id.clone() };
            NewJob::new(self.env, self.scope, TenantId::PLATFORM, &job)
        });
        Ok(self.inbox.receive(&stored, job).await?)
    }

    /// The event that a job is about, unless it was worked off.
    pub async fn open(&self, job: &PaymentEvent) -> Result<Option<FoundEvent>, StoreError> {
        let found = self.inbox.find(job.provider, &job.event).await?;
        Ok(found.filter(|found| found.event.status == InboundStatus::Received))
    }

    /// Notes what became of an event.
    pub async fn close(&self, event: &StoredEvent, status: InboundStatus) -> Result<(), StoreError> {
        self.inbox.set_status(event.provider, &event.id, status).await
    }
}

/// Most characters of a name that a provider gives.
const NAME_MAX: usize = 255;

fn is_name(text: &str) -> bool {
    (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use portico_kernel::RequestInfo;

    use super::*;
    use crate::testing::{Repositories, env};

    fn event(id: &str, subject: InboundSubject) -> InboundEvent {
        InboundEvent { id: id.to_owned(), kind: "checkout.session.completed".to_owned(), subject }
    }

    #[tokio::test]
    async fn an_event_that_comes_a_hundred_times_is_one_job() {
        let (env, scope) = (env(), Scope::anonymous(RequestInfo::default()));
        let repositories = Repositories::default();
        for round in 0..100 {
            let subject = InboundSubject::Checkout { id: "cs_1".to_owned() };
            let inbound = InboundEvents::new(&repositories.shop, &scope, &env);
            let new = inbound.receive(Provider::Stripe, event("evt_1", subject)).await.unwrap();
            assert_eq!(new, round == 0);
        }
        let jobs = repositories.shop.rows().jobs.clone();
        assert_eq!(jobs.len(), 1);
        assert_eq!((jobs[0].kind, jobs[0].tenant), ("payment.event", TenantId::PLATFORM));
        assert_eq!(jobs[0].payload, serde_json::json!({"provider": "stripe", "event": "evt_1"}));
        let job = PaymentEvent { provider: Provider::Stripe, event: "evt_1".to_owned() };
        let inbound = InboundEvents::new(&repositories.shop, &scope, &env);
        let FoundEvent { event, tenant } = inbound.open(&job).await.unwrap().unwrap();
        assert_eq!((event.checkout.as_deref(), tenant), (Some("cs_1"), None));
        inbound.close(&event, InboundStatus::Done).await.unwrap();
        assert_eq!(inbound.open(&job).await.unwrap(), None, "a job that runs again has nothing to do");
    }

    #[tokio::test]
    async fn names_that_no_provider_gives_are_not_stored() {
        let (env, scope) = (env(), Scope::anonymous(RequestInfo::default()));
        let repositories = Repositories::default();
        let long = "e".repeat(NAME_MAX + 1);
        for name in ["", "evt \0", "evt\n1", "ev t", long.as_str()] {
            let inbound = InboundEvents::new(&repositories.shop, &scope, &env);
            let refused = inbound.receive(Provider::Stripe, event(name, InboundSubject::Other)).await;
            assert!(matches!(refused, Err(BillingError::Signature(_))), "{name:?}");
            let subject = InboundSubject::Checkout { id: name.to_owned() };
            assert!(inbound.receive(Provider::Stripe, event("evt_1", subject)).await.is_err(), "{name:?}");
        }
        assert!(repositories.shop.rows().inbound.is_empty());
    }

    #[tokio::test]
    async fn an_event_about_a_payment_is_kept_apart_from_those_about_checkouts() {
        let (env, scope) = (env(), Scope::anonymous(RequestInfo::default()));
        let repositories = Repositories::default();
        let inbound = InboundEvents::new(&repositories.shop, &scope, &env);
        let subject = InboundSubject::Payment { id: "pi_1".to_owned() };
        assert!(inbound.receive(Provider::Stripe, event("evt_3", subject)).await.unwrap());
        let shop = repositories.shop.rows();
        let stored = &shop.inbound[0];
        assert_eq!((stored.payment.as_deref(), stored.checkout.as_deref()), (Some("pi_1"), None));
        assert_eq!((stored.status, shop.jobs.len()), (InboundStatus::Received, 1));
    }

    #[tokio::test]
    async fn an_event_about_a_refund_names_its_payment_too() {
        let (env, scope) = (env(), Scope::anonymous(RequestInfo::default()));
        let repositories = Repositories::default();
        let inbound = InboundEvents::new(&repositories.shop, &scope, &env);
        for (id, taken) in [("re 1", false), ("re_1", true)] {
            let subject = InboundSubject::Refund { id: id.to_owned(), payment: "ch_1".to_owned() };
            let received = inbound.receive(Provider::Recurrente, event("evt_4", subject)).await;
            assert_eq!(received.is_ok(), taken, "{id}");
        }
        let shop = repositories.shop.rows();
        let stored = &shop.inbound[0];
        assert_eq!((stored.payment.as_deref(), stored.refund.as_deref()), (Some("ch_1"), Some("re_1")));
        assert_eq!((stored.checkout.as_deref(), shop.jobs.len()), (None, 1));
    }

    #[tokio::test]
    async fn an_event_about_a_customer_is_a_job_too() {
        let (env, scope) = (env(), Scope::anonymous(RequestInfo::default()));
        let repositories = Repositories::default();
        let subject = InboundSubject::Customer { id: "cus_1".to_owned() };
        let inbound = InboundEvents::new(&repositories.shop, &scope, &env);
        assert!(inbound.receive(Provider::Stripe, event("evt_3", subject)).await.unwrap());
        let job = PaymentEvent { provider: Provider::Stripe, event: "evt_3".to_owned() };
        let open = inbound.open(&job).await.unwrap().unwrap();
        assert_eq!((open.event.customer.as_deref(), open.event.checkout), (Some("cus_1"), None));
        assert_eq!(repositories.shop.rows().jobs.len(), 1);
    }

    #[tokio::test]
    async fn events_of_other_kinds_are_stored_and_ignored() {
        let (env, scope) = (env(), Scope::anonymous(RequestInfo::default()));
        let repositories = Repositories::default();
        let inbound = InboundEvents::new(&repositories.shop, &scope, &env);
        assert!(inbound.receive(Provider::Stripe, event("evt_2", InboundSubject::Other)).await.unwrap());
        let shop = repositories.shop.rows();
        assert_eq!((shop.inbound[0].status, shop.jobs.len()), (InboundStatus::Ignored, 0));
    }
}
