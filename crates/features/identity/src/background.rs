//! Background work of accounts: mail, pictures, erasure.

use portico_runtime::worker::{jobs::Handlers, readers::EventReader};

use crate::{
    flows::{account_mail, avatars, notices, users},
    state::App,
};

/// Registers the handlers of this feature's jobs.
pub fn register(app: &App, handlers: &mut Handlers) {
    handlers.on("email.verification", app, |app, job| Box::pin(account_mail::verification(app, job)));
    handlers.on("email.password_reset", app, |app, job| Box::pin(account_mail::password_reset(app, job)));
    handlers.on("email.welcome", app, |app, job| Box::pin(account_mail::welcome(app, job)));
    handlers.on("email.change", app, |app, job| Box::pin(account_mail::email_change(app, job)));
    handlers.on("email.change_notice", app, |app, job| Box::pin(account_mail::email_change_notice(app, job)));
    handlers.on("email.password_changed", app, |app, job| Box::pin(account_mail::password_changed(app, job)));
    handlers.on(notices::TO_ONE, app, |app, job| Box::pin(notices::to_one(app, job)));
    handlers.on(notices::TO_OWNERS, app, |app, job| Box::pin(notices::to_owners(app, job)));
    handlers.on(avatars::PURGE, app, |app, job| Box::pin(avatars::purge(app, job)));
    handlers.on(users::ERASURE, app, |app, job| Box::pin(users::erase_traces(app, job)));
}

/// What follows from events of accounts, besides mail.
pub fn readers() -> [EventReader; 1] {
    [EventReader { name: "avatars", jobs_for: avatars::jobs_for }]
}
