//! Settings of Stripe.

use documented::DocumentedFields;
use portico_runtime::settings::{
    Problems,
    sources::{masked, masked_list, secret_list},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

/// Stripe, or what speaks its API.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Stripe {
    /// Secret or restricted key of the account (`sk_…`, `rk_…`). Production refuses to start without it, unless
    /// `allow_in_production` lists `sandbox_payments`. Default: none, payments are made at the sandbox, `/dev/payments`.
    #[serde(serialize_with = "masked")]
    pub secret_key: Option<SecretString>,
    /// Secrets of the webhook endpoint, separated by commas in the environment: while one is replaced both are valid.
    /// Default: none.
    #[serde(deserialize_with = "secret_list", serialize_with = "masked_list")]
    pub webhook_secrets: Vec<SecretString>,
    /// Where its API is, without the version. Default: `https://api.stripe.com`.
    pub base_url: Option<Url>,
}

/// How keys begin with which real money is moved.
const LIVE_KEYS: [&str; 2] = ["sk_live_", "rk_live_"];

impl Stripe {
    /// Whether real money is moved: by the key.
    pub fn is_live(&self) -> bool {
        let key = self.secret_key.as_ref();
        key.is_some_and(|key| LIVE_KEYS.iter().any(|live| key.expose_secret().starts_with(live)))
    }

    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let is_secret = |key: &str| ["sk_", "rk_"].iter().any(|beginning| key.starts_with(beginning));
        match &self.secret_key {
            Some(key) if !is_secret(key.expose_secret()) => {
                problems.add("stripe.secret_key must begin with sk_ or rk_");
            }
            Some(_) if self.webhook_secrets.is_empty() => {
                problems.add("stripe.webhook_secrets must be set where stripe.secret_key is");
            }
            None if self.base_url.is_some() => {
                problems.add("stripe.secret_key must be set where stripe.base_url is");
            }
            _ => {}
        }
        // A blank secret would be one that everybody knows.
        if self.webhook_secrets.iter().any(|secret| !secret.expose_secret().starts_with("whsec_")) {
            problems.add("stripe.webhook_secrets must begin with whsec_");
        }
        let is_base = |url: &Url| {
            ["http", "https"].contains(&url.scheme())
                && url.has_host()
                && url.query().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        };
        if self.base_url.as_ref().is_some_and(|url| !is_base(url)) {
            problems.add(
                "stripe.base_url must be like https://api.stripe.com, without a query and without a password",
            );
        }
        problems.into_result()
    }
}
