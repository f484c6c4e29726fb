//! Growth: whether an installation with a thousand times the rows answers as fast, sends the same statements, finds by indexes what it
//! looks for, and needs as much memory.
//!
//! ```text
//! cargo build --release -p portico
//! scripts/with-postgres cargo run --release -p portico-bench -- growth --write docs
//! ```

mod installation;
mod operations;
mod picture;
mod plans;
mod report;

use std::{collections::HashMap, path::PathBuf, time::Duration};

use anyhow::{Context, ensure};
use url::Url;

use self::{
    installation::{Installation, on_server},
    operations::{OPERATIONS, Operation},
    plans::{Checked, Log},
    report::{Measured, Results},
};
use crate::{servers::Running, unless_told_to_stop};

/// Requests before those that are measured, on each size: prepared statements have their lasting plan from the sixth time on.
const WARM_UP: usize = 12;

/// Requests of each kind while plans are noted.
const NOTED: usize = 12;

/// How long the background works while plans are noted; scheduled work begins after ten seconds.
const BACKGROUND: Duration = Duration::from_secs(20);

/// Whether an installation with a thousand times the rows answers as fast, with the same statements and memory.
#[derive(clap::Args)]
pub struct Growth {
    /// The server to measure, instead of the one beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// How often the smallest amount is in the databases, ascending.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1000])]
    sizes: Vec<u32>,
    /// Requests of each kind to each size.
    #[arg(long, default_value_t = 200)]
    requests: usize,
    /// The sizes alternate so often.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure only operations with this in their name; may be repeated.
    #[arg(long)]
    only: Vec<String>,
    /// Writes growth.md and its pictures into this directory.
    #[arg(long)]
    write: Option<PathBuf>,
    /// Leaves the databases there, to look at plans by hand.
    #[arg(long)]
    keep: bool,
}

/// Measures, prints the table and the plans that are bad, and writes the document. Returns whether nothing grows that must not.
pub async fn run(arguments: &Growth) -> anyhow::Result<bool> {
    ensure!(
        arguments.sizes.len() > 1 && arguments.sizes.is_sorted() && arguments.sizes[0] > 0,
        "--sizes takes at least two, ascending"
    );
    ensure!(
        arguments.rounds > 0 && arguments.requests >= arguments.rounds,
        "--requests takes at least one for each round"
    );
    let server = std::env::var("PORTICO_TEST_POSTGRES_URL").ok().filter(|url| !url.is_empty());
    let server: Url =
        server.context("PORTICO_TEST_POSTGRES_URL is not set; run it by scripts/with-postgres")?.parse()?;
    let name = |size: u32| format!("portico_growth_{}_{size}", std::process::id());
    let outcome = unless_told_to_stop(everything(arguments, &server, name)).await;
    for size in &arguments.sizes {
        if arguments.keep {
            println!("kept: {}", name(*size));
        } else {
            on_server(&server, &format!("drop database if exists {} with (force)", name(*size))).await?;
        }
    }
    outcome
}

async fn everything(arguments: &Growth, server: &Url, name: impl Fn(u32) -> String) -> anyhow::Result<bool> {
    let directory = tempfile::Builder::new().prefix("portico-growth-").tempdir()?;
    let operations: Vec<&Operation> =
        OPERATIONS.iter().filter(|operation| arguments.wants(operation)).collect();
    let mut installations = Vec::new();
    for size in &arguments.sizes {
        let program = arguments.server.clone();
        let made = Installation::new(server, &name(*size), *size, program, directory.path()).await?;
        if installations.is_empty() {
            answers(&made, &operations).await?;
        }
        installations.push(made);
    }
    let [smallest, .., largest] = &*installations else { unreachable!("there are at least two") };
    println!("plans");
    let (_, small) = planned(smallest, &operations).await?;
    let (checked, large) = planned(largest, &operations).await?;
    let mut servers = Vec::new();
    for installation in &installations {
        servers.push(installation.serve(false).await?);
    }
    let mut measured = Vec::new();
    for operation in &operations {
        let one = measure(arguments, operation, &installations, &servers).await?;
        println!("{}", one.line());
        measured.push(one);
    }
    let memory = servers
        .iter()
        .map(|running| Ok(running.server.memory()?.anonymous))
        .collect::<anyhow::Result<_>>()?;
    for running in servers {
        running.server.stop().await?;
    }
    let results = Results {
        sizes: arguments.sizes.clone(),
        measured,
        memory,
        background_memory: [small, large],
        checked,
    };
    println!("\n{}", results.summary());
    if let Some(directory) = &arguments.write {
        results.write(directory)?;
    }
    Ok(results.good())
}

