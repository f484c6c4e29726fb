//! How keys are used: counted in memory while requests are answered, and recorded here in batches.

use std::collections::BTreeMap;

use portico_kernel::{
    ApiKeyId, Env, Event, EventDeclaration, EventKind, FieldError, Permission, RequestInfo, RuleMessage,
    Scope, TenantId, Timestamp,
};
use serde::Serialize;
use serde_json::json;
use time::{Date, Duration};

use super::ApiKeys;
use crate::{IdentityError, events, ports::IdentityRepositories};

/// The most days that one answer covers.
pub const MAX_DAYS: i64 = 90;
const DEFAULT_DAYS: i64 = 30;

/// Refusals within [`BURST_MINUTES`] that are worth a notice.
pub const BURST: u64 = 20;
/// The length of that window.
pub const BURST_MINUTES: i64 = 5;
/// One notice of refusals for a key in this time.
const NOTICE_PAUSE: Duration = Duration::HOUR;

/// The most addresses that are remembered for a key. Addresses beyond that cause no notice.
pub const MAX_ADDRESSES: u64 = 1000;

/// How long counts are kept.
const KEEP_COUNTS: Duration = Duration::days(400);
/// How long an address is remembered that the key is not used from any more.
const KEEP_ADDRESSES: Duration = Duration::days(180);

/// Requests with a key, counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// Day (UTC).
    pub day: Date,
    /// Method.
    pub method: String,
    /// Path with the names of its parameters.
    pub path: String,
    /// Status of the answer.
    pub status: u16,
}

/// What happened with a key since the last batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activity {
    /// The tenant.
    pub tenant: TenantId,
    /// The key.
    pub key: ApiKeyId,
    /// Time of the last request that was authenticated.
    pub last_used_at: Option<Timestamp>,
    /// Requests, also those that were refused.
    pub requests: BTreeMap<Endpoint, u64>,
    /// The addresses of authenticated requests, see [`super::origin`], each with its last use.
    pub addresses: BTreeMap<String, Timestamp>,
    /// Answers 401 and 403, by minute since 1970.
    pub refusals: BTreeMap<i64, u64>,
}

impl Activity {
    /// Nothing yet.
    pub fn new(tenant: TenantId, key: ApiKeyId) -> Self {
        let (requests, addresses, refusals) = Default::default();
        Self { tenant, key, last_used_at: None, requests, addresses, refusals }
    }

    /// Adds another one of the same key, for instance one that could not be recorded.
    pub fn merge(&mut self, other: Self) {
        self.last_used_at = self.last_used_at.max(other.last_used_at);
        for (endpoint, count) in other.requests {
            *self.requests.entry(endpoint).or_default() += count;
        }
        for (address, at) in other.addresses {
            let seen = self.addresses.entry(address).or_insert(at);
            *seen = at.max(*seen);
        }
        for (minute, count) in other.refusals {
            *self.refusals.entry(minute).or_default() += count;
        }
    }
}

/// The minute since 1970 that a time lies in.
pub fn minute(at: Timestamp) -> i64 {
    at.unix_seconds().div_euclid(60)
}

/// What is known of a key while its activity is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its name.
    pub name: String,
    /// When its owners were last notified of refusals.
    pub refusals_noticed_at: Option<Timestamp>,
}

/// Whether an address is new for a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The very first one.
    First,
    /// New.
    New,
    /// Known, or beyond what is remembered.
    Known,
}

/// Records how keys were used, and detects suspicious use.
pub struct KeyUsage<'a> {
    repositories: &'a mut dyn IdentityRepositories,
    env: &'a Env,
}

