//! Which credentials a request shows, and whether its limit lets it in.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap, HeaderName};
use portico_identity::api_key::{Judgement, KeyText};

use super::{caller::Presented, limits::Verdict};
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
    let by_address = || limits.map(|limits| limits.check(path, None, address));
    let key = match shown(headers) {
        Shown::Nothing => {
            let presented = Presented::read(app, headers);
            let verdict = limits.map(|limits| limits.check(path, presented.user(), address));
            return (presented, verdict);
        }
        Shown::Nonsense => return (Presented::Rejected, by_address()),
        Shown::Key(key) => key,
    };
    let digest = app.tokens.digest(key.secret());
    let verdict = if app.keys.was_admitted(&digest) { None } else { by_address() };
    if verdict.is_some_and(|verdict| !verdict.allowed) {
        return (Presented::Rejected, verdict);
    }
    let presented = match app.keys.get(key.prefix()).await {
        Err(error) => Presented::Unavailable(error),
        Ok(None) => Presented::Rejected,
        Ok(Some(state)) => match state.judge(&digest, address, app.env.now()) {
            Judgement::Good => {
                app.keys.admit(digest).await;
                let verdict = limits.map(|limits| limits.check_key(path, &state, address));
                return (Presented::Key(state), verdict);
            }
            Judgement::Unknown => Presented::Rejected,
            Judgement::Ended => Presented::RefusedKey(state),
            Judgement::ForeignAddress => Presented::KeyFromElsewhere(state),
        },
    };
    (presented, verdict.or_else(by_address))
}

/// What a key that was good when the request came is now. Counts against no limit.
pub async fn read_again(app: &App, headers: &HeaderMap, address: IpAddr) -> Presented {
    let Shown::Key(key) = shown(headers) else { return Presented::Rejected };
    match app.keys.get(key.prefix()).await {
        Err(error) => Presented::Unavailable(error),
        Ok(None) => Presented::Rejected,
        Ok(Some(state)) => match state.judge(&app.tokens.digest(key.secret()), address, app.env.now()) {
            Judgement::Good => Presented::Key(state),
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
