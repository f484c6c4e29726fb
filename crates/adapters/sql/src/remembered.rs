//! What was so a moment ago: answers that seldom change, and that each change of a page needs.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use portico_billing::ports::StorageRoom;
use portico_kernel::{Event, SiteId, TenantId};

/// Bytes of texts that all processes together cannot store for one tenant within [`VALID_FOR`].
const PLENTY: u64 = 256 << 20;

/// How long an answer is believed. Also how late a change that another process makes is seen: of a tenant's limit, of the files that
/// took its room, of its primary site.
const VALID_FOR: Duration = Duration::from_millis(900);

/// Most answers of a kind that are remembered.
const MOST: usize = 10_000;

/// What a process remembers of tenants.
#[derive(Default)]
pub(crate) struct Remembered {
    /// Tenants that had plenty of room left. What a tenant stores is a sum of many rows, which takes a quarter of the time of a change of
    /// a page.
    roomy: Recent<TenantId, ()>,
    /// The primary sites of tenants, of those that not only staff may change.
    primary_sites: Recent<TenantId, SiteId>,
}

impl Remembered {
    /// Whether the tenant had plenty of room a moment ago.
    pub(crate) fn has_room(&self, tenant: TenantId, now: Instant) -> bool {
        self.roomy.get(&tenant, now).is_some()
    }

    /// Remembers a tenant with plenty of room left.
    pub(crate) fn note_room(&self, tenant: TenantId, room: &StorageRoom, now: Instant) {
        if room.left() >= PLENTY {
            self.roomy.note(tenant, (), now);
        }
    }

    /// The tenant's primary site a moment ago, if not only staff could change it.
    pub(crate) fn primary_site(&self, tenant: TenantId, now: Instant) -> Option<SiteId> {
        self.primary_sites.get(&tenant, now)
    }

    /// Remembers the tenant's primary site, which not only staff may change.
    pub(crate) fn note_primary_site(&self, tenant: TenantId, site: SiteId, now: Instant) {
        self.primary_sites.note(tenant, site, now);
    }

    /// Forgets what these events have changed.
    pub(crate) fn forget(&self, events: &[Event]) {
        for event in events {
            if event.kind.starts_with("subscription.") {
                self.roomy.forget(&event.tenant);
            }
            if event.kind.starts_with("site.") {
                self.primary_sites.forget(&event.tenant);
            }
        }
    }
}

/// Values, and until when they hold.
struct Recent<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Copy> Recent<K, V> {
    fn get(&self, key: &K, now: Instant) -> Option<V> {
        self.values().get(key).filter(|(_, until)| now < *until).map(|(value, _)| *value)
    }

    fn note(&self, key: K, value: V, now: Instant) {
        let mut values = self.values();
        if values.len() >= MOST {
            values.retain(|_, (_, until)| now < *until);
        }
        if values.len() < MOST {
            values.insert(key, (value, now + VALID_FOR));
        }
    }

    fn forget(&self, key: &K) {
        self.values().remove(key);
    }

    fn values(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        // Consistent after every line, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{EventDeclaration, RequestInfo, Scope};
    use portico_testkit::env;
    use uuid::Uuid;

    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number as u128 + 1))
    }

    fn event(kind: &'static EventDeclaration, tenant: TenantId) -> Event {
        let scope = Scope::anonymous(RequestInfo::default());
        Event::new(&env(), &scope, kind, Uuid::from_u128(7)).in_tenant(tenant)
    }

    #[test]
    fn only_plenty_of_room_is_remembered_and_not_for_long() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        let (other, tenant) = (tenant(0), tenant(1));
        let room = |limit, verified| StorageRoom { files: 0, texts: 10, limit, verified };
        for little in [room(Some(PLENTY), true), room(None, false), room(Some(0), true)] {
            remembered.note_room(tenant, &little, now);
            assert!(!remembered.has_room(tenant, now), "{little:?}");
        }
        remembered.note_room(tenant, &room(Some(PLENTY + 10), true), now);
        assert!(remembered.has_room(tenant, now) && !remembered.has_room(other, now));
        assert!(!remembered.has_room(tenant, now + VALID_FOR));
    }

    #[test]
    fn an_event_of_a_tenant_has_forgotten_what_it_changed() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        let (other, tenant) = (tenant(0), tenant(1));
        let site = SiteId::from_uuid(Uuid::from_u128(3));
        let much = StorageRoom { files: 0, texts: 10, limit: None, verified: true };
        remembered.note_room(tenant, &much, now);
        remembered.note_primary_site(tenant, site, now);
        let is_known = || (remembered.has_room(tenant, now), remembered.primary_site(tenant, now).is_some());

        remembered.forget(&[event(&portico_sites::events::SITE_OFFERED, other)]);
        remembered.forget(&[event(&portico_sites::events::PAGE_CREATED, tenant)]);
        assert_eq!(is_known(), (true, true));
        remembered.forget(&[event(&portico_sites::events::SITE_OFFERED, tenant)]);
        assert_eq!(is_known(), (true, false));
        remembered.forget(&[event(&portico_billing::events::SUBSCRIPTION_UPDATED, tenant)]);
        assert_eq!(is_known(), (false, false));
    }

    #[test]
    fn the_number_of_remembered_answers_is_bounded() {
        let (recent, now) = (Recent::<TenantId, ()>::default(), Instant::now());
        for number in 0..MOST + 5 {
            recent.note(tenant(number), (), now);
        }
        assert_eq!(recent.values().len(), MOST);
        // Those whose time is over make room for others.
        recent.note(tenant(MOST + 5), (), now + VALID_FOR);
        assert_eq!(recent.values().len(), 1);
    }
}
