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
    /// Of each tenant the site that was seen last which not only staff may change: whoever adds many pages adds them to one site.
    unfrozen_sites: Recent<TenantId, SiteId>,
}

impl Remembered {
    /// Whether the tenant had plenty of room a moment ago.
    pub(crate) fn has_room(&self, tenant: TenantId, now: Instant) -> bool {
        self.roomy.get(&tenant, now).is_some()
    }

    /// Remembers a tenant with plenty of room left, as was asked at `asked`.
    pub(crate) fn note_room(&self, tenant: TenantId, room: &StorageRoom, asked: Instant) {
        if room.left() >= PLENTY {
            self.roomy.note(tenant, (), asked);
        }
    }

    /// The tenant's primary site a moment ago, if not only staff could change it.
    pub(crate) fn primary_site(&self, tenant: TenantId, now: Instant) -> Option<SiteId> {
        self.primary_sites.get(&tenant, now)
    }

    /// Remembers the tenant's primary site, which not only staff may change, as was asked at `asked`.
    pub(crate) fn note_primary_site(&self, tenant: TenantId, site: SiteId, asked: Instant) {
        self.primary_sites.note(tenant, site, asked);
        self.note_unfrozen(tenant, site, asked);
    }

    /// Whether not only staff could change this site a moment ago, as far as is known.
    pub(crate) fn is_unfrozen(&self, tenant: TenantId, site: SiteId, now: Instant) -> bool {
        self.unfrozen_sites.get(&tenant, now) == Some(site)
    }

    /// Remembers that not only staff may change the site, as was asked at `asked`.
    pub(crate) fn note_unfrozen(&self, tenant: TenantId, site: SiteId, asked: Instant) {
        self.unfrozen_sites.note(tenant, site, asked);
    }

    /// Forgets what a unit of work has changed that was committed before `now`: subscriptions, by their events, and sites of tenants.
    pub(crate) fn forget(&self, events: &[Event], tenants_with_changed_sites: &[TenantId], now: Instant) {
        for event in events.iter().filter(|event| event.kind.starts_with("subscription.")) {
            self.roomy.forget(event.tenant, now);
        }
        for tenant in tenants_with_changed_sites {
            self.primary_sites.forget(*tenant, now);
            self.unfrozen_sites.forget(*tenant, now);
        }
    }
}

/// Values that hold for [`VALID_FOR`].
struct Recent<K, V>(Mutex<HashMap<K, Answer<V>>>);

/// A value, or none where it was changed: what was asked before may not be so any more.
struct Answer<V> {
    value: Option<V>,
    since: Instant,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Copy> Recent<K, V> {
    fn get(&self, key: &K, now: Instant) -> Option<V> {
        self.answers().get(key).filter(|answer| answer.holds(now)).and_then(|answer| answer.value)
    }

    fn note(&self, key: K, value: V, asked: Instant) {
        let mut answers = self.answers();
        if answers.get(&key).is_none_or(|answer| answer.since <= asked) {
            insert(&mut answers, key, Answer { value: Some(value), since: asked });
        }
    }

    fn forget(&self, key: K, now: Instant) {
        let mut answers = self.answers();
        answers.remove(&key);
        insert(&mut answers, key, Answer { value: None, since: now });
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<K, Answer<V>>> {
        // Consistent after every line, so a panic leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Answer<V> {
    fn holds(&self, now: Instant) -> bool {
        now < self.since + VALID_FOR
    }
}

fn insert<K: Eq + Hash, V>(answers: &mut HashMap<K, Answer<V>>, key: K, answer: Answer<V>) {
    if answers.len() >= MOST {
        answers.retain(|_, old| old.holds(answer.since));
    }
    if answers.len() < MOST {
        answers.insert(key, answer);
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
    fn what_was_changed_is_forgotten_and_nothing_else() {
        let (remembered, now) = (Remembered::default(), Instant::now());
        let (other, tenant) = (tenant(0), tenant(1));
        let site = SiteId::from_uuid(Uuid::from_u128(3));
        let much = StorageRoom { files: 0, texts: 10, limit: None, verified: true };
        remembered.note_room(tenant, &much, now);
        remembered.note_primary_site(tenant, site, now);
        let is_known = || {
            let primary = remembered.primary_site(tenant, now).is_some();
            assert_eq!(remembered.is_unfrozen(tenant, site, now), primary, "both are known of it");
            (remembered.has_room(tenant, now), primary)
        };
        let updated = &portico_billing::events::SUBSCRIPTION_UPDATED;
        remembered.forget(&[event(updated, other)], &[other], now);
        remembered.forget(&[event(&portico_sites::events::PAGE_CREATED, tenant)], &[], now);
        assert_eq!(is_known(), (true, true));
        remembered.forget(&[], &[tenant], now);
        assert_eq!(is_known(), (true, false));
        remembered.forget(&[event(updated, tenant)], &[], now);
        assert_eq!(is_known(), (false, false));
    }

    #[test]
    fn what_was_asked_before_a_change_is_not_remembered_after_it() {
        let (recent, asked) = (Recent::<TenantId, u8>::default(), Instant::now());
        let changed = asked + Duration::from_millis(1);
        recent.forget(tenant(1), changed);
        recent.note(tenant(1), 1, asked);
        assert_eq!(recent.get(&tenant(1), changed), None);
        recent.note(tenant(1), 2, changed);
        assert_eq!(recent.get(&tenant(1), changed), Some(2));
        // Nor does an older answer take the place of a newer one.
        recent.note(tenant(1), 3, asked);
        assert_eq!(recent.get(&tenant(1), changed), Some(2));
    }

    #[test]
    fn the_number_of_remembered_answers_is_bounded() {
        let (recent, now) = (Recent::<TenantId, ()>::default(), Instant::now());
        for number in 0..MOST + 5 {
            recent.note(tenant(number), (), now);
        }
        assert_eq!(recent.answers().len(), MOST);
        // A change is forgotten even where there is no room to note it.
        recent.forget(tenant(0), now);
        assert_eq!(recent.get(&tenant(0), now), None);
        // Those whose time is over make room for others.
        recent.note(tenant(MOST + 5), (), now + VALID_FOR);
        assert_eq!(recent.answers().len(), 1);
    }
}
