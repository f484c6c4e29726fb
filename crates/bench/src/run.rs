//! The measurements, in their order.

use std::{path::Path, time::Duration};

use anyhow::{Context, bail, ensure};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    Cli, Part,
    customer::Customer,
    database::Temporary,
    load::{self, LoadTarget, Outcome},
    report::{Aim, Report},
    servers::{self, CROWD, POOL, Running},
};

/// Connections of clients in the measurements of throughput.
const CONNECTIONS: usize = 64;
/// How often a cold start is measured.
const STARTS: usize = 10;
/// After this time without requests a server counts as idle.
const REST: Duration = Duration::from_secs(5);
/// Sites in the database besides the one that is asked for.
const SITES: i32 = 10_000;
/// Under load before the first round, so that pools and caches are filled.
const WARM_UP_SECONDS: u64 = 1;

/// Measures what was asked for, and prints the table.
pub async fn everything(cli: &Cli, database: &Temporary) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("portico-bench-").tempdir()?;
    let (small, large, bare) =
        (directory.path().join("sqlite"), directory.path().join("postgres"), directory.path().join("bare"));
    for path in [&small, &large, &bare] {
        std::fs::create_dir(path)?;
    }
    let mut report = Report::default();
    alone(cli, &mut report, "SQLite", None, &small).await?;
    alone(cli, &mut report, "Postgres", Some(&database.url()), &large).await?;
    if [Part::Read, Part::Crowd, Part::Published, Part::Create].into_iter().any(|part| cli.wants(part)) {
        beside(cli, &mut report, database, &large, &bare).await?;
    }
    println!(
        "\n{} cores; {}; {} workers and {POOL} connections to it each; {} rounds of {} s; {CONNECTIONS} connections of \
         clients unless it says otherwise; everything on this machine, at once.\n",
        servers::workers(),
        database.description().await?,
        servers::workers(),
        cli.rounds,
        cli.seconds,
    );
    println!("{}", report.text());
    Ok(())
}

/// What our server does by itself: start and rest.
async fn alone(
    cli: &Cli,
    report: &mut Report,
    name: &str,
    database: Option<&str>,
    directory: &Path,
) -> anyhow::Result<()> {
    if !cli.wants(Part::Start) && !cli.wants(Part::Idle) {
        return Ok(());
    }
    // The first start migrates and seeds, which is not what is measured.
    servers::portico(database, directory).await?.server.stop().await?;
    if cli.wants(Part::Start) {
        let mut times = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let running = servers::portico(database, directory).await?;
            times.push(running.started_in.as_secs_f64() * 1e3);
            running.server.stop().await?;
        }
        report.state(&format!("start, migrated, {name}"), "ms", &times, Aim::Below(100.0));
    }
    if cli.wants(Part::Idle) {
        let running = servers::portico(database, directory).await?;
        tokio::time::sleep(REST).await;
        let memory = running.server.resident_megabytes()?;
        report.state(&format!("memory, idle, {name}"), "MB", &[memory], Aim::Below(45.0));
        running.server.stop().await?;
    }
    Ok(())
}

