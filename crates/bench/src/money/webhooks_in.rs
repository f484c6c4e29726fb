//! Events of Stripe: signed as Stripe signs them, and posted as fast as they are taken.
//!
//! They are about a customer that is not known here. So each is stored with a job, and the job finds nobody and asks nothing of the
//! provider: what is measured is taking them, with the queue beside it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper::{Request, StatusCode, body::Bytes};
use sha2::Sha256;
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{Rounds, Stage, WEBHOOK_SECRET, check, now, wait_for};
use crate::{
    database::make_bare_tables,
    inbound,
    load::Outcome,
    paced::{self, Sender, Tally},
    report::{Aim, Report},
    servers,
};

/// An answer has to come, and the queue to be empty after a round, within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// Under load before the first round.
const WARM_UP_SECONDS: u64 = 1;

/// Where events are posted to.
#[derive(Clone)]
struct Endpoint {
    /// `host:port`.
    address: String,
    path: &'static str,
}

/// Numbers of events: each once, or those from 0 to the limit again and again.
#[derive(Clone)]
struct Numbers {
    next: Arc<AtomicU64>,
    limit: Option<u64>,
}

impl Numbers {
    fn next(&self) -> u64 {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.limit.map_or(next, |limit| next % limit.max(1))
    }
}

/// Measures it, and says of each round how far the queue was behind.
pub async fn measure(stage: &Stage, rounds: Rounds, report: &mut Report) -> anyhow::Result<()> {
    make_bare_tables(&stage.database, &["inbound_events"]).await?;
    let fixed = stage.directory.join("nothing");
    std::fs::write(&fixed, "")?;
    let bare = servers::bare(&stage.database, [&fixed, &fixed], &stage.directory).await?;
    let address = |url: &str| anyhow::Ok(url.strip_prefix("http://").context("no address")?.to_owned());
    let ours = Endpoint { address: address(&stage.running.url)?, path: "/api/v1/webhooks/stripe" };
    let other = Endpoint { address: address(&bare.url)?, path: inbound::PATH };
    let [to_ours, to_other] = [0, 1].map(|_| Numbers { next: Arc::default(), limit: None });
    for (endpoint, numbers) in [(&ours, &to_ours), (&other, &to_other)] {
        check(&load(endpoint, numbers, rounds.connections, WARM_UP_SECONDS).await?)?;
    }
    let (mut distinct, mut behind, mut caught_up) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds.number {
        worked_off(stage).await?;
        let before = Stored::count(stage).await?;
        let taken = load(&ours, &to_ours, rounds.connections, rounds.seconds).await?;
        let ended = Instant::now();
        let after = Stored::count(stage).await?;
        let (new, waiting) = (after.all - before.all, after.waiting);
        ensure!(new >= i64::try_from(taken.requests)?, "{new} events are stored of {}", taken.requests);
        worked_off(stage).await?;
        let rest = ended.elapsed().as_secs_f64();
        let beside = load(&other, &to_other, rounds.connections, rounds.seconds).await?;
        println!(
            "  round {round}: {}; beside {}; {waiting} of {new} to be worked off, in {rest:.1} s",
            text(&taken),
            text(&beside)
        );
        behind.push((new - waiting) as f64 / new as f64 * 100.0);
        caught_up.push(rest);
        distinct.push((taken, beside));
    }
    put(report, "Stripe events, each once", &distinct)?;
    report.state("  of them worked off meanwhile", "%", &behind, Aim::None);
    report.state("  until the rest was", "s", &caught_up, Aim::None);
    let mut doubled = Vec::new();
    // Once more those that were stored, from the first one.
    let [again, again_there] = [&to_ours, &to_other].map(|numbers| Numbers {
        next: Arc::default(),
        limit: Some(numbers.next.load(Ordering::Relaxed).saturating_sub(rounds.connections as u64)),
    });
    let before = Stored::count(stage).await?;
    for round in 1..=rounds.number {
        let taken = load(&ours, &again, rounds.connections, rounds.seconds).await?;
        let beside = load(&other, &again_there, rounds.connections, rounds.seconds).await?;
        println!("  round {round}, the same again: {}; beside {}", text(&taken), text(&beside));
        doubled.push((taken, beside));
    }
    let after = Stored::count(stage).await?;
    ensure!(after.all == before.all && after.waiting == 0, "events that came again were stored again");
    put(report, "Stripe events, again", &doubled)?;
    bare.server.stop().await
}

fn put(report: &mut Report, name: &str, rounds: &[(Outcome, Outcome)]) -> anyhow::Result<()> {
    for (ours, other) in rounds {
        check(ours)?;
        check(other)?;
    }
    let pick = |pick: fn(&Outcome) -> f64| -> Vec<(f64, f64)> {
        rounds.iter().map(|(ours, other)| (pick(ours), pick(other))).collect()
    };
    report.compare_with_own_aim(
        &format!("{name} | insert"),
        "/s",
        &pick(Outcome::per_second),
        Aim::AtLeast(1000.0),
    );
    report.compare_with_own_aim("  median", "ms", &pick(|outcome| outcome.p50 / 1e3), Aim::None);
    report.compare_with_own_aim(
        "  99th percentile",
        "ms",
        &pick(|outcome| outcome.p99 / 1e3),
        Aim::Below(50.0),
    );
    Ok(())
}

fn text(outcome: &Outcome) -> String {
    let Outcome { p50, p99, .. } = outcome;
    format!("{:.0}/s, p50 {:.1} ms, p99 {:.1} ms", outcome.per_second(), p50 / 1e3, p99 / 1e3)
}

