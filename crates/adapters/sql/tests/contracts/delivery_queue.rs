//! Planning deliveries, and working them off: every MUST of the ports.

use std::collections::BTreeSet;

use portico_kernel::{DeliveryId, EventId, StoreError, TenantId, Timestamp, WebhookId};
use portico_sql::SqlStore;
use portico_tenancy::{
    delivery::{DeliveryCause, DeliveryStatus},
    ports::{DeliveryFigures, DeliveryQueue, Due, Outcome, PlannedDelivery, TenancyRepositories},
    tenant::TenantStatus,
    webhook::{Webhook, WebhookStatus},
};
use portico_testkit::{TestDatabase, TestEnv, env, on_each_database};
use time::Duration;

use crate::{
    fixtures::{at_once, stored_event, stored_tenant},
    webhooks::{plan, planned, stored_webhook},
};

const LEASE: Duration = Duration::seconds(5);

/// A webhook in a tenant of its own.
pub async fn hook(store: &SqlStore, env: &TestEnv, name: &str) -> Webhook {
    let tenant = stored_tenant(store, env, name).await;
    stored_webhook(store, env, tenant.id).await
}

pub fn key(webhook: &Webhook) -> (TenantId, WebhookId) {
    (webhook.tenant, webhook.id)
}

/// Plans one delivery of an event that nobody has.
pub async fn plan_one(store: &SqlStore, env: &TestEnv, webhook: &Webhook, due_at: Timestamp) -> DeliveryId {
    let event = EventId::from_uuid(env.random_uuid());
    let one = PlannedDelivery { due_at, ..planned(env, webhook, event, Some(1)) };
    let id = one.id;
    plan(store, vec![one]).await;
    id
}

async fn take(store: &SqlStore, env: &TestEnv, worker: &str) -> Vec<(TenantId, WebhookId)> {
    store.take(worker, 10, env.now() + LEASE, env.now()).await.unwrap()
}

async fn due(store: &SqlStore, env: &TestEnv, worker: &str, webhook: &Webhook) -> Option<Due> {
    store.due(worker, key(webhook), None, 100, env.now()).await.unwrap()
}

fn ids(due: &Due) -> Vec<DeliveryId> {
    due.deliveries.iter().map(|due| due.delivery.id).collect()
}

async fn set_status(database: &TestDatabase, webhook: &Webhook, status: WebhookStatus) {
    let statement = format!("update webhooks set status = '{}' where id = $1", status.as_str());
    assert_eq!(database.tamper(&statement, &[webhook.id.uuid()]).await, 1);
}