/// What our server does beside the bare one.
async fn beside(
    cli: &Cli,
    report: &mut Report,
    database: &Temporary,
    ours: &Path,
    bare: &Path,
) -> anyhow::Result<()> {
    let ours = servers::portico(Some(&database.url()), ours).await?;
    let customer = Customer::come_to(&ours.url).await?;
    database.make_bare_tables().await?;
    database.add_sites(&customer.tenant, SITES).await?;
    let body = bare.join("body");
    std::fs::write(&body, &customer.published)?;
    let pair = Pair { ours, bare: servers::bare(&database.url(), &body, bare).await?, directory: bare };
    let targets = Targets::new(&pair, &customer);
    targets.check(&customer).await?;

    if cli.wants(Part::Read) {
        let rounds = pair.rounds(cli, "signed-in read", &targets.read, CONNECTIONS).await?;
        throughput(report, "signed-in read of a page | select by key", &rounds, Aim::AtLeast(0.6));
        cpu(report, "  CPU for each request", &rounds, Aim::AtMost(2.0));
    }
    if cli.wants(Part::Published) {
        let rounds = pair.rounds(cli, "published page", &targets.published, CONNECTIONS).await?;
        throughput(report, "published page, among 10,000 sites | fixed bytes", &rounds, Aim::AtLeast(0.8));
        cpu(report, "  CPU for each request", &rounds, Aim::None);
    }
    if cli.wants(Part::Crowd) {
        let rounds = pair.rounds(cli, "signed-in read, 1,000 connections", &targets.read, CROWD).await?;
        throughput(report, "signed-in read, 1,000 connections", &rounds, Aim::None);
        let p99: Vec<_> =
            rounds.iter().map(|(ours, bare)| (ours.outcome.p99 / 1e3, bare.outcome.p99 / 1e3)).collect();
        report.compare("  99th percentile of latency", "ms", &p99, Aim::AtMost(2.5));
    }
    if cli.wants(Part::Create) {
        let before = Rows::count(database).await?;
        let rounds = pair.rounds(cli, "creation of a page", &targets.create, CONNECTIONS).await?;
        let after = Rows::count(database).await?;
        let created = |measurement: &Measurement| measurement.outcome.requests - measurement.outcome.refused;
        check_written("ours", before.ours, after.ours, rounds.iter().map(|(ours, _)| created(ours)).sum())?;
        check_written("bare", before.bare, after.bare, rounds.iter().map(|(_, bare)| created(bare)).sum())?;
        throughput(report, "creation of a page | two inserts", &rounds, Aim::AtLeast(0.6));
        cpu(report, "  CPU for each request", &rounds, Aim::None);
    }
    tokio::time::sleep(REST).await;
    let memory = (pair.ours.server.resident_megabytes()?, pair.bare.server.resident_megabytes()?);
    report.compare("memory after the load", "MB", &[memory], Aim::None);
    let Pair { ours, bare: _bare, .. } = pair;
    ours.server.stop().await
}

/// Rows of pages and events that each server has written.
struct Rows {
    ours: [i64; 2],
    bare: [i64; 2],
}

impl Rows {
    async fn count(database: &Temporary) -> anyhow::Result<Self> {
        let ours = [database.count("pages").await?, database.count("events").await?];
        let bare = [database.count("bare_pages").await?, database.count("bare_events").await?];
        Ok(Self { ours, bare })
    }
}

/// A server that answers without writing would be fast. There may be more rows than answers: of the warm-up, and of
/// requests that were under way when a round ended.
fn check_written(name: &str, before: [i64; 2], after: [i64; 2], answers: u64) -> anyhow::Result<()> {
    for (table, (before, after)) in ["pages", "events"].into_iter().zip(before.into_iter().zip(after)) {
        let written = u64::try_from(after - before)?;
        ensure!(written >= answers, "{name}: {written} rows of {table} for {answers} answers");
    }
    Ok(())
}

/// The same request, to both servers.
struct Question {
    ours: LoadTarget,
    bare: LoadTarget,
}

/// All questions.
struct Targets {
    read: Question,
    published: Question,
    create: Question,
}

impl Targets {
    fn new(pair: &Pair<'_>, customer: &Customer) -> Self {
        let Customer { token, tenant, site, page, host, .. } = customer;
        let (ours, bare) = (&pair.ours.url, &pair.bare.url);
        let to_bare =
            |path: String| LoadTarget { url: format!("{bare}{path}"), headers: Vec::new(), creates: false };
        let signed_in = |path: String| LoadTarget {
            url: format!("{ours}/api/v1/tenants/{tenant}{path}"),
            headers: vec![("Authorization", format!("Bearer {token}"))],
            creates: false,
        };
        Self {
            read: Question {
                ours: signed_in("/pages/slug/home".to_owned()),
                bare: to_bare(format!("/tenants/{tenant}/pages/{page}")),
            },
            published: Question {
                ours: LoadTarget {
                    url: format!("{ours}/"),
                    headers: vec![("Host", host.clone())],
                    creates: false,
                },
                bare: to_bare("/fixed".to_owned()),
            },
            create: Question {
                ours: LoadTarget { creates: true, ..signed_in(format!("/pages?siteId={site}")) },
                bare: LoadTarget {
                    creates: true,
                    ..to_bare(format!("/tenants/{tenant}/sites/{site}/pages"))
                },
            },
        }
    }

