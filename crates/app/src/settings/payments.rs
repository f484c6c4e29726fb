//! Settings of payments.

use documented::DocumentedFields;
use portico_runtime::settings::{
    Problems,
    sources::{list, masked, masked_list, secret_list},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Payments.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Payments {
    /// Secret key of the account at Stripe. Default: none, nothing can be paid.
    #[serde(serialize_with = "masked")]
    pub stripe_secret_key: Option<SecretString>,
    /// Secrets of the webhook endpoint at Stripe, separated by commas in the environment: while one is replaced both are valid.
    /// Default: none.
    #[serde(deserialize_with = "secret_list", serialize_with = "masked_list")]
    pub stripe_webhook_secrets: Vec<SecretString>,
    /// Origins that buyers may be sent to after a payment, besides those of `server.public_url`, `links.app_url` and `cors.origins`. In
    /// development any is allowed while neither this nor one of the last two is set. Default: none.
    #[serde(deserialize_with = "list")]
    pub return_origins: Vec<String>,
}

impl Payments {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.stripe_secret_key.as_ref().is_some_and(|key| key.expose_secret().trim().is_empty()) {
            problems.add("payments.stripe_secret_key must not be empty");
        }
        if self.stripe_secret_key.is_some() && self.stripe_webhook_secrets.is_empty() {
            problems.add("payments.stripe_webhook_secrets must be set where payments.stripe_secret_key is");
        }
        // A blank secret would be one that everybody knows.
        if self.stripe_webhook_secrets.iter().any(|secret| !secret.expose_secret().starts_with("whsec_")) {
            problems.add("payments.stripe_webhook_secrets must begin with whsec_");
        }
        for origin in self.return_origins.iter().filter(|origin| !super::check::is_origin(origin)) {
            problems.add(format!(
                "payments.return_origins: {origin:?} is not an origin such as https://app.example.com (scheme and host, a port \
                 where it is not the usual one, no path)"
            ));
        }
        problems.into_result()
    }
}
