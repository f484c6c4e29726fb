//! Figures for metrics, and keeping memory bounded.

use tokio::{sync::watch, time::sleep};

use crate::{
    state::App,
    telemetry::{Telemetry, process},
};

/// Rounds after which idle rate limit keys are forgotten.
const FORGET_EVERY: u32 = 12;

/// Takes figures and tidies up until told to stop.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    let mut round: u32 = 0;
    while !*stopping.borrow() {
        tokio::select! {
            () = sleep(Telemetry::UPKEEP) => {}
            _ = stopping.changed() => {}
        }
        app.telemetry.upkeep();
        process::measure();
        round = round.wrapping_add(1);
        if round.is_multiple_of(FORGET_EVERY)
            && let Some(limits) = &app.limits
        {
            limits.forget_idle();
        }
        if let Ok(figures) = app.jobs.figures(app.env.now()).await {
            metrics::gauge!("jobs", "state" => "queued").set(figures.queued as f64);
            metrics::gauge!("jobs", "state" => "running").set(figures.running as f64);
            metrics::gauge!("jobs", "state" => "dead").set(figures.dead as f64);
            metrics::gauge!("job_oldest_due_seconds").set(figures.oldest_due.as_seconds_f64());
        }
        if let Ok(figures) = app.deliveries.figures(app.env.now()).await {
            metrics::gauge!("webhook_deliveries_pending").set(figures.pending as f64);
            metrics::gauge!("webhook_oldest_due_seconds").set(figures.oldest_due.as_seconds_f64());
        }
        if let Ok(figures) = app.store.figures(app.env.now()).await {
            metrics::gauge!("database_connections", "state" => "open").set(f64::from(figures.open));
            metrics::gauge!("database_connections", "state" => "idle").set(f64::from(figures.idle));
            metrics::gauge!("database_connections", "state" => "max").set(f64::from(figures.max));
            for (reader, lag) in figures.event_lag {
                metrics::gauge!("event_lag_seconds", "reader" => reader).set(lag.as_seconds_f64());
            }
        }
    }
}
