//! Webhooks, and what was sent to them as members see it: every MUST of the ports.

use portico_kernel::{
    CursorRequest, DeliveryId, EventId, Outbox, PageRequest, StoreError, TenantId, Timestamp, WebhookId,
};
use portico_sql::SqlStore;
use portico_tenancy::{
    delivery::{Content, Delivery, DeliveryCause, DeliveryFilter, DeliveryStatus, Window},
    ports::{PlannedDelivery, StoredSecrets, TenancyRepositories},
    webhook::{SealedSecrets, Webhook, WebhookStatus},
};
use portico_testkit::{TestDatabase, TestEnv, env, on_each_database};
use serde_json::json;
use time::Duration;

use crate::fixtures::{at_once, event, stored_event, stored_tenant};

fn webhook(env: &TestEnv, tenant: TenantId) -> Webhook {
    let now = env.now();
    Webhook {
        id: env.new_id(),
        tenant,
        url: "https://example.com/hook?ñ=😀".into(),
        description: Some("Order desk".into()),
        events: vec!["page.updated".into(), "*".into()],
        status: WebhookStatus::Enabled,
        rate_per_second: Some(7),
        secrets: SealedSecrets {
            current: vec![0, 1, 255],
            previous: Some((vec![9], now + Duration::hours(1))),
            rotated_at: Some(now),
        },
        failures: 0,
        failing_since: None,
        disabled_at: None,
        disabled_reason: None,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

pub async fn stored_webhook(store: &SqlStore, env: &TestEnv, tenant: TenantId) -> Webhook {
    let webhook = webhook(env, tenant);
    let mut work = store.begin().await.unwrap();
    assert!(work.webhooks().insert(&webhook, 100).await.unwrap());
    work.commit().await.unwrap();
    webhook
}

pub fn planned(env: &TestEnv, webhook: &Webhook, event: EventId, sequence: Option<i64>) -> PlannedDelivery {
    PlannedDelivery {
        id: env.new_id(),
        tenant: webhook.tenant,
        webhook: webhook.id,
        event,
        event_type: "page.updated".into(),
        sequence,
        cause: DeliveryCause::Event,
        attempt: 1,
        payload: None,
        due_at: env.now(),
        created_at: env.now(),
    }
}

pub async fn plan(store: &SqlStore, deliveries: Vec<PlannedDelivery>) {
    let mut work = store.begin().await.unwrap();
    work.delivery_plans().plan(deliveries).await.unwrap();
    work.commit().await.unwrap();
}

/// Ends an attempt, past those who deliver.
async fn end(database: &TestDatabase, delivery: DeliveryId, status: DeliveryStatus) {
    let statement = match status {
        DeliveryStatus::Succeeded => {
            "update webhook_deliveries set status = 'succeeded', response_body = 'fine' where id = $1"
        }
        _ => "update webhook_deliveries set status = 'failed', response_status = 500 where id = $1",
    };
    assert_eq!(database.tamper(statement, &[delivery.uuid()]).await, 1);
}

async fn find(store: &SqlStore, tenant: TenantId, id: WebhookId) -> Option<Webhook> {
    store.reader().webhooks().find(tenant, id).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_read_back_by_its_tenant_only() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (acme, other) =
            (stored_tenant(store, &env, "acme").await.id, stored_tenant(store, &env, "other").await.id);
        let first = stored_webhook(store, &env, acme).await;
        env.clock.advance(Duration::seconds(1));
        let second = Webhook { description: None, rate_per_second: None, ..webhook(&env, acme) };
        let second = Webhook {
            secrets: SealedSecrets { current: vec![1], previous: None, rotated_at: None },
            ..second
        };
        let mut work = store.begin().await.unwrap();
        assert!(work.webhooks().insert(&second, 100).await.unwrap());
        work.commit().await.unwrap();
        let mut reader = store.reader();
        let mut webhooks = reader.webhooks();
        assert_eq!(webhooks.find(acme, first.id).await.unwrap(), Some(first.clone()));
        assert_eq!(webhooks.find(acme, second.id).await.unwrap(), Some(second.clone()));
        assert_eq!(webhooks.find(other, first.id).await.unwrap(), None);
        let page = webhooks.list(acme, PageRequest { page: 1, limit: 1 }).await.unwrap();
        assert_eq!((page.items, page.total), (vec![second], 2));
        let page = webhooks.list(acme, PageRequest { page: 2, limit: 1 }).await.unwrap();
        assert_eq!(page.items, vec![first]);
        assert_eq!(webhooks.list(other, PageRequest::default()).await.unwrap().total, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_secrets_of_all_tenants_are_listed_in_pieces_and_replaced_unless_they_changed() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let mut ids = Vec::new();
        for name in ["acme", "other", "third"] {
            let tenant = stored_tenant(store, &env, name).await.id;
            ids.push(stored_webhook(store, &env, tenant).await.id);
        }
        let mut work = store.begin().await.unwrap();
        let mut webhooks = work.webhooks();
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let piece = webhooks.sealed_secrets(after, 2).await.unwrap();
            assert!(piece.len() <= 2);
            let Some(last) = piece.last() else { break };
            after = Some(last.webhook);
            listed.extend(piece);
        }
        ids.sort();
        assert_eq!(listed.iter().map(|stored| stored.webhook).collect::<Vec<_>>(), ids);
        let was = listed.remove(0);
        assert_eq!((was.current.as_slice(), was.previous.as_deref()), (&[0, 1, 255][..], Some(&[9][..])));
        let now = StoredSecrets { current: vec![5], previous: Some(vec![6]), ..was.clone() };
        assert!(webhooks.reseal(&was, &now).await.unwrap());
        assert!(!webhooks.reseal(&was, &now).await.unwrap(), "it changed meanwhile");
        let stored = webhooks.find(was.tenant, was.webhook).await.unwrap().unwrap();
        assert_eq!((stored.secrets.current, stored.version), (vec![5], 1));
        assert_eq!(stored.secrets.previous.unwrap().0, vec![6]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_gets_more_webhooks_than_it_may_have() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let (acme, other) =
            (stored_tenant(store, &env, "acme").await.id, stored_tenant(store, &env, "other").await.id);
        stored_webhook(store, &env, other).await;
        let new: Vec<Webhook> = (0..8).map(|_| webhook(&env, acme)).collect();
        let stored = at_once(store, 8, |store, number| {
            let webhook = new[number].clone();
            async move {
                let mut work = store.begin().await.unwrap();
                let stored = work.webhooks().insert(&webhook, 3).await.unwrap();
                work.commit().await.unwrap();
                stored
            }
        })
        .await;
        assert_eq!(stored.iter().filter(|stored| **stored).count(), 3);
        let page = store.reader().webhooks().list(acme, PageRequest::default()).await.unwrap();
        assert_eq!(page.total, 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_the_second_is_stale_and_failures_are_not_touched() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let acme = stored_tenant(store, &env, "acme").await.id;
        let other = stored_tenant(store, &env, "other").await.id;
        let before = stored_webhook(store, &env, acme).await;
        // Counted meanwhile by those who deliver.
        let counted = "update webhooks set failures = 5, failing_since = created_at where id = $1";
        assert_eq!(database.tamper(counted, &[before.id.uuid()]).await, 1);
        let after = Webhook {
            url: "https://example.com/new".into(),
            status: WebhookStatus::Disabled,
            disabled_at: Some(env.now()),
            disabled_reason: Some("It failed.".into()),
            secrets: SealedSecrets { current: vec![4], previous: None, rotated_at: None },
            ..before.clone()
        };
        let mut work = store.begin().await.unwrap();
        work.webhooks().update(&after).await.unwrap();
        assert!(matches!(work.webhooks().update(&after).await, Err(StoreError::Stale)));
        let foreign = Webhook { tenant: other, version: 2, ..after.clone() };
        assert!(matches!(work.webhooks().update(&foreign).await, Err(StoreError::Stale)));
        work.webhooks().forget_failures(other, before.id).await.unwrap();
        work.commit().await.unwrap();
        let expected =
            Webhook { version: 2, failures: 5, failing_since: Some(before.created_at), ..after.clone() };
        assert_eq!(find(store, acme, before.id).await, Some(expected.clone()));
        let mut work = store.begin().await.unwrap();
        work.webhooks().forget_failures(acme, before.id).await.unwrap();
        work.commit().await.unwrap();
        let expected = Webhook { failures: 0, failing_since: None, ..expected };
        assert_eq!(find(store, acme, before.id).await, Some(expected));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_deleted_once_and_with_its_deliveries() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let acme = stored_tenant(store, &env, "acme").await.id;
        let other = stored_tenant(store, &env, "other").await.id;
        let (webhook, kept) =
            (stored_webhook(store, &env, acme).await, stored_webhook(store, &env, acme).await);
        let (gone, stays) =
            (planned(&env, &webhook, env.new_id(), None), planned(&env, &kept, env.new_id(), None));
        plan(store, vec![gone.clone(), stays.clone()]).await;
        let mut work = store.begin().await.unwrap();
        assert!(!work.webhooks().delete(other, webhook.id).await.unwrap());
        drop(work);
        let deleted = at_once(store, 4, |store, _| async move {
            let mut work = store.begin().await.unwrap();
            let deleted = work.webhooks().delete(acme, webhook.id).await.unwrap();
            work.commit().await.unwrap();
            deleted
        })
        .await;
        assert_eq!(deleted.iter().filter(|deleted| **deleted).count(), 1, "{deleted:?}");
        assert_eq!(find(store, acme, webhook.id).await, None);
        let mut reader = store.reader();
        assert_eq!(reader.deliveries().find(acme, gone.id).await.unwrap(), None);
        assert!(reader.deliveries().find(acme, stays.id).await.unwrap().is_some());
    })
    .await;
}

async fn list(store: &SqlStore, tenant: TenantId, filter: DeliveryFilter) -> Vec<Delivery> {
    let request = CursorRequest { cursor: None, limit: 100 };
    store.reader().deliveries().list(tenant, filter, request).await.unwrap().items
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_listed_newest_first_by_filters_and_pieces() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let acme = stored_tenant(store, &env, "acme").await.id;
        let other = stored_tenant(store, &env, "other").await.id;
        let (webhook, second) =
            (stored_webhook(store, &env, acme).await, stored_webhook(store, &env, acme).await);
        let start = env.now();
        let mut ids = Vec::new();
        for number in 0..5 {
            env.clock.advance(Duration::minutes(10));
            let to = if number == 4 { &second } else { &webhook };
            let mut one = planned(&env, to, env.new_id(), Some(number));
            if number == 3 {
                one.event_type = "page.deleted".into();
            }
            ids.push((one.id, one.event));
            plan(store, vec![one]).await;
        }
        end(database, ids[0].0, DeliveryStatus::Succeeded).await;
        end(database, ids[1].0, DeliveryStatus::Failed).await;

        let numbers = async |filter: DeliveryFilter| -> Vec<i64> {
            list(store, acme, filter).await.iter().filter_map(|delivery| delivery.sequence).collect()
        };
        let none = DeliveryFilter::default;
        assert_eq!(numbers(none()).await, [4, 3, 2, 1, 0]);
        assert_eq!(numbers(DeliveryFilter { webhook: Some(webhook.id), ..none() }).await, [3, 2, 1, 0]);
        for (status, expected) in [
            (DeliveryStatus::Pending, vec![4, 3, 2]),
            (DeliveryStatus::Failed, vec![1]),
            (DeliveryStatus::Succeeded, vec![0]),
        ] {
            assert_eq!(numbers(DeliveryFilter { status: Some(status), ..none() }).await, expected);
        }
        let of_type = DeliveryFilter { event_type: Some("page.deleted".into()), ..none() };
        assert_eq!(numbers(of_type).await, [3]);
        let of_event = DeliveryFilter { event_id: Some(ids[2].1.to_string()), ..none() };
        assert_eq!(numbers(of_event).await, [2]);
        assert_eq!(numbers(DeliveryFilter { event_id: Some("nonsense".into()), ..none() }).await, [0; 0]);
        let between = DeliveryFilter {
            from: Some(start + Duration::minutes(20)),
            to: Some(start + Duration::minutes(40)),
            ..none()
        };
        assert_eq!(numbers(between).await, [2, 1], "from the beginning, and not to the end");
        assert_eq!(list(store, other, none()).await, []);

        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let request = CursorRequest { cursor, limit: 2 };
            let page = store.reader().deliveries().list(acme, none(), request).await.unwrap();
            seen.extend(page.items.iter().filter_map(|delivery| delivery.sequence));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, [4, 3, 2, 1, 0]);

        let listed = list(store, acme, none()).await;
        assert!(listed.iter().all(|delivery| delivery.response_body.is_none()), "bodies are not in lists");
        let mut reader = store.reader();
        let whole = reader.deliveries().find(acme, ids[0].0).await.unwrap().unwrap();
        assert_eq!(whole.response_body.as_deref(), Some("fine"));
        assert_eq!(Delivery { response_body: None, ..whole }, listed[4]);
        assert_eq!(reader.deliveries().find(other, ids[0].0).await.unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_attempt_sends_is_in_the_log_or_beside_it_or_gone() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let acme = stored_tenant(store, &env, "acme").await.id;
        let other = stored_tenant(store, &env, "other").await.id;
        let webhook = stored_webhook(store, &env, acme).await;
        let logged = stored_event(store, &env, acme, "page.updated").await;
        let foreign = stored_event(store, &env, other, "page.updated").await;
        let message = json!({"type": "webhook.test", "data": {"ñ": 1}});
        let test = PlannedDelivery {
            payload: Some(message.clone()),
            cause: DeliveryCause::Test,
            ..planned(&env, &webhook, env.new_id(), None)
        };
        let cases = [
            (planned(&env, &webhook, logged.id, Some(1)), Content::Event),
            (planned(&env, &webhook, env.new_id(), Some(2)), Content::Forgotten),
            (planned(&env, &webhook, foreign.id, Some(3)), Content::Forgotten),
            (test, Content::Message(message)),
        ];
        plan(store, cases.iter().map(|(planned, _)| planned.clone()).collect()).await;
        for (planned, expected) in cases {
            let mut reader = store.reader();
            let delivery = reader.deliveries().find(acme, planned.id).await.unwrap().unwrap();
            assert_eq!(reader.deliveries().content(&delivery).await.unwrap(), expected);
        }
    })
    .await;
}

