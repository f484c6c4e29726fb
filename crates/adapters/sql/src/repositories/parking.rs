//! A unit of work that is complete and waits for one more row before it is committed.

use std::{
    fmt,
    time::{Duration, Instant},
};

use portico_kernel::StoreError;
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};
use tokio::sync::Mutex;

use super::SqlUnitOfWork;

/// How long nobody should let a unit of work wait: it holds a connection, and locks.
const LONG: Duration = Duration::from_millis(500);

/// The place of a request for the unit of work that it has committed last. What is still to be written with it, such as the
/// answer, is written by whoever takes it from here and commits it.
///
/// Dropped with a unit of work in it, that is rolled back.
pub struct Parking(Mutex<State>);

enum State {
    /// With what was parked, if anything.
    Open(Option<Box<Parked>>),
    /// Nobody comes to take anything from here any more.
    Closed,
}

struct Parked {
    work: SqlUnitOfWork,
    since: Instant,
}

impl Parked {
    fn take(self) -> SqlUnitOfWork {
        let waited = self.since.elapsed();
        if waited > LONG {
            tracing::warn!(
                ?waited,
                "a unit of work waited for the answer of its request; it should be committed early"
            );
        }
        self.work
    }
}

impl Default for Parking {
    fn default() -> Self {
        Self(Mutex::new(State::Open(None)))
    }
}

impl fmt::Debug for Parking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Parking")
    }
}

impl Parking {
    /// Puts a unit of work here in place of committing it. One that is here already is committed first, and once the place is
    /// closed this one, too.
    pub async fn park(&self, work: SqlUnitOfWork) -> Result<(), StoreError> {
        let mut state = self.0.lock().await;
        let State::Open(parked) = &mut *state else {
            drop(state);
            return work.commit().await;
        };
        if let Some(earlier) = parked.take() {
            earlier.take().commit().await?;
        }
        *parked = Some(Box::new(Parked { work, since: Instant::now() }));
        Ok(())
    }

    /// Commits what is here, so that it holds whatever comes next.
    pub async fn settle(&self) -> Result<(), StoreError> {
        let mut state = self.0.lock().await;
        if let State::Open(parked) = &mut *state
            && let Some(parked) = parked.take()
        {
            parked.take().commit().await?;
        }
        Ok(())
    }

    /// Takes what is here, and closes the place.
    pub async fn close(&self) -> Option<SqlUnitOfWork> {
        match std::mem::replace(&mut *self.0.lock().await, State::Closed) {
            State::Open(parked) => parked.map(|parked| parked.take()),
            State::Closed => None,
        }
    }

    /// Asks what is here; `None` when there is nothing.
    pub(crate) async fn query(&self, statement: &Statement) -> Option<Result<Vec<QueryResult>, DbErr>> {
        match &*self.0.lock().await {
            State::Open(Some(parked)) => Some(parked.work.connection.query_all_raw(statement.clone()).await),
            _ => None,
        }
    }
}
