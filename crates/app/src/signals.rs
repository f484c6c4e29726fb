//! What a commit in this process means for caches and workers of this process.

use std::sync::atomic::{AtomicU64, Ordering};

use portico_kernel::{CommitListener, Event};
use tokio::sync::Notify;

/// Epochs of the caches, and wake-ups of the workers. An epoch that has moved on makes what was cached before it stale.
#[derive(Default)]
pub struct Signals {
    callers: AtomicU64,
    sites: AtomicU64,
    /// Woken when a job was enqueued.
    pub jobs: Notify,
    /// Woken when an event was appended.
    pub events: Notify,
}

impl Signals {
    /// Moves on when a session ended, or a user, a membership or a tenant changed.
    pub fn callers_epoch(&self) -> u64 {
        self.callers.load(Ordering::Acquire)
    }

    /// Moves on when what answers at some host name may have changed.
    pub fn sites_epoch(&self) -> u64 {
        self.sites.load(Ordering::Acquire)
    }
}

impl CommitListener for Signals {
    fn committed(&self, events: &[Event], jobs: bool) {
        let any = |test: fn(&str) -> bool| events.iter().any(|event| test(&event.kind));
        if any(changes_callers) {
            self.callers.fetch_add(1, Ordering::AcqRel);
        }
        if any(changes_sites) {
            self.sites.fetch_add(1, Ordering::AcqRel);
        }
        if jobs {
            self.jobs.notify_one();
        }
        if !events.is_empty() {
            self.events.notify_one();
        }
    }
}

/// Whether an event may change who a session belongs to, or what it may do.
fn changes_callers(kind: &str) -> bool {
    match kind.split_once('.') {
        Some(("session", what)) => what == "ended",
        Some(("user", what)) => what != "registered",
        Some(("tenant", what)) => what != "created",
        Some(("member", _)) => true,
        _ => false,
    }
}

/// Whether an event may change what answers at a host name.
fn changes_sites(kind: &str) -> bool {
    match kind.split_once('.') {
        Some(("site", what)) => what != "created",
        Some(("tenant", what)) => what != "created",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_move_the_epochs_that_they_concern() {
        for (kind, callers, sites) in [
            ("session.ended", true, false),
            ("session.started", false, false),
            ("session.sign_in_failed", false, false),
            ("user.updated", true, false),
            ("tenant.deleted", true, true),
            ("site.deployed", false, true),
            ("page.updated", false, false),
        ] {
            assert_eq!((changes_callers(kind), changes_sites(kind)), (callers, sites), "{kind}");
        }
    }
}
