//! How attempts ended: noted once each, and what that says of a webhook.

use portico_kernel::DeliveryId;
use portico_tenancy::{
    delivery::DeliveryStatus,
    ports::{DeliveryQueue, Health, Outcome, PlannedDelivery, TenancyRepositories},
};
use portico_testkit::{env, on_each_database};
use time::Duration;

use crate::{
    delivery_queue::{hook, key, outcome, plan_one},
    fixtures::at_once,
    webhooks::{plan, planned},
};

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_noted_once_and_has_one_next_attempt() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let (first, second) = (
            plan_one(store, &env, &webhook, env.now()).await,
            plan_one(store, &env, &webhook, env.now()).await,
        );
        let again = |minutes| {
            let due_at = env.now() + Duration::minutes(minutes);
            Some(PlannedDelivery { due_at, attempt: 2, ..planned(&env, &webhook, env.new_id(), Some(1)) })
        };
        let failed = Outcome { next: again(5), ..outcome(&env, &webhook, first, DeliveryStatus::Failed) };
        let succeeded = Outcome {
            error: None,
            response_body: None,
            response_status: Some(204),
            ..outcome(&env, &webhook, second, DeliveryStatus::Succeeded)
        };
        store.settle(vec![failed.clone(), succeeded]).await.unwrap();
        // Another worker, which was thought dead, noticed the same otherwise; and one that is gone.
        let late = Outcome { next: again(1), ..outcome(&env, &webhook, first, DeliveryStatus::Succeeded) };
        let unknown =
            outcome(&env, &webhook, DeliveryId::from_uuid(env.random_uuid()), DeliveryStatus::Failed);
        store.settle(vec![late, unknown]).await.unwrap();

        let mut reader = store.reader();
        let found = reader.deliveries().find(webhook.tenant, first).await.unwrap().unwrap();
        assert_eq!(found.status, DeliveryStatus::Failed);
        assert_eq!((found.response_status, found.response_body), (Some(500), failed.response_body));
        assert_eq!((found.duration_ms, found.error), (failed.duration_ms, failed.error));
        assert_eq!(found.finished_at, Some(env.now()));
        let found = reader.deliveries().find(webhook.tenant, second).await.unwrap().unwrap();
        assert_eq!((found.status, found.error), (DeliveryStatus::Succeeded, None));
        let found = reader.deliveries().find(webhook.tenant, failed.next.unwrap().id).await.unwrap().unwrap();
        assert_eq!((found.attempt, found.status), (2, DeliveryStatus::Pending));
        assert_eq!(store.figures(env.now()).await.unwrap().pending, 1, "the later one planned nothing");
        store.settle(Vec::new()).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_attempts_is_noted_at_once_and_each_of_them_once() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        for number in [1, 3, 5, 600] {
            let planned_now: Vec<_> =
                (0..number).map(|_| planned(&env, &webhook, env.new_id(), Some(1))).collect();
            let ids: Vec<_> = planned_now.iter().map(|delivery| delivery.id).collect();
            plan(store, planned_now).await;
            let due_at = env.now() + Duration::minutes(5);
            let next =
                PlannedDelivery { due_at, attempt: 2, ..planned(&env, &webhook, env.new_id(), Some(1)) };
            let next_id = next.id;
            let succeeded = |id: &DeliveryId| outcome(&env, &webhook, *id, DeliveryStatus::Succeeded);
            let mut outcomes: Vec<_> = ids.iter().map(succeeded).collect();
            let last = outcomes.pop().unwrap();
            outcomes.push(Outcome { status: DeliveryStatus::Failed, next: Some(next), ..last });
            let health = store.settle(outcomes).await.unwrap();
            assert_eq!((health.len(), health[0].failures), (1, 1), "{number}");
            assert_eq!(store.figures(env.now()).await.unwrap().pending, 1, "{number}: the next one");
            store.settle(vec![succeeded(&next_id)]).await.unwrap();
            assert_eq!(store.figures(env.now()).await.unwrap().pending, 0, "{number}");
        }
    })
    .await;
}

/// As of workers that go on after their leases have ended.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_attempts_are_noted_once_in_whatever_order_several_tell_of_them() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let planned: Vec<_> = (0..600).map(|_| planned(&env, &webhook, env.new_id(), Some(1))).collect();
        let outcomes: Vec<_> =
            planned.iter().map(|one| outcome(&env, &webhook, one.id, DeliveryStatus::Failed)).collect();
        plan(store, planned).await;
        let settled = at_once(store, 8, |store, number| {
            let mut outcomes = outcomes.clone();
            if number % 2 == 0 {
                outcomes.reverse();
            }
            async move { store.settle(outcomes).await }
        })
        .await;
        for health in settled {
            health.unwrap();
        }
        let stored = store.reader().webhooks().find(webhook.tenant, webhook.id).await.unwrap().unwrap();
        assert_eq!(stored.failures, 600, "each is counted once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_in_a_row_are_counted_and_a_success_ends_them() {
    on_each_database(async |database| {
        let (env, store) = (env(), database.store());
        let webhook = hook(store, &env, "one").await;
        let good = hook(store, &env, "two").await;
        let begin = env.now();
        // `f` failed, `s` succeeded, `t` a test that failed; a second apart, told in any order.
        let settle = async |word: &str| {
            let mut outcomes = Vec::new();
            for letter in word.chars() {
                env.clock.advance(Duration::seconds(1));
                let id = plan_one(store, &env, &webhook, env.now()).await;
                let status = if letter == 's' { DeliveryStatus::Succeeded } else { DeliveryStatus::Failed };
                outcomes.push(Outcome { counts: letter != 't', ..outcome(&env, &webhook, id, status) });
            }
            let id = plan_one(store, &env, &good, env.now()).await;
            outcomes.push(outcome(&env, &good, id, DeliveryStatus::Succeeded));
            outcomes.reverse();
            store.settle(outcomes).await.unwrap()
        };
        let health = |failures, seconds| {
            let (tenant, webhook) = key(&webhook);
            let failing_since = Some(begin + Duration::seconds(seconds));
            vec![Health { tenant, webhook, failures, failing_since }]
        };
        assert_eq!(settle("s").await, []);
        assert_eq!(settle("ff").await, health(2, 2));
        assert_eq!(settle("f").await, health(3, 2));
        assert_eq!(settle("t").await, [], "a test says nothing");
        assert_eq!(settle("fsff").await, health(2, 8));
        let stored = store.reader().webhooks().find(webhook.tenant, webhook.id).await.unwrap().unwrap();
        assert_eq!((stored.failures, stored.failing_since), (2, Some(begin + Duration::seconds(8))));
        assert_eq!(stored.version, webhook.version, "that is no change of a member's");
        assert_eq!(settle("fs").await, []);
        let stored = store.reader().webhooks().find(webhook.tenant, webhook.id).await.unwrap().unwrap();
        assert_eq!((stored.failures, stored.failing_since), (0, None));
    })
    .await;
}
