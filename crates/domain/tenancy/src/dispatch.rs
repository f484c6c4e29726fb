//! From the event log to the webhooks: which ones get an event, when an attempt is repeated, and when to give up.

use std::collections::BTreeMap;

use portico_kernel::{
    Env, Event, EventDeclaration, EventHead, EventId, RequestInfo, Scope, StoreError, TenantId, Timestamp,
    WebhookId,
    catalogue::{EVERYTHING, EventCatalogue},
    event::EventKind,
};
use time::Duration;

use crate::{
    delivery::{Delivery, DeliveryCause, DeliveryStatus},
    events,
    ports::{Health, Listener, Outcome, PlannedDelivery, TenancyRepositories},
};

/// The longest time that a receiver may ask for with `Retry-After`.
const LONGEST_PAUSE: Duration = Duration::DAY;

/// How much later than planned an attempt may be, as a part of the delay, so that those that failed together are not repeated
/// together.
const JITTER: f64 = 0.1;

/// Delays between the attempts of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule(pub Vec<Duration>);

impl Schedule {
    /// When to try again after an attempt that failed at `now`, with the delay that the receiver requested; `None` after the last one.
    pub fn next(
        &self,
        env: &Env,
        attempt: u32,
        now: Timestamp,
        retry_after: Option<Duration>,
    ) -> Option<Timestamp> {
        let delay = *self.0.get(attempt.checked_sub(1)? as usize)?;
        let [random] = env.random_bytes::<1>();
        let asked = retry_after.unwrap_or(Duration::ZERO).min(LONGEST_PAUSE);
        let delay = delay.max(asked);
        Some(now + delay + delay * (JITTER * f64::from(random) / 255.0))
    }
}

/// The attempt after one that failed.
pub fn attempt_after(env: &Env, failed: &Delivery, due_at: Timestamp, now: Timestamp) -> PlannedDelivery {
    PlannedDelivery {
        id: env.new_id(),
        tenant: failed.tenant,
        webhook: failed.webhook_id,
        event: failed.event_id,
        event_type: failed.event_type.clone(),
        sequence: failed.sequence,
        cause: failed.cause,
        attempt: failed.attempt + 1,
        payload: None,
        due_at,
        created_at: now,
    }
}

/// Plans the deliveries of events, in the transaction that moves the cursor of their reader. Answers the webhooks that workers
/// have to look at, also those for which somebody had deliveries planned on request.
pub async fn fan_out(
    repositories: &mut dyn TenancyRepositories,
    env: &Env,
    catalogue: &EventCatalogue,
    events: &[EventHead],
) -> Result<Vec<(TenantId, WebhookId)>, StoreError> {
    let mut tenants: Vec<TenantId> = events
        .iter()
        .filter(|event| catalogue.published(&event.kind).is_some())
        .map(|event| event.tenant)
        .collect();
    tenants.sort_unstable();
    tenants.dedup();
    let mut planned = Vec::new();
    if !tenants.is_empty() {
        let listeners = repositories.delivery_plans().listeners(tenants).await?;
        planned = deliveries(repositories, env, catalogue, events, &listeners).await?;
    }
    let webhooks = |is_meant: fn(&EventKind) -> bool| {
        let meant = events.iter().filter(move |event| is_meant(&event.kind));
        meant.map(|event| (event.tenant, WebhookId::from_uuid(event.resource)))
    };
    let woken: Vec<_> = webhooks(changes_sending).collect();
    let mut touched: Vec<_> = planned.iter().map(|delivery| (delivery.tenant, delivery.webhook)).collect();
    touched.extend(&woken);
    touched.sort_unstable();
    touched.dedup();
    // What is planned is locked in the order of keys by itself; what is woken after it would not be.
    if !woken.is_empty() && touched.len() > 1 {
        repositories.delivery_plans().hold(touched.clone()).await?;
    }
    if !planned.is_empty() {
        repositories.delivery_plans().plan(planned).await?;
    }
    for (tenant, webhook) in woken {
        repositories.delivery_plans().wake(tenant, webhook, env.now()).await?;
    }
    touched.extend(webhooks(requests_sending));
    touched.sort_unstable();
    touched.dedup();
    Ok(touched)
}

