//! Access tokens that were verified a short time ago.

use portico_identity::ports::AccessClaims;
use portico_kernel::Timestamp;

use crate::bounded_cache::BoundedCache;

/// Number of tokens at most.
const CAPACITY: usize = 16 * 1024;

/// Contents of access tokens whose signature was verified, by the SHA-256 of the whole token. Only the check of the text is spared: whether
/// the session has ended is asked at each request, and times are compared each time.
pub struct TokenCache(BoundedCache<[u8; 32], Verified>);

#[derive(Clone)]
struct Verified {
    claims: AccessClaims,
    at: Timestamp,
}

impl Default for TokenCache {
    /// Without a time to live: each token has its own, and those that nobody shows any more make room.
    fn default() -> Self {
        Self(BoundedCache::new(CAPACITY, None))
    }
}

impl TokenCache {
    /// The contents of the token with this digest, if it was verified before and is good `now`. A clock that was set back has it
    /// verified again, because its time may not have come.
    pub fn get(&self, digest: &[u8; 32], now: Timestamp) -> Option<AccessClaims> {
        let known = self.0.get(digest)?;
        (known.at <= now && now < known.claims.expires_at).then_some(known.claims)
    }

    /// Remembers a token that was verified `now`.
    pub fn put(&self, digest: [u8; 32], claims: &AccessClaims, now: Timestamp) {
        self.0.put(digest, Verified { claims: claims.clone(), at: now });
    }
}

#[cfg(test)]
mod tests {
    use portico_security::system_env;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn until(seconds: i64) -> AccessClaims {
        let env = system_env();
        AccessClaims { user: env.new_id(), session: env.new_id(), tenant: None, expires_at: at(seconds) }
    }

    #[test]
    fn a_token_is_remembered_from_its_verification_until_it_expires() {
        let (cache, claims) = (TokenCache::default(), until(2000));
        cache.put([7; 32], &claims, at(1000));
        assert_eq!(cache.get(&[7; 32], at(1000)), Some(claims.clone()));
        assert_eq!(cache.get(&[7; 32], at(1999)), Some(claims));
        assert_eq!(cache.get(&[7; 32], at(2000)), None, "expired");
        assert_eq!(cache.get(&[7; 32], at(999)), None, "the clock was set back");
        assert_eq!(cache.get(&[8; 32], at(1000)), None, "another token");
    }

    #[test]
    fn a_token_that_is_shown_again_stays() {
        let cache = TokenCache::default();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            digest
        };
        let claims = until(2000);
        // More than there is room for.
        for number in 0..100_000 {
            cache.put(digest(number), &claims, at(1000));
            assert_eq!(cache.get(&digest(0), at(1000)).as_ref(), Some(&claims), "{number}");
        }
        // Shares of parts are rounded up.
        assert!(cache.0.count() <= CAPACITY + CAPACITY / 20);
    }
}
