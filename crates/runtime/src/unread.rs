//! When readers of the event log read: as soon as there is something for them, in batches while there is much, and not at all while
//! there is nothing.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;

use crate::core::Core;

/// Pause between two rounds, so that on a busy system events are read in batches and not one by one. A round costs a transaction, however
/// few events there are. The first event after a pause does not wait.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until there are events that one of `readers` was not given yet. `woken` is notified of those that are committed from now on.
///
/// What is there already is asked for in the database: an event may wait behind a transaction that is still running, and another process
/// may hold the reader and die; the end of neither is notified. Where there is nothing, only a commit changes that, and this process hears
/// of it; while it does not hear those of others, it asks at the interval `worker.poll`. Then nothing is held up, and `pauses` begin anew.
pub async fn wait(core: &Core, readers: &[&'static str], woken: &Notify, pauses: &mut Pauses) {
    loop {
        if woken.notified().now_or_never().is_some() {
            return;
        }
        match core.store.has_unread_events(readers).await {
            Ok(false) => pauses.reset(),
            // Why it fails, the reader will say.
            Ok(true) | Err(_) => return,
        }
        if core.signals.wait(woken, core.settings.worker.poll).await {
            return;
        }
    }
}

/// Pauses of a reader between its rounds.
pub struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    /// With this longest pause, where there is nothing to be had.
    pub fn new(longest: Duration) -> Self {
        Self { next: PAUSE, longest: longest.max(PAUSE) }
    }

    /// The pause after a round with so many events. It doubles while there are none: those that there may be are held up.
    pub fn after(&mut self, events: usize) -> Duration {
        let pause = if events == 0 { self.next } else { PAUSE };
        self.next = if events == 0 { (pause * 2).min(self.longest) } else { PAUSE };
        pause
    }

    fn reset(&mut self) {
        self.next = PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_given_nothing_asks_less_and_less_often() {
        let after = |poll: u64, rounds: &[usize]| {
            let mut pauses = Pauses::new(Duration::from_millis(poll));
            rounds.iter().map(|events| pauses.after(*events).as_millis()).collect::<Vec<_>>()
        };
        assert_eq!(after(1000, &[7, 1, 500]), [100; 3]);
        assert_eq!(after(1000, &[0, 0, 0, 0, 0, 0]), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(after(1000, &[0, 0, 0, 1, 0, 0]), [100, 200, 400, 100, 100, 200]);
        assert_eq!(after(20, &[0, 1, 0]), [100; 3], "never shorter than that of a busy system");
        let mut pauses = Pauses::new(Duration::from_secs(1));
        pauses.after(0);
        pauses.reset();
        assert_eq!(pauses.after(0), PAUSE, "what was held up is read, by another process");
    }
}
