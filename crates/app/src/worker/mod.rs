//! What runs in the background: jobs, readers of the event log, housekeeping.

mod announcements;
mod broadcasts;
mod clock;
pub mod handlers;
mod housekeeping;
mod jobs;
mod key_usage;
mod pace;
mod readers;
pub mod retention;
pub mod schedules;
pub mod visits;

pub use readers::READERS;

use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{state::App, webhooks};

/// The tasks of this process besides answering requests.
pub struct Workers {
    /// Work that any process may do.
    background: Tasks,
    /// What this process needs for itself.
    own: Tasks,
}

impl Workers {
    /// Starts everything: for a process that answers requests and works, too.
    pub fn start(app: &App) -> Self {
        let mut workers = Self::start_listening(app);
        workers.work(app);
        workers
    }

    /// Starts only what a process needs that answers requests and leaves the work to others.
    pub fn start_listening(app: &App) -> Self {
        let mut workers = Self::hearing(app);
        workers.own.spawn(app, key_usage::run);
        workers.own.spawn(app, visits::run);
        workers
    }

    /// Starts only what a process does that answers no requests.
    pub fn start_working(app: &App) -> Self {
        let mut workers = Self::hearing(app);
        workers.work(app);
        workers
    }

    fn hearing(app: &App) -> Self {
        let mut own = Tasks::default();
        own.spawn(app, announcements::run);
        own.spawn(app, broadcasts::run);
        own.spawn(app, housekeeping::run);
        Self { background: Tasks::default(), own }
    }

    fn work(&mut self, app: &App) {
        let app = &App { store: app.store.for_background(), ..app.clone() };
        self.background.spawn(app, clock::run);
        self.background.spawn(app, jobs::run);
        self.background.spawn(app, readers::run);
        self.background.spawn(app, webhooks::run);
        self.background.spawn(app, schedules::run);
    }

    /// Takes no new work, and waits until running work has ended, at most `patience`. What is not done by then is done by
    /// another worker once its lease has ended. Goes on with what requests need.
    pub async fn stop_working(&mut self, patience: Duration) {
        std::mem::take(&mut self.background).stop(patience).await;
    }

    /// Ends the rest, too, once there are no more requests.
    pub async fn stop(mut self, patience: Duration) {
        self.stop_working(patience).await;
        self.own.stop(patience).await;
    }
}

/// Tasks that stop together.
#[derive(Default)]
struct Tasks {
    stop: watch::Sender<bool>,
    running: Vec<JoinHandle<()>>,
}

impl Tasks {
    fn spawn<F>(&mut self, app: &App, task: fn(App, watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.push(tokio::spawn(task(app.clone(), self.stop.subscribe())));
    }

    async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        let all = futures_util::future::join_all(self.running);
        if timeout(patience, all).await.is_err() {
            tracing::warn!("background work did not end in time; its leases will run out");
        }
    }
}
