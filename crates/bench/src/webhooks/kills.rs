//! Two workers, one of which is killed every half second.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use tokio::time::interval;
use uuid::Uuid;

use super::{
    Stage,
    log::{self, Deliveries},
    sink::{Seen, Sink},
    tenant::Tenant,
};
use crate::report::{Aim, Report};

/// How often a worker is killed.
const EVERY: Duration = Duration::from_millis(500);

/// Pages are made so many at a time.
const AT_ONCE: usize = 16;

/// After this time without the last message, something is lost. What a killed worker held comes back when its lease ends.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs it.
pub async fn show(stage: &Stage<'_>, number: usize, report: &mut Report) -> anyhow::Result<()> {
    println!("{number} events, two workers, one of them killed every half second");
    let sink = Sink::start()?;
    let inbox = sink.inbox();
    let server = stage.server().await?;
    let tenant = Tenant::come_to(&server.url, "kills").await?;
    tenant.deliver_to(&server.url, &inbox).await?;
    server.server.stop().await?;

    let front = stage.front().await?;
    let mut workers = [stage.worker("worker-a-0")?, stage.worker("worker-b-0")?];
    let begin = Instant::now();
    let making = {
        let (tenant, url) = (tenant.clone(), front.url.clone());
        tokio::spawn(async move { tenant.make_pages(&url, "page", number, AT_ONCE).await })
    };
    let all = inbox.wait_for(number, PATIENCE);
    tokio::pin!(all);
    let mut kills = 0_usize;
    let mut tick = interval(EVERY);
    tick.tick().await;
    loop {
        tokio::select! {
            outcome = &mut all => {
                outcome?;
                break;
            }
            _ = tick.tick() => {
                let (slot, name) = if kills.is_multiple_of(2) { (0, "a") } else { (1, "b") };
                let fresh = stage.worker(&format!("worker-{name}-{}", kills + 1))?;
                std::mem::replace(&mut workers[slot], fresh).kill().await?;
                kills += 1;
            }
        }
    }
    let took = begin.elapsed();
    let made = making.await??;
    // What was delivered and not recorded before a kill is delivered again once its lease ends. Then no delivery is pending.
    settle(&stage.database, &tenant.id, number).await?;
    for worker in workers {
        worker.kill().await?;
    }
    front.server.stop().await?;

    let events = log::events(&stage.database, &tenant.id).await?;
    let seen = inbox.lock();
    let repeats = check(&seen, &made, &events)?;
    println!(
        "  all {number} arrived {:.1} s after the first was made, {kills} kills; {repeats} repeats, each under its own id",
        took.as_secs_f64()
    );
    report.state("events made while workers are killed", "", &[number as f64], Aim::None);
    report.state("  kills", "", &[kills as f64], Aim::None);
    report.state("  repeats, all with the webhook-id of the first", "", &[repeats as f64], Aim::None);
    report.errors((number - seen.messages.len().min(number)) as u64, 0);
    Ok(())
}

/// Waits until the log of deliveries says that every message succeeded.
async fn settle(database: &str, tenant: &str, number: usize) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let deliveries = Deliveries::of(database, tenant).await?;
        if deliveries.succeeded == number && deliveries.pending == 0 {
            return Ok(());
        }
        ensure!(begin.elapsed() < PATIENCE, "the deliveries do not come to an end: {deliveries:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Every page that was acknowledged, and every event of the log, came, under one id each, and nothing else did. Returns how
/// many deliveries were repeats.
fn check(seen: &Seen, made: &[String], events: &[Uuid]) -> anyhow::Result<usize> {
    ensure!(
        seen.wrong.is_empty(),
        "{} deliveries were wrong, the first: {}",
        seen.wrong.len(),
        seen.wrong[0]
    );
    let mut ids: HashMap<&str, &str> = HashMap::new();
    for (id, message) in &seen.messages {
        let other = ids.insert(&message.resource, id);
        ensure!(other.is_none(), "page {} came as {id} and as {other:?}", message.resource);
    }
    for page in made {
        ids.get(page.as_str()).with_context(|| format!("page {page} was acknowledged, and never came"))?;
    }
    let came: HashSet<&str> = seen.messages.keys().map(|id| id.strip_prefix("evt_").unwrap_or(id)).collect();
    for event in events {
        ensure!(came.contains(event.to_string().as_str()), "event {event} never came");
    }
    ensure!(
        came.len() == events.len() && events.len() == made.len(),
        "{} messages, {} events, {} pages",
        came.len(),
        events.len(),
        made.len()
    );
    Ok(seen.deliveries - seen.messages.len())
}
