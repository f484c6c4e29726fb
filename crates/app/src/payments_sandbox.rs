//! Webhooks of the payments sandbox that runs in this process.
//!
//! They go to the same use case as those that come over HTTP, with their signatures, and not through a socket: our client calls no
//! loopback address, and the address of the server is not always one that it can call itself at.

use std::{io, time::Duration};

use portico_billing::payment::Provider;
use portico_feature_billing::flows::payments;
use portico_kernel::{RequestInfo, Scope};
use portico_payments_sandbox::embedded::EmbeddedSandbox;
use portico_runtime::logging;
use tokio::{sync::watch, time::sleep};

use crate::state::App;

/// How long to wait after the state could not be read or stored.
const PAUSE: Duration = Duration::from_secs(5);

/// Delivers webhooks as they fall due, until shutdown.
pub async fn run(app: &App, mut stopping: watch::Receiver<bool>) {
    let Some(sandbox) = &app.payments_sandbox else { return };
    loop {
        let pause = deliver(app, sandbox).await.unwrap_or_else(|error| {
            logging::warn("the payments sandbox cannot be read or stored", &error);
            PAUSE
        });
        tokio::select! {
            () = sleep(pause) => {}
            () = sandbox.called() => {}
            _ = stopping.changed() => return,
        }
    }
}

/// Delivers what is due, and answers how long until there may be more. What was not taken comes again.
async fn deliver(app: &App, sandbox: &EmbeddedSandbox) -> io::Result<Duration> {
    let (due, pause) = sandbox.due_webhooks().await?;
    let scope = Scope::anonymous(RequestInfo::default());
    let mut outcomes = Vec::with_capacity(due.len());
    for delivery in due {
        let headers: Vec<(String, String)> =
            delivery.headers.into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        let taken = payments::receive(&app.billing, &scope, Provider::Stripe, &headers, &delivery.body).await;
        if let Err(error) = &taken {
            logging::warn("a webhook of the payments sandbox was not taken", error);
        }
        outcomes.push((delivery.id, taken.is_ok()));
    }
    if !outcomes.is_empty() {
        sandbox.acknowledge(outcomes).await?;
    }
    Ok(pause)
}
