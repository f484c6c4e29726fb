//! The sandbox as its embedder sees it.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use super::{
    clock, expand, idempotency, pages, payment_methods, portal, routes,
    webhooks::{self, WebhookDelivery},
    world::World,
};
use crate::{config::Config, errors::ApiError, form, parameters, value::Read};

/// The version of Stripe's API that the sandbox speaks.
pub const API_VERSION: &str = "2026-09-30.endive";

/// A stand-in for Stripe: customers, payments, subscriptions, and the pages that a person clicks.
///
/// It has no clock, no socket and no thread: every call tells the time. It is serialisable as a whole, so put it behind
/// one mutex and store it as text whenever it changed.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sandbox {
    world: World,
}

/// A call of the API.
#[derive(Clone, Copy, Debug)]
pub struct ApiRequest<'a> {
    /// `GET`, `POST` or `DELETE`.
    pub method: &'a str,
    /// Path with the query, such as `/v1/customers?limit=3`.
    pub path: &'a str,
    /// Names (in any case) and values.
    pub headers: &'a [(&'a str, &'a str)],
    /// The form as it came.
    pub body: &'a [u8],
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct ApiResponse {
    /// Status of HTTP.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// JSON.
    pub body: Vec<u8>,
    /// Answer after this time ([`Fault::Slow`]).
    pub delay: Duration,
    /// Close the connection instead of answering ([`Fault::Timeout`]); the call has had its effect.
    pub lost: bool,
}

/// Something that goes wrong with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The call has its effect, and its answer gets lost.
    Timeout,
    /// 429, without effect.
    RateLimit,
    /// 500, without effect; an idempotency key keeps it ("Idempotent requests" in Stripe's reference).
    ServerError,
    /// The answer takes this many seconds; meanwhile its idempotency key is in use.
    Slow(u32),
}

/// A request of a browser for one of the pages.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// Path with the query.
    pub path: &'a str,
    /// The form of a `POST`.
    pub body: &'a [u8],
}

/// A page, a file, or a redirect.
#[derive(Clone, Debug)]
pub struct PageResponse {
    /// Status of HTTP.
    pub status: u16,
    /// Names in lower case, and values: `content-type`, and `location` of a redirect.
    pub headers: Vec<(String, String)>,
    /// HTML or a PDF.
    pub body: Vec<u8>,
}

impl Sandbox {
    /// An empty sandbox with the endpoints of the settings.
    pub fn new(config: Config) -> Self {
        let mut world = World::new(config);
        for endpoint in world.config.endpoints.clone() {
            webhooks::install(&mut world, &endpoint.url, &endpoint.secret, &endpoint.events);
        }
        portal::install(&mut world);
        Self { world }
    }

    /// Answers a call.
    pub fn handle(&mut self, request: ApiRequest<'_>, now: OffsetDateTime) -> ApiResponse {
        let w = &mut self.world;
        let wall = now.unix_timestamp().saturating_add(w.offset);
        clock::tick(w, wall);
        let request_id = w.id("req");
        let key = header(&request, "idempotency-key").filter(|_| request.method == "POST");
        w.request = Some((request_id.clone(), key.map(str::to_owned)));
        let fault = w.faults.pop_front();
        let mut response = answer(w, &request, &request_id, key, fault);
        w.request = None;
        response.headers.push(("content-type".into(), "application/json".into()));
        response.headers.push(("stripe-version".into(), API_VERSION.into()));
        if let Some(key) = key {
            response.headers.push(("idempotency-key".into(), key.into()));
        }
        match fault {
            Some(Fault::Timeout) => response.lost = true,
            Some(Fault::Slow(seconds)) => response.delay = Duration::from_secs(seconds.into()),
            _ => {}
        }
        response
    }

    /// Answers a browser.
    pub fn page(&mut self, request: PageRequest<'_>, now: OffsetDateTime) -> PageResponse {
        let wall = now.unix_timestamp().saturating_add(self.world.offset);
        clock::tick(&mut self.world, wall);
        pages::answer(&mut self.world, request)
    }

    /// Moves the sandbox's clock on: what is due by then happens, in order. Test clocks are not touched.
    pub fn advance(&mut self, by: Duration, now: OffsetDateTime) {
        // Ten years are enough for anybody, and keep times within the calendar.
        let by = i64::try_from(by.as_secs()).unwrap_or(i64::MAX).min(10 * 366 * 86_400);
        let w = &mut self.world;
        w.offset = w.offset.saturating_add(by).min(parameters::LAST_TIME);
        clock::tick(w, now.unix_timestamp().saturating_add(w.offset));
    }

