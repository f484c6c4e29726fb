//! Access tokens that were verified a short time ago.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use portico_identity::ports::AccessClaims;
use portico_kernel::Timestamp;

/// Parts that are locked separately, so that server threads hardly ever wait for each other.
const PARTS: usize = 16;

/// Number of tokens in a part at most.
const CAPACITY: usize = 1024;

/// Contents of access tokens whose signature was verified, by the SHA-256 of the whole token. Only the check of the text is spared: whether
/// the session has ended is asked at each request, and times are compared each time.
#[derive(Default)]
pub struct TokenCache {
    parts: [Mutex<Part>; PARTS],
}

type Part = HashMap<[u8; 32], Verified>;

struct Verified {
    claims: AccessClaims,
    at: Timestamp,
}

impl TokenCache {
    /// The contents of the token with this digest, if it was verified before and is good `now`. A clock that was set back has it
    /// verified again, because its time may not have come.
    pub fn get(&self, digest: &[u8; 32], now: Timestamp) -> Option<AccessClaims> {
        let part = self.part(digest);
        let known = part.get(digest).filter(|known| known.at <= now && now < known.claims.expires_at)?;
        Some(known.claims.clone())
    }

    /// Remembers a token that was verified `now`.
    pub fn put(&self, digest: [u8; 32], claims: &AccessClaims, now: Timestamp) {
        let mut part = self.part(&digest);
        if part.len() >= CAPACITY {
            part.retain(|_, known| now < known.claims.expires_at);
        }
        if part.len() >= CAPACITY {
            part.clear();
        }
        part.insert(digest, Verified { claims: claims.clone(), at: now });
    }

    fn part(&self, digest: &[u8; 32]) -> MutexGuard<'_, Part> {
        let part = usize::from(digest[0]) % PARTS;
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
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
    fn expired_tokens_make_room_before_good_ones_do() {
        let cache = TokenCache::default();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[1..9].copy_from_slice(&number.to_be_bytes());
            digest
        };
        let (short, long) = (until(1500), until(2000));
        for number in 0..CAPACITY {
            cache.put(digest(number), if number == 0 { &long } else { &short }, at(1000));
        }
        cache.put(digest(CAPACITY), &long, at(1600));
        assert_eq!(cache.part(&digest(0)).len(), 2);
        assert!(
            cache.get(&digest(0), at(1600)).is_some() && cache.get(&digest(CAPACITY), at(1600)).is_some()
        );
        for number in 0..3 * CAPACITY {
            cache.put(digest(number), &long, at(1600));
        }
        assert!(cache.part(&digest(0)).len() <= CAPACITY);
    }
}
