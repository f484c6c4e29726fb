//! The messages of support.

use portico_kernel::{
    Timestamp,
    mail::{Mail, MailClass, MailContent, MailValue},
};

use crate::{priority::TicketPriority, ticket::SupportTicket};

/// A message about a ticket. All of it but the number is what somebody wrote, so it goes to verified addresses only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportMail {
    /// Number of the ticket.
    pub number: u64,
    /// Subject of the ticket.
    pub subject: String,
    /// Where an answer goes, if mail comes here.
    pub reply_to: Option<String>,
    /// What is said.
    pub news: SupportNews,
}

/// What a message says about a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SupportNews {
    /// To the author: it was opened.
    Opened,
    /// To the author: staff wrote.
    Answered {
        /// What they wrote.
        body: String,
    },
    /// To the author: staff take it for done.
    Resolved,
    /// To whoever answered by mail: it has ended for good, and the answer was not taken.
    Ended,
    /// To staff: somebody opened it.
    DeskOpened {
        /// Name of the customer.
        customer: String,
        /// How much it hurries.
        priority: TicketPriority,
        /// What they wrote.
        body: String,
    },
    /// To staff: the customer wrote.
    DeskAnswered {
        /// Name of the customer.
        customer: String,
        /// What they wrote.
        body: String,
    },
    /// To staff: it was not answered in time.
    DeskBreached {
        /// Name of the customer.
        customer: String,
        /// How much it hurries.
        priority: TicketPriority,
        /// Until when it was to be answered.
        due_at: Option<Timestamp>,
    },
}

impl SupportMail {
    /// A message about a ticket.
    pub fn new(ticket: &SupportTicket, reply_to: Option<String>, news: SupportNews) -> Self {
        Self { number: ticket.number, subject: ticket.subject.clone(), reply_to, news }
    }
}

impl Mail for SupportMail {
    fn content(&self) -> MailContent {
        // Notices that must not be lost: beyond the budget they wait, and are not dropped.
        let content = |key| {
            MailContent::new(key, MailClass::Account)
                .with("number", self.number)
                .written("subject", &self.subject)
        };
        let content = match &self.news {
            SupportNews::Opened => content("support.opened"),
            SupportNews::Answered { body } => content("support.answered").written("body", body),
            SupportNews::Resolved => content("support.resolved"),
            SupportNews::Ended => content("support.ended"),
            SupportNews::DeskOpened { customer, priority, body } => content("support.desk_opened")
                .written("customer", customer)
                .with("priority", MailValue::Line(line_of(*priority)))
                .written("body", body),
            SupportNews::DeskAnswered { customer, body } => {
                content("support.desk_answered").written("customer", customer).written("body", body)
            }
            SupportNews::DeskBreached { customer, priority, due_at } => content("support.desk_breached")
                .written("customer", customer)
                .with("priority", MailValue::Line(line_of(*priority)))
                .with("due_at", *due_at),
        };
        MailContent { reply_to: self.reply_to.clone(), ..content }
    }
}

/// The line that names a priority, among those that all messages share.
const fn line_of(priority: TicketPriority) -> &'static str {
    match priority {
        TicketPriority::Low => "Low",
        TicketPriority::Medium => "Medium",
        TicketPriority::High => "High",
        TicketPriority::Urgent => "Urgent",
    }
}
