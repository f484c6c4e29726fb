//! Webhook endpoints, and the signed deliveries to them ("Webhooks" in Stripe's documentation).

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    events, lists,
    sandbox::API_VERSION,
    world::{World, metadata, shown},
};
use crate::{
    errors::{Answer, ApiError},
    value::{Read, Write},
};

/// Deliveries that are not done with.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outbox {
    waiting: BTreeMap<String, Waiting>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Waiting {
    event: String,
    endpoint: String,
    due: i64,
    /// Shuffles what is due at once.
    order: u64,
    tries: u8,
}

/// A webhook to post: `body` with `headers` to `url`. Say with `Sandbox::acknowledge` how it went.
#[derive(Clone, Debug)]
pub struct WebhookDelivery {
    /// Names this delivery; an event that is delivered twice has two.
    pub id: String,
    /// Where to post it.
    pub url: String,
    /// Among them `Stripe-Signature`.
    pub headers: Vec<(String, String)>,
    /// The event as JSON; the signature covers exactly these bytes.
    pub body: Vec<u8>,
}

/// Puts deliveries of an event to every endpoint that wants it into the outbox.
pub(crate) fn enqueue(w: &mut World, mut event: Value) {
    let kind = event.owned("type");
    let wants = |endpoint: &&Value| {
        let patterns = endpoint.list("enabled_events").iter().filter_map(Value::as_str);
        endpoint.is("status", "enabled")
            && patterns.into_iter().any(|pattern| events::matches(pattern, &kind))
    };
    let endpoints: Vec<String> =
        w.store.all("webhook_endpoint").filter(wants).map(|endpoint| endpoint.owned("id")).collect();
    event.put("pending_webhooks", endpoints.len());
    w.save(&event);
    let delivery = w.config.delivery.clone();
    for endpoint in endpoints {
        for _ in 0..if delivery.twice { 2 } else { 1 } {
            let late = w.random(u64::from(delivery.late_seconds) + 1).min(u64::from(u32::MAX));
            let order = if delivery.shuffled { w.random(u64::MAX) } else { event_order(&event) };
            let due = w.wall + i64::try_from(late).unwrap_or(0);
            let id = w.id("whd");
            let event = event.owned("id");
            w.outbox.waiting.insert(id, Waiting { event, endpoint: endpoint.clone(), due, order, tries: 0 });
        }
    }
}

fn event_order(event: &Value) -> u64 {
    event.at("_seq").as_u64().unwrap_or(0)
}

/// When the next delivery is due, by the sandbox's clock.
pub(crate) fn next_due(w: &World) -> Option<i64> {
    w.outbox.waiting.values().map(|waiting| waiting.due).min()
}

/// What is due, signed with the caller's time; unless acknowledged, it is due again after the time between tries.
pub(crate) fn due(w: &mut World, real_now: i64) -> Vec<WebhookDelivery> {
    let mut due: Vec<(u64, String)> = Vec::new();
    for (id, waiting) in &w.outbox.waiting {
        if waiting.due <= w.wall {
            // In the order of events, or shuffled by the seed.
            let order = match w.config.delivery.shuffled {
                true => waiting.order,
                false => w.store.get("event", &waiting.event).map_or(0, event_order),
            };
            due.push((order, id.clone()));
        }
    }
    due.sort();
    let mut deliveries = Vec::new();
    for (_, id) in due {
        let Some(mut waiting) = w.outbox.waiting.remove(&id) else { continue };
        let event = w.find("event", &waiting.event);
        let endpoint = w.find("webhook_endpoint", &waiting.endpoint);
        let (Some(event), Some(endpoint)) = (event, endpoint) else { continue };
        waiting.tries = waiting.tries.saturating_add(1);
        waiting.due = w.wall + i64::from(w.config.delivery.retry_seconds.max(1));
        let body = serde_json::to_vec(&shown(&event)).unwrap_or_default();
        let headers = vec![
            ("Content-Type".to_owned(), "application/json; charset=utf-8".to_owned()),
            ("User-Agent".to_owned(), "Stripe/1.0 (+https://stripe.com/docs/webhooks)".to_owned()),
            ("Stripe-Signature".to_owned(), signature(&secrets(&endpoint, w.wall), real_now, &body)),
        ];
        deliveries.push(WebhookDelivery { id: id.clone(), url: endpoint.owned("url"), headers, body });
        w.outbox.waiting.insert(id, waiting);
    }
    deliveries
}

