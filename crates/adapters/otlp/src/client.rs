//! The connection to the collector: our HTTP client, called from the exporter's thread.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient as ExportClient, HttpError, Request, Response};
use portico_kernel::http::{HttpClient, HttpMethod, HttpRequest};
use tokio::runtime::Handle;

/// Minimum time between two warnings.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Sends encoded batches.
pub(crate) struct Exports {
    http: Arc<dyn HttpClient>,
    /// The library calls from its own thread, outside of any runtime.
    runtime: Handle,
    warned_at: Mutex<Option<Instant>>,
}

impl Exports {
    pub fn new(http: Arc<dyn HttpClient>, runtime: Handle) -> Self {
        Self { http, runtime, warned_at: Mutex::new(None) }
    }

    fn failed(&self, why: &str) {
        metrics::counter!("portico_trace_exports_total", "outcome" => "failed").increment(1);
        let mut warned_at = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if warned_at.is_none_or(|warned_at| warned_at.elapsed() > WARN_EVERY) {
            *warned_at = Some(Instant::now());
            tracing::warn!(error = why, "spans could not be sent to the collector");
        }
    }
}

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Exports")
    }
}

#[async_trait]
impl ExportClient for Exports {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let text = |(name, value): (&_, &_)| header(name, value);
        let request = HttpRequest {
            method: HttpMethod::Post,
            headers: parts.headers.iter().filter_map(text).collect(),
            body: body.to_vec(),
            ..HttpRequest::get(parts.uri.to_string())
        };
        let http = self.http.clone();
        let answer = match self.runtime.spawn(async move { http.send(request).await }).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                self.failed(&error.to_string());
                return Err(error.into());
            }
            // The runtime is shutting down.
            Err(error) => return Err(error.into()),
        };
        if (200..300).contains(&answer.status) {
            metrics::counter!("portico_trace_exports_total", "outcome" => "sent").increment(1);
        } else {
            self.failed(&format!("the collector answered {}", answer.status));
        }
        let mut response = Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            response = response.header(name, value);
        }
        Ok(response.body(Bytes::from(answer.body))?)
    }
}

fn header(name: &impl ToString, value: &impl AsRef<[u8]>) -> Option<(String, String)> {
    Some((name.to_string(), std::str::from_utf8(value.as_ref()).ok()?.to_owned()))
}
