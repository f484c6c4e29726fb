//! Figures for metrics, and keeping memory and tables bounded.

use tokio::{sync::watch, time::sleep};

use crate::{http::problem::chain, state::App, telemetry::Telemetry};

/// Rounds after which idle rate limit keys are forgotten.
const FORGET_EVERY: u32 = 12;

/// Rounds after which expired rows are deleted.
const SWEEP_EVERY: u32 = 120;

/// Takes figures and tidies up until told to stop.
pub async fn run(app: App, mut stopping: watch::Receiver<bool>) {
    let mut round: u32 = 0;
    while !*stopping.borrow() {
        tokio::select! {
            () = sleep(Telemetry::UPKEEP) => {}
            _ = stopping.changed() => {}
        }
        app.telemetry.upkeep();
        round = round.wrapping_add(1);
        if round.is_multiple_of(FORGET_EVERY) {
            app.forms.forget_idle();
        }
        if round.is_multiple_of(FORGET_EVERY)
            && let Some(limits) = &app.limits
        {
            limits.forget_idle();
        }
        if round % SWEEP_EVERY == 1 {
            match app.store.sweep(app.env.now()).await {
                Ok(0) => {}
                Ok(rows) => tracing::debug!(rows, "expired rows deleted"),
                Err(error) => tracing::warn!(error = %chain(&error), "expired rows could not be deleted"),
            }
        }
        if let Ok(figures) = app.jobs.figures(app.env.now()).await {
            metrics::gauge!("jobs", "state" => "queued").set(figures.queued as f64);
            metrics::gauge!("jobs", "state" => "running").set(figures.running as f64);
            metrics::gauge!("jobs", "state" => "dead").set(figures.dead as f64);
            metrics::gauge!("job_oldest_due_seconds").set(figures.oldest_due.as_seconds_f64());
        }
        if let Ok(figures) = app.store.figures(app.env.now()).await {
            metrics::gauge!("database_connections", "state" => "open").set(f64::from(figures.open));
            metrics::gauge!("database_connections", "state" => "idle").set(f64::from(figures.idle));
            for (reader, lag) in figures.event_lag {
                metrics::gauge!("event_lag_seconds", "reader" => reader).set(lag.as_seconds_f64());
            }
        }
    }
}
