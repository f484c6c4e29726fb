//! What the server uses, and whether it answers.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use portico_kernel::{files::FileStore, malware::MalwareScanner};
use portico_runtime::logging;
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

/// Timeout of a check.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How long the state of a part is not asked for again: probes come every second or two, and a bucket costs by request.
const AGE: Duration = Duration::from_secs(10);

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

/// What a part outside said last, which is asked at intervals.
#[derive(Default)]
struct Probe(Mutex<Option<(Instant, PartState)>>);

impl Probe {
    /// Whether the part answers, as found out a moment ago. Where it does not, `silent` is logged.
    async fn state<E: Error + 'static>(
        &self,
        silent: &'static str,
        ask: impl Future<Output = Result<(), E>>,
    ) -> PartState {
        let mut last = self.0.lock().await;
        match *last {
            Some((asked, state)) if asked.elapsed() < AGE => state,
            _ => {
                let answer = timeout(PATIENCE, ask).await;
                if let Ok(Err(error)) = &answer {
                    logging::warn(silent, error);
                }
                let state = PartState::from(matches!(answer, Ok(Ok(()))));
                *last = Some((Instant::now(), state));
                state
            }
        }
    }
}

/// The state of the file store.
pub struct StorageProbe {
    files: Arc<dyn FileStore>,
    last: Probe,
}

impl StorageProbe {
    /// Of this store.
    pub fn new(files: Arc<dyn FileStore>) -> Self {
        Self { files, last: Probe::default() }
    }

    /// Whether it answers, as found out a moment ago.
    pub async fn state(&self) -> PartState {
        self.last.state("the file store does not answer", self.files.ping()).await
    }
}

/// The state of the scanner for malware.
pub struct ScannerProbe {
    scanner: Option<Arc<dyn MalwareScanner>>,
    last: Probe,
}

impl ScannerProbe {
    /// Of this scanner, if there is one.
    pub fn new(scanner: Option<Arc<dyn MalwareScanner>>) -> Self {
        Self { scanner, last: Probe::default() }
    }

    /// Whether it answers, as found out a moment ago.
    pub async fn state(&self) -> PartState {
        match &self.scanner {
            Some(scanner) => self.last.state("the scanner for malware does not answer", scanner.ping()).await,
            None => PartState::Disabled,
        }
    }
}
