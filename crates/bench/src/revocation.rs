//! How long another instance still accepts a session that has ended.

use std::{
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use reqwest::{Client, Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

use crate::{
    customer::{Api, text},
    database::Temporary,
    process::Server,
    report::{Aim, Report},
    servers::{self, Running},
};

/// The most that revocation may take, in milliseconds.
const BOUND: f64 = 1000.0;

/// A token that is accepted for longer counts as not revoked at all.
const PATIENCE: Duration = Duration::from_secs(10);

const EMAIL: &str = "bench@example.com";

/// From logging out at one instance until another one refuses the token.
#[derive(clap::Args)]
pub struct Revocation {
    /// How many sessions are ended in each of the ways.
    #[arg(long, default_value_t = 100)]
    times: usize,
}

/// Measures, and prints the table.
pub async fn run(arguments: &Revocation, database: &Temporary) -> anyhow::Result<()> {
    let directory = tempfile::Builder::new().prefix("portico-bench-").tempdir()?;
    let mut report = Report::default();
    let pair = Pair::start(database, directory.path(), None).await?;
    Api::new(&pair.one.url)?.register(EMAIL).await?;
    pair.measure("without Redis", arguments.times, &mut report).await?;
    pair.stop().await?;

    let (redis, url) = start_redis(directory.path()).await?;
    let pair = Pair::start(database, directory.path(), Some(&url)).await?;
    pair.measure("with Redis", arguments.times, &mut report).await?;
    redis.kill().await?;
    pair.measure("with a Redis that was killed", arguments.times, &mut report).await?;
    pair.stop().await?;
    println!(
        "\n{} cores; {}; from the answer to logging out at one instance to the first 401 of another one, which believed the \
         token before; {} times each; everything on this machine.\n\n{}",
        servers::workers(),
        database.description().await?,
        arguments.times,
        report.text(),
    );
    Ok(())
}

/// Two instances on one database.
struct Pair {
    one: Running,
    other: Running,
}

impl Pair {
    async fn start(database: &Temporary, directory: &Path, redis: Option<&str>) -> anyhow::Result<Self> {
        let start = async |name: &str| {
            let mut command = servers::portico_command(Some(&database.url()), directory)?;
            command.env("PORTICO__SECURITY__JWT_SECRET", "a secret that both instances have, for a while");
            if let Some(url) = redis {
                command.env("PORTICO__REDIS__URL", url);
            }
            servers::serving(&mut command, &directory.join(format!("{name}.log"))).await
        };
        let pair = Self { one: start("one").await?, other: start("other").await? };
        // A process that has just started is not subscribed to the others yet, and caches nothing for long.
        tokio::time::sleep(Duration::from_secs(2)).await;
        Ok(pair)
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.one.server.stop().await?;
        self.other.server.stop().await
    }

    async fn measure(&self, way: &str, times: usize, report: &mut Report) -> anyhow::Result<()> {
        let mut took = Vec::with_capacity(times);
        for _ in 0..times {
            took.push(self.once().await?.as_secs_f64() * 1e3);
        }
        let longest = took.iter().copied().fold(0.0, f64::max);
        println!("{way}: {times} times, the longest {longest:.0} ms");
        report.state(&format!("revocation elsewhere, {way}"), "ms", &took, Aim::Below(BOUND));
        report.state("  the longest", "ms", &[longest], Aim::Below(BOUND));
        Ok(())
    }

    /// A user signs in, is accepted by the other instance, and logs out.
    async fn once(&self) -> anyhow::Result<Duration> {
        let mut api = Api::new(&self.one.url)?;
        let login = json!({"email": EMAIL, "password": "Fresh-Bread-1950"});
        let tokens = api.call(Method::POST, "/auth/login", Some(login)).await?;
        let token = text(&tokens, "access_token")?;
        api.token = Some(token.clone());
        let http = Client::builder().no_proxy().build()?;
        let profile = format!("{}/api/v1/profile", self.other.url);
        let ask = async || anyhow::Ok(http.get(&profile).bearer_auth(&token).send().await?.status());
        for _ in 0..3 {
            ensure!(ask().await? == StatusCode::OK, "the other instance does not know the session");
        }
        let logout = json!({"refresh_token": text(&tokens, "refresh_token")?});
        api.call(Method::POST, "/auth/logout", Some(logout)).await?;
        let logged_out = Instant::now();
        loop {
            match ask().await? {
                StatusCode::UNAUTHORIZED => return Ok(logged_out.elapsed()),
                status => ensure!(status == StatusCode::OK, "{status}"),
            }
            ensure!(
                logged_out.elapsed() < PATIENCE,
                "the token is still believed after {:?}",
                logged_out.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn start_redis(directory: &Path) -> anyhow::Result<(Server, String)> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().await;
    found.context("redis-server is missing; scripts/redis-server installs it")?;
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.current_dir(directory);
    let mut server = Server::start(&mut command, &directory.join("redis.log"))?;
    server.line(|line| line.contains("Ready to accept connections").then_some(())).await?;
    Ok((server, format!("redis://127.0.0.1:{port}/")))
}
