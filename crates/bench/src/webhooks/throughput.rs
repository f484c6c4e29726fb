//! Deliveries in a second, beside the bare HTTP client.

use std::time::{Duration, Instant};

use anyhow::ensure;
use reqwest::Client;

use super::{
    Stage, bare,
    log::{self, Deliveries},
    sink::{Inbox, Sink},
    tenant::Tenant,
};
use crate::report::{Aim, Report};

/// Tenants, each with one endpoint.
const TENANTS: usize = 4;

/// The last message of a round has to come within this time.
const PATIENCE: Duration = Duration::from_secs(180);

struct Customer {
    tenant: Tenant,
    inbox: std::sync::Arc<Inbox>,
    /// Messages received in earlier rounds.
    messages: usize,
}

/// Runs it. A round of ours begins with events in the log and no process, and ends with the last message in the sink.
pub async fn show(
    stage: &Stage<'_>,
    messages: usize,
    rounds: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    println!("{messages} messages for {TENANTS} tenants, beside the bare client");
    let sink = Sink::start()?;
    let bare_inbox = sink.inbox();
    let server = stage.server().await?;
    let mut customers = Vec::with_capacity(TENANTS);
    for number in 0..TENANTS {
        let tenant = Tenant::come_to(&server.url, &format!("throughput-{number}")).await?;
        let inbox = sink.inbox();
        tenant.webhook(&server.url, &inbox.url).await?;
        tenant.make_page(&Client::new(), &server.url, "first").await?;
        inbox.wait_for(1, PATIENCE).await?;
        customers.push(Customer { tenant, inbox, messages: 1 });
    }
    server.server.stop().await?;

    let mut figures = Vec::with_capacity(rounds);
    for round in 1..=rounds {
        let ours = ours(stage, &mut customers, messages / TENANTS, round).await?;
        let before = bare_inbox.count();
        let took = bare::post(&bare_inbox, messages, BODY, round).await?;
        ensure!(bare_inbox.count() - before == messages, "the sink missed messages of the bare client");
        let bare = messages as f64 / took.as_secs_f64();
        println!("  round {round}: ours {ours:.0}/s, bare {bare:.0}/s");
        figures.push((ours, bare));
    }
    report.compare("deliveries, from event log to sink | HTTP client", "/s", &figures, Aim::AtLeast(0.25));
    Ok(())
}

/// As long as ours are.
const BODY: &str = r#"{"id":"019a0000-0000-7000-8000-000000000000","type":"page.created","timestamp":"2026-11-21T10:00:00.000000Z","tenantId":"019a0000-0000-7000-8000-000000000001","sequence":1,"actor":{"kind":"user","id":"019a0000-0000-7000-8000-000000000002"},"resource":{"type":"page","id":"019a0000-0000-7000-8000-000000000003"},"data":{"id":"019a0000-0000-7000-8000-000000000003","siteId":"019a0000-0000-7000-8000-000000000004","title":"A page that a webhook tells of","slug":"first","status":"draft","isHome":false,"templateId":null,"publishedAt":null,"createdAt":"2026-11-21T10:00:00.000000Z","updatedAt":"2026-11-21T10:00:00.000000Z"},"changes":{}}"#;

/// Deliveries in a second, the start of the worker among the time.
async fn ours(
    stage: &Stage<'_>,
    customers: &mut [Customer],
    each: usize,
    round: usize,
) -> anyhow::Result<f64> {
    for customer in customers.iter_mut() {
        log::append(&stage.database, &customer.tenant.id, each).await?;
        customer.messages += each;
    }
    let begin = Instant::now();
    let worker = stage.worker(&format!("throughput-{round}"))?;
    for customer in customers.iter() {
        customer.inbox.wait_for(customer.messages, PATIENCE).await?;
    }
    let took = begin.elapsed();
    // What is delivered is also recorded before the worker ends.
    worker.stop().await?;
    for Customer { tenant, messages, .. } in customers.iter() {
        let deliveries = Deliveries::of(&stage.database, &tenant.id).await?;
        let expected = Deliveries { succeeded: *messages, pending: 0, failed: 0 };
        ensure!(deliveries == expected, "{deliveries:?} instead of {expected:?}");
    }
    Ok((each * customers.len()) as f64 / took.as_secs_f64())
}