/// Events of the provider in the table of ours.
struct Stored {
    all: i64,
    waiting: i64,
}

impl Stored {
    async fn count(stage: &Stage) -> anyhow::Result<Self> {
        let query = "select count(*), count(*) filter (where status = 'received') from inbound_events";
        let (all, waiting): (i64, i64) =
            sqlx::query_as(query).fetch_one(&mut stage.connection().await?).await?;
        Ok(Self { all, waiting })
    }
}

/// Waits until no event waits for the queue.
async fn worked_off(stage: &Stage) -> anyhow::Result<()> {
    wait_for("working the events off", PATIENCE, async || {
        anyhow::Ok((Stored::count(stage).await?.waiting == 0).then_some(()))
    })
    .await
}

/// A closed loop: every connection posts the next event as soon as it has its answer.
async fn load(
    endpoint: &Endpoint,
    numbers: &Numbers,
    connections: usize,
    seconds: u64,
) -> anyhow::Result<Outcome> {
    let mut senders = Vec::with_capacity(connections);
    for _ in 0..connections {
        senders.push(paced::connect(&endpoint.address).await?);
    }
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let mut tasks = JoinSet::new();
    for sender in senders {
        let (endpoint, numbers) = (endpoint.clone(), numbers.clone());
        tasks.spawn(async move { follow(&endpoint, &numbers, sender, end).await });
    }
    let mut tallies = Vec::with_capacity(connections);
    for tally in tasks.join_all().await {
        tallies.push(tally?);
    }
    Tally::outcome(tallies, begin.elapsed())
}

async fn follow(
    endpoint: &Endpoint,
    numbers: &Numbers,
    mut sender: Sender,
    end: Instant,
) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    while Instant::now() < end {
        let request = event(endpoint, numbers.next())?;
        let asked = Instant::now();
        match timeout(PATIENCE, post(&mut sender, request)).await {
            Ok(Ok(StatusCode::OK)) => tally.micros.push(asked.elapsed().as_secs_f64() * 1e6),
            Ok(Ok(_)) => tally.refused += 1,
            Ok(Err(_)) | Err(_) => {
                tally.failed += 1;
                sender = paced::connect(&endpoint.address).await?;
            }
        }
    }
    Ok(tally)
}

async fn post(sender: &mut Sender, request: Request<Full<Bytes>>) -> anyhow::Result<StatusCode> {
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    answer.into_body().collect().await?;
    Ok(status)
}

/// An event about a subscription of a customer that is not known here, about as long as Stripe's.
fn body(number: u64, seconds: i64) -> String {
    let filling = "x".repeat(1500);
    format!(
        r#"{{"id":"evt_bench{number}","object":"event","api_version":"2025-06-30.basil","created":{seconds},"livemode":false,
"type":"customer.subscription.updated","pending_webhooks":1,"request":{{"id":null,"idempotency_key":null}},
"data":{{"object":{{"id":"sub_bench{number}","object":"subscription","customer":"cus_bench{number}","status":"active","currency":"usd",
"items":{{"object":"list","data":[{{"id":"si_bench{number}","object":"subscription_item","quantity":1}}]}},"livemode":false,
"description":"{filling}","metadata":{{}}}},"previous_attributes":{{"status":"past_due"}}}}}}"#
    )
}

/// A request with an event, signed.
fn event(endpoint: &Endpoint, number: u64) -> anyhow::Result<Request<Full<Bytes>>> {
    let seconds = now().unix_seconds();
    let body = body(number, seconds);
    let signature = signature(WEBHOOK_SECRET, seconds, &body)?;
    let request = Request::builder()
        .method("POST")
        .uri(endpoint.path)
        .header("host", &endpoint.address)
        .header("content-type", "application/json")
        .header("stripe-signature", signature);
    Ok(request.body(Full::from(body))?)
}

/// The header of Stripe: the time, and the HMAC-SHA256 of time and body by the whole text of the secret. Written from its documentation and
/// sharing no code with the server.
fn signature(secret: &str, seconds: i64, body: &str) -> anyhow::Result<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?
        .chain_update(seconds.to_string())
        .chain_update(".")
        .chain_update(body)
        .finalize()
        .into_bytes();
    let hexadecimal: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("t={seconds},v1={hexadecimal}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_openssl() {
        // printf '1790000000.{}' | openssl dgst -sha256 -hmac whsec_bench
        let expected = "8fb09d35745b92b22f51977a04ed89184d53fe537994ec064311f1f49c770b26";
        assert_eq!(
            signature("whsec_bench", 1_790_000_000, "{}").unwrap(),
            format!("t=1790000000,v1={expected}")
        );
    }

    #[test]
    fn events_are_json_with_names_of_their_own() {
        let endpoint = Endpoint { address: "127.0.0.1:1".to_owned(), path: "/" };
        let request = event(&endpoint, 7).unwrap();
        assert!(request.headers()["stripe-signature"].to_str().unwrap().starts_with("t="));
        let body = body(7, 1_790_000_000);
        let event: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(event["id"], "evt_bench7");
        assert_eq!(event["data"]["object"]["customer"], "cus_bench7");
        assert!(body.len() > 1500);
        let numbers = Numbers { next: Arc::default(), limit: Some(2) };
        assert_eq!([0; 5].map(|_| numbers.next()), [0, 1, 0, 1, 0]);
    }
}
