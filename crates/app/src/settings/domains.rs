//! Settings around customers' domains.

use std::{net::SocketAddr, time::Duration};

use portico_runtime::settings::sources::{duration, list};
use serde::Deserialize;

/// Asking the DNS about customers' domains.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Recursive name servers, each as address and port. Default: those of the machine.
    #[serde(deserialize_with = "list")]
    pub servers: Vec<SocketAddr>,
    /// How long one of them has for one question, which is asked twice.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(2) }
    }
}
