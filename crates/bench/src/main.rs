//! Measures Portico beside bare actix routes that do the minimum for the same work, in one run on Postgres:
//!
//! ```text
//! cargo build --release -p portico
//! scripts/with-postgres cargo run --release -p portico-bench
//! ```
//!
//! Everything runs on this machine and shares its cores: load generator, server under test, and Postgres. So figures
//! mean something only beside each other, which is why ours and the bare one alternate, and what counts is the median
//! of the ratios of neighbouring rounds.
#![expect(clippy::print_stdout, reason = "the output of a command")]

mod baseline;
mod customer;
mod database;
mod fuzz;
mod growth;
mod jobs;
mod load;
mod process;
mod report;
mod revocation;
mod run;
mod servers;
mod timing;
mod webhooks;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

/// Measures Portico beside bare actix routes, on the Postgres server of PORTICO_TEST_POSTGRES_URL.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// How often ours and the bare one alternate.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each of them is under load in a round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Measure only this; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
}

#[derive(Subcommand)]
enum Command {
    /// Whether response times distinguish known from unknown addresses.
    Timing(timing::Timing),
    /// Random and mutated inputs for parsers of untrusted input.
    Fuzz(fuzz::Fuzz),
    /// Whether a thousand times the rows take more time, statements or memory.
    Growth(growth::Growth),
    /// How fast jobs are claimed and finished, beside bare `SKIP LOCKED`.
    Jobs(jobs::Jobs),
    /// How long another instance still accepts a session that has ended.
    Revocation(revocation::Revocation),
    /// What webhooks do under kills, under load and beside endpoints that never answer.
    Webhooks(webhooks::Webhooks),
    /// The server to compare with; started by the benchmark itself.
    #[command(hide = true)]
    Baseline {
        /// File whose bytes the fixed route answers.
        #[arg(long)]
        body: PathBuf,
        /// Threads that answer requests.
        #[arg(long)]
        workers: usize,
        /// Connections to the database.
        #[arg(long)]
        connections: u32,
    },
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Time from the start of the process to the line that says it is ready.
    Start,
    /// Memory of a server that has nothing to do.
    Idle,
    /// A signed-in read of a page, beside a select by primary key.
    Read,
    /// Creation of a page with its event, beside a transaction with two inserts.
    Create,
    /// A published page, beside fixed bytes.
    Published,
    /// Latency of the page read at 1,000 connections.
    Crowd,
}

impl Cli {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Some(Command::Baseline { body, workers, connections }) => {
            baseline::serve(body, *workers, *connections).await
        }
        // Fuzzing starts a runtime of its own.
        Some(Command::Fuzz(arguments)) => match tokio::task::block_in_place(|| fuzz::run(arguments)) {
            Ok(false) => return ExitCode::FAILURE,
            outcome => outcome.map(drop),
        },
        Some(Command::Timing(arguments)) => match timing::run(arguments).await {
            Ok(false) => return ExitCode::FAILURE,
            outcome => outcome.map(drop),
        },
        Some(Command::Growth(arguments)) => match growth::run(arguments).await {
            Ok(false) => return ExitCode::FAILURE,
            outcome => outcome.map(drop),
        },
        Some(Command::Jobs(arguments)) => {
            with_database(async |database| jobs::run(arguments, database).await).await
        }
        Some(Command::Revocation(arguments)) => {
            with_database(async |database| revocation::run(arguments, database).await).await
        }
        Some(Command::Webhooks(arguments)) => {
            with_database(async |database| webhooks::run(arguments, database).await).await
        }
        None => with_database(async |database| run::everything(&cli, database).await).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("portico-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whatever ends the run, child processes are killed when dropped, and the database is removed last.
async fn with_database(
    run: impl AsyncFnOnce(&database::Temporary) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    servers::check_environment()?;
    let database = database::Temporary::create().await?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let outcome = tokio::select! {
        outcome = run(&database) => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to stop")),
        _ = hangup.recv() => Err(anyhow::anyhow!("the terminal is gone")),
    };
    database.drop().await?;
    outcome
}
