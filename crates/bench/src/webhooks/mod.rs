//! Webhooks: nothing is lost when workers are killed, how fast deliveries are beside the bare HTTP client, and that
//! endpoints which never answer do not delay the deliveries to others.
//!
//! ```text
//! cargo build --release -p portico
//! scripts/with-postgres cargo run --release -p portico-bench -- webhooks
//! ```

mod bare;
mod blackhole;
mod kills;
pub mod log;
mod neighbours;
mod signature;
mod sink;
mod tenant;
mod throughput;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tokio::process::Command;

use crate::{
    database::Temporary,
    process::Server,
    report::Report,
    servers::{self, Running},
};

/// Measures webhooks under kills, under load and beside endpoints that never answer.
#[derive(Args)]
pub struct Webhooks {
    /// Show only this; may be repeated.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Events that are made while workers are killed.
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Messages of each round beside the bare client.
    #[arg(long, default_value_t = 40_000)]
    messages: usize,
    /// How often ours and the bare client alternate.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long events are made beside endpoints that never answer.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

/// The scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Workers are killed: nothing is lost, and what comes again has the same id.
    Kills,
    /// Deliveries in a second, beside the bare HTTP client.
    Throughput,
    /// Endpoints that never answer, beside good ones.
    Neighbours,
}

/// Shows what was asked for, and prints the table. Errors when a message was lost.
pub async fn run(arguments: &Webhooks, database: &Temporary) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("portico-bench-").tempdir()?;
    let stage = Stage { database: database.url(), directory: directory.path() };
    let wants = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    let mut report = Report::default();
    if wants(Part::Kills) {
        kills::show(&stage, arguments.events, &mut report).await?;
    }
    if wants(Part::Throughput) {
        throughput::show(&stage, arguments.messages, arguments.rounds, &mut report).await?;
    }
    if wants(Part::Neighbours) {
        neighbours::show(&stage, arguments.seconds, &mut report).await?;
    }
    println!(
        "\n{} cores; {}; everything on this machine.\n",
        servers::workers(),
        database.description().await?
    );
    println!("{}", report.text());
    Ok(())
}

/// Shared by the processes of a run: one database, and one folder for files.
pub struct Stage<'a> {
    database: String,
    directory: &'a Path,
}

impl Stage<'_> {
    /// Starts a server that also works in the background, with the files of all.
    async fn server(&self) -> anyhow::Result<Running> {
        servers::serving(&mut self.command(&["serve"])?, &self.log("serve")).await
    }

    /// Starts a server that only answers requests.
    async fn front(&self) -> anyhow::Result<Running> {
        servers::serving(&mut self.command(&["serve", "--no-worker"])?, &self.log("front")).await
    }

    /// Starts a process that only works in the background. `name` is that of its log.
    fn worker(&self, name: &str) -> anyhow::Result<Server> {
        Server::start(&mut self.command(&["worker"])?, &self.log(name))
    }

    fn command(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = servers::portico_command(Some(&self.database), self.directory)?;
        // The sinks are on this machine.
        command.args(arguments).env("PORTICO__WEBHOOKS__ALLOW_NETWORKS", "127.0.0.0/8");
        Ok(command)
    }

    fn log(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.log"))
    }
}
