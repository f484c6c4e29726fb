//! What a request needs to know of its key, and how it judges it.

use std::net::IpAddr;

use portico_kernel::{ApiKeyId, KeyMaker, Permissions, TenantId, Timestamp, UserId};
use subtle::ConstantTimeEq;

use super::AddressRange;

/// A key as the check of a request sees it, read in one round trip by the prefix of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// Its id.
    pub id: ApiKeyId,
    /// The tenant.
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
    /// Requests in a minute that the operator has agreed on with its tenant for each key, if any.
    pub tenant_rate_limit: Option<u32>,
    /// The secret.
    pub secret: KeySecret,
    /// The secret before the last rotation, and until when that one is valid.
    pub previous: Option<(KeySecret, Timestamp)>,
}

/// A secret of a key, and its maker, who is accountable for it: the person to whom it was shown when they made or rotated the
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySecret {
    /// SHA-256 of it.
    pub hash: [u8; 32],
    /// The person; `None` for a key from before that was recorded.
    pub maker: Option<KeyMaker>,
    /// Whether the account of the maker is suspended or deleted. The secret is not valid then.
    pub maker_barred: bool,
}

impl KeyState {
    /// The people on whose accounts the state of the key depends.
    pub fn makers(&self) -> impl Iterator<Item = UserId> {
        let previous = self.previous.map(|(secret, _)| secret);
        [Some(self.secret), previous]
            .into_iter()
            .flatten()
            .filter_map(|secret| secret.maker)
            .map(|maker| maker.id)
    }
}

/// The result of checking the key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyCheck {
    /// Valid, and this person is accountable for it.
    Good(Option<KeyMaker>),
    /// The secret is not, and never was, that of the key.
    Unknown,
    /// The secret is right, but revoked, switched off, expired, replaced, or its maker's account is suspended or deleted.
    Ended,
    /// The key may not be used from this address.
    ForeignAddress,
}

impl KeyState {
    /// Judges a secret by its SHA-256. Every comparison takes as long whether or not it succeeds.
    pub fn judge(&self, digest: &[u8; 32], address: IpAddr, now: Timestamp) -> KeyCheck {
        let current = bool::from(self.secret.hash.ct_eq(digest));
        let previous = self.previous.filter(|(secret, _)| bool::from(secret.hash.ct_eq(digest)));
        let (shown, replaced) = match (current, previous) {
            (true, _) => (self.secret, false),
            (false, Some((secret, until))) => (secret, until <= now),
            (false, None) => return KeyCheck::Unknown,
        };
        let expired = self.expires_at.is_some_and(|end| end <= now);
        if !self.usable || shown.maker_barred || replaced || expired {
            return KeyCheck::Ended;
        }
        let allowed = &self.allowed_addresses;
        if !allowed.is_empty() && !allowed.iter().any(|range| range.contains(address)) {
            return KeyCheck::ForeignAddress;
        }
        KeyCheck::Good(shown.maker)
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
            tenant_rate_limit: None,
            secret: secret(1),
            previous: Some((secret(2), now() + Duration::SECOND)),
        }
    }

    /// One whose hash and maker have this number.
    fn secret(number: u8) -> KeySecret {
        KeySecret { hash: [number; 32], maker: Some(maker(number)), maker_barred: false }
    }

    fn maker(number: u8) -> KeyMaker {
        KeyMaker { id: UserId::from_uuid(uuid::Uuid::from_u128(number.into())), email_verified: number == 1 }
    }

    fn good(number: u8) -> KeyCheck {
        KeyCheck::Good(Some(maker(number)))
    }

    #[test]
    fn the_secret_and_during_an_overlap_the_one_before_are_good() {
        let judge = |state: &KeyState, byte| state.judge(&[byte; 32], ADDRESS, now());
        let overlapping = state();
        assert_eq!([1, 2, 3].map(|byte| judge(&overlapping, byte)), [good(1), good(2), KeyCheck::Unknown]);
        let replaced = KeyState { previous: Some((secret(2), now())), ..state() };
        assert_eq!(
            [1, 2, 3].map(|byte| judge(&replaced, byte)),
            [good(1), KeyCheck::Ended, KeyCheck::Unknown]
        );
    }

    #[test]
    fn a_key_ends_at_its_time_and_when_it_is_switched_off() {
        let expired = KeyState { expires_at: Some(now()), ..state() };
        let lasting = KeyState { expires_at: Some(now() + Duration::MICROSECOND), ..state() };
        let off = KeyState { usable: false, ..state() };
        let judged = [&expired, &lasting, &off].map(|state| state.judge(&[1; 32], ADDRESS, now()));
        assert_eq!(judged, [KeyCheck::Ended, good(1), KeyCheck::Ended]);
        assert_eq!(off.judge(&[3; 32], ADDRESS, now()), KeyCheck::Unknown, "a guess learns nothing");
    }

    #[test]
    fn a_secret_is_as_good_as_the_account_of_whoever_made_it() {
        let barred = |number| KeySecret { maker_barred: true, ..secret(number) };
        let until = now() + Duration::SECOND;
        let state = KeyState { secret: barred(1), ..state() };
        assert_eq!(state.judge(&[1; 32], ADDRESS, now()), KeyCheck::Ended);
        assert_eq!(state.judge(&[2; 32], ADDRESS, now()), good(2), "somebody else's");
        let rotated = KeyState { secret: secret(1), previous: Some((barred(2), until)), ..state };
        assert_eq!(rotated.judge(&[1; 32], ADDRESS, now()), good(1));
        assert_eq!(rotated.judge(&[2; 32], ADDRESS, now()), KeyCheck::Ended, "rotating does not revive it");
        let unknown = KeySecret { maker: None, ..secret(1) };
        let state = KeyState { secret: unknown, ..rotated };
        assert_eq!(state.judge(&[1; 32], ADDRESS, now()), KeyCheck::Good(None));
    }

    #[test]
    fn an_address_has_to_be_allowed() {
        let ranges = ["192.0.2.1", "203.0.113.0/24"].map(|text| AddressRange::parse(text).unwrap());
        let state = KeyState { allowed_addresses: ranges.to_vec(), ..state() };
        let from = |text: &str| state.judge(&[1; 32], text.parse().unwrap(), now());
        assert_eq!(from("203.0.113.200"), good(1));
        assert_eq!(from("::ffff:192.0.2.1"), good(1));
        assert_eq!(from("192.0.2.2"), KeyCheck::ForeignAddress);
        assert_eq!(from("2001:db8::1"), KeyCheck::ForeignAddress);
    }
}
