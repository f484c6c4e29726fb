//! What every domain writes besides its own tables: events and jobs.

use portico_kernel::{DeadLetters, EventLog, JobQueue, Outbox};

use crate::{Repositories, SqlUnitOfWork, db::StatementConnection};

pub(crate) mod events;
mod feed;
pub(crate) mod jobs;
pub(crate) mod readers;
mod schedules;

impl<C: StatementConnection> Outbox for Repositories<C> {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Box::new(events::Events {
            trace: self.trace(),
            db: self.connection.db(),
            appended: &mut self.written.events,
        })
    }

    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(jobs::Jobs {
            trace: self.trace(),
            db: self.connection.db(),
            enqueued: &mut self.written.jobs,
        })
    }
}

impl SqlUnitOfWork {
    /// Dead jobs. Only an open transaction can replay one.
    pub fn dead_letters<'c>(&'c mut self) -> Box<dyn DeadLetters + 'c> {
        Box::new(jobs::Jobs {
            trace: self.trace(),
            db: self.connection.db(),
            enqueued: &mut self.written.jobs,
        })
    }
}
