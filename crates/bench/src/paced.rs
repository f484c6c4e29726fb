//! Load at a given rate: an open loop. Each request has a time at which it is due, whatever became of those before it, and its
//! latency is counted from then. A closed loop asks less of a server that stalls, and so leaves out of its percentiles the
//! requests that would have met the stall (coordinated omission).

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail, ensure};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, StatusCode,
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::load::{Dice, LoadTarget, Outcome};

/// A request that has no answer after this time has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// All connections have to be there within this time.
const CONNECTING: Duration = Duration::from_secs(20);

/// How many requests are due when.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Requests in a second, of all connections together.
    pub rate: u32,
    /// For so long.
    pub seconds: u64,
    /// The connections that they are sent on, in turn. Each is open from the beginning to the end.
    pub connections: usize,
}

impl Pace {
    /// When a request is due after the beginning.
    fn due(self, number: u64) -> Duration {
        Duration::from_nanos(number * 1_000_000_000 / u64::from(self.rate))
    }

    /// The numbers of the requests of a connection.
    fn turns(self, connection: usize) -> impl Iterator<Item = u64> {
        let all = u64::from(self.rate) * self.seconds;
        (connection as u64..all).step_by(self.connections)
    }
}

/// Kinds of requests, which alternate in this order.
pub type Mix = Vec<LoadTarget>;

/// Latencies of a connection in microseconds, and what went wrong.
#[derive(Default)]
pub struct Tally {
    /// Of each expected answer.
    pub micros: Vec<f64>,
    /// Requests without an answer.
    pub failed: u64,
    /// Other answers.
    pub refused: u64,
}

impl Tally {
    /// The result of all connections together.
    ///
    /// # Errors
    /// Where none of them had an answer.
    pub fn outcome(tallies: Vec<Self>, took: Duration) -> anyhow::Result<Outcome> {
        let mut all = Self::default();
        for tally in tallies {
            all.micros.extend(tally.micros);
            all.failed += tally.failed;
            all.refused += tally.refused;
        }
        ensure!(!all.micros.is_empty(), "nothing was answered as expected");
        all.micros.sort_unstable_by(f64::total_cmp);
        let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| percentile(&all.micros, percent));
        let (requests, duration) = (all.micros.len() as u64, took.as_secs_f64() * 1e6);
        Ok(Outcome { requests, duration, p50, p95, p99, failed: all.failed, refused: all.refused })
    }
}

/// Sends the requests, all to one server. `name` is used once in a run.
pub async fn run(name: &str, mix: &Mix, pace: Pace) -> anyhow::Result<Outcome> {
    let address = mix.first().and_then(|target| target.server.strip_prefix("http://"));
    let address = address.context("no address")?.to_owned();
    let mix = Arc::new(mix.clone());
    let mut connecting = JoinSet::new();
    for number in 0..pace.connections {
        let address = address.clone();
        connecting.spawn(async move { anyhow::Ok((number, connect(&address).await?)) });
    }
    let connections =
        timeout(CONNECTING, connecting.join_all()).await.context("connecting takes too long")?;
    let begin = Instant::now() + Duration::from_millis(100);
    let mut tasks = JoinSet::new();
    for connection in connections {
        let (number, sender) = connection?;
        let (address, mix, name) = (address.clone(), mix.clone(), name.to_owned());
        tasks.spawn(async move { follow(&address, &mix, &name, pace, number, sender, begin).await });
    }
    let ended = timeout(Duration::from_secs(pace.seconds + 90), tasks.join_all());
    let tallies = ended.await.context("the requests do not end")?;
    Tally::outcome(tallies, begin.elapsed()).context(address)
}

/// The least value that so many percent of sorted ones do not exceed.
pub fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// Sends requests on one connection.
pub type Sender = SendRequest<Full<Bytes>>;

/// Opens a connection to `host:port`.
pub async fn connect(address: &str) -> anyhow::Result<Sender> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // Ends when the sender is dropped. Errors are those of the requests.
    tokio::spawn(connection);
    Ok(sender)
}

