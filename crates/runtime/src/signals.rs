//! The effects of a commit, in this process or another one, on the caches and workers of this process.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use portico_kernel::{
    AnnouncementListener, CommitListener, Event, EventDeclaration, TenantId, Timestamp, UserId,
    event::CacheTopic,
    feed::{Followed, TICKETS},
};
use tokio::{sync::Notify, time::timeout};
use uuid::Uuid;

use crate::{
    broadcasts::{Broadcasts, Hint},
    clock::SharedClock,
    events::catalogue,
    usage::UsageMarks,
    waiting::WaitingRequests,
    wakes::Wakes,
};

/// Number of epochs that users and tenants share. Two of them with the same epoch only cost each other an occasional query.
/// The same in every process, because announcements contain the numbers.
const STRIPES: usize = 1024;

/// Maximum age of cache entries while this process receives the announcements of others.
const AGE_WHEN_CONNECTED: Duration = Duration::from_secs(5);

/// Maximum age while it does not: a revocation by another process is then only noticed by a query.
const AGE_WHEN_DISCONNECTED: Duration = Duration::from_millis(900);

/// How long a process counts as up to date after it last proved to have received all announcements.
const PROOF: Duration = Duration::from_millis(800);

/// Interval of looking for what was not announced, while this process receives the announcements of others.
const FALLBACK_POLL: Duration = Duration::from_secs(15);

/// Name of all epochs, in an announcement.
const ALL: &str = "all";

/// Name of the epoch of sites, in an announcement.
const SITES: &str = "sites";

/// Epochs of the caches, and notifications of the workers. When an epoch advances, entries cached under the old one are
/// stale.
pub struct Signals {
    stripes: Vec<AtomicU64>,
    /// Epochs of tenants' content, by the same numbers.
    content: Vec<AtomicU64>,
    sites: AtomicU64,
    started: Instant,
    /// Microseconds after `started` up to which all announcements were received; 0 if some may have been missed.
    caught_up: AtomicU64,
    /// Notified when a job was enqueued.
    pub jobs: Notify,
    /// Notified when an event was appended.
    pub events: Notify,
    /// Notified when an event was appended, for the scheduling of webhook deliveries.
    pub webhooks: Notify,
    /// Notified when an event was appended that live streams follow.
    pub live: Wakes,
    /// Requests that wait for a permit to change something. Jobs let them go first.
    pub waiting: WaitingRequests,
    /// Tenants whose thresholds are to be checked.
    pub usage: UsageMarks,
    /// A faster channel to other processes than the database, if there is one.
    pub broadcasts: Option<Broadcasts>,
    /// Receives the time of the database.
    clock: Option<Arc<SharedClock>>,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            content: (0..STRIPES).map(|_| AtomicU64::new(0)).collect(),
            sites: AtomicU64::new(0),
            started: Instant::now(),
            caught_up: AtomicU64::new(0),
            jobs: Notify::new(),
            events: Notify::new(),
            webhooks: Notify::new(),
            live: Wakes::default(),
            waiting: WaitingRequests::default(),
            usage: UsageMarks::default(),
            broadcasts: None,
            clock: None,
        }
    }
}

impl Signals {
    /// With a faster channel to other processes and a clock to correct, if there are any.
    pub fn new(broadcasts: Option<Broadcasts>, clock: Option<Arc<SharedClock>>) -> Self {
        Self { broadcasts, clock, ..Self::default() }
    }

    /// Applies another process's hint about a commit.
    pub fn apply_hint(&self, hint: &Hint) {
        if let Some(stale) = &hint.stale {
            self.announced(stale);
        }
        for (tenant, kind) in &hint.appended {
            self.changed(*tenant, catalogue().find(kind));
        }
        self.wake(hint.events, hint.jobs);
    }

    fn wake(&self, events: bool, jobs: bool) {
        if jobs {
            self.jobs.notify_one();
        }
        if events {
            self.events.notify_one();
            self.webhooks.notify_one();
        }
    }

    /// Advances when a session of the user ended, or their account or a membership changed.
    pub fn user_epoch(&self, user: UserId) -> u64 {
        self.epoch(user.uuid())
    }

    /// Advances when the tenant or one of its keys changed.
    pub fn tenant_epoch(&self, tenant: TenantId) -> u64 {
        self.epoch(tenant.uuid())
    }

