//! Which tenants had much room left a moment ago.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use portico_billing::ports::StorageRoom;
use portico_kernel::TenantId;

/// Bytes of texts that all processes together cannot store for one tenant within [`VALID_FOR`].
const PLENTY: u64 = 256 << 20;

/// How long a tenant that had plenty of room is not asked about again. Also how late a change of its limit, or a file that took
/// its room, is seen by changes of texts.
const VALID_FOR: Duration = Duration::from_millis(900);

/// Most tenants that are remembered.
const TENANTS: usize = 10_000;

/// Tenants that had plenty of room left, and until when that holds. What a tenant stores is a sum of many rows, which takes a
/// quarter of the time of a change of a page.
#[derive(Default)]
pub(crate) struct RoomyTenants(Mutex<HashMap<TenantId, Instant>>);

impl RoomyTenants {
    /// Whether the tenant had plenty of room a moment ago.
    pub(crate) fn has(&self, tenant: TenantId, now: Instant) -> bool {
        self.tenants().get(&tenant).is_some_and(|until| now < *until)
    }

    /// Remembers a tenant with plenty of room left.
    pub(crate) fn note(&self, tenant: TenantId, room: &StorageRoom, now: Instant) {
        if room.left() < PLENTY {
            return;
        }
        let mut tenants = self.tenants();
        if tenants.len() >= TENANTS {
            tenants.retain(|_, until| now < *until);
        }
        if tenants.len() < TENANTS {
            tenants.insert(tenant, now + VALID_FOR);
        }
    }

    /// Forgets a tenant whose limits changed.
    pub(crate) fn forget(&self, tenant: TenantId) {
        self.tenants().remove(&tenant);
    }

    fn tenants(&self) -> MutexGuard<'_, HashMap<TenantId, Instant>> {
        // Consistent after every line, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number as u128 + 1))
    }

    fn room(limit: Option<u64>, verified: bool) -> StorageRoom {
        StorageRoom { files: 0, texts: 10, limit, verified }
    }

    #[test]
    fn only_plenty_of_room_is_remembered_and_not_for_long() {
        let (tenants, now) = (RoomyTenants::default(), Instant::now());
        let (other, tenant) = (tenant(0), tenant(1));
        for little in [room(Some(PLENTY), true), room(None, false), room(Some(0), true)] {
            tenants.note(tenant, &little, now);
            assert!(!tenants.has(tenant, now), "{little:?}");
        }
        tenants.note(tenant, &room(Some(PLENTY + 10), true), now);
        assert!(tenants.has(tenant, now) && !tenants.has(other, now));
        tenants.forget(tenant);
        assert!(!tenants.has(tenant, now));
        tenants.note(tenant, &room(None, true), now);
        assert!(tenants.has(tenant, now));
        assert!(!tenants.has(tenant, now + VALID_FOR));
    }

    #[test]
    fn the_number_of_remembered_tenants_is_bounded() {
        let (tenants, now) = (RoomyTenants::default(), Instant::now());
        for number in 0..TENANTS + 5 {
            tenants.note(tenant(number), &room(None, true), now);
        }
        assert_eq!(tenants.tenants().len(), TENANTS);
        // Those whose time is over make room for others.
        tenants.note(tenant(TENANTS + 5), &room(None, true), now + VALID_FOR);
        assert_eq!(tenants.tenants().len(), 1);
    }
}
