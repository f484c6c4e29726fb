//! What the features do in the background.

pub mod handlers;
pub mod visits;

use std::{sync::Arc, time::Duration};

use portico_runtime::worker::{
    Background, Workers,
    readers::EventReader,
    schedules::{HOUR, Schedule},
};
use tokio::{sync::watch, time::sleep};

use crate::{
    flows::{account_mail, avatars, deliveries},
    state::App,
};

/// How often limits are forgotten that nobody has used for a while.
const FORGET_LIMITS: Duration = Duration::from_secs(60);

/// What is done besides answering requests, by those who answer them and by those who only work.
pub fn of(app: &App) -> Background {
    Background {
        handlers: Arc::new(handlers::all(app)),
        readers: [
            EventReader { name: "account_mail", jobs_for: account_mail::jobs_for },
            EventReader { name: "avatars", jobs_for: avatars::jobs_for },
        ]
        .into(),
        schedules: [
            Schedule::new("site_retention", HOUR, app, |app| Box::pin(visits::forget(app))),
            Schedule::new("delivery_retention", HOUR, app, |app| Box::pin(deliveries::forget(app))),
        ]
        .into(),
        webhook_client: app.webhook_client.clone(),
    }
}

fn for_background(app: &App) -> App {
    App { core: app.core.for_background(), ..app.clone() }
}

/// Starts everything: for a process that answers requests and works, too.
pub fn start(app: &App) -> Workers {
    let mut workers = start_listening(app);
    let app = for_background(app);
    workers.work(&app.core, of(&app));
    workers
}

/// Starts only what a process needs that answers requests and leaves the work to others.
pub fn start_listening(app: &App) -> Workers {
    let mut workers = Workers::start(&app.core, &of(app));
    let app = app.clone();
    workers.listen(&app.core.clone(), |stopping| async move {
        tokio::join!(visits::run(app.clone(), stopping.clone()), forget_idle_limits(&app, stopping));
    });
    workers
}

/// Forgets limits that nobody has used for a while, until told to stop.
async fn forget_idle_limits(app: &App, mut stopping: watch::Receiver<bool>) {
    let Some(limits) = &app.limits else { return };
    loop {
        tokio::select! {
            () = sleep(FORGET_LIMITS) => limits.forget_idle(),
            _ = stopping.changed() => return,
        }
    }
}

/// Starts only what a process does that answers no requests.
pub fn start_working(app: &App) -> Workers {
    let mut workers = Workers::start(&app.core, &of(app));
    let app = for_background(app);
    workers.work(&app.core, of(&app));
    workers
}
