//! Which credentials a request shows, and whether its limit lets it in.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use portico_identity::{
    api_key::{Judgement, KeyText},
    ports::AccessClaims,
};
use portico_kernel::limits::Verdict;

use super::{
    caller::{self, Presented},
    limits::Limits,
};
use crate::state::App;

/// Header for an API key, besides `Authorization`.
pub const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How the text of every key begins.
const BEGINNING: &str = "sn_";

/// What the headers say of an API key.
enum Shown {
    /// Nothing.
    Nothing,
    /// Something that is no key of ours, or two things at once.
    Nonsense,
    /// A key that may exist.
    Key(KeyText),
}

/// Finds out what a request shows of its sender, and counts it against the limit of its key, its user, or its address.
///
/// A key that was not good within the last minutes is counted against the address before it is even looked for, so that
/// made-up keys are no way around that limit.
pub async fn admit(
    app: &App,
    headers: &HeaderMap,
    path: &str,
    address: IpAddr,
) -> (Presented, Option<Verdict>) {
    if !path.starts_with("/api/v1/") {
        return (Presented::read(app, headers), None);
    }
    let limits = app.limits.as_ref();
    let by_address = async || match limits {
        Some(limits) => Some(limits.check(path, address).await),
        None => None,
    };
    let key = match shown(headers) {
        Shown::Nothing => {
            let presented = Presented::read(app, headers);
            let verdict = match (limits, &presented) {
                (Some(limits), Presented::Claims(claims)) => {
                    let plan = plan_of(app, limits, claims, headers, path).await;
                    Some(limits.check_user(path, claims.user, plan.as_deref(), address).await)
                }
                _ => by_address().await,
            };
            return (presented, verdict);
        }
        Shown::Nonsense => return (Presented::Rejected, by_address().await),
        Shown::Key(key) => key,
    };
    let digest = app.tokens.digest(key.secret());
    let verdict = if app.core.api_keys.was_admitted(&digest) { None } else { by_address().await };
    if verdict.is_some_and(|verdict| !verdict.allowed) {
        return (Presented::Rejected, verdict);
    }
    let presented = match app.core.api_keys.get(key.prefix()).await {
        Err(error) => Presented::Unavailable(error),
        Ok(None) => Presented::Rejected,
        Ok(Some(state)) => match state.judge(&digest, address, app.core.env.now()) {
            Judgement::Good(maker) => {
                app.core.api_keys.admit(digest).await;
                let verdict = match limits {
                    Some(limits) => Some(limits.check_key(path, &state, address).await),
                    None => None,
                };
                return (Presented::Key(state, maker), verdict);
            }
            Judgement::Unknown => Presented::Rejected,
            Judgement::Ended => Presented::RefusedKey(state),
            Judgement::ForeignAddress => Presented::KeyFromElsewhere(state),
        },
    };
    let verdict = match verdict {
        Some(verdict) => Some(verdict),
        None => by_address().await,
    };
    (presented, verdict)
}

/// The plan of the tenant that a request is about, given that the user is a member there and that plans make a difference.
///
/// The caller is looked up as the route will do it, so that there is one query for both. A user who names tenants at random
/// causes no more queries than requests that are let in.
async fn plan_of(
    app: &App,
    limits: &Limits,
    claims: &AccessClaims,
    headers: &HeaderMap,
    path: &str,
) -> Option<String> {
    if !limits.depends_on_plan(path) {
        return None;
    }
    let in_path = path.strip_prefix("/api/v1/tenants/").and_then(|rest| rest.split('/').next());
    let tenant = caller::named(in_path, headers).ok()?.or(claims.tenant);
    let state = match app.core.sessions.known(claims.session, claims.user, tenant).await {
        Some(state) => state,
        None if limits.may_look_up(claims.user).await => {
            app.core.sessions.get(claims.session, claims.user, tenant).await.ok().flatten()
        }
        None => None,
    };
    state.filter(|state| state.user == claims.user)?.plan
}

/// What a key that was good when the request came is now. Counts against no limit.
pub async fn read_again(app: &App, headers: &HeaderMap, address: IpAddr) -> Presented {
    let Shown::Key(key) = shown(headers) else { return Presented::Rejected };
    match app.core.api_keys.get(key.prefix()).await {
        Err(error) => Presented::Unavailable(error),
        Ok(None) => Presented::Rejected,
        Ok(Some(state)) => match state.judge(&app.tokens.digest(key.secret()), address, app.core.env.now()) {
            Judgement::Good(maker) => Presented::Key(state, maker),
            Judgement::Unknown => Presented::Rejected,
            Judgement::Ended => Presented::RefusedKey(state),
            Judgement::ForeignAddress => Presented::KeyFromElsewhere(state),
        },
    }
}

fn shown(headers: &HeaderMap) -> Shown {
    let mut values = headers.get_all(API_KEY).map(|value| value.to_str().unwrap_or_default().trim());
    let header = values.next();
    let several = values.next().is_some();
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    let bearer = authorization
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let text = match (header, bearer.filter(|token| token.starts_with(BEGINNING))) {
        (None, None) => return Shown::Nothing,
        // Both are fine when they say the same.
        (Some(header), _) if several || authorization.is_some() && bearer != Some(header) => {
            return Shown::Nonsense;
        }
        (Some(text), _) | (None, Some(text)) => text,
    };
    KeyText::parse(text).map_or(Shown::Nonsense, Shown::Key)
}
