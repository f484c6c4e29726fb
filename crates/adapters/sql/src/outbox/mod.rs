//! What every domain writes besides its own tables: events and jobs.

use portico_kernel::{DeadLetters, EventLog, JobQueue, Outbox};
use sea_orm::ConnectionTrait;

use crate::{Repositories, connection::StatementConnection, db::Db};

pub(crate) mod events;
mod feed;
pub(crate) mod jobs;
pub(crate) mod readers;
mod schedules;

impl<C: StatementConnection + Send> Outbox for Repositories<C> {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Box::new(events::Events {
            trace: self.trace(),
            db: Db(&self.connection),
            appended: &mut self.written.events,
        })
    }

    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(jobs::Jobs {
            trace: self.trace(),
            db: Db(&self.connection),
            enqueued: &mut self.written.jobs,
        })
    }
}

impl<C: ConnectionTrait + Send> Repositories<C> {
    /// Dead jobs. Only an open transaction can replay one.
    pub fn dead_letters<'c>(&'c mut self) -> Box<dyn DeadLetters + 'c> {
        Box::new(jobs::Jobs {
            trace: self.trace(),
            db: Db(&self.connection),
            enqueued: &mut self.written.jobs,
        })
    }
}
