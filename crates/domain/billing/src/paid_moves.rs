//! What follows from a move of the status of a subscription that is paid for: one table.
//!
//! Events of a provider can be missing, so any two statuses may be seen one after the other. Each pair has a row: the new status is always
//! stored, and the row says what else is to be told.

use crate::subscription::SubscriptionStatus::{
    self, Active, Canceled, Incomplete, PastDue, Trialing, Unpaid,
};

/// What a move means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing that is told.
    Nothing,
    /// What is paid for is in force from now on.
    Begun,
    /// The trial is over: it is paid for now, or has ended.
    TrialEnded,
    /// A payment has failed, and is tried again.
    PaymentFailed,
    /// The missing payment has come.
    Recovered,
    /// What was paid for is not in force any more.
    Ended,
}

/// Every pair: from, to, what it means. There is no subscription before the first one, which is like one that has [ended](Canceled).
pub const MOVES: [(SubscriptionStatus, SubscriptionStatus, Meaning); 36] = [
    (Canceled, Canceled, Meaning::Nothing),
    (Canceled, Incomplete, Meaning::Nothing),
    (Canceled, Trialing, Meaning::Begun),
    (Canceled, Active, Meaning::Begun),
    (Canceled, PastDue, Meaning::PaymentFailed),
    (Canceled, Unpaid, Meaning::Nothing),
    (Incomplete, Canceled, Meaning::Nothing),
    (Incomplete, Incomplete, Meaning::Nothing),
    (Incomplete, Trialing, Meaning::Begun),
    (Incomplete, Active, Meaning::Begun),
    (Incomplete, PastDue, Meaning::PaymentFailed),
    (Incomplete, Unpaid, Meaning::Nothing),
    (Trialing, Canceled, Meaning::TrialEnded),
    (Trialing, Incomplete, Meaning::TrialEnded),
    (Trialing, Trialing, Meaning::Nothing),
    (Trialing, Active, Meaning::TrialEnded),
    (Trialing, PastDue, Meaning::PaymentFailed),
    (Trialing, Unpaid, Meaning::Ended),
    (Active, Canceled, Meaning::Ended),
    (Active, Incomplete, Meaning::Ended),
    (Active, Trialing, Meaning::Nothing),
    (Active, Active, Meaning::Nothing),
    (Active, PastDue, Meaning::PaymentFailed),
    (Active, Unpaid, Meaning::Ended),
    (PastDue, Canceled, Meaning::Ended),
    (PastDue, Incomplete, Meaning::Ended),
    (PastDue, Trialing, Meaning::Recovered),
    (PastDue, Active, Meaning::Recovered),
    (PastDue, PastDue, Meaning::Nothing),
    (PastDue, Unpaid, Meaning::Ended),
    (Unpaid, Canceled, Meaning::Nothing),
    (Unpaid, Incomplete, Meaning::Nothing),
    (Unpaid, Trialing, Meaning::Recovered),
    (Unpaid, Active, Meaning::Recovered),
    (Unpaid, PastDue, Meaning::PaymentFailed),
    (Unpaid, Unpaid, Meaning::Nothing),
];

/// What a move means.
pub fn meaning(from: SubscriptionStatus, to: SubscriptionStatus) -> Meaning {
    let row = MOVES.iter().find(|(before, after, _)| (*before, *after) == (from, to));
    row.map_or(Meaning::Nothing, |(_, _, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_has_one_row() {
        for from in SubscriptionStatus::ALL {
            assert_eq!(SubscriptionStatus::parse(from.as_str()), Some(from));
            for to in SubscriptionStatus::ALL {
                let rows = MOVES.iter().filter(|(before, after, _)| (*before, *after) == (from, to));
                assert_eq!(rows.count(), 1, "{from:?} {to:?}");
            }
        }
        assert_eq!(SubscriptionStatus::parse("paused"), None);
    }

    #[test]
    fn a_move_into_force_or_out_of_it_is_always_told() {
        for (from, to, meaning) in MOVES {
            let (before, after) = (from.is_in_force(), to.is_in_force());
            if before != after {
                assert_ne!(meaning, Meaning::Nothing, "{from:?} {to:?}");
            }
            if from == to {
                assert_eq!(meaning, Meaning::Nothing, "{from:?}");
            }
            let failed = to == PastDue && from != PastDue;
            assert_eq!(meaning == Meaning::PaymentFailed, failed, "{from:?} {to:?}");
            let begun = !before && matches!(to, Trialing | Active);
            assert_eq!(matches!(meaning, Meaning::Begun), begun && from != Unpaid, "{from:?} {to:?}");
            assert_eq!(
                matches!(meaning, Meaning::Ended | Meaning::TrialEnded),
                (before && !after) || (from, to) == (Trialing, Active),
                "{from:?} {to:?}"
            );
        }
    }
}
