//! Background work of tenants: invitations, deletion, webhooks, growth.

use portico_kernel::Job;
use portico_runtime::worker::{
    jobs::{Handlers, JobError, scope},
    schedules::{HOUR, Schedule},
};
use portico_tenancy::{lifecycle::DeleteTenant, tenant::Tenants};

use crate::{
    flows::{deliveries, growth, invitations},
    state::App,
};

/// Registers the handlers of this feature's jobs.
pub fn register(app: &App, handlers: &mut Handlers) {
    handlers.on(app, |app, mail, job| Box::pin(invitations::mail(app, mail, job)));
    handlers.on(app, |app, DeleteTenant {}, job| Box::pin(delete_tenant(app, job)));
    handlers.on(app, |app, plan, job| Box::pin(deliveries::resend(app, plan, job)));
}

/// Periodic jobs of this feature.
pub fn schedules(app: &App) -> [Schedule; 2] {
    [
        Schedule::new("delivery_retention", HOUR, app, |app| Box::pin(deliveries::forget(app))),
        Schedule::new("growth", HOUR, app, |app| Box::pin(growth::record(app))),
    ]
}

/// Deletes a tenant whose grace period is over, unless the deletion was cancelled.
async fn delete_tenant(app: &App, job: &Job) -> Result<(), JobError> {
    let mut work = app.core.begin().await?;
    Tenants::new(&mut *work, &scope(job), &app.core.env).finish_deletion().await?;
    work.commit().await?;
    Ok(())
}