    /// The number of the tenant's content epoch, and its value: advances when the tenant, its branding, a site or anything
    /// on one may have changed.
    pub fn content_epoch(&self, tenant: TenantId) -> (u16, u64) {
        let stripe = stripe(tenant.uuid());
        (stripe as u16, self.content.get(stripe).map_or(0, |epoch| epoch.load(Ordering::Acquire)))
    }

    /// Whether this process receives the announcements of others.
    pub fn is_connected(&self) -> bool {
        self.max_age() == AGE_WHEN_CONNECTED
    }

    /// Waits until `woken` is notified, and answers true. Answers false when it is time to look for what was not announced: after `poll`
    /// while this process does not receive the announcements of others, after 15 seconds while it does.
    pub async fn wait(&self, woken: &Notify, poll: Duration) -> bool {
        let began = Instant::now();
        while timeout(poll, woken.notified()).await.is_err() {
            if !self.is_connected() || began.elapsed() > FALLBACK_POLL {
                return false;
            }
        }
        true
    }

    /// Advances when the site at some host name may have changed.
    pub fn sites_epoch(&self) -> u64 {
        self.sites.load(Ordering::Acquire)
    }

    /// Maximum age of an entry cached under an epoch that has not advanced.
    pub fn max_age(&self) -> Duration {
        let caught_up = Duration::from_micros(self.caught_up.load(Ordering::Acquire));
        if !caught_up.is_zero() && self.started.elapsed().saturating_sub(caught_up) <= PROOF {
            AGE_WHEN_CONNECTED
        } else {
            AGE_WHEN_DISCONNECTED
        }
    }

    fn epoch(&self, id: Uuid) -> u64 {
        self.stripes.get(stripe(id)).map_or(0, |epoch| epoch.load(Ordering::Acquire))
    }

    fn move_on(&self, words: &BTreeSet<String>) {
        for word in words {
            let stripe = usize::from_str_radix(word, 16).ok().and_then(|stripe| self.stripes.get(stripe));
            match (word.as_str(), stripe) {
                (SITES, _) => drop(self.sites.fetch_add(1, Ordering::AcqRel)),
                (_, Some(stripe)) => drop(stripe.fetch_add(1, Ordering::AcqRel)),
                // `all`, or a name from another version: too many stale entries are safer than too few.
                _ => self.move_all(),
            }
        }
    }

