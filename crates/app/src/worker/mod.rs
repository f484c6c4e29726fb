//! What runs in the background: jobs, readers of the event log, housekeeping.

mod announcements;
pub mod handlers;
mod housekeeping;
mod jobs;
mod key_usage;
mod readers;
pub mod retention;
pub mod visits;

pub use readers::READERS;

use std::time::Duration;

use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::state::App;

/// The background tasks of this process.
pub struct Workers {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts them.
    pub fn start(app: &App) -> Self {
        let (stop, stopping) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(announcements::run(app.clone(), stopping.clone())),
            tokio::spawn(jobs::run(app.clone(), stopping.clone())),
            tokio::spawn(key_usage::run(app.clone(), stopping.clone())),
            tokio::spawn(visits::run(app.clone(), stopping.clone())),
            tokio::spawn(readers::run(app.clone(), stopping.clone())),
            tokio::spawn(retention::run(app.clone(), stopping.clone())),
            tokio::spawn(housekeeping::run(app.clone(), stopping)),
        ];
        Self { stop, tasks }
    }

    /// Starts only what a process needs that answers requests and leaves the work to others.
    pub fn start_listening(app: &App) -> Self {
        let (stop, stopping) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(announcements::run(app.clone(), stopping.clone())),
            tokio::spawn(visits::run(app.clone(), stopping.clone())),
            tokio::spawn(key_usage::run(app.clone(), stopping)),
        ];
        Self { stop, tasks }
    }

    /// Takes no new work, and waits until running work has ended, at most `patience`. What is not done by then is done by
    /// another worker once its lease has ended.
    pub async fn stop(self, patience: Duration) {
        let _ = self.stop.send(true);
        let all = futures_util::future::join_all(self.tasks);
        if timeout(patience, all).await.is_err() {
            tracing::warn!("background work did not end in time; its leases will run out");
        }
    }
}