    /// The sandbox's time at `now`.
    pub fn time(&self, now: OffsetDateTime) -> OffsetDateTime {
        now.saturating_add(time::Duration::seconds(self.world.offset))
    }

    /// Webhooks that are to be posted now. Each comes again after the time between tries, until it is acknowledged.
    pub fn due_webhooks(&mut self, now: OffsetDateTime) -> Vec<WebhookDelivery> {
        let wall = now.unix_timestamp().saturating_add(self.world.offset);
        clock::tick(&mut self.world, wall);
        webhooks::due(&mut self.world, now.unix_timestamp())
    }

    /// Notes whether the endpoint answered a delivery with 2xx.
    pub fn acknowledge(&mut self, delivery_id: &str, ok: bool) {
        webhooks::acknowledge(&mut self.world, delivery_id, ok);
    }

    /// Gives the endpoint of this URL another secret; for `old_valid_for` both sign. False: no such endpoint.
    pub fn roll_secret(
        &mut self,
        url: &str,
        secret: &str,
        old_valid_for: Duration,
        now: OffsetDateTime,
    ) -> bool {
        let wall = now.unix_timestamp().saturating_add(self.world.offset);
        clock::tick(&mut self.world, wall);
        let old = i64::try_from(old_valid_for.as_secs()).unwrap_or(i64::MAX);
        webhooks::roll(&mut self.world, url, secret, old)
    }

    /// The bank replaces a saved card (`payment_method.automatically_updated`). False: no such card.
    pub fn renew_card(&mut self, payment_method: &str, now: OffsetDateTime) -> bool {
        let wall = now.unix_timestamp().saturating_add(self.world.offset);
        clock::tick(&mut self.world, wall);
        payment_methods::renewed_by_bank(&mut self.world, payment_method)
    }

    /// Lets the next call that has no fault yet go wrong.
    pub fn inject(&mut self, fault: Fault) {
        self.world.faults.push_back(fault);
    }

    /// When something happens by itself next, by the caller's clock: a webhook is due, or somebody's time is over.
    pub fn next_due(&self) -> Option<OffsetDateTime> {
        let timer = clock::next(&self.world, "").map(|timer| timer.at);
        let at = webhooks::next_due(&self.world).into_iter().chain(timer).min()?;
        OffsetDateTime::from_unix_timestamp(at.saturating_sub(self.world.offset)).ok()
    }

    /// The pages are reached elsewhere from now on. Addresses that were given out stay as they are.
    pub fn set_public_url(&mut self, url: &str) {
        url.clone_into(&mut self.world.config.public_url);
    }

    /// Delivers webhooks otherwise from now on.
    pub fn set_delivery(&mut self, delivery: crate::config::Delivery) {
        self.world.config.delivery = delivery;
    }
}

fn header<'a>(request: &ApiRequest<'a>, name: &str) -> Option<&'a str> {
    let found = request.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

fn answer(
    w: &mut World,
    request: &ApiRequest<'_>,
    request_id: &str,
    key: Option<&str>,
    fault: Option<Fault>,
) -> ApiResponse {
    if fault == Some(Fault::RateLimit) {
        return respond(request_id, Err(ApiError::rate_limit()));
    }
    let is_publishable = match authenticate(w, request) {
        Ok(is_publishable) => is_publishable,
        Err(error) => return respond(request_id, Err(error)),
    };
    let Some(key) = key else {
        if fault == Some(Fault::ServerError) {
            return respond(request_id, Err(ApiError::server()));
        }
        return respond(request_id, execute(w, request, is_publishable));
    };
    let fingerprint = idempotency::fingerprint(request.path, request.body);
    match idempotency::earlier(w, key, &fingerprint) {
        Err(error) => return respond(request_id, Err(error)),
        Ok(Some(kept)) => {
            let headers = vec![
                ("request-id".to_owned(), request_id.to_owned()),
                ("original-request".to_owned(), kept.request_id),
                ("idempotent-replayed".to_owned(), "true".to_owned()),
            ];
            let body = kept.body.into_bytes();
            return ApiResponse { status: kept.status, headers, body, delay: Duration::ZERO, lost: false };
        }
        Ok(None) => {}
    }
    let answer = match fault {
        Some(Fault::ServerError) => Err(ApiError::server()),
        _ => execute(w, request, is_publishable),
    };
    let is_kept = answer.as_ref().err().is_none_or(|error| error.kept);
    let response = respond(request_id, answer);
    if is_kept {
        let busy = if let Some(Fault::Slow(seconds)) = fault { i64::from(seconds) } else { 0 };
        let body = String::from_utf8_lossy(&response.body).into_owned();
        idempotency::keep(w, key, fingerprint, (response.status, &body, request_id), busy);
    }
    response
}

