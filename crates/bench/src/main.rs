//! Measures Portico beside bare actix routes that do the minimum for the same work, in one run:
//!
//! ```text
//! scripts/bench
//! ```
//!
//! Everything runs on this machine and shares its cores: load generator, server under test, and Postgres. So figures
//! mean something only beside each other, which is why ours and the bare one alternate, and what counts is the median
//! of the ratios of neighbouring rounds.
#![expect(clippy::print_stdout, reason = "the output of a command")]

mod baseline;
mod customer;
mod database;
mod disturbance;
mod expected;
mod fuzz;
mod growth;
mod inbound;
mod jobs;
mod load;
mod money;
mod paced;
mod process;
mod report;
mod revocation;
mod rows;
mod run;
mod servers;
mod stage;
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
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Measure only this; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// The program to measure; the one next to this one where absent.
    #[arg(long, global = true)]
    server: Option<PathBuf>,
    /// Another build of the program, to compare with it instead of with the bare server. It has to know the same settings.
    #[arg(long)]
    against: Option<PathBuf>,
    /// Milliseconds for which each of the 1,000 downloads waits after 64 KiB.
    #[arg(long, default_value_t = 500)]
    reader_pause: u64,
    /// Write the size of the program and its memory at rest as what is expected from now on.
    #[arg(long)]
    record: bool,
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
        /// File with a published page.
        #[arg(long)]
        page: PathBuf,
        /// File with an answer of the API.
        #[arg(long)]
        answer: PathBuf,
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
    /// Creation of a page on SQLite, beside a transaction with two inserts.
    CreateSqlite,
    /// A page whose answer is kept, beside fixed bytes for whoever has a good token.
    Kept,
    /// A page whose answer is not kept, beside a select by primary key.
    Read,
    /// A list of 20 among 10,000 pages, beside the same select.
    List,
    /// A search among 10,000 pages, beside the same select.
    Search,
    /// Templates, profile, sites and plans, beside selects of as many rows.
    Small,
    /// The audit trail with a filter, beside the same select.
    Audit,
    /// A published page, beside fixed bytes.
    Published,
    /// Signing in, beside argon2id.
    Login,
    /// Registration, beside argon2id.
    Register,
    /// Latency of the kept page at 1,000 connections, beside that of a select by primary key.
    Crowd,
    /// Latency of reads and writes at given rates, on 1,000 connections.
    Offered,
    /// Latency of reads under a flood of logins, beside that without.
    Flood,
    /// Deployment of a site of 50 pages.
    Deploy,
    /// Creation of a page with its event on Postgres, beside a transaction with two inserts.
    Create,
    /// Sealing of the audit trail.
    Seal,
    /// Signed events of Stripe, beside a bare insert.
    WebhooksIn,
    /// The check of what a plan includes, of the creation of a site and of a page.
    Gate,
    /// Usage of a tenant with a million events, of the period and by day.
    Usage,
    /// The reports of staff and the list of customers with 100,000 purchases, and whether their sums are right.
    Reports,
    /// 1,000 downloads at once: memory, and the latency of other requests.
    Downloads,
}

impl Part {
    /// Those that need both servers on Postgres.
    const BESIDE: [Self; 15] = [
        Self::Kept,
        Self::Read,
        Self::List,
        Self::Search,
        Self::Small,
        Self::Audit,
        Self::Published,
        Self::Login,
        Self::Register,
        Self::Crowd,
        Self::Offered,
        Self::Flood,
        Self::Deploy,
        Self::Create,
        Self::Seal,
    ];

    /// Those of money and downloads, on a database of their own.
    const MONEY: [Self; 5] = [Self::WebhooksIn, Self::Gate, Self::Usage, Self::Reports, Self::Downloads];
}

impl Cli {
    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(server) = &cli.server {
        servers::measure(server.clone());
    }
    let outcome = match &cli.command {
        Some(Command::Baseline { page, answer, workers, connections }) => {
            baseline::serve(page, answer, *workers, *connections).await
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
        None => match with_database(async |database| run::everything(&cli, database).await).await {
            Ok(false) => return ExitCode::FAILURE,
            outcome => outcome.map(drop),
        },
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
async fn with_database<T>(
    run: impl AsyncFnOnce(&database::Temporary) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    servers::check_environment()?;
    let database = database::Temporary::create().await?;
    let outcome = unless_told_to_stop(run(&database)).await;
    database.drop().await?;
    outcome
}

/// Ends the work with an error when a signal asks this process to end, so that what was made for it can be removed.
async fn unless_told_to_stop<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow::anyhow!("told to stop")),
        _ = hangup.recv() => Err(anyhow::anyhow!("the terminal is gone")),
    }
}
