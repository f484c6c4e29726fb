//! What a tenant uses: of the period and by day, of one whose log has a million events.

use std::time::Instant;

use anyhow::{Context, ensure};
use reqwest::Method;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use time::Duration;

use super::{Rounds, Stage, check, now};
use crate::{
    paced::{self, Pace},
    report::{Aim, Report},
};

/// The statements that fill the log, see there.
const FILL: &str = include_str!("usage.sql");

/// Requests in a second, and their connections: far from what the server can do, so that it is the answers that take the time.
const PACE: (u32, usize) = (100, 10);

/// Days before today in the longest list: with today, the most that can be asked for.
const DAYS: i64 = 365;

/// Fills the log of a tenant.
pub async fn fill(database: &str, tenant: &str) -> anyhow::Result<()> {
    let begin = Instant::now();
    let mut connection = PgConnection::connect(database).await?;
    let sql = AssertSqlSafe(FILL.replace("{tenant}", tenant));
    sqlx::raw_sql(sql).execute(&mut connection).await.context("usage.sql")?;
    let count = "select count(*) from events where tenant_id = $1::uuid";
    let events: i64 = sqlx::query_scalar(count).bind(tenant).fetch_one(&mut connection).await?;
    ensure!(events >= 1_000_000, "the tenant has {events} events");
    println!("{events} events of one tenant, in {:.1} s", begin.elapsed().as_secs_f64());
    Ok(())
}

/// Measures it.
pub async fn measure(stage: &Stage, rounds: Rounds, report: &mut Report) -> anyhow::Result<()> {
    let first = now().into_inner().date() - Duration::days(DAYS);
    let year = format!("/billing/usage/daily?from={first}");
    for (name, path) in [
        ("usage of the period", "/billing/usage".to_owned()),
        ("usage of 30 days", "/billing/usage/daily".to_owned()),
        ("usage of 366 days", year),
    ] {
        right(stage, &path).await?;
        let mix = vec![stage.asked_by_customer(&path)];
        let (rate, connections) = PACE;
        let pace = Pace { rate, seconds: rounds.seconds, connections };
        let label = |round: usize| format!("usage-{}-{round}", path.len());
        // The first time fills caches.
        paced::run(&label(0), &mix, Pace { seconds: 1, ..pace }).await?;
        let (mut medians, mut slow) = (Vec::new(), Vec::new());
        for round in 1..=rounds.number {
            let outcome = paced::run(&label(round), &mix, pace).await?;
            check(&outcome)?;
            println!(
                "  round {round}: {name}, p50 {:.1} ms, p99 {:.1} ms",
                outcome.p50 / 1e3,
                outcome.p99 / 1e3
            );
            medians.push(outcome.p50 / 1e3);
            slow.push(outcome.p99 / 1e3);
        }
        report.state(&format!("{name}: median"), "ms", &medians, Aim::None);
        report.state("  99th percentile", "ms", &slow, Aim::Below(10.0));
    }
    Ok(())
}

/// The figures are those that were filled in: nothing is quick by being absent.
async fn right(stage: &Stage, path: &str) -> anyhow::Result<()> {
    let answer = stage.by_customer(Method::GET, path, None).await?;
    let items = answer["items"].as_array().context("no items")?;
    if path == "/billing/usage" {
        let sites = items.iter().find(|item| item["meter"] == "sites").context("no sites")?;
        ensure!(sites["used"].as_u64() >= Some(1), "{sites}");
        return Ok(());
    }
    let today = now().into_inner().date();
    for days in [1, 29] {
        let date = (today - Duration::days(days)).to_string();
        let bandwidth =
            items.iter().find(|item| item["meter"] == "bandwidth" && item["date"] == date.as_str());
        let used = bandwidth.with_context(|| format!("no bandwidth of {date}"))?["used"].as_i64();
        ensure!(used == Some(1_000_000 + days), "{used:?} on {date}");
    }
    Ok(())
}
