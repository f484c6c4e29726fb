//! Settings of payments.

use documented::DocumentedFields;
use portico_runtime::settings::{Problems, sources::list};
use serde::{Deserialize, Serialize};

/// Payments, whoever they are made at.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Payments {
    /// Whether anything can be bought. If not, checkouts answer 409 `payment_unsupported`, and no account of a payment provider is needed.
    pub enabled: bool,
    /// Origins that buyers may be sent to after a payment, besides those of `server.public_url`, `links.app_url` and `cors.origins`. In
    /// development any is allowed while neither this nor one of the last two is set. Default: none.
    #[serde(deserialize_with = "list")]
    pub return_origins: Vec<String>,
}

impl Default for Payments {
    fn default() -> Self {
        Self { enabled: true, return_origins: Vec::new() }
    }
}

impl Payments {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        for origin in self.return_origins.iter().filter(|origin| !super::check::is_origin(origin)) {
            problems.add(format!(
                "payments.return_origins: {origin:?} is not an origin such as https://app.example.com (scheme and host, a port \
                 where it is not the usual one, no path)"
            ));
        }
        problems.into_result()
    }
}
