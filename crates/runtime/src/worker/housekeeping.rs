//! Figures for metrics, and bounded memory.

use tokio::{sync::watch, time::sleep};

use crate::{
    core::Core,
    telemetry::{Telemetry, process},
};

/// Records figures and cleans up until shutdown.
pub async fn run(core: Core, readers: Vec<&'static str>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        tokio::select! {
            () = sleep(Telemetry::UPKEEP) => {}
            _ = stopping.changed() => {}
        }
        core.telemetry.upkeep();
        process::measure();
        if let Ok(figures) = core.jobs.figures(core.env.now()).await {
            metrics::gauge!("portico_jobs", "state" => "queued").set(figures.queued as f64);
            metrics::gauge!("portico_jobs", "state" => "running").set(figures.running as f64);
            metrics::gauge!("portico_jobs", "state" => "dead").set(figures.dead as f64);
            metrics::gauge!("portico_job_oldest_due_seconds").set(figures.oldest_due.as_seconds_f64());
        }
        if let Ok(figures) = core.deliveries.figures(core.env.now()).await {
            metrics::gauge!("portico_webhook_deliveries_pending").set(figures.pending as f64);
            metrics::gauge!("portico_webhook_oldest_due_seconds").set(figures.oldest_due.as_seconds_f64());
        }
        if let Ok(figures) = core.store.figures(&readers, core.env.now()).await {
            metrics::gauge!("portico_database_connections", "state" => "open").set(f64::from(figures.open));
            metrics::gauge!("portico_database_connections", "state" => "idle").set(f64::from(figures.idle));
            metrics::gauge!("portico_database_connections", "state" => "max").set(f64::from(figures.max));
            for (reader, lag) in figures.event_lag {
                metrics::gauge!("portico_event_lag_seconds", "reader" => reader).set(lag.as_seconds_f64());
            }
        }
    }
}
