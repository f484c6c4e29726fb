//! What customers ask support.

use portico_support::ports::{
    CannedReplyRepository, InboundMailRepository, MessageRepository, SupportRepositories, TicketRepository,
};

use crate::{Repositories, db::StatementConnection};

mod canned_replies;
mod inbound_mails;
mod messages;
mod search;
mod tickets;

impl<C: StatementConnection> SupportRepositories for Repositories<C> {
    fn tickets<'c>(&'c mut self) -> Box<dyn TicketRepository + 'c> {
        Box::new(tickets::Tickets { db: self.connection.db() })
    }

    fn support_messages<'c>(&'c mut self) -> Box<dyn MessageRepository + 'c> {
        Box::new(messages::Messages { db: self.connection.db() })
    }

    fn inbound_mails<'c>(&'c mut self) -> Box<dyn InboundMailRepository + 'c> {
        Box::new(inbound_mails::InboundMails { db: self.connection.db() })
    }

    fn canned_replies<'c>(&'c mut self) -> Box<dyn CannedReplyRepository + 'c> {
        Box::new(canned_replies::CannedReplies { db: self.connection.db() })
    }
}