pub fn outcome(env: &TestEnv, webhook: &Webhook, id: DeliveryId, status: DeliveryStatus) -> Outcome {
    Outcome {
        id,
        tenant: webhook.tenant,
        webhook: webhook.id,
        status,
        counts: true,
        response_status: Some(500),
        response_body: Some("ñ 😀".into()),
        duration_ms: Some(12),
        error: Some("answered 500".into()),
        finished_at: env.now(),
        next: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_looked_after_by_one_worker_and_by_another_one_after_its_lease() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let idle = hook(store, &env, "idle").await;
        let id = plan_one(store, &env, &webhook, env.now()).await;
        let now = env.now();
        let taken = at_once(store, 8, |store, number| async move {
            let worker = format!("worker-{number}");
            let keys = store.take(&worker, 10, now + LEASE, now).await.unwrap();
            (worker, keys)
        })
        .await;
        // The answers come in the order in which they were ready.
        let holders: Vec<&String> =
            taken.iter().filter(|taken| !taken.1.is_empty()).map(|taken| &taken.0).collect();
        assert_eq!(holders.len(), 1, "{taken:?}");
        let holder = holders[0].clone();
        assert!(taken.iter().any(|taken| taken.1 == [key(&webhook)]), "{taken:?}");

        let found = due(store, &env, &holder, &webhook).await.unwrap();
        assert_eq!((ids(&found), found.active), (vec![id], true));
        assert_eq!(found.webhook, webhook);
        assert_eq!(found.deliveries[0].event, None, "nobody has it");
        assert_eq!(due(store, &env, "another", &webhook).await, None);
        assert_eq!(due(store, &env, &holder, &idle).await, None, "it holds only what it took");

        // Kept beyond its first lease, and then not any more.
        env.clock.advance(Duration::seconds(4));
        store.keep(&holder, vec![key(&webhook), key(&idle)], env.now() + LEASE).await.unwrap();
        env.clock.advance(Duration::seconds(4));
        assert!(take(store, &env, "another").await.is_empty());
        env.clock.advance(Duration::seconds(2));
        assert_eq!(take(store, &env, "another").await, [key(&webhook)]);
        assert_eq!(due(store, &env, &holder, &webhook).await, None);
        store.keep(&holder, vec![key(&webhook)], env.now() + Duration::days(1)).await.unwrap();
        assert!(!store.release(&holder, key(&webhook), None, None).await.unwrap());
        assert_eq!(ids(&due(store, &env, "another", &webhook).await.unwrap()), [id]);
        env.clock.advance(LEASE + Duration::seconds(1));
        assert_eq!(take(store, &env, "a third one").await, [key(&webhook)], "the first one kept nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_meanwhile_keeps_a_webhook_from_being_given_back() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let first = plan_one(store, &env, &webhook, env.now()).await;
        assert_eq!(take(store, &env, "worker").await, [key(&webhook)]);
        let before = due(store, &env, "worker", &webhook).await.unwrap().generation;
        let later = plan_one(store, &env, &webhook, env.now() + Duration::hours(1)).await;
        assert!(!store.release("worker", key(&webhook), Some(before), None).await.unwrap());
        let found = due(store, &env, "worker", &webhook).await.unwrap();
        assert_eq!(ids(&found), [first], "the other one is not due");
        store.settle(vec![outcome(&env, &webhook, first, DeliveryStatus::Succeeded)]).await.unwrap();
        assert!(store.release("worker", key(&webhook), Some(found.generation), None).await.unwrap());

        env.clock.advance(Duration::minutes(59));
        assert!(take(store, &env, "worker").await.is_empty());
        env.clock.advance(Duration::minutes(1));
        assert_eq!(take(store, &env, "worker").await, [key(&webhook)]);
        assert_eq!(ids(&due(store, &env, "worker", &webhook).await.unwrap()), [later]);
        store.settle(vec![outcome(&env, &webhook, later, DeliveryStatus::Succeeded)]).await.unwrap();
        assert!(store.release("worker", key(&webhook), None, None).await.unwrap());
        env.clock.advance(Duration::days(100));
        assert!(take(store, &env, "worker").await.is_empty(), "nothing is pending");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_left_alone_until_the_time_it_asked_for() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        plan_one(store, &env, &webhook, env.now()).await;
        take(store, &env, "worker").await;
        let held = env.now() + Duration::minutes(10);
        assert!(store.release("worker", key(&webhook), None, Some(held)).await.unwrap());
        assert!(take(store, &env, "worker").await.is_empty());
        plan_one(store, &env, &webhook, env.now()).await;
        assert!(take(store, &env, "worker").await.is_empty(), "nor for what comes meanwhile");
        env.clock.advance(Duration::minutes(10));
        assert_eq!(take(store, &env, "worker").await, [key(&webhook)]);
        assert_eq!(due(store, &env, "worker", &webhook).await.unwrap().deliveries.len(), 2);

        // With nothing pending there is nothing to wait for; what is planned then waits.
        for due in due(store, &env, "worker", &webhook).await.unwrap().deliveries {
            store
                .settle(vec![outcome(&env, &webhook, due.delivery.id, DeliveryStatus::Succeeded)])
                .await
                .unwrap();
        }
        let held = env.now() + Duration::minutes(10);
        assert!(store.release("worker", key(&webhook), None, Some(held)).await.unwrap());
        plan_one(store, &env, &webhook, env.now()).await;
        assert!(take(store, &env, "worker").await.is_empty());
        env.clock.advance(Duration::minutes(10));
        assert_eq!(take(store, &env, "worker").await, [key(&webhook)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_comes_in_order_in_pieces_and_of_one_webhook() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let other = stored_webhook(store, &env, webhook.tenant).await;
        let event = stored_event(store, &env, webhook.tenant, "page.updated").await;
        let mut expected = Vec::new();
        for seconds in [3, 1, 2, 2] {
            let due_at = env.now() - Duration::seconds(seconds);
            let one = PlannedDelivery { due_at, ..planned(&env, &webhook, event.id, Some(9)) };
            expected.push((due_at, one.id));
            plan(store, vec![one]).await;
        }
        plan_one(store, &env, &webhook, env.now() + Duration::seconds(1)).await;
        plan_one(store, &env, &other, env.now()).await;
        expected.sort();
        let mut taken = take(store, &env, "worker").await;
        taken.sort();
        let mut keys = vec![key(&webhook), key(&other)];
        keys.sort();
        assert_eq!(taken, keys);

        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let piece = store.due("worker", key(&webhook), after, 3, env.now()).await.unwrap().unwrap();
            if piece.deliveries.is_empty() {
                break;
            }
            assert!(piece.deliveries.len() <= 3);
            after = piece.deliveries.last().map(|due| due.place());
            found.extend(piece.deliveries);
        }
        let places: Vec<_> = found.iter().map(|due| due.place()).collect();
        assert_eq!(places, expected);
        for due in &found {
            assert_eq!(due.event.as_ref(), Some(&event));
            assert_eq!((due.delivery.sequence, due.delivery.attempt), (Some(9), 1));
            assert_eq!((due.delivery.status, due.payload.as_ref()), (DeliveryStatus::Pending, None));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_looked_after_again_when_the_next_attempt_is_due() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let first = plan_one(store, &env, &webhook, env.now()).await;
        take(store, &env, "dead").await;
        env.clock.advance(LEASE);
        take(store, &env, "alive").await;
        let generation = due(store, &env, "alive", &webhook).await.unwrap().generation;
        // The one that was thought dead notes, while the other one is about to give the webhook back.
        let due_at = env.now() + Duration::minutes(5);
        let next = PlannedDelivery { due_at, attempt: 2, ..planned(&env, &webhook, env.new_id(), Some(1)) };
        let failed = Outcome { next: Some(next), ..outcome(&env, &webhook, first, DeliveryStatus::Failed) };
        store.settle(vec![failed]).await.unwrap();
        assert!(!store.release("alive", key(&webhook), Some(generation), None).await.unwrap());
        assert!(store.release("alive", key(&webhook), None, None).await.unwrap());
        env.clock.advance(Duration::minutes(5));
        assert_eq!(take(store, &env, "worker").await, [key(&webhook)]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn places_are_given_once_and_without_a_gap() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let tenant = stored_tenant(store, &env, "one").await.id;
        let other = stored_tenant(store, &env, "two").await.id;
        let first = at_once(store, 12, |store, _| async move {
            let mut work = store.begin().await?;
            let first = work.delivery_plans().places(tenant, 3).await?;
            work.commit().await?;
            Ok::<_, StoreError>(first)
        })
        .await;
        let given: BTreeSet<i64> = first
            .into_iter()
            .flat_map(|first| {
                let first = first.unwrap();
                first..first + 3
            })
            .collect();
        assert_eq!(given, (1..=36).collect());
        let mut work = store.begin().await.unwrap();
        assert_eq!(work.delivery_plans().places(other, 1).await.unwrap(), 1, "each tenant has its own");
        drop(work);
        let mut work = store.begin().await.unwrap();
        assert_eq!(
            work.delivery_plans().places(other, 1).await.unwrap(),
            1,
            "what was not committed is free"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_enabled_webhooks_of_tenants_that_are_there_listen() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let paused = stored_webhook(store, &env, webhook.tenant).await;
        let disabled = stored_webhook(store, &env, webhook.tenant).await;
        let mut gone = stored_tenant(store, &env, "gone").await;
        let orphan = stored_webhook(store, &env, gone.id).await;
        let other = hook(store, &env, "other").await;
        set_status(database, &paused, WebhookStatus::Paused).await;
        set_status(database, &disabled, WebhookStatus::Disabled).await;
        plan_one(store, &env, &orphan, env.now()).await;
        gone.status = TenantStatus::Deleted;
        let mut work = store.begin().await.unwrap();
        work.tenants().update(&gone).await.unwrap();
        work.commit().await.unwrap();

        let mut work = store.begin().await.unwrap();
        let listeners = work.delivery_plans().listeners(vec![webhook.tenant, gone.id]).await.unwrap();
        drop(work);
        let found: Vec<_> = listeners.iter().map(|listener| (listener.tenant, listener.webhook)).collect();
        assert_eq!(found, [key(&webhook)], "not those of {}", other.tenant);
        assert_eq!((&listeners[0].events, listeners[0].since), (&webhook.events, webhook.created_at));
        take(store, &env, "worker").await;
        let due = due(store, &env, "worker", &orphan).await.unwrap();
        assert!(!due.active && due.deliveries.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_not_active_is_sent_tests_only_until_it_is_woken() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let pending = plan_one(store, &env, &webhook, env.now()).await;
        set_status(database, &webhook, WebhookStatus::Paused).await;
        take(store, &env, "worker").await;
        let found = due(store, &env, "worker", &webhook).await.unwrap();
        assert!(!found.active && found.deliveries.is_empty());
        assert!(store.release("worker", key(&webhook), Some(found.generation), None).await.unwrap());
        assert!(take(store, &env, "worker").await.is_empty());

        let payload = Some(serde_json::json!({"type": "webhook.test"}));
        let test = PlannedDelivery {
            cause: DeliveryCause::Test,
            payload: payload.clone(),
            ..planned(&env, &webhook, env.new_id(), None)
        };
        let id = test.id;
        plan(store, vec![test]).await;
        assert_eq!(take(store, &env, "worker").await, [key(&webhook)]);
        let found = due(store, &env, "worker", &webhook).await.unwrap();
        assert_eq!((ids(&found), &found.deliveries[0].payload), (vec![id], &payload));
        store.settle(vec![outcome(&env, &webhook, id, DeliveryStatus::Succeeded)]).await.unwrap();
        assert!(store.release("worker", key(&webhook), None, None).await.unwrap());
        assert!(take(store, &env, "worker").await.is_empty());

        set_status(database, &webhook, WebhookStatus::Enabled).await;
        let mut work = store.begin().await.unwrap();
        let unknown = (webhook.tenant, env.new_id());
        work.delivery_plans().hold(vec![unknown, key(&webhook), unknown]).await.unwrap();
        work.delivery_plans().wake(webhook.tenant, webhook.id, env.now()).await.unwrap();
        work.delivery_plans().wake(webhook.tenant, unknown.1, env.now()).await.unwrap();
        work.commit().await.unwrap();
        assert_eq!(take(store, &env, "worker").await, [key(&webhook)]);
        assert_eq!(ids(&due(store, &env, "worker", &webhook).await.unwrap()), [pending]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_switched_off_once_and_its_deliveries_are_given_up() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let other = stored_webhook(store, &env, webhook.tenant).await;
        for _ in 0..5 {
            plan_one(store, &env, &webhook, env.now()).await;
        }
        let spared = plan_one(store, &env, &other, env.now()).await;
        let test =
            PlannedDelivery { cause: DeliveryCause::Test, ..planned(&env, &webhook, env.new_id(), None) };
        plan(store, vec![test]).await;
        let (tenant, id, now) = (webhook.tenant, webhook.id, env.now());
        let disabled = at_once(store, 6, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let changed = work.delivery_plans().disable(tenant, id, "It failed.", now).await.unwrap();
            work.commit().await.unwrap();
            changed
        })
        .await;
        let changed: Vec<_> = disabled.into_iter().flatten().collect();
        let [(before, after)] = changed.as_slice() else { panic!("{changed:?}") };
        assert_eq!(before, &webhook);
        assert_eq!((after.status, after.disabled_at), (WebhookStatus::Disabled, Some(now)));
        assert_eq!(
            (after.disabled_reason.as_deref(), after.version),
            (Some("It failed."), webhook.version + 1)
        );

        let abandon = async || store.abandon(key(&webhook), "off", 3, env.now()).await.unwrap();
        assert_eq!((abandon().await, abandon().await, abandon().await), (3, 2, 0));
        let figures = store.figures(env.now() + Duration::seconds(7)).await.unwrap();
        assert_eq!(figures, DeliveryFigures { pending: 2, oldest_due: Duration::seconds(7) });
        let found = store.reader().deliveries().find(tenant, spared).await.unwrap().unwrap();
        assert_eq!(found.status, DeliveryStatus::Pending);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn planning_and_settling_at_once_neither_block_nor_lose_anything() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut hooks = Vec::new();
        for number in 0..4 {
            hooks.push(hook(store, &env, &format!("tenant-{number}")).await);
        }
        let round = |store: SqlStore, number: usize| {
            let (mut hooks, env) = (hooks.clone(), env.clone());
            async move {
                // Each in another order.
                hooks.rotate_left(number % 4);
                let planned: Vec<_> =
                    hooks.iter().map(|hook| planned(&env, hook, env.new_id(), None)).collect();
                let ids: Vec<_> = planned.iter().map(|one| one.id).collect();
                let mut work = store.begin().await?;
                work.delivery_plans().plan(planned).await?;
                work.commit().await?;
                store.take(&format!("worker-{number}"), 10, env.now() + LEASE, env.now()).await?;
                let keys = hooks.iter().map(key).collect();
                store.keep(&format!("worker-{number}"), keys, env.now() + LEASE).await?;
                let again = |hook: &Webhook| {
                    Some(PlannedDelivery { attempt: 2, ..self::planned(&env, hook, env.new_id(), None) })
                };
                let outcomes = hooks.iter().zip(ids).map(|(hook, id)| Outcome {
                    next: again(hook),
                    ..outcome(&env, hook, id, DeliveryStatus::Failed)
                });
                store.settle(outcomes.collect()).await?;
                Ok::<_, StoreError>(())
            }
        };
        for result in at_once(store, 12, round).await {
            result.unwrap();
        }
        assert_eq!(store.figures(env.now()).await.unwrap().pending, 48, "one next attempt each");
        for hook in &hooks {
            let stored = store.reader().webhooks().find(hook.tenant, hook.id).await.unwrap().unwrap();
            assert_eq!(stored.failures, 12);
        }
    })
    .await;
}
