//! Where a ticket stands, and what moves it.

use portico_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use time::Duration;

/// How long after it was resolved or closed a ticket is reopened by an answer.
pub const REOPEN_WITHIN: Duration = Duration::days(14);

/// Where a ticket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TicketStatus {
    /// Nobody of the staff has answered yet.
    Open,
    /// The customer wrote last.
    WaitingOnStaff,
    /// Staff wrote last.
    WaitingOnCustomer,
    /// Staff take it for done.
    Resolved,
    /// Ended by either side.
    Closed,
}

/// What happens to a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The customer writes.
    CustomerWrites,
    /// Staff write to the customer.
    StaffWrites,
    /// Staff take it for done.
    Resolve,
    /// Either side ends it.
    Close,
}

/// Every move of a ticket: from where, by what, to where. What is not listed cannot be done. A ticket that has ended is reopened by
/// whoever writes, within [`REOPEN_WITHIN`].
const MOVES: [(TicketStatus, Act, TicketStatus); 17] = {
    use Act::{Close, CustomerWrites, Resolve, StaffWrites};
    use TicketStatus::{Closed, Open, Resolved, WaitingOnCustomer, WaitingOnStaff};
    [
        (Open, CustomerWrites, Open),
        (Open, StaffWrites, WaitingOnCustomer),
        (Open, Resolve, Resolved),
        (Open, Close, Closed),
        (WaitingOnStaff, CustomerWrites, WaitingOnStaff),
        (WaitingOnStaff, StaffWrites, WaitingOnCustomer),
        (WaitingOnStaff, Resolve, Resolved),
        (WaitingOnStaff, Close, Closed),
        (WaitingOnCustomer, CustomerWrites, WaitingOnStaff),
        (WaitingOnCustomer, StaffWrites, WaitingOnCustomer),
        (WaitingOnCustomer, Resolve, Resolved),
        (WaitingOnCustomer, Close, Closed),
        (Resolved, CustomerWrites, WaitingOnStaff),
        (Resolved, StaffWrites, WaitingOnCustomer),
        (Resolved, Close, Closed),
        (Closed, CustomerWrites, WaitingOnStaff),
        (Closed, StaffWrites, WaitingOnCustomer),
    ]
};

impl TicketStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Open, Self::WaitingOnStaff, Self::WaitingOnCustomer, Self::Resolved, Self::Closed];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::WaitingOnStaff => "waiting_on_staff",
            Self::WaitingOnCustomer => "waiting_on_customer",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether nobody is waited for any more.
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Resolved | Self::Closed)
    }

    /// The status after this; `None` where it cannot be done.
    #[must_use]
    pub fn after(self, act: Act) -> Option<Self> {
        let row = MOVES.into_iter().find(|(from, by, _)| *from == self && *by == act);
        row.map(|(_, _, to)| to)
    }
}

/// Whether an answer still reopens a ticket that ended then.
pub fn may_reopen(ended_at: Timestamp, now: Timestamp) -> bool {
    now < ended_at + REOPEN_WITHIN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_table_does_not_list_cannot_be_done() {
        use TicketStatus::{Closed, Open, Resolved, WaitingOnCustomer, WaitingOnStaff};
        for status in TicketStatus::ALL {
            assert_eq!(TicketStatus::parse(status.as_str()), Some(status));
            let after = [Act::CustomerWrites, Act::StaffWrites, Act::Resolve, Act::Close]
                .map(|act| status.after(act));
            let by_customer = if status == Open { Open } else { WaitingOnStaff };
            let expected = [
                Some(by_customer),
                Some(WaitingOnCustomer),
                (!status.is_ended()).then_some(Resolved),
                (status != Closed).then_some(Closed),
            ];
            assert_eq!(after, expected, "{status:?}");
        }
    }

    #[test]
    fn a_ticket_is_reopened_for_fourteen_days() {
        let ended = Timestamp::from_unix_seconds(1_790_000_000).unwrap();
        assert!(may_reopen(ended, ended));
        assert!(may_reopen(ended, ended + REOPEN_WITHIN - Duration::MICROSECOND));
        assert!(!may_reopen(ended, ended + REOPEN_WITHIN));
    }
}
