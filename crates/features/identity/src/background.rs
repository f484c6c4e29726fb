//! Background work of accounts: mail, pictures, erasure.

use portico_runtime::worker::{jobs::Handlers, readers::EventReader};

use crate::{
    flows::{account_mail, avatars, notices, users},
    state::App,
};

/// Registers the handlers of this feature's jobs.
pub fn register(app: &App, handlers: &mut Handlers) {
    handlers.on(app, |app, to, job| Box::pin(account_mail::verification(app, to, job)));
    handlers.on(app, |app, to, job| Box::pin(account_mail::password_reset(app, to, job)));
    handlers.on(app, |app, to, job| Box::pin(account_mail::welcome(app, to, job)));
    handlers.on(app, |app, to, job| Box::pin(account_mail::email_change(app, to, job)));
    handlers.on(app, |app, to, job| Box::pin(account_mail::email_change_notice(app, to, job)));
    handlers.on(app, |app, to, job| Box::pin(account_mail::password_changed(app, to, job)));
    handlers.on(app, |app, notice, job| Box::pin(notices::to_one(app, notice, job)));
    handlers.on(app, |app, notice, job| Box::pin(notices::to_owners(app, notice, job)));
    handlers.on(app, |app, purge, _| Box::pin(avatars::purge(app, purge)));
    handlers.on(app, |app, erasure, job| Box::pin(users::erase_traces(app, erasure, job)));
}

/// Event readers that start background work other than mail.
pub fn readers() -> [EventReader; 1] {
    [EventReader { name: "avatars", jobs_for: avatars::jobs_for }]
}
