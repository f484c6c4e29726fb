//! What happens by itself as time goes on.

use serde::{Deserialize, Serialize};

use super::{
    billing_cycle, checkout, collection, disputes, payment_intents, pending_updates, refunds,
    schedule_course, subscriptions, world::World,
};

/// How many timers fire in one go, at most; what is left fires with the next call.
const MOST: usize = 10_000;

/// Something that happens to an object. Timers are not taken back: a task looks whether it still applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Phase of a schedule; before the renewal of the same moment.
    Phase,
    /// End of a subscription that was cancelled for a date.
    CancelAt,
    /// End of a period or of a trial.
    Renew,
    /// Three days before the end of a trial.
    TrialWillEnd,
    /// End of an invoice's time as a draft.
    Finalize,
    /// A failed payment of an invoice is tried again.
    Retry,
    /// 23 hours without the first payment.
    ExpireIncomplete,
    /// 23 hours without the payment of a change.
    ExpirePending,
    /// End of a checkout.
    ExpireSession,
    /// A delayed payment is settled.
    SettlePayment,
    /// A pending refund is settled.
    SettleRefund,
    /// Nobody answered a dispute.
    DisputeDue,
}

/// A task at a moment of a clock; the sandbox's own clock has an empty name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Timer {
    pub clock: String,
    pub at: i64,
    /// A phase begins before the renewal of the same moment.
    pub task: Task,
    pub order: u64,
    pub id: String,
}

/// Sets the sandbox's time and lets happen what is due by it.
pub(crate) fn tick(w: &mut World, wall: i64) {
    w.wall = wall;
    w.now = wall;
    run(w, "", wall);
    w.now = wall;
}

/// Lets happen what is due on a clock until a moment, in order.
pub(crate) fn run(w: &mut World, clock: &str, until: i64) {
    let request = w.request.take();
    let wall = w.wall;
    for _ in 0..MOST {
        let Some(due) = next(w, clock).filter(|timer| timer.at <= until) else { break };
        w.timers.remove(&due);
        w.now = due.at;
        if clock.is_empty() {
            // Nothing of what happens may see a later time.
            w.wall = due.at;
        }
        fire(w, &due);
    }
    w.wall = wall;
    w.request = request;
}

/// The next timer of a clock.
pub(crate) fn next(w: &World, clock: &str) -> Option<Timer> {
    let first =
        Timer { clock: clock.to_owned(), at: i64::MIN, order: 0, task: Task::Phase, id: String::new() };
    w.timers.range(first..).next().filter(|timer| timer.clock == clock).cloned()
}

fn fire(w: &mut World, timer: &Timer) {
    let (id, at) = (timer.id.as_str(), timer.at);
    match timer.task {
        Task::Phase => schedule_course::phase_ended(w, id, at),
        Task::CancelAt => subscriptions::cancel_due(w, id, at),
        Task::Renew => billing_cycle::period_ended(w, id, at),
        Task::TrialWillEnd => subscriptions::trial_will_end(w, id),
        Task::Finalize => collection::draft_ended(w, id),
        Task::Retry => collection::retry(w, id, at),
        Task::ExpireIncomplete => subscriptions::expire_incomplete(w, id),
        Task::ExpirePending => pending_updates::expire(w, id, at),
        Task::ExpireSession => checkout::expire_due(w, id, at),
        Task::SettlePayment => payment_intents::settle(w, id),
        Task::SettleRefund => refunds::settle(w, id),
        Task::DisputeDue => disputes::overdue(w, id),
    }
}