impl<'a> KeyUsage<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn IdentityRepositories, env: &'a Env) -> Self {
        Self { repositories, env }
    }

    /// Adds the activity of a key. For a key that is gone nothing is recorded.
    ///
    /// Appends `api_key.new_address` for an address from which the key was not used before, but for its first one; and
    /// `api_key.refusals` for [`BURST`] refusals within [`BURST_MINUTES`], once an hour at most. Other units of work that record
    /// the same key wait until this one ends, so no event is appended twice.
    pub async fn record(&mut self, activity: &Activity) -> Result<(), IdentityError> {
        let (tenant, key) = (activity.tenant, activity.key);
        let mut usage = self.repositories.api_key_usage();
        let Some(recorded) = usage.begin(tenant, key, activity.last_used_at).await? else { return Ok(()) };
        for (endpoint, count) in &activity.requests {
            usage.add(tenant, key, endpoint, *count).await?;
        }
        let mut new = Vec::new();
        for (address, at) in &activity.addresses {
            if usage.see_address(tenant, key, address, *at, MAX_ADDRESSES).await? == Seen::New {
                new.push(address);
            }
        }
        for (minute, count) in &activity.refusals {
            usage.add_refusals(tenant, key, *minute, *count).await?;
        }
        let now = self.env.now();
        let quiet = recorded.refusals_noticed_at.is_some_and(|at| now - at < NOTICE_PAUSE);
        let mut burst = None;
        if let Some(last) = activity.refusals.keys().next_back().filter(|_| !quiet) {
            let count = usage.refusals_since(tenant, key, last - BURST_MINUTES + 1).await?;
            if count >= BURST {
                usage.notice_refusals(tenant, key, now).await?;
                burst = Some(count);
            }
        }
        drop(usage);
        for address in new {
            let after = json!({"name": recorded.name, "address": address});
            self.notice(activity, &events::API_KEY_NEW_ADDRESS, after).await?;
        }
        if let Some(count) = burst {
            self.notice(activity, &events::API_KEY_REFUSALS, json!({"name": recorded.name, "count": count}))
                .await?;
        }
        Ok(())
    }

    /// Forgets what is too old to be of use.
    pub async fn forget(&mut self) -> Result<(), IdentityError> {
        let now = self.env.now();
        let day = (now - KEEP_COUNTS).into_inner().date();
        let burst = minute(now) - BURST_MINUTES;
        Ok(self.repositories.api_key_usage().forget(day, now - KEEP_ADDRESSES, burst).await?)
    }

    async fn notice(
        &mut self,
        activity: &Activity,
        kind: &'static EventDeclaration,
        after: serde_json::Value,
    ) -> Result<(), IdentityError> {
        let request =
            RequestInfo { id: self.env.new_id::<EventKind>().to_string(), ..RequestInfo::default() };
        let scope = Scope::system(Some(activity.tenant), request);
        let event = Event::new(self.env, &scope, kind, activity.key.uuid()).after(&after);
        Ok(self.repositories.events().append(event).await?)
    }
}

/// How a key was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KeyUsageReport {
    /// First day (UTC).
    #[serde(serialize_with = "iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-01"))]
    pub from: Date,
    /// Last day (UTC).
    #[serde(serialize_with = "iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-21"))]
    pub to: Date,
    /// Requests on all these days.
    pub total: u64,
    /// When the key was last used, to within a few seconds.
    pub last_used_at: Option<Timestamp>,
    /// Requests on each day, also on those without any.
    pub days: Vec<DayUsage>,
    /// Requests to each endpoint, the most used first.
    pub endpoints: Vec<EndpointUsage>,
    /// From where it was used, the last used first; 100 at most.
    pub addresses: Vec<AddressUsage>,
}

/// Requests on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DayUsage {
    /// Day (UTC).
    #[serde(serialize_with = "iso_date")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "date", example = "2026-11-21"))]
    pub date: Date,
    /// Requests.
    pub requests: u64,
}

/// Requests to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EndpointUsage {
    /// Method.
    #[cfg_attr(feature = "openapi", schema(example = "GET"))]
    pub method: String,
    /// Path with the names of its parameters; `none` for paths that nothing answers at.
    #[cfg_attr(feature = "openapi", schema(example = "/api/v1/tenants/{tenantId}/pages"))]
    pub path: String,
    /// Requests.
    pub requests: u64,
    /// Requests by the status of the answer.
    pub statuses: Vec<StatusUsage>,
}

