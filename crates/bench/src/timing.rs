//! Whether response times distinguish known from unknown addresses.
//!
//! A server of its own on SQLite, or one that is named, gets tries with known and with unknown addresses in random order, one
//! after the other on one connection. For each endpoint the area under the ROC curve measures how well the times separate
//! the two: 0.5 is a coin, 1 is certainty (Mann and Whitney's U, divided by the number of pairs).

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Args;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::servers;

/// Known accounts, used in rotation.
const ACCOUNTS: usize = 20;

/// Tries that are not counted: they fill connection, caches, lists of passwords.
const WARM_UP: usize = 20;

/// How far from a coin the area may be.
const BAND: std::ops::RangeInclusive<f64> = 0.45..=0.55;

/// How often to look for a message, and how many times.
const PAUSE: Duration = Duration::from_millis(50);
const LOOKS: u32 = 400;

const PASSWORD: &str = "Fresh-Bread-1950";

/// Measures whether response times distinguish known from unknown addresses. Ends with code 1 when they do.
#[derive(Args)]
pub struct Timing {
    /// A running server, without rate limits and with a high throttle. Otherwise one is started on SQLite.
    #[arg(long)]
    url: Option<String>,
    /// Tries with known addresses, and as many with unknown ones.
    #[arg(long, default_value_t = 400)]
    tries: usize,
    /// Milliseconds between two tries, for background work to finish.
    #[arg(long, default_value_t = 0)]
    pause: u64,
}

/// A request, and its expected status.
struct Endpoint {
    path: &'static str,
    body: fn(&str) -> Value,
    status: StatusCode,
}

const ENDPOINTS: [Endpoint; 4] = [
    Endpoint {
        path: "/auth/login",
        body: |email| json!({"email": email, "password": "Wrong-Horse-7"}),
        status: StatusCode::UNAUTHORIZED,
    },
    Endpoint {
        path: "/auth/register",
        body: |email| json!({"email": email, "password": PASSWORD, "fullName": "Ana Baker"}),
        status: StatusCode::CREATED,
    },
    Endpoint {
        path: "/auth/forgot-password",
        body: |email| json!({"email": email}),
        status: StatusCode::ACCEPTED,
    },
    Endpoint {
        path: "/auth/resend-verification",
        body: |email| json!({"email": email}),
        status: StatusCode::ACCEPTED,
    },
];

/// Runs it. Returns whether every area is in the band.
pub async fn run(arguments: &Timing) -> anyhow::Result<bool> {
    ensure!(arguments.tries >= 20, "fewer than 20 tries say nothing");
    match &arguments.url {
        Some(url) => measure(url.trim_end_matches('/'), arguments).await,
        None => {
            let directory = tempfile::tempdir()?;
            let running = servers::portico(None, directory.path()).await?;
            let outcome = measure(&running.url, arguments).await;
            running.server.stop().await?;
            outcome
        }
    }
}

async fn measure(server: &str, arguments: &Timing) -> anyhow::Result<bool> {
    let http = Client::builder().no_proxy().pool_max_idle_per_host(1).build()?;
    let prober = Prober { http, server, pause: Duration::from_millis(arguments.pause) };
    // As few as there are accounts, and tried as often: an address that failed before is looked up in more rows than a new one.
    let strangers: Vec<String> = (0..ACCOUNTS).map(|_| stranger()).collect();
    let mut known = Vec::with_capacity(ACCOUNTS);
    for _ in 0..ACCOUNTS {
        known.push(prober.account().await?);
    }
    let tries = arguments.tries;
    println!(
        "{tries} tries with known and {tries} with unknown addresses for each endpoint; 0.5 is a coin.\n"
    );
    println!("{:28} {:>14} {:>14} {:>7}", "endpoint", "known, median", "unknown", "area");
    let mut alike = true;
    for endpoint in &ENDPOINTS {
        for _ in 0..WARM_UP {
            prober.time(endpoint, &stranger()).await?;
        }
        let mut order: Vec<(Uuid, bool)> = (0..2 * tries).map(|number| (random(), number % 2 == 0)).collect();
        order.sort_unstable();
        let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
        let mut turns = known.iter().cycle();
        let mut strangers = strangers.iter().cycle();
        for (_, is_known) in order {
            if is_known {
                let email = turns.next().context("no account")?;
                of_known.push(prober.time(endpoint, email).await?);
            } else {
                // An address is known once it has registered.
                let fresh = endpoint.path.ends_with("/register").then(stranger);
                let Some(email) = fresh.as_ref().or_else(|| strangers.next()) else { continue };
                of_unknown.push(prober.time(endpoint, email).await?);
            }
        }
        let area = area(&of_known, &of_unknown);
        let verdict = if BAND.contains(&area) { "" } else { "  can be told apart" };
        alike &= BAND.contains(&area);
        let (known, unknown) = (median(&mut of_known), median(&mut of_unknown));
        println!("{:28} {known:>11.3} ms {unknown:>11.3} ms {area:>7.3}{verdict}", endpoint.path);
    }
    Ok(alike)
}