    fn move_all(&self) {
        self.sites.fetch_add(1, Ordering::AcqRel);
        for stripe in self.stripes.iter().chain(&self.content) {
            stripe.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// An event was appended to the log of the tenant; `declared` is `None` if another version wrote an unknown one.
    fn changed(&self, tenant: TenantId, declared: Option<&EventDeclaration>) {
        if declared.is_none_or(|declared| declared.published().is_some()) {
            self.live.wake(Followed::Tenant(tenant));
        }
        if declared.is_none_or(|declared| declared.resource() == TICKETS) {
            self.live.wake(Followed::Tickets { all: false });
            self.live.wake(Followed::Tickets { all: true });
        }
        // An unknown event may concern anything: an unnecessary query is better than an outdated answer.
        if declared.is_none_or(|declared| declared.invalidates.contains(&CacheTopic::Responses))
            && let Some(epoch) = self.content.get(stripe(tenant.uuid()))
        {
            epoch.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl CommitListener for Signals {
    fn committed(&self, events: &[Event], jobs: bool) {
        annotate(events);
        self.move_on(&events.iter().flat_map(made_stale).collect());
        for event in events {
            self.changed(event.tenant, declaration_of(event));
            self.usage.mark(event.tenant);
        }
        self.wake(!events.is_empty(), jobs);
        if let Some(broadcasts) = &self.broadcasts {
            broadcasts.publish(Hint::new(events, jobs, self.announcement(events)));
        }
    }

    fn announcement(&self, events: &[Event]) -> Option<String> {
        /// Number of names that surely fit into one notification of Postgres (8,000 bytes).
        const MOST_WORDS: usize = 1000;
        let words: BTreeSet<String> = events.iter().flat_map(made_stale).collect();
        match words.len() {
            0 => None,
            1..=MOST_WORDS => Some(words.into_iter().collect::<Vec<_>>().join(" ")),
            _ => Some(ALL.to_owned()),
        }
    }
}

impl AnnouncementListener for Signals {
    fn announced(&self, announcement: &str) {
        self.move_on(&announcement.split_ascii_whitespace().map(str::to_owned).collect());
    }

    fn appended(&self, tenant: TenantId, kind: &str) {
        self.changed(tenant, catalogue().find(kind));
        // The other process may have enqueued work too: no need to wait for the next poll.
        self.events.notify_one();
        self.webhooks.notify_one();
        self.jobs.notify_one();
    }

    fn caught_up(&self, moment: Instant) {
        let since = moment.saturating_duration_since(self.started).as_micros();
        self.caught_up.store(u64::try_from(since).unwrap_or(u64::MAX).max(1), Ordering::Release);
    }

    fn announcements_lost(&self) {
        self.caught_up.store(0, Ordering::Release);
        self.move_all();
        self.wake(true, true);
        self.live.wake_all();
    }

    fn database_time(&self, now: Timestamp, asked: Instant) {
        if let Some(clock) = &self.clock {
            clock.heard(now, asked);
        }
    }
}

/// Records the committed events in the current span.
fn annotate(events: &[Event]) {
    for event in events {
        portico_otlp::annotate(&event.kind, &[("event.id", &event.id), ("tenant.id", &event.tenant)]);
    }
}

/// The number of the epoch of a user or tenant. The last bytes of a UUIDv7 are random.
fn stripe(id: Uuid) -> usize {
    id.as_u128() as usize % STRIPES
}

/// The declaration of an event; `None` if it is unknown because another version wrote it.
fn declaration_of(event: &Event) -> Option<&'static EventDeclaration> {
    event.kind.declaration().or_else(|| catalogue().find(&event.kind))
}

/// The epochs that an event makes stale, as named in announcements.
fn made_stale(event: &Event) -> BTreeSet<String> {
    let of = |id: Uuid| format!("{:x}", stripe(id));
    let Some(declared) = declaration_of(event) else { return BTreeSet::from([ALL.to_owned()]) };
    let word = |topic: &CacheTopic| match topic {
        CacheTopic::User => Some(of(event.resource.id)),
        CacheTopic::SessionOwner => {
            let user = event.after.as_ref().and_then(|after| after["userId"].as_str());
            // If the user is unknown, all epochs.
            Some(user.and_then(|id| id.parse().ok()).map_or_else(|| ALL.to_owned(), of))
        }
        CacheTopic::Tenant => Some(of(event.tenant.uuid())),
        CacheTopic::Hosts => Some(SITES.to_owned()),
        // Not announced: every process learns of it from the log within half a second.
        CacheTopic::Responses => None,
    };
    declared.invalidates.iter().filter_map(word).collect()
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Env, RequestInfo, Scope};
    use portico_security::system_env;
    use serde_json::json;

    use super::*;

    fn event(env: &Env, kind: &str, resource: Uuid, tenant: TenantId) -> Event {
        let scope = Scope::system(Some(tenant), RequestInfo::default());
        Event::new(env, &scope, catalogue().find(kind).unwrap(), resource)
    }

    #[test]
    fn events_move_the_epochs_that_they_concern() {
        let env = system_env();
        let (user, tenant): (UserId, TenantId) = (env.new_id(), env.new_id());
        for (kind, resource, moved) in [
            ("session.started", env.random_uuid(), [false, false, false]),
            ("session.sign_in_failed", env.random_uuid(), [false, false, false]),
            ("user.registered", user.uuid(), [false, false, false]),
            ("user.suspended", user.uuid(), [true, false, false]),
            ("member.updated", user.uuid(), [true, false, false]),
            ("api_key.revoked", env.random_uuid(), [false, true, false]),
            ("api_key.new_address", env.random_uuid(), [false, false, false]),
            ("tenant.deleted", tenant.uuid(), [false, true, true]),
            ("site.deployed", env.random_uuid(), [false, false, true]),
            ("domain.verified", env.random_uuid(), [false, false, true]),
            ("page.updated", env.random_uuid(), [false, false, false]),
            ("subscription.created", tenant.uuid(), [false, false, false]),
            ("tenant.settings_updated", tenant.uuid(), [false, true, true]),
        ] {
            let here = Signals::default();
            let elsewhere = Signals::default();
            let events = [event(&env, kind, resource, tenant)];
            here.committed(&events, false);
            if let Some(announcement) = here.announcement(&events) {
                elsewhere.announced(&announcement);
            }
            for signals in [here, elsewhere] {
                let epochs = [signals.user_epoch(user), signals.tenant_epoch(tenant), signals.sites_epoch()];
                assert_eq!(epochs.map(|epoch| epoch > 0), moved, "{kind}");
            }
        }
    }

    #[test]
    fn an_ended_session_concerns_its_user() {
        let env = system_env();
        let (user, tenant): (UserId, TenantId) = (env.new_id(), env.new_id());
        let signals = Signals::default();
        let ended = event(&env, "session.ended", env.random_uuid(), tenant);
        signals.committed(&[ended.clone().after(&json!({"userId": user}))], false);
        assert_eq!((signals.user_epoch(user), signals.sites_epoch()), (1, 0));
        // The user is unknown, so all epochs advance.
        signals.committed(&[ended], false);
        assert_eq!((signals.user_epoch(user), signals.sites_epoch()), (2, 1));
    }

    #[test]
    fn content_becomes_stale_here_and_elsewhere() {
        let env = system_env();
        let tenant: TenantId = env.new_id();
        let signals = Signals::default();
        for (kind, expected) in [
            ("page.updated", 1),
            ("session.started", 1),
            ("submission.received", 1),
            ("branding.updated", 2),
            ("subscription.created", 3),
        ] {
            signals.committed(&[event(&env, kind, env.random_uuid(), tenant)], false);
            assert_eq!(signals.content_epoch(tenant).1, expected, "{kind}");
        }
        signals.appended(tenant, "navigation.updated");
        assert_eq!(signals.content_epoch(tenant).1, 4);
        signals.appended(tenant, "something.new");
        assert_eq!(signals.content_epoch(tenant).1, 5, "of another version");
        signals.announcements_lost();
        assert_eq!(signals.content_epoch(tenant).1, 6);
        assert!(u64::from(signals.content_epoch(tenant).0) < STRIPES as u64);
    }

    #[test]
    fn an_event_drops_no_cache_that_it_does_not_name() {
        static STATE_CHANGED: EventDeclaration = EventDeclaration {
            name: "message.state_changed",
            when: "A message got another state.",
            audience: portico_kernel::event::Audience::Internal,
            invalidates: &[],
            audit: portico_kernel::event::AuditClass::NotKept,
        };
        let env = system_env();
        let tenant: TenantId = env.new_id();
        let signals = Signals::default();
        let scope = Scope::system(Some(tenant), RequestInfo::default());
        let events = [Event::new(&env, &scope, &STATE_CHANGED, env.random_uuid())];
        signals.committed(&events, false);
        assert_eq!(signals.announcement(&events), None);
        let epochs = [signals.tenant_epoch(tenant), signals.content_epoch(tenant).1, signals.sites_epoch()];
        assert_eq!(epochs, [0; 3]);
    }

    #[test]
    fn words_of_another_version_make_everything_stale() {
        let signals = Signals::default();
        signals.announced("ffff");
        signals.announced("gadgets");
        assert_eq!(signals.sites_epoch(), 2);
    }

    #[test]
    fn what_is_cached_is_believed_longer_while_others_are_heard() {
        let signals = Signals::default();
        assert_eq!(signals.max_age(), AGE_WHEN_DISCONNECTED);
        signals.caught_up(Instant::now());
        assert_eq!(signals.max_age(), AGE_WHEN_CONNECTED);
        signals.announcements_lost();
        assert_eq!(signals.max_age(), AGE_WHEN_DISCONNECTED);
    }

    #[tokio::test]
    async fn who_waits_polls_only_while_others_are_not_heard() {
        let poll = Duration::from_millis(20);
        let signals = Signals::default();
        assert!(!signals.wait(&signals.events, poll).await, "nobody would tell");
        // For longer than a busy machine takes.
        signals.caught_up(Instant::now() + Duration::from_secs(60));
        let waiting = timeout(Duration::from_millis(200), signals.wait(&signals.events, poll)).await;
        assert!(waiting.is_err(), "somebody would tell");
        // Something may have been missed.
        signals.announcements_lost();
        for woken in [&signals.events, &signals.webhooks, &signals.jobs] {
            assert!(signals.wait(woken, poll).await);
        }
        assert!(!signals.wait(&signals.events, poll).await, "told once");
    }

    #[test]
    fn very_many_changes_are_announced_as_all() {
        let env = system_env();
        let tenant = env.new_id();
        let users = (0..20_000).map(|_| event(&env, "user.updated", env.random_uuid(), tenant));
        let announcement = Signals::default().announcement(&users.collect::<Vec<_>>()).unwrap();
        assert_eq!(announcement, ALL);
    }
}
