//! 1,000 downloads of a large file at once, by readers that take their time: what that costs the server in memory, and other requests in
//! latency.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use reqwest::{Client, Method};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream, lookup_host},
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{Rounds, Stage, check, wait_for};
use crate::{
    load::Outcome,
    paced::{self, Pace},
    process::Memory,
    report::{Aim, Report},
};

/// Bytes of the file.
const SIZE: usize = 100_000_000;

/// Downloads at once.
const READERS: usize = 1_000;

/// Of these, those that read to the end and compare the SHA-256.
const WHOLE: usize = 5;

/// What a reader takes at once. With a pause of half a second all of them take 130 MB in a second, more than a line of a gigabit carries:
/// with ten times as much, readers and server would do nothing but copy on the cores that they share, and that would be measured.
const PIECE: usize = 64 * 1024;

/// What one that reads to the end takes at once, with [`WHOLE_PAUSE`] in between.
const WHOLE_PIECE: usize = 1024 * 1024;
const WHOLE_PAUSE: Duration = Duration::from_millis(100);

/// Most bytes that the kernel keeps for a reader: what is not read is not sent.
const BUFFER: u32 = 64 * 1024;

/// All downloads have to have begun, and the whole ones to have ended, within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often to look how much memory the server holds.
const LOOK: Duration = Duration::from_millis(250);

/// Requests in a second by which the latency of others is measured, and their connections.
const PROBE: (u32, usize) = (200, 20);

/// After this time without downloads the memory is what it is without.
const REST: Duration = Duration::from_secs(5);

/// Measures it. `pause` is for how long a reader waits after each piece.
pub async fn measure(
    stage: &Stage,
    rounds: Rounds,
    pause: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let file = File::release(stage).await?;
    let mut quiet = Vec::with_capacity(rounds.number);
    for round in 1..=rounds.number {
        stage.running.server.settle().await?;
        quiet.push(probe(stage, rounds, &format!("before-downloads-{round}")).await?);
    }
    let before = stage.running.server.memory()?;
    let mut most = before;
    let crowd = watched(stage, &mut most, Crowd::come(&file, pause)).await?;
    println!("  {READERS} downloads are under way");
    let mut during = Vec::with_capacity(rounds.number);
    for round in 1..=rounds.number {
        let name = format!("during-downloads-{round}");
        let outcome = watched(stage, &mut most, probe(stage, rounds, &name)).await?;
        println!("  round {round}: p99 {:.1} ms during the downloads", outcome.p99 / 1e3);
        during.push(outcome);
    }
    let (bytes, took) = crowd.leave().await?;
    sleep(REST).await;
    let after = stage.running.server.memory()?;
    let pairs: Vec<_> =
        during.iter().zip(&quiet).map(|(during, quiet)| (during.p99 / 1e3, quiet.p99 / 1e3)).collect();
    report.compare(
        "99th percentile of GET /profile during 1,000 downloads | without",
        "ms",
        &pairs,
        Aim::AtMost(2.0),
    );
    report.state("  sent to the readers", "MB/s", &[bytes as f64 / 1e6 / took.as_secs_f64()], Aim::None);
    report.state("memory before the downloads", "MB", &[before.resident], Aim::None);
    report.state(
        "  at most while 1,000 are under way, more",
        "MB",
        &[most.resident - before.resident],
        Aim::AtMost(64.0),
    );
    report.state("  of it anonymous", "MB", &[most.anonymous - before.anonymous], Aim::None);
    report.state("  5 s after them, more", "MB", &[after.resident - before.resident], Aim::None);
    Ok(())
}

async fn probe(stage: &Stage, rounds: Rounds, name: &str) -> anyhow::Result<Outcome> {
    let (rate, connections) = PROBE;
    // Twice as long as elsewhere: at this rate there are few values beyond the 99th percentile.
    let pace = Pace { rate, seconds: 2 * rounds.seconds, connections };
    let outcome = paced::run(name, &vec![stage.asked_by_customer("/profile")], pace).await?;
    check(&outcome)?;
    Ok(outcome)
}

