//! What is about money and downloads: events of a payment provider, the gate of plans, usage, reports, and downloads of releases. The
//! server has a database of its own.

pub mod downloads;
pub mod gate;
pub mod reports;
pub mod usage;
pub mod webhooks_in;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use portico_kernel::Timestamp;
use portico_security::system_env;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::{
    Part,
    customer::{Api, Customer, text},
    database::Temporary,
    load::{LoadTarget, Outcome},
    paced::percentile,
    servers::{self, Running},
};

/// A super admin.
const STAFF: &str = "staff@example.com";
const PASSWORD: &str = "Fresh-Bread-1950";

/// What Stripe would sign its events with.
const WEBHOOK_SECRET: &str = "whsec_bench";

/// An account at Stripe whose API is nowhere: nothing that is measured may ask it.
const SETTINGS: [(&str, &str); 4] = [
    ("PORTICO__STRIPE__SECRET_KEY", "sk_test_bench"),
    ("PORTICO__STRIPE__WEBHOOK_SECRETS", WEBHOOK_SECRET),
    ("PORTICO__STRIPE__BASE_URL", "http://127.0.0.1:9"),
    ("PORTICO__OUTBOUND__ALLOW_NETWORKS", "127.0.0.0/8"),
];

/// Scheduled work begins ten seconds after the start: it is not to be among what is measured.
const SCHEDULED: Duration = Duration::from_secs(15);

/// How a part is measured.
#[derive(Clone, Copy)]
pub struct Rounds {
    /// How many.
    pub number: usize,
    /// How long each is.
    pub seconds: u64,
    /// Connections where nothing else is said.
    pub connections: usize,
}

/// The server with its data, and who asks it.
pub struct Stage {
    /// The process.
    pub running: Running,
    database: String,
    directory: PathBuf,
    customer: Customer,
    /// Access token of a super admin.
    staff: String,
    /// What the filling code has put there, where reports are wanted.
    booked: Option<reports::Booked>,
}

impl Stage {
    /// Starts it on a new database and fills that with what these parts need.
    pub async fn on(
        binary: &Path,
        database: &Temporary,
        directory: &Path,
        parts: &[Part],
    ) -> anyhow::Result<Self> {
        let url = database.url();
        let start = async || servers::under_load_with(binary, Some(&url), directory, &SETTINGS).await;
        let running = start().await?;
        let customer = Customer::come_to(&running.url).await?;
        running.server.stop().await?;
        let mut command = servers::command_of(binary, Some(&url), directory)?;
        command.args(["admin", "create", "--email", STAFF]);
        command.envs(SETTINGS).env("PORTICO_ADMIN_PASSWORD", PASSWORD);
        let made = command.output().await?;
        ensure!(made.status.success(), "no super admin: {}", String::from_utf8_lossy(&made.stderr));
        if parts.contains(&Part::Usage) {
            usage::fill(&url, &customer.tenant).await?;
        }
        let booked = match parts.contains(&Part::Reports) {
            true => Some(reports::fill(&url).await?),
            false => None,
        };
        database.analyze().await?;
        let running = start().await?;
        let login = json!({"email": STAFF, "password": PASSWORD});
        let tokens = Api::new(&running.url)?.call(Method::POST, "/auth/login", Some(login)).await?;
        let staff = text(&tokens, "access_token")?;
        tokio::time::sleep(SCHEDULED).await;
        running.server.settle().await?;
        Ok(Self { running, database: url, directory: directory.to_owned(), customer, staff, booked })
    }

    /// Calls the API as staff.
    async fn by_staff(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut api = Api::new(&self.running.url)?;
        api.token = Some(self.staff.clone());
        api.call(method, path, body).await
    }

    /// Calls the API as the customer.
    async fn by_customer(&self, method: Method, path: &str, body: Option<Value>) -> anyhow::Result<Value> {
        let mut api = Api::new(&self.running.url)?;
        api.token = Some(self.customer.token.clone());
        api.call(method, path, body).await
    }

    /// A request of the customer.
    fn asked_by_customer(&self, path: &str) -> LoadTarget {
        LoadTarget::read(&self.running.url, format!("/api/v1{path}")).signed_in(&self.customer.token)
    }

    async fn connection(&self) -> anyhow::Result<PgConnection> {
        PgConnection::connect(&self.database).await.context("the database")
    }
}

/// Latencies in milliseconds, sorted.
struct Latencies(Vec<f64>);

impl Latencies {
    /// Sends the same request so many times, one after the other.
    async fn of(http: &Client, url: &str, token: &str, times: usize) -> anyhow::Result<Self> {
        let mut taken = Vec::with_capacity(times);
        for _ in 0..times {
            let begin = Instant::now();
            let answer = http.get(url).bearer_auth(token).send().await?;
            let status = answer.status();
            answer.bytes().await?;
            taken.push(begin.elapsed().as_secs_f64() * 1e3);
            ensure!(status == 200, "{url} answered {status}");
        }
        Ok(Self::sorted(taken))
    }

    fn sorted(mut taken: Vec<f64>) -> Self {
        taken.sort_unstable_by(f64::total_cmp);
        Self(taken)
    }

    /// The least value that so many percent do not exceed.
    fn percentile(&self, percent: f64) -> f64 {
        percentile(&self.0, percent)
    }
}

/// Errors where some requests did not get what they asked for: figures among which there are errors say nothing.
fn check(outcome: &Outcome) -> anyhow::Result<()> {
    ensure!(
        outcome.errors() == 0,
        "{} answers with another status, {} requests without an answer",
        outcome.refused,
        outcome.failed
    );
    Ok(())
}

/// Waits until `found` finds something.
async fn wait_for<T>(
    what: &str,
    patience: Duration,
    found: impl AsyncFn() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = found().await? {
            return Ok(found);
        }
        ensure!(begin.elapsed() < patience, "{what} takes too long");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn now() -> Timestamp {
    system_env().now()
}

/// A UUIDv7 of a moment. The same numbers make the same id.
fn id_at(at: Timestamp, kind: u128, number: usize) -> Uuid {
    let milliseconds = u128::from(at.unix_micros().unsigned_abs() / 1000);
    Uuid::from_u128((milliseconds << 80) | (0x7 << 76) | (0b10 << 62) | (kind << 40) | number as u128)
}
