//! What may be called, which depends on what for.

use ipnet::IpNet;

/// What servers are called for. What the operator allows for one purpose says nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Addresses that customers choose.
    Webhooks,
    /// An identity provider: the operator chooses the issuer, and its discovery document the rest.
    OpenId,
    /// The writer of texts, whose address the operator chooses.
    Ai,
    /// The collector of traces, whose address the operator chooses. It is mostly inside, so every address may be called.
    Telemetry,
}

/// Ports of public addresses that may be called for every purpose.
const PORTS: [u16; 2] = [443, 8443];

/// The port of `http`.
const HTTP: u16 = 80;

/// What may be called for a purpose. Without more: public addresses, encrypted, at the ports 443 and 8443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub(crate) networks: Vec<IpNet>,
    ports: Vec<u16>,
    pub(crate) plain: bool,
}

impl Rules {
    /// The rules for a purpose, where the operator allows nothing more.
    pub fn new(purpose: Purpose) -> Self {
        let networks = match purpose {
            Purpose::Webhooks | Purpose::OpenId | Purpose::Ai => Vec::new(),
            Purpose::Telemetry => vec![ipnet::Ipv4Net::default().into(), ipnet::Ipv6Net::default().into()],
        };
        Self { networks, ports: PORTS.to_vec(), plain: false }
    }

    /// Networks that may be called too although they are not public, at every port, also without encryption.
    #[must_use]
    pub fn networks<'n>(mut self, networks: impl IntoIterator<Item = &'n IpNet>) -> Self {
        self.networks.extend(networks);
        self
    }

    /// More ports of public addresses.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports.extend(ports);
        self
    }

    /// Whether public addresses may be called without encryption, at port 80 and at the ports that were added.
    #[must_use]
    pub fn unencrypted(mut self, allowed: bool) -> Self {
        self.plain = allowed;
        self
    }

    /// Whether a public address may be called in this way.
    pub(crate) fn admits_public(&self, encrypted: bool, port: u16) -> bool {
        match encrypted {
            true => self.ports.contains(&port),
            false => self.plain && (port == HTTP || !PORTS.contains(&port) && self.ports.contains(&port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_ports_of_public_addresses() {
        let usual = Rules::new(Purpose::Webhooks);
        for port in [443, 8443] {
            assert!(usual.admits_public(true, port) && !usual.admits_public(false, port), "{port}");
        }
        for port in [0, 22, 25, 80, 465, 1024, 3000, 5432, 6379, 8080, 9200, 10250, 65535] {
            assert!(!usual.admits_public(true, port) && !usual.admits_public(false, port), "{port}");
        }
        let more = usual.ports([9443]);
        assert!(more.admits_public(true, 9443) && !more.admits_public(false, 9443));
        let plain = more.unencrypted(true);
        assert!(plain.admits_public(false, 80) && plain.admits_public(false, 9443));
        assert!(!plain.admits_public(false, 443) && !plain.admits_public(false, 8080));
        assert!(!plain.admits_public(true, 80), "nothing is encrypted there");
    }

    #[test]
    fn only_the_collector_may_be_anywhere() {
        for purpose in [Purpose::Webhooks, Purpose::OpenId, Purpose::Ai] {
            assert!(Rules::new(purpose).networks.is_empty(), "{purpose:?}");
        }
        let networks = Rules::new(Purpose::Telemetry).networks;
        for address in ["10.0.0.1", "127.0.0.1", "::1", "fd00::1"] {
            assert!(
                networks
                    .iter()
                    .any(|network| network.contains(&address.parse::<std::net::IpAddr>().unwrap()))
            );
        }
    }
}
