//! From where an API key may be used.

use std::{fmt, net::IpAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use portico_kernel::FieldError;
use serde::{Deserialize, Serialize, Serializer};

/// The longest form of a network.
const LONGEST: &str = "0000:0000:0000:0000:0000:ffff:255.255.255.255/128";

/// An address, or a network in CIDR notation (RFC 4632, RFC 4291 section 2.3).
///
/// An IPv4 address written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address, because clients of a dual-stack socket appear in
/// that form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(value_type = String, example = "203.0.113.0/24"))]
pub struct AddressRange(IpNet);

impl AddressRange {
    /// Reads an address or a network.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let text = text.trim();
        let range = match text.parse::<IpAddr>() {
            _ if text.len() > LONGEST.len() => None,
            Ok(address) => Some(IpNet::from(address.to_canonical())),
            Err(_) => text.parse::<IpNet>().ok().and_then(canonical),
        };
        let message =
            "Use an address such as 203.0.113.7, or a network such as 203.0.113.0/24 or 2001:db8::/32.";
        range.map(Self).ok_or_else(|| FieldError::new("allowedAddresses", "invalid_address", message))
    }

    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// The network without bits behind its length, and as IPv4 where it is one.
fn canonical(range: IpNet) -> Option<IpNet> {
    match range {
        IpNet::V6(v6) => match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
            (Some(v4), Some(length)) => Ipv4Net::new(v4, length).ok().map(|net| IpNet::V4(net.trunc())),
            _ => Some(IpNet::V6(v6.trunc())),
        },
        v4 => Some(v4.trunc()),
    }
}

impl TryFrom<String> for AddressRange {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).map_err(|error| error.message.into_owned())
    }
}
impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}
impl Serialize for AddressRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What counts as one address of origin: one customer has at least a /64 of IPv6, and changes addresses in it.
pub fn origin(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => Ipv6Net::new(v6, 64).map_or_else(|_| v6.to_string(), |net| net.trunc().to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks_are_read_in_one_form() {
        for (text, form) in [
            ("203.0.113.7", "203.0.113.7"),
            (" 203.0.113.7/24 ", "203.0.113.0/24"),
            ("203.0.113.7/32", "203.0.113.7"),
            ("::ffff:203.0.113.7", "203.0.113.7"),
            ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(AddressRange::parse(text).unwrap().to_string(), form, "{text}");
        }
        assert_eq!(AddressRange::parse(LONGEST).unwrap().to_string(), "255.255.255.255");
        let long = format!("203.0.113.7/{}", "0".repeat(60));
        for text in [
            "",
            "203.0.113",
            "203.0.113.7/33",
            "::/129",
            "example.com",
            "1.2.3.4-1.2.3.9",
            "010.0.0.1",
            &long,
        ] {
            assert_eq!(AddressRange::parse(text).unwrap_err().code, "invalid_address", "{text}");
        }
    }

    #[test]
    fn a_mapped_address_is_the_ipv4_address() {
        let range = AddressRange::parse("203.0.113.0/24").unwrap();
        for (address, inside) in [
            ("203.0.113.9", true),
            ("::ffff:203.0.113.9", true),
            ("203.0.114.9", false),
            ("::ffff:203.0.114.9", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(range.contains(address.parse().unwrap()), inside, "{address}");
        }
    }

    #[test]
    fn an_ipv6_network_is_one_origin() {
        let of = |text: &str| origin(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(of("2001:db8:1:2::9"), of("2001:db8:1:2:3:4:5:6"));
        assert_eq!(of("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
