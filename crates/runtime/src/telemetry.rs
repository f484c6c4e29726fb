//! Logs and metrics.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io::IsTerminal,
    sync::OnceLock,
    time::Duration,
};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{context, logging, traces};

pub mod catalogue;
pub mod process;

/// Upper bounds of the latency histograms, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 10.0];

/// The commit that was built, where the build names it in `PORTICO_REVISION`.
const REVISION: &str = match option_env!("PORTICO_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The metrics of this process.
#[derive(Clone)]
pub struct Telemetry {
    metrics: PrometheusHandle,
}

impl Telemetry {
    /// Installs the metrics recorder of the process. There is one for a process: a second server in it (tests) shares it.
    pub fn install() -> anyhow::Result<Self> {
        static INSTALLED: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| {
            let recorder = PrometheusBuilder::new()
                .set_buckets_for_metric(Matcher::Suffix("_duration_seconds".into()), &BUCKETS)
                .map_err(|error| error.to_string())?
                .build_recorder();
            let handle = recorder.handle();
            metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
            Ok(handle)
        });
        let metrics = installed.clone().map_err(anyhow::Error::msg)?;
        catalogue::describe();
        metrics::gauge!("portico_build_info", "version" => env!("CARGO_PKG_VERSION"), "revision" => REVISION)
            .set(1.0);
        Ok(Self { metrics })
    }

    /// The metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        self.metrics.render()
    }

    /// Folds recorded values into the histograms, so that memory stays bounded when metrics are not scraped.
    pub fn upkeep(&self) {
        self.metrics.run_upkeep();
    }

    /// Interval at which [`Telemetry::upkeep`] must be called.
    pub const UPKEEP: Duration = Duration::from_secs(5);
}

/// Starts logging to standard error: JSON, or readable text, with colours only on a terminal. `RUST_LOG` selects what is logged. Panics are logged, too.
pub fn start_logging(as_json: bool) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,sea_orm=warn,actix_server=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    // A second call in one process (tests) keeps the first subscriber.
    let _ = match as_json {
        true => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
        false => {
            let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            registry.with(fmt::layer().with_ansi(is_coloured).with_writer(std::io::stderr)).try_init()
        }
    };
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or_default();
        tracing::error!(
            target: "portico::panic", at = panic.location().map(ToString::to_string), error = logging::scrub(text),
            thread = std::thread::current().name(), request_id = context::current().info.id,
            trace_id = traces::current_id(), backtrace, "panicked"
        );
    }));
}
