use portico_kernel::DeliveryId;

use super::*;
use crate::{
    delivery::DeliveryStatus,
    ports::MockDeliveryPlans,
    testing::{Repositories, catalogue, env},
};

fn event(env: &Env, tenant: TenantId, kind: &'static str) -> EventHead {
    let declared = catalogue().find(kind).unwrap();
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    EventHead::from(&Event::new(env, &scope, declared, env.random_uuid()))
}

fn listener(env: &Env, tenant: TenantId, events: &[&str]) -> Listener {
    let events = events.iter().map(|&name| name.to_owned()).collect();
    Listener { tenant, webhook: env.new_id(), events, since: env.now() }
}

/// Expects one call, and passes on what was planned.
fn planning(repositories: &mut Repositories, listeners: Vec<Listener>, first: &'static [(usize, i64)]) {
    let mut mock = MockDeliveryPlans::new();
    mock.expect_listeners().once().return_once(move |_| Ok(listeners));
    repositories.delivery_plans.push_back(mock);
    for (count, first) in first {
        let mut mock = MockDeliveryPlans::new();
        mock.expect_places()
            .once()
            .withf(move |_, asked| *asked as usize == *count)
            .return_once(|_, _| Ok(*first));
        repositories.delivery_plans.push_back(mock);
    }
}

fn expect_plan(repositories: &mut Repositories, check: impl Fn(&[PlannedDelivery]) -> bool + Send + 'static) {
    let mut mock = MockDeliveryPlans::new();
    mock.expect_plan().once().withf(move |planned| check(planned)).return_once(|_| Ok(()));
    repositories.delivery_plans.push_back(mock);
}

#[tokio::test]
async fn each_event_goes_to_those_who_want_it_with_its_place() {
    let env = env();
    let (one, two) = (env.new_id(), env.new_id());
    let all = listener(&env, one, &["*"]);
    let pages = listener(&env, one, &["page.created", "user.created"]);
    let (for_all, for_pages) = (all.webhook, pages.webhook);
    let events = vec![
        event(&env, one, "page.created"),
        event(&env, one, "session.started"),
        event(&env, two, "page.created"),
        event(&env, one, "branding.updated"),
        event(&env, one, "user.registered"),
    ];
    let mut repositories = Repositories::default();
    planning(&mut repositories, vec![all, pages], &[(3, 41)]);
    expect_plan(&mut repositories, move |planned| {
        let sent: Vec<_> = planned
            .iter()
            .map(|delivery| (delivery.webhook, delivery.event_type.as_str(), delivery.sequence))
            .collect();
        sent == [
            (for_all, "page.created", Some(41)),
            (for_pages, "page.created", Some(41)),
            (for_all, "branding.updated", Some(42)),
            (for_all, "user.created", Some(43)),
            (for_pages, "user.created", Some(43)),
        ] && planned.iter().all(|delivery| delivery.tenant == one && delivery.attempt == 1)
    });
    let mut touched = fan_out(&mut repositories, &env, &catalogue(), &events).await.unwrap();
    touched.sort_unstable();
    let mut expected = vec![(one, for_all), (one, for_pages)];
    expected.sort_unstable();
    assert_eq!(touched, expected);
}

#[tokio::test]
async fn nobody_hears_of_what_happened_before_they_listened() {
    let env = env();
    let tenant = env.new_id();
    let mut late = listener(&env, tenant, &["*"]);
    late.since = env.now() + Duration::seconds(1);
    let mut repositories = Repositories::default();
    planning(&mut repositories, vec![late], &[(1, 1)]);
    let touched =
        fan_out(&mut repositories, &env, &catalogue(), &[event(&env, tenant, "page.created")]).await.unwrap();
    assert!(touched.is_empty());
}

