//! Allowed destinations, by purpose.

use ipnet::IpNet;

/// Purpose of a call. What the operator allows for one purpose does not apply to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// URLs chosen by customers.
    Webhooks,
    /// An identity provider: the issuer is set by the operator, other URLs by its discovery document.
    OpenId,
    /// The text generator, whose URL is set by the operator.
    Ai,
    /// A payment provider, whose URL is set by the operator.
    Payments,
    /// The trace collector, whose URL is set by the operator. It is usually internal, so every address is allowed.
    Telemetry,
}

/// Ports of public addresses allowed for every purpose.
const PORTS: [u16; 2] = [443, 8443];

/// The port of `http`.
const HTTP: u16 = 80;

/// Allowed destinations of a purpose. By default: public addresses, with TLS, at the ports 443 and 8443.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    pub(crate) networks: Vec<IpNet>,
    ports: Vec<u16>,
    pub(crate) plain: bool,
}

impl Rules {
    /// The default rules of a purpose.
    pub fn new(purpose: Purpose) -> Self {
        let networks = match purpose {
            Purpose::Webhooks | Purpose::OpenId | Purpose::Ai | Purpose::Payments => Vec::new(),
            Purpose::Telemetry => vec![ipnet::Ipv4Net::default().into(), ipnet::Ipv6Net::default().into()],
        };
        Self { networks, ports: PORTS.to_vec(), plain: false }
    }

    /// Also allows networks that are not public, at every port, also without TLS.
    #[must_use]
    pub fn networks<'n>(mut self, networks: impl IntoIterator<Item = &'n IpNet>) -> Self {
        self.networks.extend(networks);
        self
    }

    /// Also allows these ports of public addresses.
    #[must_use]
    pub fn ports(mut self, ports: impl IntoIterator<Item = u16>) -> Self {
        self.ports.extend(ports);
        self
    }

    /// Whether public addresses may be called without TLS, at port 80 and at the added ports.
    #[must_use]
    pub fn unencrypted(mut self, allowed: bool) -> Self {
        self.plain = allowed;
        self
    }

    /// Whether public addresses are allowed with this scheme and port.
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
        for purpose in [Purpose::Webhooks, Purpose::OpenId, Purpose::Ai, Purpose::Payments] {
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
