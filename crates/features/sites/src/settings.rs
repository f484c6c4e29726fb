//! Settings of sites and of the files that are uploaded for them.

use std::{net::IpAddr, time::Duration};

use anyhow::bail;
use documented::DocumentedFields;
use portico_runtime::settings::{
    Problems,
    sources::{duration, list},
};
use portico_sites::{domain::HostingTarget, domain_name::DomainName};
use serde::{Deserialize, Serialize};
use url::Host;

/// Published sites.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Sites {
    /// A site answers at `{subdomain}.{domain}`.
    pub domain: String,
    /// Header in which a trusted proxy sends the country of a visitor, for instance `CF-IPCountry`. Default: none.
    pub country_header: Option<String>,
    /// How long visit counts are kept; 0s keeps them forever.
    #[serde(with = "duration")]
    pub analytics_retention: Duration,
    /// How long form submissions are kept; 0s keeps them forever.
    #[serde(with = "duration")]
    pub submission_retention: Duration,
    /// Form submissions per hour that a site accepts from one address.
    pub form_per_address: u32,
    /// Form submissions per hour that a site accepts.
    pub form_per_site: u32,
    /// The target that customers' own domains have to point to: a host name for aliases, and IP addresses. Default: none,
    /// and the API returns no target records.
    #[serde(deserialize_with = "list")]
    pub domain_target: Vec<String>,
    /// Brands of the operator: subdomains that resemble one of them are refused.
    #[serde(deserialize_with = "list")]
    pub reserved: Vec<String>,
    /// Deployments of a site whose files are kept for rollbacks; at least the live one.
    pub keep_deployments: usize,
    /// How long sites are served in their last known state while the database is unavailable. A site that was withdrawn
    /// meanwhile may still be served for that time; 0s serves nothing stale.
    #[serde(with = "duration")]
    pub serve_stale: Duration,
    /// What happens when a tenant has used up its bandwidth: `soft` only counts and tells, `hard` answers 503 at its sites until the
    /// billing period ends or the limit is raised.
    pub bandwidth_limit: BandwidthLimit,
}

/// What happens when a tenant has used up its bandwidth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BandwidthLimit {
    /// It is counted, and its owners are told.
    #[default]
    Soft,
    /// Its sites answer 503 as well.
    Hard,
}

/// Uploaded files.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Assets {
    /// Minimum lifetime of a link to a file; at most twice as long.
    #[serde(with = "duration")]
    pub link_ttl: Duration,
    /// How long a deleted file can be restored.
    #[serde(with = "duration")]
    pub deletion_grace: Duration,
}

impl Default for Sites {
    fn default() -> Self {
        let two_years = Duration::from_secs(730 * 24 * 3600);
        Self {
            domain: "localhost".into(),
            domain_target: Vec::new(),
            reserved: Vec::new(),
            keep_deployments: 10,
            serve_stale: Duration::from_secs(24 * 3600),
            bandwidth_limit: BandwidthLimit::Soft,
            country_header: None,
            analytics_retention: two_years,
            submission_retention: two_years,
            form_per_address: 20,
            form_per_site: 200,
        }
    }
}
impl Sites {
    /// Errors with what is wrong.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        // Also one that is in no public DNS.
        let is_label =
            |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let is_host = matches!(Host::parse(&self.domain), Ok(Host::Domain(name)) if name == self.domain);
        if !is_host || !self.domain.split('.').all(is_label) {
            problems.add(format!(
                "sites.domain must be a host name such as sites.example.com, without scheme and port, and not {:?}",
                self.domain
            ));
        }
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if !self.country_header.as_ref().is_none_or(is_name) {
            problems.add("sites.country_header must be the name of a header, such as CF-IPCountry");
        }
        if self.form_per_address == 0 || self.form_per_site == 0 {
            problems.add("sites.form_per_address and sites.form_per_site must be 1 or more");
        }
        if self.serve_stale > Duration::from_secs(30 * 24 * 3600) {
            problems.add("sites.serve_stale must be 30 days or less");
        }
        problems.note(self.target());
        if let Some(odd) = self.reserved.iter().find(|name| !is_name(name)) {
            problems.add(format!("sites.reserved: {odd:?} is not made of letters, digits and hyphens"));
        }
        problems.into_result()
    }
}

impl Default for Assets {
    fn default() -> Self {
        Self { link_ttl: Duration::from_secs(3600), deletion_grace: Duration::from_secs(7 * 24 * 3600) }
    }
}

impl Assets {
    /// Errors with what is wrong.
    pub fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        let (minute, week) = (Duration::from_secs(60), Duration::from_secs(7 * 24 * 3600));
        if !(minute..=week).contains(&self.link_ttl) {
            problems.add("assets.link_ttl must be between one minute and seven days");
        }
        if self.deletion_grace > Duration::from_secs(366 * 24 * 3600) {
            problems.add("assets.deletion_grace must be a year at most");
        }
        problems.into_result()
    }
}

impl Sites {
    /// The target that customers' domains have to point to.
    ///
    /// # Errors
    /// If the setting is invalid.
    pub fn target(&self) -> anyhow::Result<HostingTarget> {
        let mut target = HostingTarget::default();
        for item in &self.domain_target {
            if let Ok(address) = item.parse::<IpAddr>() {
                target.addresses.push(address);
                continue;
            }
            let Ok(host) = DomainName::parse(item) else {
                bail!("sites.domain_target: {item:?} is neither a host name nor an address");
            };
            if target.host.replace(host.into_string()).is_some() {
                bail!("sites.domain_target: give one host name, and any addresses");
            }
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(items: &[&str]) -> anyhow::Result<HostingTarget> {
        let domain_target = items.iter().map(|item| (*item).to_owned()).collect();
        Sites { domain_target, ..Sites::default() }.target()
    }

    #[test]
    fn a_target_is_a_host_and_addresses() {
        let both = target(&["Edge.Example.com", "192.0.2.1", "2001:db8::1"]).unwrap();
        assert_eq!((both.host.as_deref(), both.addresses.len()), (Some("edge.example.com"), 2));
        assert_eq!(target(&[]).unwrap(), HostingTarget::default());
        for wrong in [["edge.example.com", "other.example.com"], ["https://edge.example.com", "192.0.2.1"]] {
            assert!(target(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn reserved_names_are_words() {
        let check = |name: &str| Sites { reserved: vec![name.to_owned()], ..Sites::default() }.check();
        assert!(check("Acme-Corp").is_ok());
        assert!(check("acme.com").is_err() && check("").is_err());
    }

    #[test]
    fn links_live_for_a_while() {
        assert!(Assets::default().check().is_ok());
        assert!(Assets { link_ttl: Duration::ZERO, ..Assets::default() }.check().is_err());
        assert!(
            Assets { link_ttl: Duration::from_secs(8 * 24 * 3600), ..Assets::default() }.check().is_err()
        );
    }
}
