//! Reads credentials and tenant of a request, and applies its rate limit.

use std::net::IpAddr;

use actix_web::{
    HttpRequest,
    http::header::{self, HeaderMap, HeaderName},
};
use portico_kernel::limits::Verdict;
use portico_runtime::access::{Credentials, NamedTenant, NoTenantId, Presented, UserRate};

use crate::{api::Api, limits::Rate};

/// Header for an API key, besides `Authorization`.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// A ticket in the query of a request.
pub struct PresentedTicket {
    /// The ticket.
    pub text: String,
    /// Path and query of the request without it.
    pub target: String,
}

impl PresentedTicket {
    /// Separates the ticket of a request from the rest of its query.
    pub fn read(path: &str, query: &str) -> Option<Self> {
        let (mut tickets, rest): (Vec<&str>, Vec<&str>) =
            query.split('&').partition(|pair| pair.starts_with("ticket="));
        let text = tickets.pop()?.strip_prefix("ticket=")?.to_owned();
        if !tickets.is_empty() {
            return None;
        }
        let target = match rest.is_empty() {
            true => path.to_owned(),
            false => format!("{path}?{}", rest.join("&")),
        };
        Some(Self { text, target })
    }
}

/// What comes before the paths at which Portico speaks as other products do. They are outside of the API document, and are limited like it.
pub const COMPAT: &str = "/compat/";

/// Finds out what a request shows of its sender, and counts it against the limit of its key, its user, or its address. `strict` is
/// the pattern of its path, where that has the strict limit.
///
/// A key that was not valid within the last minutes is counted against the address before it is looked up, so that made-up
/// keys do not bypass that limit.
pub async fn admit(
    api: &Api,
    headers: &HeaderMap,
    path: &str,
    ticket: Option<&PresentedTicket>,
    strict: Option<&str>,
    address: IpAddr,
) -> (Presented, Option<Verdict>) {
    let access = &api.core.access;
    if !path.starts_with("/api/v1/") && !path.starts_with(COMPAT) {
        let presented = match Credentials::read([].into_iter(), authorization(headers)) {
            Credentials::None => Presented::Nothing,
            Credentials::Token(token) => access.check_token(token),
            Credentials::Malformed | Credentials::Key(_) => Presented::Rejected,
        };
        return (presented, None);
    }
    let limits = api.limits.as_ref();
    let by_address = async || match limits {
        Some(limits) => Some(limits.check(strict, address).await),
        None => None,
    };
    let by_user = async |presented: &Presented| match (limits, presented) {
        (Some(limits), Presented::Claims(claims)) => {
            let rate = match strict {
                None => {
                    let in_path =
                        path.strip_prefix("/api/v1/tenants/").and_then(|rest| rest.split('/').next());
                    // A user who names random tenants causes no more queries than admitted requests.
                    let may_query = async || limits.may_look_up(claims.user).await;
                    access.rate(claims, named(in_path, headers), may_query).await
                }
                Some(_) => UserRate::default(),
            };
            Some(limits.check_user(strict, claims.user, of_user(&rate), address).await)
        }
        _ => by_address().await,
    };
    let key = match (credentials(headers), ticket) {
        (Credentials::None, None) => return (Presented::Nothing, by_address().await),
        (Credentials::None, Some(ticket)) => {
            let presented = access.check_ticket(&ticket.text, &ticket.target);
            let verdict = by_user(&presented).await;
            return match presented {
                Presented::Claims(_) if verdict.is_none_or(|verdict| verdict.allowed) => {
                    (access.use_ticket(&ticket.text).await, verdict)
                }
                _ => (presented, verdict),
            };
        }
        (Credentials::Malformed, _) | (_, Some(_)) => return (Presented::Rejected, by_address().await),
        (Credentials::Token(token), None) => {
            let presented = access.check_token(token);
            let verdict = by_user(&presented).await;
            return (presented, verdict);
        }
        (Credentials::Key(key), None) => key,
    };
    let verdict = if access.recently_valid(&key) { None } else { by_address().await };
    if verdict.is_some_and(|verdict| !verdict.allowed) {
        return (Presented::Rejected, verdict);
    }
    let presented = access.check_key(&key, address).await;
    let verdict = match (&presented, limits) {
        (Presented::Key(_, _), None) => None,
        (Presented::Key(key, _), Some(limits)) => {
            let rate = Rate {
                own: key.rate_limit_per_minute,
                agreed: key.tenant_rate_limit,
                plan: key.plan.as_deref(),
            };
            Some(limits.check_key(strict, key.id, rate, address).await)
        }
        _ if verdict.is_some() => verdict,
        _ => by_address().await,
    };
    (presented, verdict)
}

/// The same for a request that a service is to have signed: its route checks that, and nothing else admits it.
pub async fn admit_signed(api: &Api, address: IpAddr) -> (Presented, Option<Verdict>) {
    let verdict = match &api.limits {
        Some(limits) => Some(limits.check_signed(address).await),
        None => None,
    };
    (Presented::Nothing, verdict)
}

/// The current state of a key that was valid when the request arrived. Counts against no limit.
pub async fn check_again(api: &Api, headers: &HeaderMap, address: IpAddr) -> Presented {
    match credentials(headers) {
        Credentials::Key(key) => api.core.access.check_key(&key, address).await,
        _ => Presented::Rejected,
    }
}

fn credentials(headers: &HeaderMap) -> Credentials<'_> {
    let keys = headers.get_all(API_KEY).map(|value| value.to_str().unwrap_or_default());
    Credentials::read(keys, authorization(headers))
}

fn of_user(rate: &UserRate) -> Rate<'_> {
    Rate { own: None, agreed: rate.agreed, plan: rate.plan.as_deref() }
}

fn authorization(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default())
}

/// The tenant that a request names.
pub fn named_tenant(request: &HttpRequest) -> NamedTenant {
    named(request.match_info().get("tenantId"), request.headers())
}

/// The tenant named in the path, else the one in the header.
pub fn named(in_path: Option<&str>, headers: &HeaderMap) -> NamedTenant {
    let in_header = || headers.get("x-tenant-id").map(|value| value.to_str().unwrap_or_default());
    match in_path.or_else(in_header) {
        Some(text) => text.parse().map(Some).map_err(|_| NoTenantId),
        None => Ok(None),
    }
}
