//! Settings of access to the metrics.

use documented::DocumentedFields;
use ipnet::IpNet;
use portico_runtime::settings::{
    Problems,
    sources::{list, masked},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Access to the metrics.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// A bearer token that opens `/api/metrics` at the port of the API; 32 characters or more. In production, and wherever this
    /// or `metrics.allow_networks` is set, it is 404 to others; else only clients of the same machine get it. Default: none.
    #[serde(serialize_with = "masked")]
    pub token: Option<SecretString>,
    /// Networks whose addresses may read them directly. Requests through a trusted proxy are never in them. Default: none.
    #[serde(deserialize_with = "list")]
    pub allow_networks: Vec<IpNet>,
    /// Port at which `portico serve` serves its health and metrics without authorisation, on `server.host`; 0 takes any free
    /// one. Of `portico worker` it is `worker.port`. Default: none.
    pub port: Option<u16>,
}

impl Metrics {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self, trusted_proxies: &[IpNet]) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.token.as_ref().is_some_and(|token| token.expose_secret().len() < 32) {
            problems.add("metrics.token must have 32 characters or more");
        }
        let is_of_proxies =
            |network: &&IpNet| trusted_proxies.iter().any(|trusted| trusted.contains(*network));
        if let Some(network) = self.allow_networks.iter().find(is_of_proxies) {
            problems.add(format!("metrics.allow_networks: {network} is in server.trusted_proxies, and whoever comes through a proxy is not let in by \
                 its address; use metrics.token or metrics.port"));
        }
        problems.into_result()
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;
    use portico_web::client::ForwardedHeader;

    fn settings(pairs: &[(&str, &str)]) -> anyhow::Result<Settings> {
        let environment = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings::from_sources("", environment)
    }

    #[test]
    fn one_header_is_believed() {
        let believed = |value| settings(&[("PORTICO__SERVER__FORWARDED_HEADER", value)]);
        assert_eq!(settings(&[]).unwrap().server.forwarded_header, ForwardedHeader::XForwardedFor);
        for (value, header) in [
            ("x-forwarded-for", ForwardedHeader::XForwardedFor),
            ("forwarded", ForwardedHeader::Forwarded),
            ("x-real-ip", ForwardedHeader::XRealIp),
        ] {
            let found = believed(value).unwrap().server.forwarded_header;
            assert_eq!((found, found.name()), (header, value));
        }
        assert!(believed("cf-connecting-ip").is_err() && believed("forwarded,x-real-ip").is_err());
    }

    #[test]
    fn who_reads_metrics_is_checked() {
        let token = ("PORTICO__METRICS__TOKEN", "00000000000000000000000000000000");
        let found = settings(&[token, ("PORTICO__METRICS__ALLOW_NETWORKS", "10.0.0.0/8, ::1/128")]).unwrap();
        assert_eq!(found.metrics.allow_networks.len(), 2);
        assert!(!format!("{found:?}").contains(token.1));
        let proxies = ("PORTICO__SERVER__TRUSTED_PROXIES", "10.0.0.0/8");
        assert!(settings(&[proxies, ("PORTICO__METRICS__ALLOW_NETWORKS", "192.0.2.0/24")]).is_ok());
        for wrong in [
            &[("PORTICO__METRICS__TOKEN", "short")][..],
            &[("PORTICO__METRICS__ALLOW_NETWORKS", "anybody")],
            &[("PORTICO__METRICS__PORT", "70000")],
            &[proxies, ("PORTICO__METRICS__ALLOW_NETWORKS", "10.1.0.0/16")],
        ] {
            assert!(settings(wrong).is_err(), "{wrong:?}");
        }
    }
}
