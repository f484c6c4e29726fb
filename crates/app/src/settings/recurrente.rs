//! Settings of Recurrente, where sites are paid.

use documented::DocumentedFields;
use portico_recurrente::{HeaderStyle, WebhookSecrets};
use portico_runtime::settings::{
    Problems,
    sources::{masked, masked_list, secret_list},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

/// Recurrente, where sites are paid.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Recurrente {
    /// Public key of the account, `pk_test_…` or `pk_live_…`. Default: none, a stand-in takes the payments in development, and in
    /// production no site can be bought.
    pub public_key: Option<String>,
    /// Secret key of the account, `sk_test_…` or `sk_live_…`. Default: none.
    #[serde(serialize_with = "masked")]
    pub secret_key: Option<SecretString>,
    /// Secrets of the webhook endpoint, `whsec_…`, separated by commas in the environment: while one is replaced both are valid.
    /// Default: none.
    #[serde(deserialize_with = "secret_list", serialize_with = "masked_list")]
    pub webhook_secrets: Vec<SecretString>,
    /// Base URL of the API.
    pub base_url: String,
    /// Headers that carry the keys: `pair` (`X-PUBLIC-KEY` and `X-SECRET-KEY`), or `bearer` (`Authorization` and `X-Public-Key`).
    pub headers: HeaderStyle,
    /// Page that buyers of sites come back to; gets `?site=` with the subdomain and `&result=paid` or `canceled`. Default: none, the
    /// site itself.
    pub return_url: Option<Url>,
}

impl Default for Recurrente {
    fn default() -> Self {
        Self {
            public_key: None,
            secret_key: None,
            webhook_secrets: Vec::new(),
            base_url: "https://app.recurrente.com/api".to_owned(),
            headers: HeaderStyle::default(),
            return_url: None,
        }
    }
}

/// Whether a URL may be called or visited.
fn is_web(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
}

impl Recurrente {
    /// Whether real money is moved: by the keys, which are of one mode.
    pub fn is_live(&self) -> bool {
        self.secret_key.as_ref().is_some_and(|key| key.expose_secret().starts_with("sk_live_"))
    }

    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let modes = |prefix: &str| [format!("{prefix}_test_"), format!("{prefix}_live_")];
        let mode =
            |key: &str, prefix: &str| modes(prefix).iter().position(|begin| key.starts_with(begin.as_str()));
        match (&self.public_key, &self.secret_key) {
            (None, None) => {}
            (Some(public), Some(secret)) => {
                let (public, secret) = (mode(public, "pk"), mode(secret.expose_secret(), "sk"));
                if public.is_none() || secret.is_none() || public != secret {
                    problems.add(
                        "recurrente.public_key must begin with pk_test_ and recurrente.secret_key with sk_test_, or with pk_live_ and sk_live_",
                    );
                }
                if self.webhook_secrets.is_empty() {
                    problems.add("recurrente.webhook_secrets must be set where recurrente.secret_key is");
                }
            }
            _ => problems.add("recurrente.public_key and recurrente.secret_key must both be set, or neither"),
        }
        if WebhookSecrets::new(&self.webhook_secrets).is_err() {
            problems.add("recurrente.webhook_secrets must be whsec_ and base64, as Recurrente shows them");
        }
        if !self.base_url.parse().is_ok_and(|url: Url| is_web(&url) && url.query().is_none()) {
            problems.add("recurrente.base_url must be a URL such as https://app.recurrente.com/api");
        }
        if self.return_url.as_ref().is_some_and(|url| !is_web(url)) {
            problems.add("recurrente.return_url must be a URL such as https://app.example.com/site-purchase");
        }
        problems.into_result()
    }
}