impl Growth {
    fn wants(&self, operation: &Operation) -> bool {
        let name = format!("{}: {}", operation.group, operation.name);
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }
}

/// Whether each operation is answered as it is to be, before much is filled.
async fn answers(installation: &Installation, operations: &[&Operation]) -> anyhow::Result<()> {
    let running = installation.serve(false).await?;
    for operation in operations {
        installation.ask(&running.url, operation, 900).await.with_context(|| operation.name)?;
    }
    running.server.stop().await
}

/// Carries out everything while Postgres notes the plans, with the work in the background. Returns what is wrong with them, and the
/// memory of the server afterwards.
async fn planned(installation: &Installation, operations: &[&Operation]) -> anyhow::Result<(Checked, f64)> {
    let mut connection = installation.connect().await?;
    plans::explain(&mut connection).await?;
    let mut log = Log::open(&mut connection).await?;
    let running = installation.serve(true).await?;
    log.note("start")?;
    for operation in operations {
        for n in 0..NOTED {
            // Other numbers than those that are measured: names can be taken once.
            installation.ask(&running.url, operation, 1_000 + n).await.with_context(|| operation.name)?;
        }
        log.note(operation.name)?;
    }
    tokio::time::sleep(BACKGROUND).await;
    log.note("background")?;
    let memory = running.server.memory()?.anonymous;
    running.server.stop().await?;
    log.note("stop")?;
    plans::stop_explaining(&mut connection).await?;
    Ok((log.check(&installation.tables(plans::LARGE).await?)?, memory))
}

/// Sends one kind of request to each size in turn.
async fn measure(
    arguments: &Growth,
    operation: &'static Operation,
    installations: &[Installation],
    servers: &[Running],
) -> anyhow::Result<Measured> {
    let mut measured = Measured::new(
        operation,
        installations.iter().map(|installation| installation.size),
        arguments.rounds,
    );
    let in_round = arguments.requests / arguments.rounds;
    for (installation, running) in installations.iter().zip(servers) {
        for n in 0..WARM_UP {
            installation.ask(&running.url, operation, n).await.with_context(|| operation.name)?;
        }
    }
    let mut connections = Vec::new();
    for installation in installations {
        connections.push(installation.connect().await?);
    }
    let mut sent = vec![HashMap::<i64, i64>::new(); installations.len()];
    for round in 0..arguments.rounds {
        for (place, (installation, running)) in installations.iter().zip(servers).enumerate() {
            let before = installation.sent(&mut connections[place]).await?;
            for n in 0..in_round {
                let n = WARM_UP + round * in_round + n;
                let answer = installation.ask(&running.url, operation, n).await;
                let (took, length) = answer.with_context(|| operation.name)?;
                measured.add(place, round, took, length);
            }
            for (statement, calls) in installation.sent(&mut connections[place]).await? {
                *sent[place].entry(statement).or_default() += calls - before.get(&statement).unwrap_or(&0);
            }
        }
    }
    let requests = (in_round * arguments.rounds) as f64;
    // What is sent less than once for two requests is not of the requests.
    measured.statements =
        sent.iter().map(|sent| sent.values().map(|calls| (*calls as f64 / requests).round()).sum()).collect();
    Ok(measured)
}
