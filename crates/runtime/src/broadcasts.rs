//! Hints to other processes about commits here, over a channel that is faster than the database (Redis), if there is one.
//!
//! The database carries the same information: in the announcement of the commit, and in the event log. So a lost hint only
//! costs time, and a forged one only makes other processes query once more.

use std::{collections::BTreeSet, sync::Arc};

use portico_kernel::{Event, TenantId, broadcast::Broadcast};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Tenant and event kind pairs in one hint. Beyond that, other processes rely on the event log.
const MOST_APPENDED: usize = 500;

/// A channel to other processes.
pub struct Broadcasts {
    way: Arc<dyn Broadcast>,
    /// Id of this process, so that it ignores its own hints.
    own: Uuid,
}

/// What a commit contained.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hint {
    /// Id of the sending process.
    pub from: Uuid,
    /// The stale cache epochs, in the format of an announcement.
    pub stale: Option<String>,
    /// Kinds of events that were appended, by tenant.
    pub appended: BTreeSet<(TenantId, String)>,
    /// Whether events were appended.
    pub events: bool,
    /// Whether jobs were enqueued.
    pub jobs: bool,
}

impl Hint {
    /// The hint about a commit.
    pub fn new(events: &[Event], jobs: bool, stale: Option<String>) -> Self {
        let mut appended: BTreeSet<_> =
            events.iter().map(|event| (event.tenant, event.kind.to_string())).collect();
        if appended.len() > MOST_APPENDED {
            appended.clear();
        }
        Self { from: Uuid::nil(), stale, appended, events: !events.is_empty(), jobs }
    }
}

impl Broadcasts {
    /// Over this channel, as process `own`.
    pub fn new(way: Arc<dyn Broadcast>, own: Uuid) -> Self {
        Self { way, own }
    }

    /// Sends a hint to the other processes. Does not wait.
    pub fn publish(&self, hint: Hint) {
        if let Ok(text) = serde_json::to_string(&Hint { from: self.own, ..hint }) {
            self.way.publish(text);
        }
    }

    /// Parses a hint; `None` for one of this process, or one that cannot be parsed (sent by another version; the database
    /// has the same information).
    pub fn read(&self, message: &str) -> Option<Hint> {
        serde_json::from_str::<Hint>(message).ok().filter(|hint| hint.from != self.own)
    }

    /// The channel.
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

    /// Records sent messages.
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    #[async_trait]
    impl Broadcast for Kept {
        fn publish(&self, message: String) {
            self.0.lock().unwrap().push(message);
        }

        async fn run(&self, _: &(dyn for<'m> Fn(&'m str) + Send + Sync)) -> BroadcastLost {
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

        let received_by = |signals: &Signals| {
            let hint = signals.broadcasts.as_ref().unwrap().read(&message);
            if let Some(hint) = &hint {
                signals.apply_hint(hint);
            }
            hint.is_some()
        };
        assert!(!received_by(&here), "nobody listens to oneself");
        assert!(received_by(&there));
        assert_eq!((there.tenant_epoch(tenant), there.sites_epoch()), (1, 1));
        assert_eq!(there.content_epoch(tenant).1, 2);
        // The workers were notified.
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
        // Hints of another version may have fewer fields, or more.
        let hint = broadcasts.read("{\"jobs\": true, \"weather\": \"fine\"}").unwrap();
        assert_eq!(hint, Hint { jobs: true, ..Hint::default() });

        let events: Vec<_> = (0..=MOST_APPENDED)
            .map(|_| {
                let scope = Scope::system(Some(env.new_id()), RequestInfo::default());
                Event::new(&env, &scope, &portico_sites::events::PAGE_UPDATED, env.random_uuid())
            })
            .collect();
        let hint = Hint::new(&events, false, None);
        assert!(hint.appended.is_empty() && hint.events && !hint.jobs);
        assert_eq!(Hint::new(&events[1..], false, None).appended.len(), MOST_APPENDED);
    }
}