#[tokio::test]
async fn what_stays_inside_asks_for_nothing() {
    let env = env();
    let inside = [event(&env, env.new_id(), "session.started"), event(&env, env.new_id(), "user.totp_added")];
    assert!(fan_out(&mut Repositories::default(), &env, &catalogue(), &inside).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_webhook_that_is_resumed_is_looked_after() {
    let env = env();
    let tenant = env.new_id();
    let resumed = event(&env, tenant, "webhook.resumed");
    let webhook = WebhookId::from_uuid(resumed.resource);
    let mut repositories = Repositories::default();
    planning(&mut repositories, Vec::new(), &[]);
    let mut mock = MockDeliveryPlans::new();
    mock.expect_wake()
        .once()
        .withf(move |of, id, _| (*of, *id) == (tenant, webhook))
        .return_once(|_, _, _| Ok(()));
    repositories.delivery_plans.push_back(mock);
    assert_eq!(
        fan_out(&mut repositories, &env, &catalogue(), &[resumed]).await.unwrap(),
        [(tenant, webhook)]
    );
}

#[tokio::test]
async fn queues_are_held_in_one_order_before_some_are_woken_and_others_planned() {
    let env = env();
    let tenant = env.new_id();
    let wants = listener(&env, tenant, &["page.created"]);
    let (resumed, page) = (event(&env, tenant, "webhook.resumed"), event(&env, tenant, "page.created"));
    let woken = WebhookId::from_uuid(resumed.resource);
    let mut both = vec![(tenant, woken), (tenant, wants.webhook)];
    both.sort_unstable();
    let mut repositories = Repositories::default();
    planning(&mut repositories, vec![wants], &[(2, 1)]);
    let mut mock = MockDeliveryPlans::new();
    let expected = both.clone();
    mock.expect_hold().once().withf(move |held| *held == expected).return_once(|_| Ok(()));
    repositories.delivery_plans.push_back(mock);
    expect_plan(&mut repositories, |planned| planned.len() == 1);
    let mut mock = MockDeliveryPlans::new();
    mock.expect_wake().once().return_once(|_, _, _| Ok(()));
    repositories.delivery_plans.push_back(mock);
    let touched = fan_out(&mut repositories, &env, &catalogue(), &[page, resumed]).await.unwrap();
    assert_eq!(touched, both);
}

#[tokio::test]
async fn a_webhook_that_is_tested_is_looked_at_as_it_is() {
    let env = env();
    let tenant = env.new_id();
    let tested = event(&env, tenant, "webhook.tested");
    let webhook = WebhookId::from_uuid(tested.resource);
    // Its delivery was planned with the request: nothing is asked for, and nothing woken.
    let touched = fan_out(&mut Repositories::default(), &env, &catalogue(), &[tested]).await.unwrap();
    assert_eq!(touched, [(tenant, webhook)]);
}

fn failed(env: &Env, attempt: u32) -> Delivery {
    Delivery {
        id: DeliveryId::from_uuid(env.random_uuid()),
        tenant: env.new_id(),
        webhook_id: env.new_id(),
        event_id: env.new_id(),
        event_type: "page.created".to_owned(),
        sequence: Some(7),
        cause: DeliveryCause::Event,
        attempt,
        status: DeliveryStatus::Failed,
        response_status: None,
        response_body: None,
        duration_ms: None,
        error: None,
        due_at: env.now(),
        created_at: env.now(),
        finished_at: Some(env.now()),
    }
}

#[test]
fn attempts_follow_the_schedule_with_jitter_and_then_end() {
    let env = env();
    let schedule = Schedule(vec![Duration::seconds(5), Duration::minutes(5)]);
    let delay = |attempt, asked: Option<i64>| {
        let at = schedule.next(&env, attempt, env.now(), asked.map(Duration::seconds))?;
        Some((at - env.now()).as_seconds_f64())
    };
    for _ in 0..50 {
        assert!((5.0..=5.5).contains(&delay(1, None).unwrap()));
        assert!((300.0..=330.0).contains(&delay(2, None).unwrap()));
        assert!((5.0..=5.5).contains(&delay(1, Some(3)).unwrap()), "never earlier than planned");
        assert!((60.0..=66.0).contains(&delay(1, Some(60)).unwrap()), "as the receiver asks");
        let longest = 24.0 * 3600.0;
        assert!((longest..=longest * 1.1).contains(&delay(1, Some(i64::from(u32::MAX))).unwrap()));
    }
    assert_eq!((delay(3, None), delay(3, Some(60)), delay(0, None)), (None, None, None));
}

#[test]
fn the_next_attempt_tells_of_the_same_event() {
    let env = env();
    let before = failed(&env, 3);
    let next = attempt_after(&env, &before, env.now() + Duration::HOUR, env.now());
    assert_eq!(
        (next.event, next.webhook, next.sequence),
        (before.event_id, before.webhook_id, before.sequence)
    );
    assert_eq!((next.attempt, next.due_at), (4, env.now() + Duration::HOUR));
    assert_ne!(next.id, before.id);
    assert_eq!(message_id(next.event), format!("evt_{}", before.event_id));
}

#[test]
fn a_webhook_is_switched_off_when_a_message_is_given_up_after_failing_for_too_long() {
    let env = env();
    let (tenant, webhook, now) = (env.new_id(), env.new_id(), env.now());
    let limit = std::time::Duration::from_secs(3600);
    let health = |failing_since| Health { tenant, webhook, failures: 7, failing_since };
    let given_up = Outcome {
        id: env.new_id(),
        tenant,
        webhook,
        status: DeliveryStatus::Failed,
        counts: true,
        response_status: Some(500),
        response_body: None,
        duration_ms: None,
        error: None,
        finished_at: now,
        next: None,
    };
    let long = health(Some(now - Duration::HOUR));
    assert_eq!(failing(&[&given_up], &[long], limit, now), [(tenant, webhook)]);
    for healthy in [health(Some(now - Duration::seconds(3599))), health(None)] {
        assert_eq!(failing(&[&given_up], &[healthy], limit, now), []);
    }
    let another = Outcome { webhook: env.new_id(), ..given_up.clone() };
    let succeeded = Outcome { status: DeliveryStatus::Succeeded, ..given_up.clone() };
    let says_nothing = Outcome { counts: false, ..given_up };
    for outcome in [&another, &succeeded, &says_nothing] {
        assert_eq!(failing(&[outcome], &[long], limit, now), [], "{outcome:?}");
    }
    assert_ne!(DisableReason::Gone.as_str(), DisableReason::Failing.as_str());
}
