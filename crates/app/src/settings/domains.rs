//! Settings of customers' domains.

use std::{net::SocketAddr, time::Duration};

use documented::DocumentedFields;
use portico_runtime::settings::sources::{duration, list};
use serde::{Deserialize, Serialize};

/// DNS lookups for customers' domains.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Dns {
    /// Recursive name servers, each as address and port. Default: those of the machine.
    #[serde(deserialize_with = "list")]
    pub servers: Vec<SocketAddr>,
    /// Timeout of one query to one server; each query is sent twice.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Self { servers: Vec::new(), timeout: Duration::from_secs(2) }
    }
}
