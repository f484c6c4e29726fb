//! Endpoints that never answer, beside good ones.

use std::time::Duration;

use anyhow::ensure;
use reqwest::Client;
use tokio::{task::JoinSet, time::interval};

use super::{
    Stage,
    blackhole::{Blackhole, Manner},
    sink::{Inbox, Sink},
    tenant::Tenant,
};
use crate::report::{Aim, Report};

/// Events of each tenant in a second.
const PER_SECOND: u32 = 20;

/// Tenants with endpoints that never answer, and how many each has, half of them silent and half of them trickling. Together they
/// could take more calls at once than a process makes.
const BURDENED: usize = 5;
const BLACKHOLES: usize = 18;

/// Events of each of these tenants that come at once when the good endpoints begin to be measured.
const RUSH: usize = 200;

/// The last message has to come within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs it: some tenants have endpoints that never answer, one of these also a good one; another tenant has a good one only.
pub async fn show(stage: &Stage<'_>, seconds: u64, report: &mut Report) -> anyhow::Result<()> {
    println!("{} endpoints of {BURDENED} tenants that never answer, beside good ones", BURDENED * BLACKHOLES);
    let sink = Sink::start()?;
    let (beside, elsewhere) = (sink.inbox(), sink.inbox());
    let silent = Blackhole::open(Manner::Silent).await?;
    let trickling = Blackhole::open(Manner::Trickling).await?;
    let server = stage.server().await?;
    let other = Tenant::come_to(&server.url, "other").await?;
    other.deliver_to(&server.url, &elsewhere).await?;
    let burdened = Tenant::come_to(&server.url, "burdened").await?;
    burdened.deliver_to(&server.url, &beside).await?;
    let mut crowd = vec![burdened.clone()];
    for number in 1..BURDENED {
        crowd.push(Tenant::come_to(&server.url, &format!("burdened-{number}")).await?);
    }
    for tenant in &crowd {
        for blackhole in [&silent, &trickling].into_iter().cycle().take(BLACKHOLES) {
            tenant.webhook(&server.url, &blackhole.url()).await?;
        }
    }
    let mut rush = JoinSet::new();
    for tenant in crowd {
        let url = server.url.clone();
        rush.spawn(async move { tenant.make_pages(&url, "rush", RUSH, 2).await });
    }

    let http = Client::builder().no_proxy().build()?;
    let mut tick = interval(Duration::from_secs(1) / PER_SECOND);
    let number = usize::try_from(seconds)? * usize::try_from(PER_SECOND)?;
    for page in 0..number {
        tick.tick().await;
        let slug = format!("page-{page}");
        tokio::try_join!(
            burdened.make_page(&http, &server.url, &slug),
            other.make_page(&http, &server.url, &slug)
        )?;
    }
    while let Some(made) = rush.join_next().await {
        made??;
    }
    let expected =
        [(&elsewhere, number, "of another tenant"), (&beside, number + RUSH, "of the same tenant")];
    for (inbox, number, owner) in expected {
        inbox.wait_for(number, PATIENCE).await?;
        let mut latencies = latencies(inbox)?;
        latencies.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        println!(
            "  good endpoint {owner}: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms of {} messages",
            at(0.5),
            at(0.99),
            at(1.0),
            latencies.len()
        );
        report.state(
            &format!("good endpoint {owner}, 99th percentile"),
            "ms",
            &[at(0.99)],
            Aim::Below(2000.0),
        );
    }
    let swallowed = [silent.connections(), trickling.connections()];
    ensure!(
        swallowed.iter().all(|connections| *connections > 0),
        "nobody called the blackholes: {swallowed:?}"
    );
    println!("  the silent ones swallowed {} connections, the trickling ones {}", swallowed[0], swallowed[1]);
    // Calls that never end are cut off when the server stops.
    server.server.kill().await
}

/// From event to arrival, in milliseconds.
fn latencies(inbox: &Inbox) -> anyhow::Result<Vec<f64>> {
    let seen = inbox.lock();
    ensure!(seen.wrong.is_empty(), "a delivery was wrong: {}", seen.wrong[0]);
    Ok(seen.messages.values().map(|message| message.latency.as_secs_f64() * 1e3).collect())
}