    /// Both servers must give the answers that are then counted.
    async fn check(&self, customer: &Customer) -> anyhow::Result<()> {
        for target in [&self.read.ours, &self.read.bare] {
            let page: Value = serde_json::from_slice(&answer(target, 200).await?)?;
            ensure!(
                page["id"] == customer.page.as_str() && page["slug"] == "home",
                "{} answered {page}",
                target.url
            );
        }
        for target in [&self.published.ours, &self.published.bare] {
            let bytes = answer(target, 200).await?;
            ensure!(bytes == customer.published, "{} answered other bytes than those published", target.url);
        }
        for target in [&self.create.ours, &self.create.bare] {
            let page: Value = serde_json::from_slice(&answer(target, 201).await?)?;
            ensure!(
                page["slug"] == "first" && page["siteId"] == customer.site.as_str(),
                "{} answered {page}",
                target.url
            );
        }
        Ok(())
    }
}

async fn answer(target: &LoadTarget, expected: u16) -> anyhow::Result<Vec<u8>> {
    let http = Client::builder().no_proxy().build()?;
    let mut request = if target.creates {
        http.post(&target.url).json(&json!({"title": "A page before the load", "slug": "first"}))
    } else {
        http.get(&target.url)
    };
    for (name, value) in &target.headers {
        request = request.header(*name, value);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let body = response.bytes().await?.to_vec();
    if status != expected {
        bail!("{} answered {status}: {}", target.url, String::from_utf8_lossy(&body));
    }
    Ok(body)
}

/// Both servers.
struct Pair<'a> {
    ours: Running,
    bare: Running,
    /// For the files of the load generator.
    directory: &'a Path,
}

/// Measurement of one server in one round.
struct Measurement {
    outcome: Outcome,
    /// Microseconds of processor time for each request.
    cpu: f64,
}

impl Pair<'_> {
    /// Ours, bare, ours, bare …
    async fn rounds(
        &self,
        cli: &Cli,
        name: &str,
        question: &Question,
        connections: usize,
    ) -> anyhow::Result<Vec<(Measurement, Measurement)>> {
        println!("{name}");
        for (number, running, target) in [(0, &self.ours, &question.ours), (1, &self.bare, &question.bare)] {
            let label = format!("warm{number}-{connections}");
            measure(self.directory, &label, running, target, connections, WARM_UP_SECONDS).await?;
        }
        let mut rounds = Vec::with_capacity(cli.rounds);
        for round in 1..=cli.rounds {
            let label = format!("round{round}-{connections}");
            let ours =
                measure(self.directory, &label, &self.ours, &question.ours, connections, cli.seconds).await?;
            let bare =
                measure(self.directory, &label, &self.bare, &question.bare, connections, cli.seconds).await?;
            println!("  round {round}: ours {}; bare {}", ours.text(), bare.text());
            rounds.push((ours, bare));
        }
        Ok(rounds)
    }
}

async fn measure(
    directory: &Path,
    label: &str,
    running: &Running,
    target: &LoadTarget,
    connections: usize,
    seconds: u64,
) -> anyhow::Result<Measurement> {
    let before = running.server.cpu_seconds()?;
    let outcome =
        load::run(directory, label, target, connections, seconds).await.context(target.url.clone())?;
    let used = running.server.cpu_seconds()? - before;
    Ok(Measurement { outcome, cpu: used * 1e6 / outcome.requests as f64 })
}

impl Measurement {
    fn text(&self) -> String {
        let Outcome { p50, p99, failed, refused, .. } = self.outcome;
        let mut text = format!(
            "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms, CPU {:.0} µs",
            self.outcome.per_second(),
            p50 / 1e3,
            p99 / 1e3,
            self.cpu
        );
        if self.outcome.errors() > 0 {
            text += &format!(", {failed} FAILED, {refused} REFUSED");
        }
        text
    }
}

/// Answers in a second, and the errors among them.
fn throughput(report: &mut Report, name: &str, rounds: &[(Measurement, Measurement)], aim: Aim) {
    let values: Vec<_> =
        rounds.iter().map(|(ours, bare)| (ours.outcome.per_second(), bare.outcome.per_second())).collect();
    report.compare(name, "/s", &values, aim);
    let errors = |pick: fn(&(Measurement, Measurement)) -> &Measurement| {
        rounds.iter().map(|round| pick(round).outcome.errors()).sum::<u64>()
    };
    report.errors(errors(|(ours, _)| ours), errors(|(_, bare)| bare));
}

fn cpu(report: &mut Report, name: &str, rounds: &[(Measurement, Measurement)], aim: Aim) {
    let values: Vec<_> = rounds.iter().map(|(ours, bare)| (ours.cpu, bare.cpu)).collect();
    report.compare(name, "µs", &values, aim);
}
