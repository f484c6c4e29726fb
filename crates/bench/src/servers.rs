//! The two servers, and what they require of the machine.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::{baseline, process::Server};

/// Connections to Postgres, of each server.
pub const POOL: u32 = 20;

/// Connections of clients at once, at most.
pub const CROWD: usize = 1_000;

/// Signs the access tokens of servers under load, so that the bare one can check them.
pub const JWT_SECRET: &str = "a secret for measuring, of no use anywhere";

/// The program that is measured, if it is not the one next to this one.
static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// Measures this program. Called once, before anything is started.
pub fn measure(binary: PathBuf) {
    // The first call counts.
    let _ = BINARY.set(binary);
}

/// Threads that answer requests, of each server.
pub fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from)
}

/// Fails where the environment cannot carry a run.
pub fn check_environment() -> anyhow::Result<()> {
    let portico = portico_binary()?;
    if !portico.is_file() {
        bail!("{} is missing; scripts/bench builds it, and --server names another one", portico.display());
    }
    if cfg!(debug_assertions) {
        println!("This is a development build: its figures mean nothing. Use scripts/bench.\n");
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|directory| directory.join("wrk").is_file()) {
        bail!("the load generator wrk is missing; install it with 'apt-get install wrk'");
    }
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap_or_default();
    let files: usize =
        files.split_ascii_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX);
    if files < CROWD + 200 {
        bail!("{CROWD} connections need more than {files} open files; run 'ulimit -n 4096' first");
    }
    Ok(())
}

/// A running server, and where it answers.
pub struct Running {
    /// The process.
    pub server: Server,
    /// Its address, without a trailing slash.
    pub url: String,
    /// From the start of the process to the line that says it is ready.
    pub started_in: Duration,
}

/// Starts the bare server on a database (`postgres://…`, or the path of a SQLite file). It answers the fixed bytes of two files.
pub async fn bare(database: &str, fixed: [&Path; 2], directory: &Path) -> anyhow::Result<Running> {
    let log = directory.join("baseline.log");
    let mut command = Command::new(std::env::current_exe()?);
    let [page, answer] = fixed;
    command.arg("baseline").arg("--page").arg(page).arg("--answer").arg(answer);
    command.args(["--workers", &workers().to_string(), "--connections", &POOL.to_string()]);
    command.env(baseline::DATABASE, database).env(baseline::JWT_SECRET, JWT_SECRET);
    running(&mut command, &log, |line| line.strip_prefix(baseline::READY).map(str::to_owned)).await
}

/// Starts a server that is to be put under load; see [`portico`].
pub async fn under_load(binary: &Path, database: Option<&str>, directory: &Path) -> anyhow::Result<Running> {
    under_load_with(binary, database, directory, &[]).await
}

/// The same with further settings, by the names of their variables.
pub async fn under_load_with(
    binary: &Path,
    database: Option<&str>,
    directory: &Path,
    settings: &[(&str, &str)],
) -> anyhow::Result<Running> {
    let mut command = command_of(binary, database, directory)?;
    command.envs(settings.iter().copied());
    command
        .env("PORTICO__SECURITY__JWT_SECRET", JWT_SECRET)
        // Clients of a closed loop ask again at once. With the default of a second, admission refuses them as soon as 58 waiters
        // would wait for more than a quarter of it, because their queue stands: a pause of 25 ms of the database (6 of 20 connections
        // write: 0.25 s × 6 / 59) is enough, and a refusal costs so little that thousands follow before the next permit is released. The bare server
        // queues without a limit, too. Waiting longer makes latencies worse, not better. A minute is
        // the most that can be set.
        .env("PORTICO__ADMISSION__WAIT", "1m");
    serving(&mut command, &directory.join("portico.log")).await
}

/// Starts the real server with default settings, with its files in `directory`; on SQLite when no database is given. It keeps no
/// access log, has no rate limits, and its tokens outlive the run.
pub async fn portico(database: Option<&str>, directory: &Path) -> anyhow::Result<Running> {
    portico_of(&portico_binary()?, database, directory).await
}

/// The same with a given program.
pub async fn portico_of(binary: &Path, database: Option<&str>, directory: &Path) -> anyhow::Result<Running> {
    serving(&mut command_of(binary, database, directory)?, &directory.join("portico.log")).await
}

/// The command that [`portico`] runs; for other arguments and settings.
pub fn portico_command(database: Option<&str>, directory: &Path) -> anyhow::Result<Command> {
    command_of(&portico_binary()?, database, directory)
}

/// The same with a given program.
pub fn command_of(binary: &Path, database: Option<&str>, directory: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(binary);
    command.current_dir(directory);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PORTICO_") {
            command.env_remove(name);
        }
    }
    command
        .env("RUST_LOG", "warn")
        .env("PORTICO__SERVER__PORT", "0")
        .env("PORTICO__SERVER__WORKERS", workers().to_string())
        .env("PORTICO__RATE_LIMIT__ENABLED", "false")
        .env("PORTICO__SECURITY__THROTTLE__PER_PAIR", "1000000")
        .env("PORTICO__SECURITY__THROTTLE__PER_NETWORK", "1000000")
        .env("PORTICO__SECURITY__THROTTLE__PER_ACCOUNT", "1000000")
        .env("PORTICO__SECURITY__ACCESS_TOKEN_TTL", "12h");
    if let Some(url) = database {
        command
            .env("PORTICO__DATABASE__URL", url)
            .env("PORTICO__DATABASE__MAX_CONNECTIONS", POOL.to_string());
    }
    Ok(command)
}

/// Starts a server by a command of [`portico_command`]. What it logs goes into the file `log`.
pub async fn serving(command: &mut Command, log: &Path) -> anyhow::Result<Running> {
    running(command, log, |line| {
        let address = line.trim().strip_prefix("API ")?.trim();
        Some(address.strip_suffix("/api/v1").unwrap_or(address).to_owned())
    })
    .await
}

async fn running(
    command: &mut Command,
    log: &Path,
    address: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Running> {
    let begin = Instant::now();
    let mut server = Server::start(command, log)?;
    match server.line(address).await {
        Ok(url) => Ok(Running { server, url, started_in: begin.elapsed() }),
        Err(error) => Err(error.context(std::fs::read_to_string(log).unwrap_or_default())),
    }
}

/// The program that is measured.
pub fn portico_binary() -> anyhow::Result<PathBuf> {
    if let Some(binary) = BINARY.get() {
        return Ok(binary.clone());
    }
    let own = std::env::current_exe()?;
    Ok(own.parent().context("no directory")?.join("portico"))
}