fn respond(request_id: &str, answer: Result<Value, ApiError>) -> ApiResponse {
    let (status, body) = match answer {
        Ok(body) => (200, body),
        Err(error) => {
            let inner = super::world::shown(&error.body);
            (error.status, serde_json::json!({"error": inner}))
        }
    };
    let body = serde_json::to_vec_pretty(&body).unwrap_or_default();
    let headers = vec![("request-id".to_owned(), request_id.to_owned())];
    ApiResponse { status, headers, body, delay: Duration::ZERO, lost: false }
}

/// Whether the key is a publishable one.
fn authenticate(w: &World, request: &ApiRequest<'_>) -> Result<bool, ApiError> {
    let given = header(request, "authorization").unwrap_or_default();
    let (scheme, rest) = given.split_once(' ').unwrap_or((given, ""));
    let key = if scheme.eq_ignore_ascii_case("bearer") {
        rest.trim().to_owned()
    } else if scheme.eq_ignore_ascii_case("basic") {
        // `curl -u sk_test_…:`, the key as the name of the user.
        let decoded = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        decoded.unwrap_or_default().split(':').next().unwrap_or_default().to_owned()
    } else {
        String::new()
    };
    if key.is_empty() {
        return Err(ApiError::unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        ));
    }
    if let Some(account) = header(request, "stripe-account") {
        let account = crate::errors::clean(account);
        let message = format!(
            "The provided key does not have access to account '{account}' (or that account does not exist). Application access may have been revoked."
        );
        return Err(ApiError::forbidden("account_invalid", message));
    }
    if w.config.secret_keys.contains(&key) {
        return Ok(false);
    }
    if w.config.publishable_keys.contains(&key) {
        return Ok(true);
    }
    let tail: String = key.chars().skip(key.chars().count().saturating_sub(4).max(8)).collect();
    Err(ApiError::unauthorized(format!(
        "Invalid API Key provided: {}***{tail}",
        key.chars().take(8).collect::<String>()
    )))
}

/// Whether retired parameters are refused: they are where a version from endive on was asked for.
fn is_strict(request: &ApiRequest<'_>) -> Result<bool, ApiError> {
    let Some(version) = header(request, "stripe-version") else { return Ok(false) };
    let date = version.split('.').next().unwrap_or_default();
    let is_date = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    if !is_date {
        let message = format!("Invalid Stripe API version: {}", crate::errors::clean(version));
        return Err(ApiError::invalid(message).before());
    }
    Ok(date >= &API_VERSION[..10])
}

fn execute(w: &mut World, request: &ApiRequest<'_>, is_publishable: bool) -> Result<Value, ApiError> {
    let strict = is_strict(request)?;
    w.strict = strict;
    let (path, query) = request.path.split_once('?').unwrap_or((request.path, ""));
    let Some(call) = parameters::find(request.method, path) else {
        return Err(ApiError::unknown_url(request.method, path));
    };
    let mut tree = form::parse(query.as_bytes())?;
    form::add(&mut tree, request.body)?;
    let p = call.typed(&tree, strict)?;
    if is_publishable {
        let allowed =
            ["/v1/payment_methods", "/v1/payment_pages/{session}", "/v1/payment_pages/{session}/confirm"];
        let with_secret = call.template.contains("_intents/{intent}") && p.text("client_secret").is_some();
        let without_customer = allowed.contains(&call.template) && p.text("customer").is_none();
        if !(with_secret || without_customer) {
            let message = "This API call cannot be made with a publishable API key. Please use a secret API key. You can find a list of your API keys at https://dashboard.stripe.com/account/apikeys.";
            return Err(ApiError::forbidden("secret_key_required", message));
        }
    }
    let answer = routes::dispatch(w, request.method, &call, &p)?;
    w.now = w.wall;
    expand::render(w, answer, p.list("expand"))
}
