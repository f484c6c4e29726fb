use portico_kernel::{
    Fault, Permission, Permissions, StoreError,
    http::{HttpError, MockHttpClient},
    sealing::{MockSealer, SealError},
};
use secrecy::ExposeSecret;

use super::*;
use crate::{
    TenancyError,
    ports::MockWebhookRepository,
    testing::{Repositories, admin_of, catalogue, env, owner_of, scope_with, viewer_of},
};

/// Everything encrypted may be called; nothing else.
fn http() -> MockHttpClient {
    let mut http = MockHttpClient::new();
    http.expect_admits().returning(|url| match url.starts_with("https:") {
        true => Ok(()),
        false => Err(HttpError::Refused("not encrypted".into())),
    });
    http
}

/// Seals by turning the bytes around.
fn sealer() -> MockSealer {
    let mut sealer = MockSealer::new();
    sealer.expect_seal().returning(|_, _, plain| Ok(plain.iter().rev().copied().collect()));
    sealer.expect_open().returning(|_, _, sealed| Some(sealed.iter().rev().copied().collect()));
    sealer
}

fn rules<'a>(
    events: &'a EventCatalogue,
    http: &'a MockHttpClient,
    sealer: &'a MockSealer,
) -> WebhookRules<'a> {
    WebhookRules { most: 3, events, http, sealer }
}

fn input(url: &str, events: &[&str]) -> NewWebhook {
    let events = events.iter().map(|name| (*name).to_owned()).collect();
    NewWebhook { url: url.to_owned(), events, ..NewWebhook::default() }
}

fn stored(status: WebhookStatus) -> Webhook {
    let env = env();
    let now = env.now();
    Webhook {
        id: env.new_id(),
        tenant: env.new_id(),
        url: "https://example.com/hook".into(),
        description: None,
        events: vec!["page.updated".into()],
        status,
        rate_per_second: None,
        secrets: SealedSecrets { current: vec![3, 2, 1], previous: None, rotated_at: None },
        failures: 7,
        failing_since: Some(now),
        disabled_at: (status == WebhookStatus::Disabled).then_some(now),
        disabled_reason: (status == WebhookStatus::Disabled).then(|| "It failed for five days.".into()),
        created_at: now,
        updated_at: now,
        version: 4,
    }
}

/// A repository that finds the webhook, once.
fn finding(webhook: &Webhook) -> MockWebhookRepository {
    let (found, id, tenant) = (webhook.clone(), webhook.id, webhook.tenant);
    let mut webhooks = MockWebhookRepository::new();
    webhooks
        .expect_find()
        .times(1)
        .withf(move |of, wanted| (*of, *wanted) == (tenant, id))
        .return_once(move |_, _| Ok(Some(found)));
    webhooks
}

/// A repository that stores a change, once.
fn storing(check: impl Fn(&Webhook) -> bool + Send + 'static) -> MockWebhookRepository {
    let mut webhooks = MockWebhookRepository::new();
    webhooks.expect_update().times(1).withf(check).return_once(|_| Ok(()));
    webhooks
}

fn forgetting() -> MockWebhookRepository {
    let mut webhooks = MockWebhookRepository::new();
    webhooks.expect_forget_failures().times(1).return_once(|_, _| Ok(()));
    webhooks
}

async fn create(scope: &portico_kernel::Scope, input: NewWebhook) -> Result<(Webhook, String), TenancyError> {
    let (http, sealer) = (http(), sealer());
    let mut webhooks = MockWebhookRepository::new();
    webhooks.expect_insert().times(0..=1).withf(|_, most| *most == 3).returning(|_, _| Ok(true));
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(webhooks);
    let events = catalogue();
    let rules = rules(&events, &http, &sealer);
    let (webhook, secret) = Webhooks::new(&mut repositories, scope, &env()).create(input, rules).await?;
    assert_eq!(repositories.events()[0].kind, "webhook.created");
    let text = secret.expose_secret().to_owned();
    assert!(!format!("{:?}", repositories.events()).contains(&text), "secrets never enter events");
    Ok((webhook, text))
}

#[tokio::test]
async fn a_secret_is_shown_once_and_opens_again_only_for_signing() {
    let scope = admin_of(env().new_id());
    let (webhook, text) =
        create(&scope, input(" https://example.com/hook ", &["page.updated"])).await.unwrap();
    assert_eq!((webhook.url.as_str(), webhook.status), ("https://example.com/hook", WebhookStatus::Enabled));
    let encoded = text.strip_prefix("whsec_").unwrap();
    assert!(encoded.len() == 32 && !encoded.contains('='), "{text}");
    let keys = webhook.secrets.keys(&sealer(), webhook.id, webhook.created_at).unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0].len(), 24);
    assert!(!webhook.secrets.current.windows(24).any(|bytes| bytes == keys[0]), "sealed at rest");
    let json = serde_json::to_string(&webhook.view()).unwrap();
    assert!(!json.contains("secret\"") && json.contains("\"active\":true"), "{json}");
}

