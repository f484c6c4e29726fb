//! What runs in the background: jobs, readers of the event log, housekeeping.

mod announcements;
mod broadcasts;
mod clock;
mod housekeeping;
pub mod jobs;
mod key_usage;
mod pace;
pub mod readers;
pub mod retention;
pub mod schedules;

use std::{sync::Arc, time::Duration};

use portico_kernel::http::HttpClient;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use self::{jobs::Handlers, readers::EventReader, schedules::Schedule};
use crate::{core::Core, webhooks};

/// What the features have done in the background.
pub struct Background {
    /// Who does jobs of which kind.
    pub handlers: Arc<Handlers>,
    /// Readers of the event log, by the names of their cursors.
    pub readers: Arc<[EventReader]>,
    /// What is done at intervals, besides what this crate does itself.
    pub schedules: Arc<[Schedule]>,
    /// Calls the receivers of webhooks.
    pub webhook_client: Arc<dyn HttpClient>,
}

impl Background {
    /// The names of all cursors of the event log.
    pub fn reader_names(&self) -> Vec<&'static str> {
        let own = [webhooks::READER, readers::SEALER];
        self.readers.iter().map(|reader| reader.name).chain(own).collect()
    }
}

/// The tasks of a process besides answering requests.
pub struct Workers {
    /// Work that any process may do.
    background: Tasks,
    /// What this process needs for itself.
    own: Tasks,
}

impl Workers {
    /// Starts what every process needs: it hears what others commit, and looks after its figures.
    pub fn start(core: &Core, background: &Background) -> Self {
        let mut workers = Self { background: Tasks::default(), own: Tasks::default() };
        let readers = background.reader_names();
        workers.own.spawn(|stopping| announcements::run(core.clone(), stopping));
        workers.own.spawn(|stopping| broadcasts::run(core.clone(), stopping));
        workers.own.spawn(|stopping| housekeeping::run(core.clone(), readers, stopping));
        workers
    }

    /// Starts what a process needs that answers requests, besides a task of its own that its features bring.
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
