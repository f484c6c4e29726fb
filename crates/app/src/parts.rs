//! What the server uses, and whether it answers.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use portico_kernel::files::FileStore;
use portico_runtime::logging;
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

/// Timeout of a check.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How long the state of the file store is not asked for again: probes come every second or two, and a bucket costs by request.
const STORAGE_AGE: Duration = Duration::from_secs(10);

/// State of a part that the server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// It answers.
    Ok,
    /// It does not answer.
    Unavailable,
    /// It is not in use.
    Disabled,
}

impl From<bool> for PartState {
    fn from(answers: bool) -> Self {
        if answers { Self::Ok } else { Self::Unavailable }
    }
}

/// The state of the file store, asked for at intervals.
pub struct StorageProbe {
    files: Arc<dyn FileStore>,
    last: Mutex<Option<(Instant, PartState)>>,
}

impl StorageProbe {
    /// Of this store.
    pub fn new(files: Arc<dyn FileStore>) -> Self {
        Self { files, last: Mutex::default() }
    }

    /// Whether it answers, as found out a moment ago.
    pub async fn state(&self) -> PartState {
        let mut last = self.last.lock().await;
        match *last {
            Some((asked, state)) if asked.elapsed() < STORAGE_AGE => state,
            _ => {
                let answer = timeout(PATIENCE, self.files.ping()).await;
                if let Ok(Err(error)) = &answer {
                    logging::warn("the file store does not answer", error);
                }
                let state = PartState::from(matches!(answer, Ok(Ok(()))));
                *last = Some((Instant::now(), state));
                state
            }
        }
    }
}