/// Requests that were answered with a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StatusUsage {
    /// Status.
    #[cfg_attr(feature = "openapi", schema(example = 200))]
    pub status: u16,
    /// Requests.
    pub requests: u64,
}

/// An address from which a key was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AddressUsage {
    /// An IPv4 address, or a /64 network of IPv6.
    #[cfg_attr(feature = "openapi", schema(example = "203.0.113.7"))]
    pub address: String,
    /// First use.
    pub first_seen_at: Timestamp,
    /// Last use.
    pub last_seen_at: Timestamp,
}

fn iso_date<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

impl ApiKeys<'_> {
    /// How a key was used from one day to another (UTC, both included): the last 30 days by default.
    pub async fn usage(
        &mut self,
        id: ApiKeyId,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<KeyUsageReport, IdentityError> {
        let tenant = self.scope.require(Permission::ApiKeysRead)?;
        self.existing(tenant, id).await?;
        let (from, to) = period(from, to, self.env.now().into_inner().date())?;
        let mut usage = self.repositories.api_key_usage();
        let counts: BTreeMap<Date, u64> = usage.days(tenant, id, from, to).await?.into_iter().collect();
        let endpoints = usage.endpoints(tenant, id, from, to).await?;
        let addresses = usage.addresses(tenant, id, 100).await?;
        drop(usage);
        // After the counts, so that it is not older than they are.
        let key = self.existing(tenant, id).await?;
        let days: Vec<_> = std::iter::successors(Some(from), |day| day.next_day())
            .take_while(|day| *day <= to)
            .map(|date| DayUsage { date, requests: counts.get(&date).copied().unwrap_or_default() })
            .collect();
        let total = days.iter().map(|day| day.requests).sum();
        let endpoints = grouped(endpoints);
        Ok(KeyUsageReport { from, to, total, last_used_at: key.last_used_at, days, endpoints, addresses })
    }
}

fn period(from: Option<Date>, to: Option<Date>, today: Date) -> Result<(Date, Date), IdentityError> {
    let invalid = |field: &str, code: &'static str, message: RuleMessage| {
        Err(IdentityError::Invalid(vec![FieldError::new(field, code, message)]))
    };
    let ahead = Duration::days(DEFAULT_DAYS - 1);
    let to = to
        .or_else(|| from.map(|from| today.max(from).min(from.saturating_add(Duration::days(MAX_DAYS - 1)))));
    let to = to.unwrap_or(today);
    let from = from.unwrap_or_else(|| to.saturating_sub(ahead));
    if to < from {
        return invalid("to", "before_from", "The last day is before the first one.".into());
    }
    if (to - from).whole_days() >= MAX_DAYS {
        return invalid(
            "to",
            "out_of_range",
            RuleMessage::new(format!("Ask for {MAX_DAYS} days at most.")).max(MAX_DAYS),
        );
    }
    Ok((from, to))
}

/// Requests by endpoint, the most used first.
fn grouped(counts: Vec<(String, String, u16, u64)>) -> Vec<EndpointUsage> {
    let mut endpoints: BTreeMap<(String, String), BTreeMap<u16, u64>> = BTreeMap::new();
    for (method, path, status, requests) in counts {
        *endpoints.entry((path, method)).or_default().entry(status).or_default() += requests;
    }
    let mut endpoints: Vec<_> = endpoints
        .into_iter()
        .map(|((path, method), statuses)| {
            let requests = statuses.values().sum();
            let statuses = statuses.into_iter().map(|(status, requests)| StatusUsage { status, requests });
            EndpointUsage { method, path, requests, statuses: statuses.collect() }
        })
        .collect();
    endpoints.sort_by_key(|endpoint| std::cmp::Reverse(endpoint.requests));
    endpoints
}

#[cfg(test)]
mod tests;
