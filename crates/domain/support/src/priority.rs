//! How much a ticket hurries, and until when it is to be answered for that.

use portico_kernel::Timestamp;
use serde::{Deserialize, Serialize};
use time::Duration;

/// How much a ticket hurries. Decides until when it is to be answered, see [`ReplyTargets`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum TicketPriority {
    /// Whenever there is time.
    Low,
    /// As usual.
    #[default]
    Medium,
    /// Something important does not work.
    High,
    /// Nothing works.
    Urgent,
}

impl TicketPriority {
    /// Every priority.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Urgent];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    /// The priority of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == text)
    }
}

/// How long a customer waits at most for the first answer, by priority. Hours of the clock, also at night. Nothing is no target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplyTargets {
    /// For `low`.
    pub low: Option<Duration>,
    /// For `medium`.
    pub medium: Option<Duration>,
    /// For `high`.
    pub high: Option<Duration>,
    /// For `urgent`.
    pub urgent: Option<Duration>,
}

impl ReplyTargets {
    /// Until when a ticket of this priority is to be answered.
    pub fn due(&self, priority: TicketPriority, created_at: Timestamp) -> Option<Timestamp> {
        let target = match priority {
            TicketPriority::Low => self.low,
            TicketPriority::Medium => self.medium,
            TicketPriority::High => self.high,
            TicketPriority::Urgent => self.urgent,
        };
        target.map(|target| created_at + target)
    }
}
