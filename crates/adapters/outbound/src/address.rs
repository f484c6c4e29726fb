//! IP addresses that may be called.
//!
//! All addresses that the registries of special-purpose addresses (IANA, RFC 6890 and its updates) do not call globally
//! reachable are refused, and so is every IPv6 address that embeds such an IPv4 address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Classification of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Globally reachable.
    Public,
    /// In a network that the operator allows.
    Allowed,
    /// Neither.
    Refused,
}

/// Classifies an address. `allowed` are the operator's networks that may be called.
pub(crate) fn judge(address: IpAddr, allowed: &[IpNet]) -> Verdict {
    let canonical = address.to_canonical();
    if allowed.iter().any(|network| network.contains(&canonical) || network.contains(&address)) {
        return Verdict::Allowed;
    }
    match canonical {
        IpAddr::V4(address) if is_public_v4(address) => Verdict::Public,
        IpAddr::V6(address) if is_public_v6(address) => Verdict::Public,
        _ => Verdict::Refused,
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0 // this network
        || a == 10
        || (a == 100 && b & 0xc0 == 64) // shared by customers of a carrier (RFC 6598)
        || a == 127
        || (a == 169 && b == 254) // link-local, with the metadata services of clouds
        || (a == 172 && b & 0xf0 == 16)
        || (a == 192 && b == 0 && c == 0) // protocol assignments (RFC 6890)
        || (a == 192 && b == 0 && c == 2) // documentation
        || (a == 192 && b == 31 && c == 196) // AS112
        || (a == 192 && b == 52 && c == 193) // AMT
        || (a == 192 && b == 88 && c == 99) // relays of 6to4, gone
        || (a == 192 && b == 168)
        || (a == 192 && b == 175 && c == 48) // AS112
        || (a == 198 && b & 0xfe == 18) // benchmarks (RFC 2544)
        || (a == 198 && b == 51 && c == 100) // documentation
        || (a == 203 && b == 0 && c == 113) // documentation
        || a >= 224; // multicast, reserved, broadcast
    // Globally routed, but the metadata service inside of two clouds.
    let metadata = matches!(address.octets(), [168, 63, 129, 16] | [100, 100, 100, 200]);
    !special && !metadata
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only 2000::/3 is allocated as global unicast (RFC 4291 section 2.4). That leaves out ::1, ::, IPv4-mapped and
    // -compatible addresses, 64:ff9b::/96 and 64:ff9b:1::/48 (NAT64), 100::/64, fc00::/7, fe80::/10, fec0::/10, ff00::/8.
    if segments[0] & 0xe000 != 0x2000 {
        return false;
    }
    // Protocol assignments, Teredo, ORCHID (2001::/23), and documentation.
    let special = (segments[0] == 0x2001 && (segments[1] < 0x0200 || segments[1] == 0x0db8))
        || segments[0] == 0x2002 // 6to4: an IPv4 address is inside
        || (segments[0] == 0x2620 && segments[1] == 0x004f && segments[2] == 0x8000) // AS112
        || (segments[0] == 0x3fff && segments[1] < 0x1000); // documentation (RFC 9637)
    !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str, allowed: &[&str]) -> Verdict {
        let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
        judge(text.parse().unwrap(), &allowed)
    }

    #[test]
    fn what_is_not_public_is_refused() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:a9fe:a9fe",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:1ff:ffff::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:808:808::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert_eq!(verdict(text, &[]), Verdict::Refused, "{text}");
        }
    }

    #[test]
    fn what_is_public_passes() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.255.255",
            "172.32.0.1",
            "192.167.255.255",
            "198.17.255.255",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450:4001:831::200e",
        ] {
            assert_eq!(verdict(text, &[]), Verdict::Public, "{text}");
        }
    }

    #[test]
    fn the_operator_can_allow_a_network() {
        assert_eq!(verdict("10.1.2.3", &["10.1.0.0/16"]), Verdict::Allowed);
        assert_eq!(verdict("::ffff:10.1.2.3", &["10.1.0.0/16"]), Verdict::Allowed);
        assert_eq!(verdict("10.2.2.3", &["10.1.0.0/16"]), Verdict::Refused);
        assert_eq!(verdict("::1", &["127.0.0.0/8"]), Verdict::Refused);
        assert_eq!(verdict("fd00::1", &["fd00::/8", "127.0.0.1/32"]), Verdict::Allowed);
    }
}
