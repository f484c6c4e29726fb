//! Settings around customers' domains.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use anyhow::bail;
use portico_runtime::settings::sources::{duration, list};
use portico_sites::{domain::Target, domain_name::DomainName};
use serde::Deserialize;

use super::Sites;

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

impl Sites {
    /// Where customers' domains have to lead.
    ///
    /// # Errors
    /// With what is wrong about the setting.
    pub fn target(&self) -> anyhow::Result<Target> {
        let mut target = Target::default();
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

    /// Errors with what is wrong.
    pub(super) fn check_domains(&self) -> anyhow::Result<()> {
        self.target()?;
        let is_word =
            |name: &&String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if let Some(odd) = self.reserved.iter().find(|name| !is_word(name)) {
            bail!("sites.reserved: {odd:?} is not made of letters, digits and hyphens");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(items: &[&str]) -> anyhow::Result<Target> {
        let domain_target = items.iter().map(|item| (*item).to_owned()).collect();
        Sites { domain_target, ..Sites::default() }.target()
    }

    #[test]
    fn a_target_is_a_host_and_addresses() {
        let both = target(&["Edge.Example.com", "192.0.2.1", "2001:db8::1"]).unwrap();
        assert_eq!((both.host.as_deref(), both.addresses.len()), (Some("edge.example.com"), 2));
        assert_eq!(target(&[]).unwrap(), Target::default());
        for wrong in [["edge.example.com", "other.example.com"], ["https://edge.example.com", "192.0.2.1"]] {
            assert!(target(&wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn reserved_names_are_words() {
        let check =
            |name: &str| Sites { reserved: vec![name.to_owned()], ..Sites::default() }.check_domains();
        assert!(check("Acme-Corp").is_ok());
        assert!(check("acme.com").is_err() && check("").is_err());
    }
}