/// Appends an event that happened at a time.
async fn happened(store: &SqlStore, env: &TestEnv, tenant: TenantId, kind: &'static str) -> EventId {
    env.clock.advance(Duration::seconds(1));
    let event = event(env, tenant, kind);
    let mut work = store.begin().await.unwrap();
    work.events().append(event.clone()).await.unwrap();
    work.commit().await.unwrap();
    event.id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_not_arrived_is_found_and_nothing_twice() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let acme = stored_tenant(store, &env, "acme").await.id;
        let other = stored_tenant(store, &env, "other").await.id;
        let (webhook, second) =
            (stored_webhook(store, &env, acme).await, stored_webhook(store, &env, acme).await);
        let early = happened(store, &env, acme, "page.updated").await;
        env.clock.advance(Duration::minutes(5));
        let since = env.now();
        let mut events = Vec::new();
        for _ in 0..6 {
            events.push(happened(store, &env, acme, "page.updated").await);
        }
        happened(store, &env, acme, "page.deleted").await;
        happened(store, &env, other, "page.updated").await;
        let until = env.now();
        env.clock.advance(Duration::minutes(5));
        let late = happened(store, &env, acme, "page.updated").await;

        // Arrived; failed; failed and then arrived; on its way; arrived elsewhere only; never tried.
        let attempts =
            [(0, DeliveryStatus::Succeeded), (1, DeliveryStatus::Failed), (2, DeliveryStatus::Failed)];
        for (number, status) in attempts {
            let one = planned(&env, &webhook, events[number], Some(number as i64));
            plan(store, vec![one.clone()]).await;
            end(database, one.id, status).await;
        }
        let again = planned(&env, &webhook, events[2], Some(2));
        let on_its_way = planned(&env, &webhook, events[3], Some(3));
        let elsewhere = planned(&env, &second, events[4], Some(4));
        plan(store, vec![again.clone(), on_its_way, elsewhere.clone()]).await;
        end(database, again.id, DeliveryStatus::Succeeded).await;
        end(database, elsewhere.id, DeliveryStatus::Succeeded).await;

        env.clock.advance(Duration::minutes(1));
        let window = |only_failed, since: Timestamp, until: Timestamp| Window {
            kinds: vec!["page.updated", "page.created"],
            since,
            until,
            only_failed,
            requested_at: env.now(),
        };
        let found =
            async |window: &Window, after: Option<EventId>, limit: u32| -> Vec<(EventId, Option<i64>)> {
                let mut reader = store.reader();
                let found = reader.deliveries().window(acme, webhook.id, window, after, limit).await.unwrap();
                assert!(found.iter().all(|event| event.kind == "page.updated"));
                assert!(found.len() <= limit as usize);
                let wanted = found.into_iter().filter(|event| event.wanted);
                wanted.map(|event| (event.event, event.sequence)).collect()
            };
        let failed = window(true, since, until + Duration::milliseconds(1));
        assert_eq!(
            found(&failed, None, 100).await,
            [(events[1], Some(1)), (events[4], Some(4)), (events[5], None)],
            "with the place that the event got for whichever webhook"
        );
        assert_eq!(found(&failed, None, 2).await, [(events[1], Some(1))], "of the first two");
        assert_eq!(found(&failed, Some(events[3]), 2).await, [(events[4], Some(4)), (events[5], None)]);
        let all = window(false, since, until + Duration::milliseconds(1));
        let everything: Vec<EventId> = found(&all, None, 100).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(
            everything,
            [events[0], events[1], events[2], events[4], events[5]],
            "but what is on its way"
        );
        let ever = found(&window(true, since - Duration::HOUR, env.now()), None, 100).await;
        assert!(ever.contains(&(early, None)) && ever.contains(&(late, None)));
        let nothing = Window { kinds: Vec::new(), ..failed.clone() };
        assert_eq!(found(&nothing, None, 100).await, []);

        // Once it was sent again, it is not sent once more for the same wish, also when it failed again.
        let resent = PlannedDelivery {
            cause: DeliveryCause::Resend,
            created_at: env.now(),
            ..planned(&env, &webhook, events[5], None)
        };
        plan(store, vec![resent.clone()]).await;
        end(database, resent.id, DeliveryStatus::Failed).await;
        assert!(!found(&all, None, 100).await.iter().any(|(id, _)| *id == events[5]));
        env.clock.advance(Duration::minutes(1));
        let wished_again = Window { requested_at: env.now(), ..failed };
        assert!(found(&wished_again, None, 100).await.iter().any(|(id, _)| *id == events[5]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_attempts_are_forgotten_piece_by_piece() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let acme = stored_tenant(store, &env, "acme").await.id;
        let webhook = stored_webhook(store, &env, acme).await;
        for _ in 0..3 {
            plan(store, vec![planned(&env, &webhook, env.new_id(), None)]).await;
            env.clock.advance(Duration::minutes(1));
        }
        let before = env.now() - Duration::minutes(1);
        let forget = async |limit| -> u64 {
            let mut work = store.begin().await.unwrap();
            let forgotten = work.deliveries().forget(before, limit).await.unwrap();
            work.commit().await.unwrap();
            forgotten
        };
        assert_eq!(forget(1).await, 1);
        assert_eq!(forget(100).await, 1);
        assert_eq!(forget(100).await, 0);
        assert_eq!(list(store, acme, DeliveryFilter::default()).await.len(), 1);
    })
    .await;
}

/// What a test sends is kept as it was given.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_beside_the_log_is_kept_as_it_is() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let acme = stored_tenant(store, &env, "acme").await.id;
        let webhook = stored_webhook(store, &env, acme).await;
        for message in
            [json!({}), json!({"n": 0.5, "big": 9_007_199_254_740_991_i64, "text": "\u{1F600}\"\\"})]
        {
            let test = PlannedDelivery {
                payload: Some(message.clone()),
                ..planned(&env, &webhook, env.new_id(), None)
            };
            plan(store, vec![test.clone()]).await;
            let mut reader = store.reader();
            let delivery = reader.deliveries().find(acme, test.id).await.unwrap().unwrap();
            assert_eq!(reader.deliveries().content(&delivery).await.unwrap(), Content::Message(message));
        }
    })
    .await;
}
