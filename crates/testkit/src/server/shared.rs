//! Servers that tests use one after the other.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use portico::settings::Settings;
use tokio::runtime::{Builder, Runtime};

use super::{Database, TestServer};

/// A server that tests use one after the other.
pub(super) struct Shared {
    pub(super) server: TestServer,
    /// Its runtime, which outlives those of the tests.
    pub(super) runtime: Runtime,
}

/// The servers of [`TestServer::shared`]. As many are started as tests run at once.
#[derive(Default)]
struct Pool {
    /// Servers that no test uses now.
    idle: Vec<Shared>,
    /// Tests that use one now.
    users: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { idle: Vec::new(), users: 0 });

impl Shared {
    fn start() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        // On a thread of its own: a runtime cannot be entered from within another one.
        let starting = thread::spawn(move || {
            let server = runtime.block_on(TestServer::start_with(Database::Postgres, for_many));
            Self { server, runtime }
        });
        starting.join().expect("a shared server starts")
    }

    fn stop(self) -> thread::Result<()> {
        let stopping = thread::spawn(move || {
            self.runtime.block_on(self.server.stop());
            self.runtime.shutdown_timeout(Duration::from_secs(10));
        });
        stopping.join()
    }
}

/// The use of a shared server by one test.
pub(super) struct Use(pub(super) Option<Shared>);

impl Use {
    /// Takes an idle server, or starts another one.
    pub(super) fn begin() -> Self {
        let idle = {
            let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            pool.users += 1;
            pool.idle.pop()
        };
        Self(Some(idle.unwrap_or_else(Shared::start)))
    }
}

impl Drop for Use {
    /// Leaves the server to the next test, unless this one has failed. When no test uses any, all are stopped: nothing is
    /// called at the end of a test run. Stopping one checks the statements that were run on its database.
    fn drop(&mut self) {
        let mut to_stop = Vec::new();
        {
            let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
            pool.users -= 1;
            if thread::panicking() {
                to_stop.extend(self.0.take())
            } else {
                pool.idle.extend(self.0.take())
            }
            if pool.users == 0 {
                to_stop.append(&mut pool.idle);
            }
        }
        let stopped: Vec<_> = to_stop.into_iter().map(Shared::stop).collect();
        if !thread::panicking()
            && let Some(fault) = stopped.into_iter().find_map(Result::err)
        {
            std::panic::resume_unwind(fault);
        }
    }
}

/// Settings of a shared server: a limit that one test exhausts must not fail another.
fn for_many(settings: &mut Settings) {
    settings.security.throttle.per_network = u32::MAX;
}
