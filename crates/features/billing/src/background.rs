//! Background work of billing: events of the payment provider, payments that are open, subscriptions, mail.

use std::time::Duration;

use portico_runtime::worker::{jobs::Handlers, readers::EventReader, schedules::Schedule};

use crate::{
    flows::{payments, receipts, site_hand_over, site_return, site_sale_mail, site_sales, subscriptions},
    state::App,
};

/// Interval of asking about payments and subscriptions that are due.
const MINUTE: Duration = Duration::from_secs(60);

/// Registers the handlers of this feature's jobs.
pub fn register(app: &App, handlers: &mut Handlers) {
    handlers.on(app, |app, event, job| Box::pin(payments::work_off(app, event, job)));
    handlers.on(app, |app, mail, job| Box::pin(receipts::confirm(app, mail, job)));
    handlers.on(app, |app, ended, job| Box::pin(subscriptions::end_of_deleted(app, ended, job)));
    handlers.on(app, |app, followed, job| Box::pin(subscriptions::follow_deletion(app, followed, job)));
    handlers.on(app, |app, sale, job| Box::pin(site_hand_over::hand_over(app, sale, job)));
    handlers.on(app, |app, order, job| Box::pin(site_return::give_back(app, order, job)));
    handlers.on(app, |app, mail, job| Box::pin(site_sale_mail::to_buyer(app, mail, job)));
    handlers.on(app, |app, mail, job| Box::pin(site_sale_mail::to_owners(app, mail, job)));
    handlers.on(app, |app, mail, job| Box::pin(site_sale_mail::to_owner(app, mail, job)));
}

/// Event readers that start background work other than mail.
pub fn readers() -> [EventReader; 1] {
    [EventReader { name: "subscriptions_of_deleted", jobs_for: subscriptions::jobs_for }]
}

/// Periodic jobs of this feature.
pub fn schedules(app: &App) -> [Schedule; 3] {
    [
        Schedule::new("payments", MINUTE, app, |app| Box::pin(payments::look_after(app))),
        Schedule::new("site_payments", MINUTE, app, |app| Box::pin(site_sales::look_after(app))),
        Schedule::new("subscriptions", MINUTE, app, |app| Box::pin(subscriptions::look_after(app))),
    ]
}
