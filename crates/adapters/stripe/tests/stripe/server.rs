//! The payments sandbox behind a socket, with faults on demand.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use portico_payments_sandbox::{ApiRequest, ApiResponse, Sandbox};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::shop::Hands;

/// A request as it came.
#[derive(Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// By names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// What the server answers instead of what the sandbox does.
pub enum Instead {
    /// These bytes, and then it closes the connection.
    Bytes(Vec<u8>),
    /// Nothing: it closes the connection.
    Nothing,
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    pub sandbox: Arc<Mutex<Sandbox>>,
    pub requests: Arc<Mutex<Vec<Request>>>,
    pub connections: Arc<AtomicUsize>,
    /// For the next requests, each once.
    pub instead: Arc<Mutex<VecDeque<Instead>>>,
    /// Method and beginning of the path of calls whose answers are lost, each once.
    pub losing: Arc<Mutex<Vec<(&'static str, &'static str)>>>,
}

impl Server {
    pub async fn start(sandbox: Sandbox, hands: Arc<Hands>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            sandbox: Arc::new(Mutex::new(sandbox)),
            requests: Arc::default(),
            connections: Arc::default(),
            instead: Arc::default(),
            losing: Arc::default(),
        };
        let (sandbox, requests) = (server.sandbox.clone(), server.requests.clone());
        let (connections, instead) = (server.connections.clone(), server.instead.clone());
        let losing = server.losing.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (sandbox, requests) = (sandbox.clone(), requests.clone());
                let (instead, hands, losing) = (instead.clone(), hands.clone(), losing.clone());
                tokio::spawn(
                    async move { serve(stream, &sandbox, &requests, &instead, &losing, &hands).await },
                );
            }
        });
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers the requests of a connection until it is closed.
async fn serve(
    mut stream: TcpStream,
    sandbox: &Mutex<Sandbox>,
    requests: &Mutex<Vec<Request>>,
    instead: &Mutex<VecDeque<Instead>>,
    losing: &Mutex<Vec<(&'static str, &'static str)>>,
    hands: &Hands,
) -> Option<()> {
    loop {
        let request = read(&mut stream).await?;
        requests.lock().unwrap().push(request.clone());
        let instead = instead.lock().unwrap().pop_front();
        match instead {
            None => {}
            Some(Instead::Nothing) => return None,
            Some(Instead::Bytes(bytes)) => return close(stream, bytes).await,
        }
        let headers: Vec<(&str, &str)> =
            request.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let call = ApiRequest {
            method: &request.method,
            path: &request.path,
            headers: &headers,
            body: &request.body,
        };
        let ApiResponse { status, headers, body, delay, lost } =
            sandbox.lock().unwrap().handle(call, hands.time());
        tokio::time::sleep(delay).await;
        let loses = {
            let mut losing = losing.lock().unwrap();
            let found = losing
                .iter()
                .position(|(method, path)| *method == request.method && request.path.starts_with(path));
            found.map(|place| losing.remove(place)).is_some()
        };
        if lost || loses {
            return None;
        }
        let mut head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).await.ok()?;
        stream.write_all(&body).await.ok()?;
    }
}

async fn close(mut stream: TcpStream, bytes: Vec<u8>) -> Option<()> {
    stream.write_all(&bytes).await.ok()?;
    stream.shutdown().await.ok()
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
        let headers: BTreeMap<String, String> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
            .collect();
        let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let body = end + 4;
        if bytes.len() >= body + length {
            return Some(Request { method, path, headers, body: bytes.split_off(body) });
        }
    }
}
