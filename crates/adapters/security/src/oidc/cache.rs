//! Cache of the discovery document and keys of a provider.

use std::sync::Arc;

use openidconnect::{
    IssuerUrl, JsonWebKeySet,
    core::{CoreJsonWebKeySet, CoreProviderMetadata},
    url::ParseError,
};
use portico_kernel::Timestamp;
use time::Duration;
use tokio::sync::Mutex;

use super::{Outbound, chain};

/// How long discovery document and keys count as fresh.
const FRESH: Duration = Duration::hours(1);
/// How long they are used while the provider is unavailable.
const USABLE: Duration = Duration::hours(24);
/// How long a failure is cached, so that not every request has to wait for the next one.
const PAUSE: Duration = Duration::seconds(5);
/// Minimum interval of refreshing keys because of an unknown one, so that made-up keys do not cause many requests.
const KEYS_AT_MOST_EVERY: Duration = Duration::minutes(1);

/// The cached state of one provider.
pub(crate) struct ProviderCache {
    issuer: IssuerUrl,
    // Locked during a request: concurrent callers wait for the one response.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    found: Option<(Arc<CoreProviderMetadata>, Timestamp)>,
    failed: Option<(String, Timestamp)>,
    keys_renewed: Option<Timestamp>,
}

impl ProviderCache {
    /// An empty cache.
    pub fn new(issuer: &str) -> Result<Self, ParseError> {
        Ok(Self { issuer: IssuerUrl::new(issuer.to_owned())?, state: Mutex::default() })
    }

    /// Discovery document and keys. The document is accepted only if it names exactly the issuer (OpenID Connect Discovery
    /// section 4.3). Errors with the cause when there is nothing usable.
    pub async fn metadata(
        &self,
        http: &Outbound,
        now: Timestamp,
    ) -> Result<Arc<CoreProviderMetadata>, String> {
        let mut state = self.state.lock().await;
        if let Some((found, at)) = &state.found
            && now - *at < FRESH
        {
            return Ok(found.clone());
        }
        let pausing =
            state.failed.as_ref().filter(|(_, at)| now - *at < PAUSE).map(|(cause, _)| cause.clone());
        let cause = match pausing {
            Some(cause) => cause,
            None => match discover(self.issuer.clone(), http).await {
                Ok(found) => {
                    let found = Arc::new(found);
                    *state = State { found: Some((found.clone(), now)), ..State::default() };
                    return Ok(found);
                }
                Err(cause) => {
                    state.failed = Some((cause.clone(), now));
                    cause
                }
            },
        };
        match &state.found {
            Some((found, at)) if now - *at < USABLE => Ok(found.clone()),
            _ => Err(cause),
        }
    }

    /// The current keys, because a token has an unknown one; `None` when they were refreshed a moment ago, or are
    /// unavailable.
    pub async fn renew_keys(&self, http: &Outbound, now: Timestamp) -> Option<CoreJsonWebKeySet> {
        let mut state = self.state.lock().await;
        if state.keys_renewed.is_some_and(|at| now - at < KEYS_AT_MOST_EVERY) {
            // A concurrent caller may just have fetched the wanted key.
            return state.found.as_ref().map(|(found, _)| found.jwks().clone());
        }
        state.keys_renewed = Some(now);
        let (found, at) = state.found.clone()?;
        let keys = JsonWebKeySet::fetch_async(found.jwks_uri(), http).await.ok()?;
        state.found = Some((Arc::new((*found).clone().set_jwks(keys.clone())), at));
        Some(keys)
    }
}

async fn discover(issuer: IssuerUrl, http: &Outbound) -> Result<CoreProviderMetadata, String> {
    let found =
        CoreProviderMetadata::discover_async(issuer.clone(), http).await.map_err(|error| chain(&error))?;
    // The browser is redirected there, so it is not requested through the client that checks addresses.
    let scheme = found.authorization_endpoint().url().scheme();
    if scheme != "https" && scheme != issuer.url().scheme() {
        return Err("the authorization endpoint is not https".to_owned());
    }
    Ok(found)
}
