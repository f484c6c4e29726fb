//! The stand-in behind a socket, with faults on demand.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use portico_kernel::http::{HttpClient, HttpMethod};
use portico_outbound::{Bounds, GuardedClient, Purpose, Rules};
use portico_recurrente::{HeaderStyle, Recurrente, RecurrenteConfig, stand_in::StandIn};
use time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{TestClock, env};

/// What goes wrong with the next call that makes something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call has its effect, and its answer is lost.
    LostAnswer,
    /// This status and body, without effect.
    Status(u16, &'static str),
    /// These bytes with the status 200, without effect.
    Body(&'static str),
}

/// A call that came: method and path with query, headers in lower case.
#[derive(Clone, Debug)]
pub struct Call {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A running server.
pub struct Server {
    pub stand_in: StandIn,
    pub clock: Arc<TestClock>,
    pub env: portico_kernel::Env,
    address: SocketAddr,
    faults: Arc<Mutex<Vec<Fault>>>,
    calls: Arc<Mutex<Vec<Call>>>,
    _folder: tempfile::TempDir,
}

impl Server {
    pub async fn start() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (env, clock) = env();
        let folder = tempfile::tempdir().unwrap();
        let stand_in = StandIn::new(
            folder.path().join("recurrente.json"),
            "http://127.0.0.1/dev/recurrente",
            env.clone(),
        )
        .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            stand_in: stand_in.clone(),
            clock,
            env,
            faults: Arc::default(),
            calls: Arc::default(),
            _folder: folder,
        };
        let (faults, calls) = (server.faults.clone(), server.calls.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (stand_in, faults, calls) = (stand_in.clone(), faults.clone(), calls.clone());
                tokio::spawn(async move { serve(stream, &stand_in, &faults, &calls).await });
            }
        });
        server
    }

    /// The provider, with another configuration.
    pub fn provider_with(&self, adjust: impl FnOnce(&mut RecurrenteConfig)) -> Recurrente {
        let mut config = StandIn::config();
        config.base_url = format!("http://{}/api", self.address);
        adjust(&mut config);
        let rules = Rules::new(Purpose::Payments).networks([&"127.0.0.0/8".parse().unwrap()]);
        let client = GuardedClient::new(rules, Bounds::default());
        Recurrente::new(config, self.stand_in.secrets(), Arc::new(client), self.env.clone())
    }

    /// The provider over another client, which answers in its place.
    pub fn provider_over(&self, http: Arc<dyn HttpClient>) -> Recurrente {
        Recurrente::new(StandIn::config(), self.stand_in.secrets(), http, self.env.clone())
    }

    pub fn provider(&self) -> Recurrente {
        self.provider_with(|config| config.headers = HeaderStyle::Pair)
    }

    pub fn fail_next(&self, fault: Fault) {
        self.faults.lock().unwrap().push(fault);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// How many checkouts or refunds were asked for.
    pub fn made(&self, what: &str) -> usize {
        self.calls().iter().filter(|call| call.line == format!("POST /api/{what}")).count()
    }

    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

async fn serve(
    mut stream: TcpStream,
    stand_in: &StandIn,
    faults: &Mutex<Vec<Fault>>,
    calls: &Mutex<Vec<Call>>,
) -> Option<()> {
    let call = read(&mut stream).await?;
    calls.lock().unwrap().push(call.clone());
    let (method, target) = call.line.split_once(' ')?;
    let method = match method {
        "POST" => HttpMethod::Post,
        "PATCH" => HttpMethod::Patch,
        _ => HttpMethod::Get,
    };
    let fault = if method == HttpMethod::Get { None } else { faults.lock().unwrap().pop() };
    match fault {
        Some(Fault::Status(status, body)) => return write(&mut stream, status, body).await,
        Some(Fault::Body(body)) => return write(&mut stream, 200, body).await,
        _ => {}
    }
    let (status, body) = stand_in.answer(method, target, &call.headers, call.body.as_bytes()).await.unwrap();
    match fault {
        // The connection is closed without a word.
        Some(Fault::LostAnswer) => None,
        _ => write(&mut stream, status, &body.to_string()).await,
    }
}

async fn write(stream: &mut TcpStream, status: u16, body: &str) -> Option<()> {
    let head = format!(
        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<Call> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        };
        let headers: Vec<(String, String)> = lines.filter_map(header).collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
        if bytes.len() >= end + 4 + length {
            let body = String::from_utf8(bytes.split_off(end + 4)).unwrap();
            return Some(Call { line, headers, body });
        }
    }
}
