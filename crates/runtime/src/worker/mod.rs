//! Background work: jobs, readers of the event log, housekeeping.

mod announcements;
mod broadcasts;
mod clock;
pub mod failures;
mod housekeeping;
pub mod jobs;
mod key_usage;
mod leases;
mod pace;
pub mod readers;
pub mod retention;
pub mod schedules;
pub mod usage;

use std::{sync::Arc, time::Duration};

use portico_kernel::http::HttpClient;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use self::{jobs::Handlers, readers::EventReader, schedules::Schedule};
use crate::{core::Core, webhooks};

/// The background work of the features.
pub struct Background {
    /// Handlers of jobs, by type.
    pub handlers: Arc<Handlers>,
    /// Readers of the event log, by the names of their cursors.
    pub readers: Arc<[EventReader]>,
    /// Periodic work, besides that of this crate.
    pub schedules: Arc<[Schedule]>,
    /// HTTP client for receivers of webhooks.
    pub webhook_client: Arc<dyn HttpClient>,
}

impl Background {
    /// The names of all cursors of the event log.
    pub fn reader_names(&self) -> Vec<&'static str> {
        let own = [webhooks::READER, readers::SEALER];
        self.readers.iter().map(|reader| reader.name).chain(own).collect()
    }
}

/// The background tasks of a process.
pub struct Workers {
    /// Work that any process may do.
    background: Tasks,
    /// Tasks that this process needs for itself.
    own: Tasks,
}

impl Workers {
    /// Starts the tasks that every process needs: receiving the announcements of others, metrics, and checking
    /// what tenants use.
    pub fn start(core: &Core, background: &Background) -> Self {
        let mut workers = Self { background: Tasks::default(), own: Tasks::default() };
        let readers = background.reader_names();
        workers.own.spawn(|stopping| announcements::run(core.clone(), stopping));
        workers.own.spawn(|stopping| broadcasts::run(core.clone(), stopping));
        workers.own.spawn(|stopping| housekeeping::run(core.clone(), readers, stopping));
        workers.own.spawn(|stopping| usage::run(core.for_background(), stopping));
        workers
    }

    /// Starts the tasks of a process that answers requests, including one of its features.
    pub fn listen<F>(&mut self, core: &Core, task: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.own.spawn(|stopping| key_usage::run(core.clone(), stopping));
        self.own.spawn(task);
    }

    /// Starts the work that any process may do. `core` is to be one [for the background](Core::for_background).
    pub fn work(&mut self, core: &Core, background: Background) {
        let names = background.reader_names();
        let Background { handlers, readers, schedules, webhook_client } = background;
        let tasks = &mut self.background;
        tasks.spawn(|stopping| clock::run(core.clone(), stopping));
        tasks.spawn(|stopping| jobs::run(core.clone(), handlers, stopping));
        tasks.spawn(|stopping| readers::run(core.clone(), readers, stopping));
        tasks.spawn(|stopping| webhooks::run(core.clone(), webhook_client, stopping));
        tasks.spawn(|stopping| {
            schedules::run(core.clone(), schedules::all(core, names, &schedules), stopping)
        });
    }

    /// Stops taking new work, and waits at most `patience` until running work has ended. Work not done by then is done by
    /// another worker once its lease has expired. The tasks that requests need keep running.
    pub async fn stop_working(&mut self, patience: Duration) {
        std::mem::take(&mut self.background).stop(patience).await;
    }

    /// Stops the remaining tasks, once there are no more requests.
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
    fn spawn<F>(&mut self, task: impl FnOnce(watch::Receiver<bool>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.push(tokio::spawn(task(self.stop.subscribe())));
    }

    async fn stop(self, patience: Duration) {
        self.stop.send_replace(true);
        let all = futures_util::future::join_all(self.running);
        if timeout(patience, all).await.is_err() {
            tracing::warn!("background work did not end in time; its leases will run out");
        }
    }
}