/// Notes how a delivery went. Whoever does not answer is asked again; after the last try the event counts as undelivered.
pub(crate) fn acknowledge(w: &mut World, id: &str, ok: bool) {
    let tries = w.config.delivery.tries.max(1);
    let Some(waiting) = w.outbox.waiting.get(id).cloned() else { return };
    if !ok && waiting.tries < tries {
        return;
    }
    w.outbox.waiting.remove(id);
    let Some(mut event) = w.find("event", &waiting.event) else { return };
    if !ok {
        event.put("_failed", true);
    }
    let left = w.outbox.waiting.values().filter(|other| other.event == waiting.event);
    let mut endpoints: Vec<&str> = left.map(|other| other.endpoint.as_str()).collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    event.put("pending_webhooks", endpoints.len());
    w.save(&event);
}

/// `t=…,v1=…`: an HMAC-SHA256 keyed by the whole text of each secret, over `t.body`. A `v0` is there as well, for test
/// mode, and means nothing.
fn signature(secrets: &[String], now: i64, body: &[u8]) -> String {
    let mut header = format!("t={now}");
    for secret in secrets {
        if let Some(mac) = sign(secret.as_bytes(), now, body) {
            header.push_str(&format!(",v1={mac}"));
        }
    }
    if let Some(mac) = sign(b"v0", now, body) {
        header.push_str(&format!(",v0={mac}"));
    }
    header
}

fn sign(secret: &[u8], now: i64, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    mac.update(now.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    Some(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn secrets(endpoint: &Value, wall: i64) -> Vec<String> {
    let mut secrets = vec![endpoint.owned("_secret")];
    if endpoint.num("_old_secret_until") > wall {
        secrets.push(endpoint.owned("_old_secret"));
    }
    secrets
}

/// Rolls the secret of an endpoint: until the old one expires, both sign.
pub(crate) fn roll(w: &mut World, url: &str, secret: &str, old_expires_in: i64) -> bool {
    let found = w.store.all("webhook_endpoint").find(|endpoint| endpoint.is("url", url)).cloned();
    let Some(mut endpoint) = found else { return false };
    endpoint.put("_old_secret", endpoint.owned("_secret"));
    endpoint.put("_old_secret_until", w.wall.saturating_add(old_expires_in));
    endpoint.put("_secret", secret);
    w.save(&endpoint);
    true
}

/// An endpoint of the settings.
pub(crate) fn install(w: &mut World, url: &str, secret: &str, patterns: &[String]) {
    let mut endpoint = object(w, url, json!(patterns), API_VERSION);
    endpoint.put("_secret", secret);
    w.save(&endpoint);
}

fn object(w: &mut World, url: &str, patterns: Value, version: &str) -> Value {
    json!({
        "id": w.id("we"),
        "object": "webhook_endpoint",
        "api_version": version,
        "application": null,
        "created": w.now,
        "description": null,
        "enabled_events": patterns,
        "livemode": false,
        "metadata": {},
        "status": "enabled",
        "url": url,
    })
}

/// POST /v1/webhook_endpoints; only here the secret is shown.
pub(crate) fn create(w: &mut World, p: &Value) -> Answer {
    let url = p.owned("url");
    check_url(&url)?;
    let version = p.text("api_version").unwrap_or(API_VERSION);
    let mut endpoint = object(w, &url, p.at("enabled_events").clone(), version);
    endpoint.copy_from(p, &["description"]);
    endpoint.put("metadata", metadata(p));
    let secret = format!("whsec_{}", w.characters(32));
    endpoint.put("_secret", secret.clone());
    w.save(&endpoint);
    endpoint.put("secret", secret);
    Ok(endpoint)
}

/// POST /v1/webhook_endpoints/{id}.
pub(crate) fn update(w: &mut World, id: &str, p: &Value) -> Answer {
    let mut endpoint = w.need("webhook_endpoint", id, "id")?;
    if let Some(url) = p.text("url") {
        check_url(url)?;
    }
    endpoint.copy_from(p, &["description", "enabled_events", "url"]);
    endpoint.merge_metadata(p);
    if let Some(disabled) = p.at("disabled").as_bool() {
        endpoint.put("status", if disabled { "disabled" } else { "enabled" });
    }
    w.save(&endpoint);
    Ok(endpoint)
}

/// DELETE /v1/webhook_endpoints/{id}.
pub(crate) fn delete(w: &mut World, id: &str) -> Answer {
    w.need("webhook_endpoint", id, "id")?;
    w.store.remove("webhook_endpoint", id);
    Ok(json!({"id": id, "object": "webhook_endpoint", "deleted": true}))
}

/// GET /v1/webhook_endpoints.
pub(crate) fn list(w: &World, p: &Value) -> Answer {
    lists::page(w, "webhook_endpoint", p, "/v1/webhook_endpoints", &[], |_| true)
}

fn check_url(url: &str) -> Result<(), ApiError> {
    let is_http = url.starts_with("https://") || url.starts_with("http://");
    if is_http && !url.contains(char::is_whitespace) {
        return Ok(());
    }
    Err(ApiError::param("url", "Invalid URL: An explicit scheme (such as https) must be provided.")
        .code("url_invalid"))
}
