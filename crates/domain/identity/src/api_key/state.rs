//! What a request needs to know of the key that it shows, and what it makes of it.

use std::net::IpAddr;

use portico_kernel::{ApiKeyId, Permissions, TenantId, Timestamp};
use subtle::ConstantTimeEq;

use super::AddressRange;

/// A key as the check of a request sees it, read in one round trip by the prefix of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// Which key.
    pub id: ApiKeyId,
    /// Whose it is.
    pub tenant: TenantId,
    /// What it may do.
    pub permissions: Permissions,
    /// Not switched off and not revoked, in a tenant that is in use.
    pub usable: bool,
    /// Not after.
    pub expires_at: Option<Timestamp>,
    /// From where; from anywhere when empty.
    pub allowed_addresses: Vec<AddressRange>,
    /// Its own limit; that of the plan, else of the installation, when absent.
    pub rate_limit_per_minute: Option<u32>,
    /// Id of the plan of its tenant.
    pub plan: Option<String>,
    /// SHA-256 of the secret.
    pub hash: [u8; 32],
    /// SHA-256 of the secret before the last rotation, and until when that one is good.
    pub previous: Option<([u8; 32], Timestamp)>,
}

/// What is to be made of a key that a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is good.
    Good,
    /// The secret is not, and never was, that of the key.
    Unknown,
    /// The secret is right, but revoked, switched off, expired, or replaced.
    Ended,
    /// The key may not be used from this address.
    ForeignAddress,
}

impl KeyState {
    /// Judges a secret by its SHA-256. Every comparison takes as long whether or not it succeeds.
    pub fn judge(&self, digest: &[u8; 32], address: IpAddr, now: Timestamp) -> Judgement {
        let current = bool::from(self.hash.ct_eq(digest));
        let previous = self.previous.as_ref().is_some_and(|(hash, _)| bool::from(hash.ct_eq(digest)));
        if !current && !previous {
            return Judgement::Unknown;
        }
        let replaced = !current && self.previous.as_ref().is_some_and(|(_, until)| *until <= now);
        if !self.usable || replaced || self.expires_at.is_some_and(|end| end <= now) {
            return Judgement::Ended;
        }
        let allowed = &self.allowed_addresses;
        if !allowed.is_empty() && !allowed.iter().any(|range| range.contains(address)) {
            return Judgement::ForeignAddress;
        }
        Judgement::Good
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 7));

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000).unwrap()
    }

    fn state() -> KeyState {
        KeyState {
            id: ApiKeyId::from_uuid(Default::default()),
            tenant: TenantId::PLATFORM,
            permissions: Permissions::NONE,
            usable: true,
            expires_at: None,
            allowed_addresses: Vec::new(),
            rate_limit_per_minute: None,
            plan: None,
            hash: [1; 32],
            previous: Some(([2; 32], now() + Duration::SECOND)),
        }
    }

    #[test]
    fn the_secret_and_during_an_overlap_the_one_before_are_good() {
        let judge = |state: &KeyState, byte| state.judge(&[byte; 32], ADDRESS, now());
        let overlapping = state();
        assert_eq!(
            [1, 2, 3].map(|byte| judge(&overlapping, byte)),
            [Judgement::Good, Judgement::Good, Judgement::Unknown]
        );
        let replaced = KeyState { previous: Some(([2; 32], now())), ..state() };
        assert_eq!(
            [1, 2, 3].map(|byte| judge(&replaced, byte)),
            [Judgement::Good, Judgement::Ended, Judgement::Unknown]
        );
    }

    #[test]
    fn a_key_ends_at_its_time_and_when_it_is_switched_off() {
        let expired = KeyState { expires_at: Some(now()), ..state() };
        let lasting = KeyState { expires_at: Some(now() + Duration::MICROSECOND), ..state() };
        let off = KeyState { usable: false, ..state() };
        let judged = [&expired, &lasting, &off].map(|state| state.judge(&[1; 32], ADDRESS, now()));
        assert_eq!(judged, [Judgement::Ended, Judgement::Good, Judgement::Ended]);
        assert_eq!(off.judge(&[3; 32], ADDRESS, now()), Judgement::Unknown, "a guess learns nothing");
    }

    #[test]
    fn an_address_has_to_be_allowed() {
        let ranges = ["192.0.2.1", "203.0.113.0/24"].map(|text| AddressRange::parse(text).unwrap());
        let state = KeyState { allowed_addresses: ranges.to_vec(), ..state() };
        let from = |text: &str| state.judge(&[1; 32], text.parse().unwrap(), now());
        assert_eq!(from("203.0.113.200"), Judgement::Good);
        assert_eq!(from("::ffff:192.0.2.1"), Judgement::Good);
        assert_eq!(from("192.0.2.2"), Judgement::ForeignAddress);
        assert_eq!(from("2001:db8::1"), Judgement::ForeignAddress);
    }
}