/// An address without an account.
fn stranger() -> String {
    format!("{}@example.com", random().simple())
}

#[expect(clippy::disallowed_methods, reason = "nobody repeats a measurement with the same random numbers")]
fn random() -> Uuid {
    Uuid::new_v4()
}

struct Prober<'a> {
    http: Client,
    server: &'a str,
    pause: Duration,
}

impl Prober<'_> {
    /// The time of an answer, in milliseconds.
    async fn time(&self, endpoint: &Endpoint, email: &str) -> anyhow::Result<f64> {
        if !self.pause.is_zero() {
            tokio::time::sleep(self.pause).await;
        }
        let body = (endpoint.body)(email).to_string();
        let request = self.http.post(format!("{}/api/v1{}", self.server, endpoint.path));
        let request = request.header("content-type", "application/json").body(body).build()?;
        let begin = Instant::now();
        let answer = self.http.execute(request).await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        let elapsed = begin.elapsed();
        if status != endpoint.status {
            bail!("{} answered {status}: {}", endpoint.path, String::from_utf8_lossy(&body));
        }
        Ok(elapsed.as_secs_f64() * 1e3)
    }

    /// The address of a new account, verified if there is a mailbox to read.
    async fn account(&self) -> anyhow::Result<String> {
        let email = stranger();
        let [_, register, ..] = &ENDPOINTS;
        self.time(register, &email).await?;
        let mailbox = format!("{}/dev/mailbox?to={email}", self.server);
        for _ in 0..LOOKS {
            let answer = self.http.get(&mailbox).header("accept", "application/json").send().await?;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(email);
            }
            let mails: Value = answer.error_for_status()?.json().await?;
            let mails = mails["items"].as_array().into_iter().flatten();
            let mut links =
                mails.filter_map(|mail| mail["text"].as_str()?.split_once("/verify-email?token="));
            if let Some((_, rest)) = links.next() {
                let in_token = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
                let token: String = rest.chars().take_while(in_token).collect();
                let request = self.http.post(format!("{}/api/v1/auth/verify-email", self.server));
                request.json(&json!({"token": token})).send().await?.error_for_status()?;
                return Ok(email);
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("no verification mail arrived")
    }
}

/// The probability that a time of the first kind is longer than one of the second; half for equal ones.
fn area(first: &[f64], second: &[f64]) -> f64 {
    let above = |one: f64| -> f64 {
        second
            .iter()
            .map(|other| {
                if one > *other {
                    1.0
                } else if one == *other {
                    0.5
                } else {
                    0.0
                }
            })
            .sum()
    };
    first.iter().map(|one| above(*one)).sum::<f64>() / (first.len() * second.len()).max(1) as f64
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_is_a_half_for_equals_and_one_for_what_is_always_longer() {
        assert_eq!(area(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), 0.5);
        assert_eq!(area(&[4.0, 5.0], &[1.0, 2.0, 3.0]), 1.0);
        assert_eq!(area(&[1.0], &[1.0, 2.0]), 0.25);
    }
}
