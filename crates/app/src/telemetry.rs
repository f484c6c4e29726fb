//! Logs and metrics.

use std::{sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::Profile;

/// Upper bounds of the latency histograms, in seconds.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

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
        metrics::describe_histogram!("http_request_duration_seconds", "Time to answer, by route and status.");
        metrics::describe_histogram!("job_duration_seconds", "Time to do a job, by kind and outcome.");
        metrics::describe_gauge!("jobs", "Jobs by state.");
        metrics::describe_gauge!("job_oldest_due_seconds", "How long the oldest job that is due has waited.");
        metrics::describe_gauge!(
            "event_lag_seconds",
            "Age of the oldest event that a reader has not read, by reader."
        );
        metrics::describe_gauge!("database_connections", "Connections of the pool, by state.");
        Ok(Self { metrics })
    }

    /// The metrics in the Prometheus text format.
    pub fn render(&self) -> String {
        self.metrics.render()
    }

    /// Folds recorded values into the histograms, so that memory stays bounded when nobody asks for them.
    pub fn upkeep(&self) {
        self.metrics.run_upkeep();
    }

    /// How often [`Telemetry::upkeep`] wants to be called.
    pub const UPKEEP: Duration = Duration::from_secs(5);
}

/// Starts logging to standard error: JSON in production, readable text otherwise. `RUST_LOG` chooses what is logged.
pub fn start_logging(profile: Profile) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn,sea_orm=warn,actix_server=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    // A second start in one process (tests) keeps the first one.
    let _ = match profile {
        Profile::Production => {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
        }
        Profile::Development => registry.with(fmt::layer().with_writer(std::io::stderr)).try_init(),
    };
}
