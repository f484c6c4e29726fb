//! Hints to other processes about what was committed here, where there is a quicker way to them than the database (Redis).
//!
//! They say what the database says as well: by the announcement of the commit, and by the event log. So nothing is lost with
//! them but time, and nobody who makes one up gets anything but other processes that look once more.

use std::{collections::BTreeSet, sync::Arc};

use portico_kernel::{Event, TenantId, broadcast::Broadcast};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Kinds of events by tenant that one hint lists. What is more, the event log tells.
const MOST_APPENDED: usize = 500;

/// A way to other processes.
pub struct Broadcasts {
    way: Arc<dyn Broadcast>,
    /// Which process this is, so that it does not listen to itself.
    own: Uuid,
}

/// What was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hint {
    /// Which process says so.
    pub from: Uuid,
    /// What has become stale, in the words of an announcement.
    pub stale: Option<String>,
    /// Kinds of events that were appended, by tenant.
    pub appended: BTreeSet<(TenantId, String)>,
    /// Whether events were appended.
    pub events: bool,
    /// Whether jobs were enqueued.
    pub jobs: bool,
}

impl Hint {
    /// About a commit.
    pub fn of(events: &[Event], jobs: bool, stale: Option<String>) -> Self {
        let mut appended: BTreeSet<_> =
            events.iter().map(|event| (event.tenant, event.kind.to_string())).collect();
        if appended.len() > MOST_APPENDED {
            appended.clear();
        }
        Self { from: Uuid::nil(), stale, appended, events: !events.is_empty(), jobs }
    }
}

impl Broadcasts {
    /// By this way, as process `own`.
    pub fn new(way: Arc<dyn Broadcast>, own: Uuid) -> Self {
        Self { way, own }
    }

    /// Tells the others. Does not wait.
    pub fn tell(&self, hint: Hint) {
        if let Ok(text) = serde_json::to_string(&Hint { from: self.own, ..hint }) {
            self.way.tell(text);
        }
    }

    /// What another process says; `None` when it was this one, or cannot be read (another version: the database tells).
    pub fn read(&self, message: &str) -> Option<Hint> {
        serde_json::from_str::<Hint>(message).ok().filter(|hint| hint.from != self.own)
    }

    /// The way.
    pub fn way(&self) -> &dyn Broadcast {
        &*self.way
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;
    use portico_kernel::{CommitListener, RequestInfo, Scope, broadcast::BroadcastLost};
    use portico_security::system_env;

    use super::*;
    use crate::{events::catalogue, signals::Signals};

    /// Keeps what is told.
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    #[async_trait]
    impl Broadcast for Kept {
        fn tell(&self, message: String) {
            self.0.lock().unwrap().push(message);
        }

        async fn carry(&self, _: &(dyn for<'m> Fn(&'m str) + Send + Sync)) -> BroadcastLost {
            BroadcastLost("nothing is carried".to_owned())
        }
    }

    #[tokio::test]
    async fn a_commit_reaches_the_caches_and_workers_of_another_process() {
        let env = system_env();
        let (way, tenant): (Arc<Kept>, TenantId) = (Arc::default(), env.new_id());
        let signals = || Signals::new(Some(Broadcasts::new(way.clone(), env.random_uuid())), None);
        let (here, there) = (signals(), signals());
        let scope = Scope::system(Some(tenant), RequestInfo::default());
        let event = |kind| Event::new(&env, &scope, catalogue().find(kind).unwrap(), tenant.uuid());
        here.committed(&[event("tenant.updated"), event("page.updated")], true);
        let message = way.0.lock().unwrap().pop().unwrap();

        let heard_by = |signals: &Signals| {
            let hint = signals.broadcasts.as_ref().unwrap().read(&message);
            if let Some(hint) = &hint {
                signals.hinted(hint);
            }
            hint.is_some()
        };
        assert!(!heard_by(&here), "nobody listens to oneself");
        assert!(heard_by(&there));
        assert_eq!((there.tenant_epoch(tenant), there.sites_epoch()), (1, 1));
        assert_eq!(there.content_epoch(tenant).1, 2);
        // The wake-ups are there.
        there.jobs.notified().await;
        there.events.notified().await;
    }

    #[test]
    fn what_cannot_be_read_says_nothing_and_what_is_too_much_is_left_to_the_log() {
        let env = system_env();
        let broadcasts = Broadcasts::new(Arc::new(Kept::default()), env.random_uuid());
        for odd in ["", "x", "[1]", "{\"appended\": 1}", "{\"from\": \"me\"}"] {
            assert_eq!(broadcasts.read(odd), None, "{odd}");
        }
        // Another version may say less, or more.
        let hint = broadcasts.read("{\"jobs\": true, \"weather\": \"fine\"}").unwrap();
        assert_eq!(hint, Hint { jobs: true, ..Hint::default() });

        let events: Vec<_> = (0..=MOST_APPENDED)
            .map(|_| {
                let scope = Scope::system(Some(env.new_id()), RequestInfo::default());
                Event::new(&env, &scope, &portico_sites::events::PAGE_UPDATED, env.random_uuid())
            })
            .collect();
        let hint = Hint::of(&events, false, None);
        assert!(hint.appended.is_empty() && hint.events && !hint.jobs);
        assert_eq!(Hint::of(&events[1..], false, None).appended.len(), MOST_APPENDED);
    }
}
