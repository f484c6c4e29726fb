//! Which ports of public addresses may be called.

/// Ports above the well-known ones where something else than the web is: those that browsers refuse, too (the list of "bad ports"
/// of the Fetch standard).
const OTHERS: [u16; 19] = [
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679,
    6697, 10080,
];

/// Whether a port of a public address may be called. The well-known ports are for mail, remote shells and the like; the web has
/// two of them.
pub(crate) fn may_be_called(port: u16) -> bool {
    match port {
        80 | 443 => true,
        0..=1023 => false,
        _ => !OTHERS.contains(&port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ports_of_the_web() {
        for port in [80, 443, 1024, 3000, 8080, 8443, 65535] {
            assert!(may_be_called(port), "{port}");
        }
        for port in [
            0, 21, 22, 23, 25, 53, 110, 143, 389, 445, 465, 587, 993, 995, 1023, 2049, 5060, 6000, 6667,
            10080,
        ] {
            assert!(!may_be_called(port), "{port}");
        }
    }
}