/// Sends the requests of one connection, each when it is due or as soon as the one before it is answered.
async fn follow(
    address: &str,
    mix: &Mix,
    name: &str,
    pace: Pace,
    connection: usize,
    mut sender: Sender,
    begin: Instant,
) -> Tally {
    let mut tally = Tally::default();
    let seed = name
        .bytes()
        .fold(connection as u64, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let mut dice = Dice(seed);
    for number in pace.turns(connection) {
        let due = begin + pace.due(number);
        sleep_until(due).await;
        let target = &mix[number as usize % mix.len()];
        let unique = format!("{name}-{number}");
        match timeout(PATIENCE, ask(address, target, &mut dice, &unique, &mut sender)).await {
            Ok(Ok(())) => tally.micros.push(due.elapsed().as_secs_f64() * 1e6),
            Ok(Err(Failure::Status(_))) => tally.refused += 1,
            Ok(Err(Failure::Other)) | Err(_) => {
                tally.failed += 1;
                // Nobody knows what still comes on this one.
                match connect(address).await {
                    Ok(another) => sender = another,
                    Err(_) => return tally,
                }
            }
        }
    }
    tally
}

enum Failure {
    Status(StatusCode),
    Other,
}

async fn ask(
    address: &str,
    target: &LoadTarget,
    dice: &mut Dice,
    unique: &str,
    sender: &mut Sender,
) -> Result<(), Failure> {
    let other = |_| Failure::Other;
    // A server may close what was idle; a client connects again then.
    if sender.ready().await.is_err() {
        *sender = connect(address).await.map_err(|_| Failure::Other)?;
    }
    let (path, body) = target.request(dice, unique);
    let mut request = Request::builder().uri(path).header("host", address);
    for (field, value) in &target.headers {
        request = request.header(*field, value);
    }
    let (method, expected) = match body {
        Some(_) => ("POST", StatusCode::CREATED),
        None => ("GET", StatusCode::OK),
    };
    let request = request.method(method).header("content-type", "application/json");
    let request = request.body(Full::from(body.unwrap_or_default())).map_err(|_| Failure::Other)?;
    let answer = sender.send_request(request).await.map_err(other)?;
    let status = answer.status();
    answer.into_body().collect().await.map_err(other)?;
    if status == expected { Ok(()) } else { Err(Failure::Status(status)) }
}

/// Sends each kind of request once, and errors unless it gets the expected answer: what is counted under load only by number
/// is named here.
pub async fn check(name: &str, mix: &Mix) -> anyhow::Result<()> {
    for (number, target) in mix.iter().enumerate() {
        let address = target.server.strip_prefix("http://").context("no address")?;
        let mut sender = connect(address).await?;
        let unique = format!("{name}-check-{number}");
        match ask(address, target, &mut Dice(7), &unique, &mut sender).await {
            Ok(()) => {}
            Err(Failure::Status(status)) => bail!("{} answered {status}", target.path),
            Err(Failure::Other) => bail!("{} was not answered", target.path),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_at_the_rate_whatever_became_of_others() {
        let pace = Pace { rate: 250, seconds: 2, connections: 100 };
        assert_eq!([0, 1, 250, 499].map(|n| pace.due(n).as_millis()), [0, 4, 1000, 1996]);
        // The last one of a long run does not overflow.
        assert_eq!(pace.due(250 * 86_400).as_secs(), 86_400);
    }

    #[test]
    fn connections_take_turns_and_leave_none_out() {
        let pace = Pace { rate: 10, seconds: 1, connections: 4 };
        assert_eq!(pace.turns(0).collect::<Vec<_>>(), [0, 4, 8]);
        assert_eq!(pace.turns(3).collect::<Vec<_>>(), [3, 7]);
        let mut all: Vec<u64> = (0..4).flat_map(|connection| pace.turns(connection)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        // More connections than requests: some have nothing to do.
        assert_eq!(Pace { connections: 1000, ..pace }.turns(999).count(), 0);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<f64> = (1..=1000).map(f64::from).collect();
        assert_eq!([50.0, 95.0, 99.0].map(|percent| percentile(&values, percent)), [500.0, 950.0, 990.0]);
        assert_eq!(percentile(&[7.0], 99.0), 7.0);
        assert_eq!(percentile(&[1.0, 2.0, 3.0], 99.0), 3.0);
        assert!(percentile(&[], 50.0).is_nan());
    }
}
