//! Rate limits: per address signed out, per user signed in, and stricter on routes that guess at secrets or send mail.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, PoisonError, RwLock},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use portico_identity::api_key::KeyState;
use portico_kernel::{ApiKeyId, UserId};

use crate::settings::RateLimit;

/// Canonical paths with the strict limit.
pub const SENSITIVE: &[&str] = &[
    "/api/v1/ai/content-optimize",
    "/api/v1/ai/seo-optimize",
    "/api/v1/ai/generate-page",
    "/api/v1/auth/register",
    "/api/v1/auth/login",
    "/api/v1/auth/forgot-password",
    "/api/v1/auth/reset-password",
    "/api/v1/auth/resend-verification",
    "/api/v1/auth/verify-email",
    "/api/v1/auth/change-password",
    "/api/v1/auth/mfa/verify",
    "/api/v1/auth/mfa/passkey-options",
    "/api/v1/auth/mfa/passkey",
    "/api/v1/auth/passkeys/sign-in-options",
    "/api/v1/auth/passkeys/sign-in",
    "/api/v1/auth/totp/confirm",
    "/api/v1/auth/reauthenticate",
    "/api/v1/auth/change-email",
    "/api/v1/auth/confirm-email-change",
];

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Address(IpAddr),
    Sensitive(IpAddr, &'static str),
    User(UserId),
    Program(ApiKeyId),
}

type Limiter = RateLimiter<Key, DashMapStateStore<Key>, DefaultClock, StateInformationMiddleware>;

/// What the limit says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request may go on.
    pub allowed: bool,
    /// Requests a minute.
    pub limit: u32,
    /// Requests that could follow at once.
    pub remaining: u32,
    /// Seconds until all of `limit` is there again; for a refused request, until one is.
    pub reset: u64,
}

/// The limiters of this process (GCRA, one cell for each key).
pub struct Limits {
    per_address: Limiter,
    per_user: Limiter,
    sensitive: Limiter,
    /// Limiters of keys by how much they allow: keys with the same limit share one, each with a cell of its own.
    per_key: RwLock<BTreeMap<u32, Arc<Limiter>>>,
    key_default: u32,
    clock: DefaultClock,
}

impl Limits {
    /// `None` when limits are switched off.
    pub fn new(settings: &RateLimit) -> Option<Self> {
        settings.enabled.then(|| Self {
            per_address: limiter(settings.per_address),
            per_user: limiter(settings.per_user),
            sensitive: limiter(settings.sensitive),
            per_key: RwLock::default(),
            key_default: settings.per_key,
            clock: DefaultClock::default(),
        })
    }

    /// Counts a request to a canonical path by `user` (when signed in) from `address`.
    pub fn check(&self, path: &str, user: Option<UserId>, address: IpAddr) -> Verdict {
        let network = network(address);
        let (limiter, key) = match (SENSITIVE.iter().find(|sensitive| **sensitive == path), user) {
            (Some(path), _) => (&self.sensitive, Key::Sensitive(network, path)),
            (None, Some(user)) => (&self.per_user, Key::User(user)),
            (None, None) => (&self.per_address, Key::Address(network)),
        };
        self.count(limiter, &key)
    }

    /// Counts a request with a good API key. On the strict routes it is no way around the limit of the address.
    pub fn check_key(&self, path: &str, key: &KeyState, address: IpAddr) -> Verdict {
        if SENSITIVE.contains(&path) {
            return self.check(path, None, address);
        }
        let limiter = self.of_rate(key.rate_limit_per_minute.unwrap_or(self.key_default));
        self.count(&limiter, &Key::Program(key.id))
    }

    /// The limiter of the keys with this limit. There are as many as limits that keys can have, at most.
    fn of_rate(&self, per_minute: u32) -> Arc<Limiter> {
        let known = self.per_key.read().unwrap_or_else(PoisonError::into_inner).get(&per_minute).cloned();
        known.unwrap_or_else(|| {
            let mut all = self.per_key.write().unwrap_or_else(PoisonError::into_inner);
            all.entry(per_minute).or_insert_with(|| Arc::new(limiter(per_minute))).clone()
        })
    }