#[tokio::test]
async fn addresses_that_cannot_be_called_are_refused() {
    let scope = admin_of(env().new_id());
    for (url, code) in [
        ("", "required"),
        ("   ", "required"),
        ("example.com/hook", "invalid_url"),
        ("ftp://example.com/", "invalid_url"),
        ("javascript:alert(1)", "invalid_url"),
        ("http://example.com/", "invalid_url"),
        ("https://user@example.com/", "invalid_url"),
        ("https://user:word@example.com/", "invalid_url"),
        ("https://example.com/#part", "invalid_url"),
        ("https://exa mple.com/", "invalid_url"),
        ("https://example.com/\u{0}", "invalid_url"),
        ("https://", "invalid_url"),
        ("https:\\\\example.com", "invalid_url"),
        (&format!("https://example.com/{}", "a".repeat(2048)), "too_long"),
        (&format!("https://example.com/{}", "ñ".repeat(2020)), "too_long"),
    ] {
        let error = create(&scope, input(url, &["page.updated"])).await.unwrap_err();
        assert_eq!((error.fields()[0].field.as_str(), &*error.fields()[0].code), ("url", code), "{url}");
    }
    let (webhook, _) = create(&scope, input("HTTPS://Exämple.com:443/a?b=c", &["*"])).await.unwrap();
    assert_eq!(webhook.url, "https://xn--exmple-cua.com/a?b=c");
}

#[tokio::test]
async fn wrong_events_are_named_one_by_one_and_the_star_stands_for_all() {
    let scope = admin_of(env().new_id());
    let wrong = NewWebhook {
        rate_per_second: Some(0),
        description: Some("x".repeat(501)),
        ..input(
            "https://example.com/",
            &["page.updated", "page.flown", "page.updated", "webhook.test", "session.started"],
        )
    };
    let error = create(&scope, wrong).await.unwrap_err();
    let found: Vec<_> = error.fields().iter().map(|e| (e.field.as_str(), e.code.as_ref())).collect();
    let expected = [
        ("events[1]", "unknown_event_type"),
        ("events[2]", "duplicate"),
        ("events[3]", "unknown_event_type"),
        ("events[4]", "unknown_event_type"),
        ("description", "too_long"),
        ("ratePerSecond", "out_of_range"),
    ];
    assert_eq!(found, expected);
    let error = create(&scope, input("https://example.com/", &[])).await.unwrap_err();
    assert_eq!((error.fields()[0].field.as_str(), &*error.fields()[0].code), ("events", "required"));
    let (webhook, _) = create(&scope, input("https://example.com/", &["page.updated", "*"])).await.unwrap();
    assert_eq!(webhook.events, ["*"]);
    assert!(webhook.wants("page.updated") && webhook.wants("something.new"));
    assert!(
        webhook.kinds(&catalogue()).contains(&"user.registered"),
        "under the name that the log has for it"
    );
}

#[tokio::test]
async fn nobody_is_told_what_they_may_not_read() {
    let tenant = env().new_id();
    let narrow =
        scope_with(tenant, Permissions::from_list(&[Permission::WebhooksWrite, Permission::PagesRead]));
    assert!(create(&narrow, input("https://example.com/", &["page.updated"])).await.is_ok());
    for names in [["submission.received"], ["*"]] {
        let error = create(&narrow, input("https://example.com/", &names)).await.unwrap_err();
        assert_eq!(error.fields()[0].code, "not_yours", "{names:?}");
    }
    // Nor by sending what another member subscribed to, to an address of their own.
    let webhook =
        Webhook { tenant, events: vec!["submission.received".into()], ..stored(WebhookStatus::Enabled) };
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(finding(&webhook));
    let update = WebhookUpdate { url: Some("https://elsewhere.example/".into()), ..WebhookUpdate::default() };
    let error = Webhooks::new(&mut repositories, &narrow, &env())
        .update(webhook.id, update, None, rules(&catalogue(), &http(), &sealer()))
        .await;
    assert_eq!(error.unwrap_err().fields()[0].code, "not_yours");
}

