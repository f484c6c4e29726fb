//! Until when an answer is waited for, by what is known of the database.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{DbErr, RuntimeErr, sqlx};
use tokio::time::{Instant, timeout_at};

use crate::error::is_storage_failure;

/// What the uses of a database tell about it. Shared by all connections to it.
pub(crate) struct Health {
    started: Instant,
    /// How long a statement waits while the database answers nobody.
    silence: Duration,
    /// When a statement was answered last, in microseconds after `started`.
    answered: AtomicU64,
    /// Whether something asks the database several times a second, so that a second without an answer means something.
    beats: AtomicBool,
    /// When the storage below failed to write, in microseconds after `started`; 0 once a commit has succeeded since.
    write_failed: AtomicU64,
    /// Whether the transaction that used SQLite's writing connection last may not have ended as the library thinks.
    in_doubt: AtomicBool,
}

impl Health {
    /// Nothing is known; `silence` is how long a statement waits while the database answers nobody.
    pub fn new(silence: Duration) -> Self {
        Self {
            started: Instant::now(),
            silence,
            answered: AtomicU64::new(0),
            beats: AtomicBool::new(false),
            write_failed: AtomicU64::new(0),
            in_doubt: AtomicBool::new(false),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// A task that asks the database several times a second was answered.
    pub fn beat(&self) {
        self.beats.store(true, Ordering::Relaxed);
        self.answered.store(self.now(), Ordering::Relaxed);
    }

    /// Until when to wait for a statement that was begun then. Who begins while nobody has been answered for some time waits for a
    /// moment only, unless it is patient: background work, by which it is noticed that the database is back.
    fn deadline(&self, begun: Instant, limit: Duration, is_patient: bool) -> Instant {
        if !self.beats.load(Ordering::Relaxed) {
            return begun + limit;
        }
        let answered = self.started + Duration::from_micros(self.answered.load(Ordering::Relaxed));
        let is_known = !is_patient && begun >= answered + self.silence / 2;
        let patience = if is_known { self.silence / 4 } else { self.silence };
        (begun.max(answered) + patience).min(begun + limit)
    }

    /// Notes how a statement ended.
    fn note(&self, error: Option<&DbErr>) -> Outcome {
        let outcome = error.map_or(Outcome::Answered, outcome);
        match outcome {
            Outcome::Answered => self.answered.store(self.now(), Ordering::Relaxed),
            Outcome::NotSent => {}
            Outcome::InDoubt => {
                if error.is_some_and(is_storage_failure) {
                    self.failed_to_write();
                }
                self.in_doubt.store(true, Ordering::Release);
            }
        }
        outcome
    }

    /// The storage below failed to write.
    pub fn failed_to_write(&self) {
        self.write_failed.store(self.now(), Ordering::Relaxed);
    }

    /// Whether the connection that is given back is in doubt. Asked once for each.
    pub fn take_doubt(&self) -> bool {
        self.in_doubt.swap(false, Ordering::AcqRel)
    }

    /// A transaction was made durable.
    pub fn committed(&self) {
        self.write_failed.store(0, Ordering::Relaxed);
    }

    /// Whether writing failed no longer ago than that, and nothing was written since.
    pub fn has_failed_within(&self, time: Duration) -> bool {
        let failed = self.write_failed.load(Ordering::Relaxed);
        failed != 0 && Duration::from_micros(self.now().saturating_sub(failed)) < time
    }

    /// Whether writing failed, however long ago, and nothing was written since.
    pub fn has_failed(&self) -> bool {
        self.write_failed.load(Ordering::Relaxed) != 0
    }
}

/// How a statement ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The database did it, or said why not.
    Answered,
    /// There was no connection for it.
    NotSent,
    /// The connection broke, the statement was given up, or the storage failed.
    InDoubt,
}

pub(crate) fn outcome(error: &DbErr) -> Outcome {
    match error {
        DbErr::ConnectionAcquire(_) => Outcome::NotSent,
        DbErr::Conn(RuntimeErr::SqlxError(cause))
        | DbErr::Exec(RuntimeErr::SqlxError(cause))
        | DbErr::Query(RuntimeErr::SqlxError(cause)) => match &**cause {
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Outcome::NotSent,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Outcome::InDoubt,
            _ if is_storage_failure(error) => Outcome::InDoubt,
            _ => Outcome::Answered,
        },
        _ => Outcome::Answered,
    }
}

/// For how long a statement is waited for, and where it is noted how it ended.
#[derive(Clone)]
pub(crate) struct Deadline {
    pub limit: Duration,
    /// Whether it waits as long as ever while the database is known to answer nobody.
    pub is_patient: bool,
    pub health: Arc<Health>,
}

impl Deadline {
    /// Waits for an answer until the deadline, or until the database has answered nobody for a while.
    pub async fn bounded<T>(&self, asked: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let answer = self.in_time(asked).await;
        let answer = answer.unwrap_or_else(|| Err(given_up("the database did not answer in time")));
        self.health.note(answer.as_ref().err());
        answer
    }

