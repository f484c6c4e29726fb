//! Limits on the number of streams.

use std::{
    borrow::Cow,
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use portico_kernel::{Fault, Kind, feed::Followed};
use uuid::Uuid;

use crate::settings;

/// Why a stream is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// The caller, or the tenant, has reached its limit.
    #[error("too many streams")]
    TooMany,
    /// This process has reached its limit.
    #[error("no stream is free")]
    Full,
    /// The process is shutting down.
    #[error("shutting down")]
    Closing,
}

impl Fault for LiveError {
    fn kind(&self) -> Kind {
        match self {
            Self::TooMany => Kind::RateLimited,
            Self::Full | Self::Closing => Kind::Unavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::TooMany => "too_many_streams",
            Self::Full => "overloaded",
            Self::Closing => "not_ready",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::TooMany => {
                "You, or the tenant, listen as often as one may. End another stream first.".into()
            }
            Self::Full => "Too many streams are open. Try again later.".into(),
            Self::Closing => "The server is shutting down. Try again: another one will answer.".into(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        Some(match self {
            Self::TooMany => 10,
            Self::Full => 5,
            Self::Closing => 1,
        })
    }
}

/// Counts the streams of this process.
pub struct Slots {
    most: usize,
    per_tenant: usize,
    per_caller: usize,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    followed: HashMap<Followed, usize>,
    callers: HashMap<Uuid, usize>,
}

/// A slot for one stream. Released when dropped.
pub struct Slot {
    slots: Arc<Slots>,
    followed: Followed,
    caller: Uuid,
}

impl Slots {
    /// With the configured limits.
    pub fn new(settings: &settings::Live) -> Self {
        Self {
            most: settings.max_streams,
            per_tenant: settings.per_tenant,
            per_caller: settings.per_caller,
            taken: Mutex::default(),
        }
    }

    /// Takes a slot for a user or key. What is followed across tenants has as many as one tenant.
    pub fn take(self: &Arc<Self>, followed: Followed, caller: Uuid) -> Result<Slot, LiveError> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let of_followed = taken.followed.get(&followed).copied().unwrap_or_default();
        let of_caller = taken.callers.get(&caller).copied().unwrap_or_default();
        if of_followed >= self.per_tenant || of_caller >= self.per_caller {
            return Err(LiveError::TooMany);
        }
        if taken.all >= self.most {
            return Err(LiveError::Full);
        }
        taken.all += 1;
        taken.followed.insert(followed, of_followed + 1);
        taken.callers.insert(caller, of_caller + 1);
        metrics::gauge!("portico_live_streams").increment(1.0);
        Ok(Slot { slots: self.clone(), followed, caller })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        one_less(&mut taken.followed, &self.followed);
        one_less(&mut taken.callers, &self.caller);
        metrics::gauge!("portico_live_streams").decrement(1.0);
    }
}

fn one_less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::TenantId;

    use super::*;

    #[test]
    fn places_are_counted_for_everybody_and_come_back() {
        let settings =
            settings::Live { max_streams: 4, per_tenant: 3, per_caller: 2, ..settings::Live::default() };
        let slots = Arc::new(Slots::new(&settings));
        let tenant = |number| Followed::Tenant(TenantId::from_uuid(Uuid::from_u128(number)));
        let take = |in_tenant, caller| slots.take(tenant(in_tenant), Uuid::from_u128(caller));
        let refused = |in_tenant, caller| take(in_tenant, caller).err();
        let first = take(1, 10).unwrap();
        let mut held = vec![take(1, 10).unwrap()];
        assert_eq!(refused(1, 10), Some(LiveError::TooMany), "of a caller");
        assert_eq!(refused(2, 10), Some(LiveError::TooMany), "in whichever tenant");
        held.push(take(1, 11).unwrap());
        assert_eq!(refused(1, 12), Some(LiveError::TooMany), "of a tenant");
        held.push(take(2, 13).unwrap());
        assert_eq!(refused(3, 14), Some(LiveError::Full));
        drop(first);
        held.push(take(1, 10).unwrap());
        drop(held);
        let taken = slots.taken.lock().unwrap();
        assert!(taken.all == 0 && taken.followed.is_empty() && taken.callers.is_empty());
    }
}