async fn deliveries(
    repositories: &mut dyn TenancyRepositories,
    env: &Env,
    catalogue: &EventCatalogue,
    events: &[EventHead],
    listeners: &[Listener],
) -> Result<Vec<PlannedDelivery>, StoreError> {
    let mut by_tenant: BTreeMap<TenantId, Vec<&Listener>> = BTreeMap::new();
    for listener in listeners {
        by_tenant.entry(listener.tenant).or_default().push(listener);
    }
    // Every published event of a tenant that has listeners takes a sequence number, whether or not one subscribes to it.
    let mut messages: BTreeMap<TenantId, Vec<(&EventHead, &'static str)>> = BTreeMap::new();
    for event in events {
        if let Some(published) = catalogue.published(&event.kind)
            && by_tenant.contains_key(&event.tenant)
        {
            messages.entry(event.tenant).or_default().push((event, published.name));
        }
    }
    let now = env.now();
    let mut planned = Vec::new();
    // In the order of tenants, as in every transaction that takes numbers of several of them.
    for (tenant, messages) in messages {
        let first = repositories.delivery_plans().places(tenant, messages.len() as u32).await?;
        for (sequence, (event, name)) in (first..).zip(messages) {
            let wanting = by_tenant.get(&tenant).into_iter().flatten().filter(|listener| {
                let wants = |wanted: &String| wanted == EVERYTHING || wanted == name;
                event.at >= listener.since && listener.events.iter().any(wants)
            });
            planned.extend(wanting.map(|listener| PlannedDelivery {
                id: env.new_id(),
                tenant,
                webhook: listener.webhook,
                event: event.id,
                event_type: name.to_owned(),
                sequence: Some(sequence),
                cause: DeliveryCause::Event,
                attempt: 1,
                payload: None,
                due_at: now,
                created_at: now,
            }));
        }
    }
    Ok(planned)
}

/// Whether an event changes if, when or how what is pending for a webhook is sent.
fn changes_sending(kind: &EventKind) -> bool {
    static CHANGES: [&EventDeclaration; 4] = [
        &events::WEBHOOK_RESUMED,
        &events::WEBHOOK_UPDATED,
        &events::WEBHOOK_ROTATED,
        &events::WEBHOOK_DISABLED,
    ];
    CHANGES.iter().any(|change| kind.is(change))
}

/// Whether an event notes that somebody had deliveries to a webhook planned.
fn requests_sending(kind: &EventKind) -> bool {
    kind.is(&events::WEBHOOK_TESTED) || kind.is(&events::WEBHOOK_DELIVERIES_RESENT)
}

/// Why a webhook is switched off automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisableReason {
    /// The receiver wants no more messages: it answered 410 (RFC 9110 section 15.5.11).
    Gone,
    /// No attempt succeeded for as long as the operator allows.
    Failing,
}

impl DisableReason {
    /// Text for its owners.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "The receiver answered 410 Gone.",
            Self::Failing => "Every attempt failed for too long.",
        }
    }
}

/// The webhooks to switch off, given the attempts that ended and the health of their webhooks since: those whose attempts have
/// all failed for `limit`. Decided when a message is given up, so that one that hardly ever gets any is not switched off for a
/// single failure.
pub fn failing(
    ended: &[&Outcome],
    health: &[Health],
    limit: std::time::Duration,
    now: Timestamp,
) -> Vec<(TenantId, WebhookId)> {
    let is_given_up = |webhook: WebhookId| {
        ended.iter().any(|outcome| {
            outcome.webhook == webhook
                && outcome.counts
                && outcome.status == DeliveryStatus::Failed
                && outcome.next.is_none()
        })
    };
    health
        .iter()
        .filter(|health| health.failing_since.is_some_and(|since| now - since >= limit))
        .filter(|health| is_given_up(health.webhook))
        .map(|health| (health.tenant, health.webhook))
        .collect()
}

/// Switches a failing webhook off, and appends the event by which its owners are notified. Answers whether it was enabled.
pub async fn disable(
    repositories: &mut dyn TenancyRepositories,
    env: &Env,
    tenant: TenantId,
    webhook: WebhookId,
    reason: DisableReason,
) -> Result<bool, StoreError> {
    let changed = repositories.delivery_plans().disable(tenant, webhook, reason.as_str(), env.now()).await?;
    let Some((before, after)) = changed else { return Ok(false) };
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    let event = Event::new(env, &scope, &events::WEBHOOK_DISABLED, webhook.uuid())
        .before(&before.recorded())
        .after(&after.recorded());
    repositories.events().append(event).await?;
    Ok(true)
}

/// The id by which a receiver recognises an event: the same at every attempt, and when it is sent again.
pub fn message_id(event: EventId) -> String {
    format!("evt_{event}")
}

#[cfg(test)]
#[path = "dispatch_tests.rs"]
mod tests;