/// Looks how much memory the server holds while something else goes on, and keeps the most.
async fn watched<T>(
    stage: &Stage,
    most: &mut Memory,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            outcome = &mut work => return outcome,
            () = sleep(LOOK) => {
                let now = stage.running.server.memory()?;
                if now.resident > most.resident {
                    *most = now;
                }
            }
        }
    }
}

/// A file that the customer may download.
struct File {
    /// `host:port`.
    address: String,
    /// Path and query of the link.
    path: String,
    sha256: [u8; 32],
}

impl File {
    /// Has staff publish it and issue a license, and the customer get the link. Then downloads it once, so that caches are filled.
    async fn release(stage: &Stage) -> anyhow::Result<Self> {
        let bytes = content();
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        let hexadecimal: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
        let release = json!({"slug": "bench", "productType": "base_product", "name": "Software 1.0", "version": "1.0.0"});
        let release = stage.by_staff(Method::POST, "/admin/releases", Some(release)).await?;
        let id = crate::customer::text(&release, "id")?;
        let url = format!(
            "{}/api/v1/admin/releases/{id}/file?fileName=setup.exe&sha256={hexadecimal}",
            stage.running.url
        );
        let http = Client::builder().no_proxy().build()?;
        let upload =
            http.put(url).bearer_auth(&stage.staff).header("content-type", "application/octet-stream");
        let answer = upload.body(bytes).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status == 200, "the upload was answered with {status}: {text}");
        stage.by_staff(Method::POST, &format!("/admin/releases/{id}/publish"), None).await?;
        let license = json!({
            "customerId": stage.customer.tenant, "productType": "base_product", "reason": "The benchmark downloads"
        });
        stage.by_staff(Method::POST, "/admin/licenses", Some(license)).await?;
        let link = stage.by_customer(Method::GET, "/downloads/bench/url", None).await?;
        let link = crate::customer::text(&link, "url")?;
        // The public address may be another one than that of this server.
        let place = link.find("/api/v1/").with_context(|| format!("no path in {link}"))?;
        let address = stage.running.url.strip_prefix("http://").context("no address")?.to_owned();
        let file = Self { address, path: link.get(place..).unwrap_or_default().to_owned(), sha256 };
        let digest = Reader::begin(&file).await?.read_all(WHOLE_PIECE, Duration::ZERO).await?;
        ensure!(digest == file.sha256, "what is downloaded is not what was uploaded");
        Ok(file)
    }
}

/// Bytes that compress badly.
fn content() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(SIZE + 8);
    while bytes.len() < SIZE {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(SIZE);
    bytes
}

/// A download that has begun.
struct Reader {
    stream: TcpStream,
    /// What came with the head.
    beginning: Vec<u8>,
}

