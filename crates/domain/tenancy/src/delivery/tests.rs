use portico_kernel::{CursorPage, CursorRequest, Fault, JobType};
use serde_json::json;

use super::*;
use crate::{
    ports::{MockDeliveryPlans, MockDeliveryRepository, MockWebhookRepository},
    testing::{Repositories, admin_of, catalogue, env, viewer_of},
    webhook::{SealedSecrets, Webhook, WebhookStatus},
};

fn webhook(tenant: TenantId, status: WebhookStatus) -> Webhook {
    let now = env().now();
    Webhook {
        id: env().new_id(),
        tenant,
        url: "https://example.com/hook".into(),
        description: None,
        events: vec!["page.updated".into(), "user.created".into()],
        status,
        rate_per_second: None,
        secrets: SealedSecrets { current: Vec::new(), previous: None, rotated_at: None },
        failures: 0,
        failing_since: None,
        disabled_at: None,
        disabled_reason: None,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

fn delivery(tenant: TenantId, status: DeliveryStatus) -> Delivery {
    let env = env();
    let now = env.now();
    Delivery {
        id: env.new_id(),
        tenant,
        webhook_id: env.new_id(),
        event_id: env.new_id(),
        event_type: "page.updated".into(),
        sequence: Some(9),
        cause: DeliveryCause::Event,
        attempt: 3,
        status,
        response_status: Some(500),
        response_body: Some("Oops".into()),
        duration_ms: Some(12),
        error: Some("answered 500".into()),
        due_at: now,
        created_at: now,
        finished_at: Some(now),
    }
}

fn finding(webhook: Webhook) -> MockWebhookRepository {
    let mut webhooks = MockWebhookRepository::new();
    webhooks.expect_find().times(1).return_once(|_, _| Ok(Some(webhook)));
    webhooks
}

fn repository(prepare: impl FnOnce(&mut MockDeliveryRepository)) -> MockDeliveryRepository {
    let mut deliveries = MockDeliveryRepository::new();
    prepare(&mut deliveries);
    deliveries
}

#[tokio::test]
async fn filters_are_checked_all_at_once_and_ids_are_normalised() {
    let scope = admin_of(env().new_id());
    let mut repositories = Repositories::default();
    let filter = DeliveryFilter {
        event_type: Some("page.flown".into()),
        event_id: Some("evt_7".into()),
        from: Timestamp::from_unix_seconds(10),
        to: Timestamp::from_unix_seconds(5),
        ..DeliveryFilter::default()
    };
    let request = CursorRequest { cursor: Some("x".into()), limit: 20 };
    let error = Deliveries::new(&mut repositories, &scope, &env())
        .list(filter, request, &catalogue())
        .await
        .unwrap_err();
    let fields: Vec<_> = error.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
    let expected = [
        ("cursor", "invalid_cursor"),
        ("eventType", "unknown_event_type"),
        ("eventId", "invalid_id"),
        ("to", "before_from"),
    ];
    assert_eq!(fields, expected);

    let normal = "0190a5b0-c0d0-7e00-8f00-112233445566";
    for text in ["evt_0190a5b0-c0d0-7e00-8f00-112233445566", "0190A5B0C0D07E008F00112233445566"] {
        let deliveries = repository(|deliveries| {
            deliveries
                .expect_list()
                .times(1)
                .withf(move |_, filter, _| filter.event_id.as_deref() == Some(normal))
                .return_once(|_, _, _| Ok(CursorPage { items: Vec::new(), next_cursor: None }));
        });
        repositories.deliveries.push_back(deliveries);
        let filter = DeliveryFilter {
            event_id: Some(text.into()),
            event_type: Some("webhook.test".into()),
            ..DeliveryFilter::default()
        };
        let found = Deliveries::new(&mut repositories, &scope, &env())
            .list(filter, CursorRequest::default(), &catalogue())
            .await;
        assert!(found.is_ok());
    }
}

#[tokio::test]
async fn the_deliveries_of_a_webhook_that_is_not_there_are_not_found() {
    let scope = admin_of(env().new_id());
    let mut webhooks = MockWebhookRepository::new();
    webhooks.expect_find().times(1).return_once(|_, _| Ok(None));
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(webhooks);
    let env = env();
    let result = Deliveries::new(&mut repositories, &scope, &env)
        .of_webhook(env.new_id(), DeliveryFilter::default(), CursorRequest::default(), &catalogue())
        .await;
    assert_eq!(result.unwrap_err().code(), "not_found");
}

#[tokio::test]
async fn only_those_who_look_after_webhooks_see_and_resend() {
    let (tenant, env) = (env().new_id(), env());
    let (viewer, mut repositories) = (viewer_of(tenant), Repositories::default());
    let mut deliveries = Deliveries::new(&mut repositories, &viewer, &env);
    let refused = [
        deliveries.list(DeliveryFilter::default(), CursorRequest::default(), &catalogue()).await.err(),
        deliveries
            .of_webhook(env.new_id(), DeliveryFilter::default(), CursorRequest::default(), &catalogue())
            .await
            .err(),
        deliveries.get(env.new_id()).await.err(),
        deliveries.resend(env.new_id()).await.err(),
        deliveries.resend_since(env.new_id(), Resend::default()).await.err(),
        deliveries.test(env.new_id()).await.err(),
    ];
    for error in refused {
        assert_eq!(error.unwrap().code(), "forbidden");
    }
}

/// Sends a delivery again; answers what was planned, or the error.
async fn resend(status: WebhookStatus, content: Content) -> Result<Delivery, crate::TenancyError> {
    let tenant = env().new_id();
    let (before, scope) = (delivery(tenant, DeliveryStatus::Failed), admin_of(tenant));
    let (found, expected) = (before.clone(), content.clone());
    let mut repositories = Repositories::default();
    repositories.deliveries.push_back(repository(|deliveries| {
        deliveries.expect_find().times(1).return_once(|_, _| Ok(Some(found)));
    }));
    repositories.webhooks.push_back(finding(webhook(tenant, status)));
    repositories.deliveries.push_back(repository(|deliveries| {
        deliveries.expect_content().times(0..=1).return_once(|_| Ok(content));
    }));
    let mut plans = MockDeliveryPlans::new();
    let event = before.event_id;
    plans
        .expect_plan()
        .times(0..=1)
        .withf(move |planned| {
            let payload = match &expected {
                Content::Message(message) => Some(message.clone()),
                _ => None,
            };
            planned.len() == 1 && planned[0].event == event && planned[0].payload == payload
        })
        .return_once(|_| Ok(()));
    repositories.delivery_plans.push_back(plans);
    let again = Deliveries::new(&mut repositories, &scope, &env()).resend(before.id).await?;
    assert_eq!(repositories.events()[0].kind, "webhook.deliveries_resent");
    Ok(again)
}

#[tokio::test]
async fn a_delivery_is_sent_again_as_what_it_was() {
    let again = resend(WebhookStatus::Enabled, Content::Event).await.unwrap();
    assert_eq!((again.cause, again.attempt, again.sequence), (DeliveryCause::Resend, 1, Some(9)));
    assert_eq!((again.status, again.response_status), (DeliveryStatus::Pending, None));
    let again =
        resend(WebhookStatus::Enabled, Content::Message(json!({"type": "webhook.test"}))).await.unwrap();
    assert_eq!(again.cause, DeliveryCause::Test);
}

#[tokio::test]
async fn what_is_paused_or_forgotten_is_not_sent_again() {
    for (status, content, code) in [
        (WebhookStatus::Paused, Content::Event, "webhook_not_enabled"),
        (WebhookStatus::Disabled, Content::Event, "webhook_not_enabled"),
        (WebhookStatus::Enabled, Content::Forgotten, "event_forgotten"),
    ] {
        assert_eq!(resend(status, content).await.unwrap_err().code(), code);
    }
}

async fn resend_since(
    status: WebhookStatus,
    input: Resend,
) -> Result<(Resend, serde_json::Value), crate::TenancyError> {
    let tenant = env().new_id();
    let webhook = webhook(tenant, status);
    let (id, scope) = (webhook.id, admin_of(tenant));
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(finding(webhook));
    let answer = Deliveries::new(&mut repositories, &scope, &env()).resend_since(id, input).await?;
    assert_eq!(repositories.events()[0].kind, "webhook.deliveries_resent");
    let jobs = repositories.enqueued();
    assert_eq!((jobs.len(), jobs[0].kind, jobs[0].tenant), (1, ResendPlan::KIND, tenant));
    Ok((answer, jobs[0].payload.clone()))
}

#[tokio::test]
async fn the_time_to_resend_is_in_the_past_and_ends_after_it_begins() {
    let now = env().now();
    let at = |seconds| Some(now + time::Duration::seconds(seconds));
    for (from, to, field) in [(None, None, "from"), (at(1), None, "from"), (at(-5), at(-6), "to")] {
        let input = Resend { from, to, only_failed: None };
        let error = resend_since(WebhookStatus::Enabled, input).await.unwrap_err();
        assert_eq!(error.fields()[0].field, field);
    }
    let input = Resend { from: at(-5), ..Resend::default() };
    let error = resend_since(WebhookStatus::Disabled, input.clone()).await.unwrap_err();
    assert_eq!(error.code(), "webhook_not_enabled");
    let (answer, payload) = resend_since(WebhookStatus::Enabled, input).await.unwrap();
    assert_eq!((answer.to, answer.only_failed), (Some(now), Some(true)));
    assert_eq!(payload["onlyFailed"], true);
    let future = Resend { from: at(-5), to: at(1000), only_failed: Some(false) };
    let (answer, _) = resend_since(WebhookStatus::Enabled, future).await.unwrap();
    assert_eq!((answer.to, answer.only_failed), (Some(now), Some(false)), "what is to come is sent anyway");
}

#[tokio::test]
async fn a_batch_is_planned_under_the_names_of_the_outside() {
    let env = env();
    let tenant = env.new_id();
    let (webhook, scope) = (webhook(tenant, WebhookStatus::Enabled), admin_of(tenant));
    let id = webhook.id;
    let (_, payload) = resend_since(
        WebhookStatus::Enabled,
        Resend { from: Timestamp::from_unix_seconds(10), ..Resend::default() },
    )
    .await
    .unwrap();
    let plan: ResendPlan = serde_json::from_value(payload).unwrap();
    let (event, last): (EventId, EventId) = (env.new_id(), env.new_id());
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(finding(webhook));
    repositories.deliveries.push_back(repository(|deliveries| {
        deliveries
            .expect_window()
            .times(1)
            .withf(move |of, to, window, after, _| {
                (*of, *to, *after) == (tenant, id, None)
                    && window.only_failed
                    && window.kinds == ["page.updated", "user.created", "user.registered"]
            })
            .return_once(move |_, _, _, _, _| {
                let wanted =
                    Occurrence { event, kind: "user.registered".into(), sequence: Some(4), wanted: true };
                Ok(vec![wanted.clone(), Occurrence { event: last, wanted: false, ..wanted }])
            });
    }));
    let mut plans = MockDeliveryPlans::new();
    plans
        .expect_plan()
        .times(1)
        .withf(move |planned| {
            planned.len() == 1
                && planned[0].event_type == "user.created"
                && (planned[0].cause, planned[0].sequence) == (DeliveryCause::Resend, Some(4))
        })
        .return_once(|_| Ok(()));
    repositories.delivery_plans.push_back(plans);
    let looked_at =
        Deliveries::new(&mut repositories, &scope, &env).plan(&plan, None, &catalogue()).await.unwrap();
    assert_eq!(looked_at, Some(last), "also what is not wanted");
    // A webhook that was paused meanwhile gets no more.
    for found in [None, Some(super::tests::webhook(tenant, WebhookStatus::Paused))] {
        let mut webhooks = MockWebhookRepository::new();
        webhooks.expect_find().times(1).return_once(|_, _| Ok(found));
        let mut repositories = Repositories::default();
        repositories.webhooks.push_back(webhooks);
        let last = Deliveries::new(&mut repositories, &scope, &env)
            .plan(&plan, looked_at, &catalogue())
            .await
            .unwrap();
        assert_eq!(last, None);
    }
}

#[test]
fn a_delivery_shows_what_it_has() {
    let tenant = env().new_id();
    let failed = serde_json::to_value(delivery(tenant, DeliveryStatus::Failed).view()).unwrap();
    assert_eq!((&failed["responseStatus"], &failed["responseBody"]), (&json!(500), &json!("Oops")));
    assert!(failed.get("nextAttemptAt").is_none() && failed.get("deliveredAt").is_none());
    assert!(failed.get("finishedAt").is_some() && failed.get("tenant").is_none());
    let pending = Delivery { finished_at: None, ..delivery(tenant, DeliveryStatus::Pending) };
    let pending = serde_json::to_value(pending.view()).unwrap();
    assert!(pending.get("nextAttemptAt").is_some() && pending.get("finishedAt").is_none());
    let succeeded = serde_json::to_value(delivery(tenant, DeliveryStatus::Succeeded).view()).unwrap();
    assert!(succeeded.get("deliveredAt").is_some());
}

#[tokio::test]
async fn a_test_is_planned_at_once_with_its_own_message() {
    let webhook = webhook(env().new_id(), WebhookStatus::Paused);
    let mut plans = MockDeliveryPlans::new();
    plans
        .expect_plan()
        .times(1)
        .withf(|planned| {
            let [test] = planned.as_slice() else { return false };
            let message = test.payload.as_ref().unwrap();
            message["type"] == "webhook.test"
                && message["id"] == test.event.to_string()
                && message["tenantId"] == test.tenant.to_string()
                && message["data"]["webhookId"] == test.webhook.to_string()
                && test.cause == DeliveryCause::Test
        })
        .return_once(|_| Ok(()));
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(finding(webhook.clone()));
    repositories.delivery_plans.push_back(plans);
    let scope = admin_of(webhook.tenant);
    let delivery = Deliveries::new(&mut repositories, &scope, &env()).test(webhook.id).await.unwrap();
    assert_eq!((delivery.attempt, delivery.event_type.as_str()), (1, "webhook.test"));
    let event = &repositories.events()[0];
    assert_eq!((event.kind.as_ref(), event.resource.id), ("webhook.tested", webhook.id.uuid()));
}