#[tokio::test]
async fn only_those_who_look_after_webhooks_do() {
    let (tenant, id) = (env().new_id(), env().new_id());
    let (viewer, mut repositories, http, sealer) =
        (viewer_of(tenant), Repositories::default(), http(), sealer());
    let env = env();
    let events = catalogue();
    let rules = rules(&events, &http, &sealer);
    let mut webhooks = Webhooks::new(&mut repositories, &viewer, &env);
    let refused = [
        webhooks.list(PageRequest::default()).await.err(),
        webhooks.get(id).await.err(),
        webhooks.create(NewWebhook::default(), rules).await.err(),
        webhooks.update(id, WebhookUpdate::default(), None, rules).await.err(),
        webhooks.rotate(id, SecretRotation::default(), None, &sealer).await.err(),
        webhooks.pause(id).await.err(),
        webhooks.resume(id).await.err(),
        webhooks.delete(id, None).await.err(),
    ];
    for error in refused {
        assert_eq!(error.unwrap().code(), "forbidden");
    }
}

#[tokio::test]
async fn one_too_many_is_refused() {
    let (http, sealer, scope) = (http(), sealer(), admin_of(env().new_id()));
    let mut webhooks = MockWebhookRepository::new();
    webhooks.expect_insert().times(1).return_once(|_, _| Ok(false));
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(webhooks);
    let events = catalogue();
    let rules = rules(&events, &http, &sealer);
    let result = Webhooks::new(&mut repositories, &scope, &env())
        .create(input("https://example.com/", &["*"]), rules)
        .await;
    assert_eq!(result.unwrap_err().code(), "too_many_webhooks");
    assert!(repositories.events().is_empty());
}

#[tokio::test]
async fn a_secret_that_cannot_be_kept_is_not_given_out() {
    let (http, scope) = (http(), admin_of(env().new_id()));
    let mut sealer = MockSealer::new();
    sealer.expect_seal().times(1).return_once(|_, _, _| Err(SealError));
    let events = catalogue();
    let rules = rules(&events, &http, &sealer);
    let result = Webhooks::new(&mut Repositories::default(), &scope, &env())
        .create(input("https://example.com/", &["*"]), rules)
        .await;
    assert_eq!(result.unwrap_err().code(), "internal");
}

#[tokio::test]
async fn both_secrets_sign_until_the_overlap_is_over() {
    let env = env();
    let before = stored(WebhookStatus::Enabled);
    let now = env.now();
    let scope = owner_of(before.tenant);
    for (hours, expected) in [(None, Some(24)), (Some(0), None), (Some(168), Some(168))] {
        let mut repositories = Repositories::default();
        repositories.webhooks.push_back(finding(&before));
        repositories.webhooks.push_back(storing(|webhook| webhook.version == 4));
        let input = SecretRotation { overlap_hours: hours };
        let (after, text) = Webhooks::new(&mut repositories, &scope, &env)
            .rotate(before.id, input, Some(4), &sealer())
            .await
            .unwrap();
        assert!(text.expose_secret().starts_with("whsec_"));
        assert_eq!(after.version, 5);
        assert_eq!(after.view().secret_rotated_at, Some(now));
        let until = expected.map(|hours| now + time::Duration::hours(hours));
        assert_eq!(after.view().previous_secret_expires_at, until);
        let keys = |at| after.secrets.keys(&sealer(), after.id, at).unwrap();
        assert_eq!(keys(now).len(), if until.is_some() { 2 } else { 1 });
        assert_eq!(keys(now).get(1), until.map(|_| vec![1, 2, 3]).as_ref(), "the newest first");
        assert_eq!(keys(until.unwrap_or(now)).len(), 1, "not a moment longer");
        let event = &repositories.events()[0];
        assert_eq!(event.kind, "webhook.rotated");
        assert_ne!(event.before, event.after);
    }
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(finding(&before));
    let input = SecretRotation { overlap_hours: Some(169) };
    let result =
        Webhooks::new(&mut repositories, &scope, &env).rotate(before.id, input, None, &sealer()).await;
    assert_eq!(result.unwrap_err().fields()[0].field, "overlapHours");
}

#[tokio::test]
async fn a_secret_of_another_installation_cannot_be_read() {
    let mut sealer = MockSealer::new();
    sealer.expect_open().times(1).return_once(|_, _, _| None);
    let webhook = stored(WebhookStatus::Enabled);
    assert_eq!(webhook.secrets.keys(&sealer, webhook.id, webhook.created_at), None);
}

