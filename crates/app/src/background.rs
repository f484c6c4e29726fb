//! Background work: the contribution of each feature, and which process runs what.

use std::{sync::Arc, time::Duration};

use portico_feature_billing::{
    background as billing,
    flows::{receipts, site_sale_mail},
};
use portico_feature_identity::{background as identity, flows::account_mail};
use portico_feature_licensing::background as licensing;
use portico_feature_sites::{
    background as sites,
    flows::{submissions, visits},
};
use portico_feature_support::{background as support, flows::notices as support_notices};
use portico_feature_tenancy::background as tenancy;
use portico_kernel::{Env, Event, NewJob};
use portico_runtime::worker::{Background, Workers, jobs::Handlers, readers::EventReader};
use tokio::{sync::watch, time::sleep};

use crate::{payments_sandbox, state::App};

/// Interval of removing unused rate limit counts.
const FORGET_LIMITS: Duration = Duration::from_secs(60);

/// All handlers. A job may run more than once, and must then have the effect of one run.
pub fn handlers(app: &App) -> Handlers {
    let mut handlers = Handlers::default();
    identity::register(&app.identity, &mut handlers);
    tenancy::register(&app.tenancy, &mut handlers);
    billing::register(&app.billing, &mut handlers);
    licensing::register(&app.licensing, &mut handlers);
    sites::register(&app.sites, &mut handlers);
    support::register(&app.support, &mut handlers);
    handlers
}

/// The messages that an event leads to. One reader for all of them: its cursor has its name.
fn mails_for(env: &Env, event: &Event) -> Vec<NewJob> {
    let mut mails = account_mail::jobs_for(env, event);
    mails.extend(submissions::job_for(env, event));
    mails.extend(receipts::job_for(env, event));
    mails.extend(support_notices::jobs_for(env, event));
    mails.extend(site_sale_mail::jobs_for(env, event));
    mails
}

/// The background work of serving and worker processes.
pub fn wire(app: &App) -> Background {
    let mail = EventReader { name: "account_mail", jobs_for: mails_for };
    Background {
        handlers: Arc::new(handlers(app)),
        readers: [mail].into_iter().chain(identity::readers()).chain(billing::readers()).collect(),
        schedules: sites::schedules(&app.sites)
            .into_iter()
            .chain(tenancy::schedules(&app.tenancy))
            .chain(billing::schedules(&app.billing))
            .chain(licensing::schedules(&app.licensing))
            .chain(support::schedules(&app.support))
            .collect(),
        webhook_client: app.tenancy.webhook_client.clone(),
    }
}

fn for_background(app: &App) -> App {
    App {
        core: app.core.for_background(),
        identity: app.identity.for_background(),
        tenancy: app.tenancy.for_background(),
        billing: app.billing.for_background(),
        licensing: app.licensing.for_background(),
        sites: app.sites.for_background(),
        support: app.support.for_background(),
        ..app.clone()
    }
}

/// Starts all tasks: for a process that both answers requests and does background work.
pub fn start(app: &App) -> Workers {
    let mut workers = start_listening(app);
    let app = for_background(app);
    workers.work(&app.core, wire(&app));
    workers
}

/// Starts only the tasks of a process that answers requests and leaves background work to others.
pub fn start_listening(app: &App) -> Workers {
    let mut workers = Workers::start(&app.core, &wire(app));
    let app = app.clone();
    workers.listen(&app.core.clone(), |stopping| async move {
        tokio::join!(
            visits::run(app.sites.clone(), stopping.clone()),
            forget_idle_limits(&app, stopping.clone()),
            payments_sandbox::run(&app, stopping),
        );
    });
    workers
}

/// Removes unused rate limit counts until shutdown.
async fn forget_idle_limits(app: &App, mut stopping: watch::Receiver<bool>) {
    let Some(limits) = &app.api.limits else { return };
    loop {
        tokio::select! {
            () = sleep(FORGET_LIMITS) => limits.forget_idle(),
            _ = stopping.changed() => return,
        }
    }
}

/// Starts only the tasks of a process that answers no requests.
pub fn start_working(app: &App) -> Workers {
    let mut workers = Workers::start(&app.core, &wire(app));
    let app = for_background(app);
    workers.work(&app.core, wire(&app));
    workers
}