    fn count(&self, limiter: &Limiter, key: &Key) -> Verdict {
        match limiter.check_key(key) {
            Ok(state) => {
                let limit = state.quota().burst_size().get();
                let remaining = state.remaining_burst_capacity();
                let reset = (u64::from(limit.saturating_sub(remaining)) * 60).div_ceil(u64::from(limit));
                Verdict { allowed: true, limit, remaining, reset }
            }
            Err(refused) => {
                let wait = refused.wait_time_from(self.clock.now());
                let reset = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                Verdict {
                    allowed: false,
                    limit: refused.quota().burst_size().get(),
                    remaining: 0,
                    reset: reset.max(1),
                }
            }
        }
    }

    /// Forgets keys that are back at their full limit. Called now and then, so that memory stays bounded.
    pub fn forget_idle(&self) {
        for limiter in [&self.per_address, &self.per_user, &self.sensitive] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
        let mut per_key = self.per_key.write().unwrap_or_else(PoisonError::into_inner);
        per_key.retain(|_, limiter| {
            limiter.retain_recent();
            // One that a request holds right now is about to have a key in it.
            !limiter.is_empty() || Arc::strong_count(limiter) > 1
        });
    }
}

fn limiter(per_minute: u32) -> Limiter {
    let quota = Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
    RateLimiter::dashmap(quota).with_middleware()
}

/// One customer has at least a /64 of IPv6 addresses, so that is what counts as one address.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits::new(&RateLimit { enabled: true, per_address: 3, per_user: 5, per_key: 4, sensitive: 2 })
            .unwrap()
    }

    fn allowed(limits: &Limits, path: &str, user: Option<UserId>, address: &str, tries: u32) -> u32 {
        let address = address.parse().unwrap();
        (0..tries).filter(|_| limits.check(path, user, address).allowed).count() as u32
    }

    #[test]
    fn each_key_has_its_own_limit() {
        let limits = limits();
        let user = UserId::from_uuid(uuid::Uuid::from_u128(1));
        assert_eq!(allowed(&limits, "/api/v1/sites", None, "192.0.2.1", 10), 3);
        assert_eq!(allowed(&limits, "/api/v1/sites", None, "192.0.2.2", 10), 3);
        assert_eq!(allowed(&limits, "/api/v1/sites", Some(user), "192.0.2.1", 10), 5);
        assert_eq!(allowed(&limits, "/api/v1/auth/login", None, "192.0.2.1", 10), 2);
        assert_eq!(
            allowed(&limits, "/api/v1/auth/login", Some(user), "192.0.2.1", 10),
            0,
            "a token does not help"
        );
    }

    #[test]
    fn a_whole_ipv6_network_is_one_address() {
        let limits = limits();
        assert_eq!(allowed(&limits, "/", None, "2001:db8::1", 2), 2);
        assert_eq!(allowed(&limits, "/", None, "2001:db8::2:1", 10), 1);
        assert_eq!(allowed(&limits, "/", None, "::ffff:192.0.2.9", 2), 2);
        assert_eq!(allowed(&limits, "/", None, "192.0.2.9", 10), 1, "a mapped address is the IPv4 address");
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let limits = limits();
        let address = "192.0.2.1".parse().unwrap();
        let first = limits.check("/", None, address);
        assert_eq!((first.allowed, first.limit, first.remaining, first.reset), (true, 3, 2, 20));
        allowed(&limits, "/", None, "192.0.2.1", 2);
        let refused = limits.check("/", None, address);
        assert!(
            !refused.allowed && refused.remaining == 0 && (1..=20).contains(&refused.reset),
            "{refused:?}"
        );
    }
}
