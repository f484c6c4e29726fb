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

/// Finds out what a request shows of its sender, and counts it against the limit of its key, its user, or its address. `strict` is
/// the pattern of its path, where that has the strict limit.
///
/// A key that was not valid within the last minutes is counted against the address before it is looked up, so that made-up
/// keys do not bypass that limit.
pub async fn admit(
    api: &Api,
    headers: &HeaderMap,
    path: &str,
    strict: Option<&str>,
    address: IpAddr,
) -> (Presented, Option<Verdict>) {
    let access = &api.core.access;
    if !path.starts_with("/api/v1/") {
        let presented = match Credentials::read([].into_iter(), authorization(headers)) {
            Credentials::None => Presented::Nothing,
            Credentials::Token(token) => access.check_token(&token),
            Credentials::Malformed | Credentials::Key(_) => Presented::Rejected,
        };
        return (presented, None);
    }
    let limits = api.limits.as_ref();
    let by_address = async || match limits {
        Some(limits) => Some(limits.check(strict, address).await),
        None => None,
    };
    let key = match credentials(headers) {
        Credentials::None => return (Presented::Nothing, by_address().await),
        Credentials::Malformed => return (Presented::Rejected, by_address().await),
        Credentials::Token(token) => {
            let presented = access.check_token(&token);
            let verdict = match (limits, &presented) {
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
            return (presented, verdict);
        }
        Credentials::Key(key) => key,
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

/// The current state of a key that was valid when the request arrived. Counts against no limit.
pub async fn check_again(api: &Api, headers: &HeaderMap, address: IpAddr) -> Presented {
    match credentials(headers) {
        Credentials::Key(key) => api.core.access.check_key(&key, address).await,
        _ => Presented::Rejected,
    }
}

fn credentials(headers: &HeaderMap) -> Credentials {
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