impl Reader {
    /// Asks for the file, and reads the head of the answer.
    async fn begin(file: &File) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(BUFFER)?;
        let mut addresses = lookup_host(&file.address).await?;
        let address = addresses.find(std::net::SocketAddr::is_ipv4).context("no address of IPv4")?;
        let mut stream = socket.connect(address).await?;
        let request = format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", file.path, file.address);
        stream.write_all(request.as_bytes()).await?;
        let mut read = Vec::with_capacity(PIECE);
        let end = loop {
            ensure!(stream.read_buf(&mut read).await? > 0, "the connection ended within the head");
            if let Some(place) = read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break place + 4;
            }
        };
        let beginning = read.split_off(end);
        let head = String::from_utf8_lossy(&read).to_lowercase();
        ensure!(head.starts_with("http/1.1 200 "), "a download was answered with {head}");
        ensure!(head.contains(&format!("content-length: {SIZE}\r\n")), "the file is not whole: {head}");
        Ok(Self { stream, beginning })
    }

    /// Reads everything, a piece at a time, and returns its SHA-256.
    async fn read_all(mut self, piece: usize, pause: Duration) -> anyhow::Result<[u8; 32]> {
        let mut digest = Sha256::new();
        digest.update(&self.beginning);
        let mut left = SIZE.saturating_sub(self.beginning.len());
        let mut buffer = vec![0; piece];
        while left > 0 {
            let taken = buffer.get_mut(..piece.min(left)).context("no buffer")?;
            self.stream.read_exact(taken).await.with_context(|| format!("{left} bytes did not come"))?;
            digest.update(&*taken);
            left -= taken.len();
            sleep(pause).await;
        }
        Ok(digest.finalize().into())
    }

    /// Reads a piece at a time until it is told to leave.
    async fn slowly(mut self, all: &Shared, pause: Duration) -> anyhow::Result<()> {
        let mut buffer = vec![0; PIECE];
        let mut due = Instant::now();
        let mut left = SIZE.saturating_sub(self.beginning.len());
        while !all.leave.load(Ordering::Relaxed) {
            if left <= PIECE {
                bail!("a download has ended before the others: the file is too small for so long a run");
            }
            self.stream.read_exact(&mut buffer).await.context("a download broke off")?;
            left -= PIECE;
            all.bytes.fetch_add(PIECE as u64, Ordering::Relaxed);
            due += pause;
            sleep_until(due).await;
        }
        Ok(())
    }
}

/// What all readers share.
#[derive(Default)]
struct Shared {
    begun: AtomicUsize,
    leave: AtomicBool,
    bytes: AtomicU64,
}

/// All readers.
struct Crowd {
    shared: Arc<Shared>,
    readers: JoinSet<anyhow::Result<()>>,
    since: Instant,
}

impl Crowd {
    /// Returns as soon as all downloads have begun.
    async fn come(file: &File, pause: Duration) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut readers = JoinSet::new();
        for number in 0..READERS {
            let shared = shared.clone();
            let file = File { address: file.address.clone(), path: file.path.clone(), sha256: file.sha256 };
            readers.spawn(async move {
                let reader = Reader::begin(&file).await?;
                shared.begun.fetch_add(1, Ordering::Relaxed);
                if number >= WHOLE {
                    return reader.slowly(&shared, pause).await;
                }
                let digest = reader.read_all(WHOLE_PIECE, WHOLE_PAUSE).await?;
                shared.bytes.fetch_add(SIZE as u64, Ordering::Relaxed);
                ensure!(
                    digest == file.sha256,
                    "what was downloaded beside the others is not what was uploaded"
                );
                Ok(())
            });
        }
        let crowd = Self { shared, readers, since: Instant::now() };
        let begun = wait_for("beginning all downloads", PATIENCE, async || {
            anyhow::Ok((crowd.shared.begun.load(Ordering::Relaxed) == READERS).then_some(()))
        })
        .await;
        let number = crowd.shared.begun.load(Ordering::Relaxed);
        begun.with_context(|| format!("{number} of {READERS} downloads have begun"))?;
        Ok(crowd)
    }

    /// Waits for those that read to the end and has the others leave. Returns how many bytes all have read, and in which time. Errors where
    /// a download broke off.
    async fn leave(mut self) -> anyhow::Result<(u64, Duration)> {
        let deadline = Instant::now() + PATIENCE;
        for number in 0..WHOLE {
            tokio::select! {
                ended = self.readers.join_next() => ended.context("no reader")???,
                () = sleep_until(deadline) => bail!("{number} of {WHOLE} downloads have come to the end"),
            }
        }
        let (took, left) = (self.since.elapsed(), self.readers.len());
        ensure!(left == READERS - WHOLE, "{left} downloads were still under way");
        self.shared.leave.store(true, Ordering::Relaxed);
        while let Some(ended) = self.readers.join_next().await {
            ended??;
        }
        Ok((self.shared.bytes.load(Ordering::Relaxed), took))
    }
}