#[tokio::test]
async fn resuming_begins_anew() {
    for status in [WebhookStatus::Paused, WebhookStatus::Disabled] {
        let before = stored(status);
        let mut repositories = Repositories::default();
        repositories.webhooks.push_back(finding(&before));
        repositories.webhooks.push_back(storing(|webhook| webhook.disabled_at.is_none()));
        repositories.webhooks.push_back(forgetting());
        let scope = admin_of(before.tenant);
        let after = Webhooks::new(&mut repositories, &scope, &env()).resume(before.id).await.unwrap();
        assert_eq!((after.status, after.failures, after.failing_since), (WebhookStatus::Enabled, 0, None));
        assert_eq!((after.disabled_reason, &*repositories.events()[0].kind), (None, "webhook.resumed"));
    }
}

#[tokio::test]
async fn what_is_so_already_stays_so_without_an_event() {
    for (status, pause) in
        [(WebhookStatus::Enabled, false), (WebhookStatus::Paused, true), (WebhookStatus::Disabled, true)]
    {
        let before = stored(status);
        let mut repositories = Repositories::default();
        repositories.webhooks.push_back(finding(&before));
        let (scope, env) = (admin_of(before.tenant), env());
        let mut webhooks = Webhooks::new(&mut repositories, &scope, &env);
        let after = if pause { webhooks.pause(before.id).await } else { webhooks.resume(before.id).await };
        assert_eq!(after.unwrap(), before);
        assert!(repositories.events().is_empty());
    }
}

#[tokio::test]
async fn an_update_changes_what_it_names_and_another_address_begins_with_no_failures() {
    let before = Webhook { rate_per_second: Some(5), ..stored(WebhookStatus::Enabled) };
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(finding(&before));
    repositories.webhooks.push_back(storing(|webhook| webhook.rate_per_second.is_none()));
    repositories.webhooks.push_back(forgetting());
    let (scope, env) = (admin_of(before.tenant), env());
    let update = WebhookUpdate {
        url: Some("https://example.com/new?token=hidden".into()),
        rate_per_second: Some(None),
        ..WebhookUpdate::default()
    };
    let after = Webhooks::new(&mut repositories, &scope, &env)
        .update(before.id, update, Some(4), rules(&catalogue(), &http(), &sealer()))
        .await
        .unwrap();
    assert_eq!((after.events.clone(), after.failures, after.version), (before.events.clone(), 0, 5));
    assert_eq!(after.view().url, "https://example.com/new?token=hidden");
    let events = format!("{:?}", repositories.events());
    assert!(events.contains("webhook.updated") && !events.contains("hidden"), "{events}");

    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(finding(&before));
    let unchanged = WebhookUpdate { active: Some(true), ..WebhookUpdate::default() };
    let same = Webhooks::new(&mut repositories, &scope, &env)
        .update(before.id, unchanged, None, rules(&catalogue(), &http(), &sealer()))
        .await;
    assert_eq!(same.unwrap(), before);
    assert!(repositories.events().is_empty());
}

#[tokio::test]
async fn a_stale_change_is_told_apart_from_a_simultaneous_one() {
    let before = stored(WebhookStatus::Enabled);
    let (scope, env) = (admin_of(before.tenant), env());
    for (expected, code) in [(Some(4), "precondition_failed"), (None, "modified_concurrently")] {
        let mut stale = MockWebhookRepository::new();
        stale.expect_update().times(1).return_once(|_| Err(StoreError::Stale));
        let mut repositories = Repositories::default();
        repositories.webhooks.push_back(finding(&before));
        repositories.webhooks.push_back(stale);
        let update = WebhookUpdate { active: Some(false), ..WebhookUpdate::default() };
        let result = Webhooks::new(&mut repositories, &scope, &env)
            .update(before.id, update, expected, rules(&catalogue(), &http(), &sealer()))
            .await;
        assert_eq!(result.unwrap_err().code(), code);
    }
    let mut repositories = Repositories::default();
    repositories.webhooks.push_back(finding(&before));
    let result = Webhooks::new(&mut repositories, &scope, &env).delete(before.id, Some(3)).await;
    assert_eq!(result.unwrap_err().code(), "precondition_failed");
}

#[test]
fn every_type_of_event_is_listed_once() {
    let types = event_types(&catalogue());
    assert_eq!(types.total as usize, types.items.len());
    assert!(types.items.windows(2).all(|pair| pair[0].name < pair[1].name));
    let made = types.items.iter().find(|kind| kind.name == "user.created").unwrap();
    assert!(
        made.description.contains("operator") && made.description.contains("Somebody"),
        "{}",
        made.description
    );
    assert!(types.items.iter().all(|kind| Permission::parse(kind.permission).is_some()));
}
