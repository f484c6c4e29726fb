//! Settings of webhooks.

use std::time::Duration;

use documented::DocumentedFields;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{
    Problems,
    sources::{duration, durations, list},
};

/// Webhooks.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Webhooks {
    /// Maximum number of webhooks of a tenant.
    pub max_per_tenant: u64,
    /// Networks that every tenant's webhooks may call although they are not public, at every port, also without TLS.
    /// Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_networks: Vec<IpNet>,
    /// Ports of public addresses that webhooks may call besides 443 and 8443. Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_ports: Vec<u16>,
    /// Whether webhooks may call public addresses without TLS, at port 80 and at those of `allow_ports`.
    pub allow_http: bool,
    /// How long delivery attempts are kept; 0s keeps them forever.
    #[serde(with = "duration")]
    pub delivery_retention: Duration,
    /// Timeout of a call of a receiver.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Delays between the attempts of a delivery; there is one attempt more than delays.
    #[serde(with = "durations")]
    pub retries: Vec<Duration>,
    /// A webhook is disabled when a message is given up and every attempt has failed for this time.
    #[serde(with = "duration")]
    pub disable_after: Duration,
    /// Maximum number of calls per second to one receiver; 0 for no limit. A webhook may have a lower limit.
    pub rate_per_second: u32,
    /// Maximum number of concurrent calls to one receiver.
    pub per_webhook: usize,
    /// Maximum number of concurrent calls of a process; failing or slow receivers have a separate limit of the same size.
    pub concurrency: usize,
    /// Duration of a lease: a webhook claimed by a dead worker is free again after this time.
    #[serde(with = "duration")]
    pub lease: Duration,
}

/// The delays that Standard Webhooks recommends: over about a day.
const RETRIES: [u64; 7] = [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600];

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            max_per_tenant: 20,
            allow_networks: Vec::new(),
            allow_ports: Vec::new(),
            allow_http: false,
            delivery_retention: Duration::from_secs(30 * 24 * 3600),
            timeout: Duration::from_secs(15),
            retries: RETRIES.map(Duration::from_secs).to_vec(),
            disable_after: Duration::from_secs(5 * 24 * 3600),
            rate_per_second: 0,
            per_webhook: 16,
            concurrency: 256,
            lease: Duration::from_secs(5),
        }
    }
}

impl Webhooks {
    /// Validates the settings.
    ///
    /// # Errors
    /// With the setting that is invalid.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        // A shorter retention would delete deliveries between two attempts.
        let retries = Duration::from_secs(2 * 24 * 3600);
        if !self.delivery_retention.is_zero() && self.delivery_retention < retries {
            problems.add("webhooks.delivery_retention must be two days or more, or 0s for ever");
        }
        let hour = Duration::from_secs(3600);
        if self.timeout.is_zero() || self.timeout > hour {
            problems.add("webhooks.timeout must be longer than 0s and at most an hour");
        }
        if self.retries.len() > 20 || self.retries.iter().any(|delay| *delay > 24 * hour) {
            problems.add("webhooks.retries must be 20 delays at most, each a day at most");
        }
        if self.allow_ports.contains(&0) {
            problems.add("webhooks.allow_ports must be ports from 1 to 65535");
        }
        if self.per_webhook == 0 || self.concurrency == 0 {
            problems.add("webhooks.per_webhook and webhooks.concurrency must be 1 or more");
        }
        if self.lease < Duration::from_secs(1) || self.lease > hour {
            problems.add("webhooks.lease must be between one second and an hour");
        }
        problems.into_result()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_kept_longer_than_they_are_repeated() {
        let check = |hours: u64| {
            let delivery_retention = Duration::from_secs(hours * 3600);
            Webhooks { delivery_retention, ..Webhooks::default() }.check().is_ok()
        };
        assert!(Webhooks::default().check().is_ok());
        assert!(check(0) && check(48) && !check(47));
    }
}