    /// Waits as long for something that tells nothing about the database; `None` at the deadline.
    pub async fn in_time<T>(&self, awaited: impl Future<Output = T>) -> Option<T> {
        let begun = Instant::now();
        let mut awaited = pin!(awaited);
        loop {
            let until = self.health.deadline(begun, self.limit, self.is_patient);
            match timeout_at(until, &mut awaited).await {
                Ok(result) => return Some(result),
                // Others may have been answered meanwhile.
                Err(_) if self.health.deadline(begun, self.limit, self.is_patient) > until => {}
                Err(_) => return None,
            }
        }
    }
}

pub(crate) fn given_up(why: &'static str) -> DbErr {
    let error = std::io::Error::new(std::io::ErrorKind::TimedOut, why);
    DbErr::Conn(RuntimeErr::SqlxError(Arc::new(sqlx::Error::Io(error))))
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(500);
    const SILENCE: Duration = Duration::from_millis(100);

    fn deadline() -> Deadline {
        Deadline { limit: LIMIT, is_patient: false, health: Arc::new(Health::new(SILENCE)) }
    }

    async fn asked(deadline: &Deadline, takes: Duration) -> (bool, Duration) {
        let begun = Instant::now();
        let answer = deadline.bounded(async {
            sleep(takes).await;
            Ok(())
        });
        (answer.await.is_ok(), begun.elapsed())
    }

    #[tokio::test]
    async fn a_statement_is_given_up_at_its_deadline() {
        let store = deadline();
        assert!(asked(&store, LIMIT / 2).await.0);
        let (answered, took) = asked(&store, LIMIT * 20).await;
        assert!(!answered && took >= LIMIT && took < LIMIT * 20, "{took:?}");
        assert!(store.health.take_doubt() && !store.health.take_doubt());
    }

    #[tokio::test]
    async fn what_the_database_says_against_a_statement_is_no_doubt() {
        let store = deadline();
        let refused = DbErr::Query(RuntimeErr::SqlxError(Arc::new(sqlx::Error::RowNotFound)));
        store.bounded::<()>(async { Err(refused) }).await.unwrap_err();
        assert!(!store.health.take_doubt());
        store.bounded::<()>(async { Err(given_up("the connection broke")) }).await.unwrap_err();
        assert!(store.health.take_doubt());
    }

    #[tokio::test]
    async fn while_the_database_answers_nobody_the_wait_is_shorter() {
        let store = deadline();
        store.health.beat();
        let (answered, took) = asked(&store, LIMIT).await;
        assert!(!answered && took >= SILENCE && took < LIMIT, "{took:?}");
        let (answered, took) = asked(&store, LIMIT).await;
        assert!(!answered && took >= SILENCE / 4 && took < SILENCE, "it is known by now: {took:?}");
        let background = Deadline { is_patient: true, ..store.clone() };
        let (answered, took) = asked(&background, LIMIT).await;
        assert!(!answered && took >= SILENCE && took < LIMIT, "{took:?}");
        store.health.beat();
        assert!(asked(&store, SILENCE / 2).await.0, "it is back");
    }

    #[tokio::test]
    async fn a_slow_statement_of_a_database_that_answers_others_has_its_time() {
        let store = deadline();
        let health = store.health.clone();
        let beating = tokio::spawn(async move {
            loop {
                health.beat();
                sleep(SILENCE / 10).await;
            }
        });
        sleep(Duration::from_millis(1)).await;
        assert!(asked(&store, LIMIT / 2).await.0);
        beating.abort();
    }

    #[tokio::test]
    async fn writing_counts_as_failing_until_it_succeeds_or_for_some_seconds() {
        let health = Health::new(SILENCE);
        let (moment, hour) = (Duration::from_millis(10), Duration::from_secs(3600));
        assert!(!health.has_failed() && !health.has_failed_within(hour));
        health.failed_to_write();
        sleep(moment).await;
        assert!(health.has_failed() && health.has_failed_within(hour) && !health.has_failed_within(moment));
        health.committed();
        assert!(!health.has_failed());
    }
}
