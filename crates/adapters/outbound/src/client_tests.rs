use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use portico_kernel::http::Patience;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::Purpose;

/// Answers every connection with the same bytes, and counts connections.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Server {
    async fn start(on: &str, answer: &'static str) -> Self {
        Self::start_slow(on, answer, Duration::ZERO).await
    }

    async fn start_slow(on: &str, answer: &'static str, delay: Duration) -> Self {
        let listener = TcpListener::bind(on).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    tokio::time::sleep(delay).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Self { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\nX-Kind: test\r\n\r\nhello";

/// A resolver that gives one answer after the other, and then repeats the last one.
struct Script {
    answers: Mutex<VecDeque<Vec<&'static str>>>,
    asked: AtomicUsize,
}

impl Script {
    fn new(answers: &[&[&'static str]]) -> Arc<Self> {
        let answers = answers.iter().map(|answer| answer.to_vec()).collect();
        Arc::new(Self { answers: Mutex::new(answers), asked: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Lookup for Script {
    async fn lookup(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Ok(answer.unwrap_or_default().iter().map(|text| text.parse().unwrap()).collect())
    }
}

fn guarded(allowed: &[&str], lookup: Arc<dyn Lookup>) -> GuardedClient {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let allowed: Vec<ipnet::IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
    let rules = Rules::new(Purpose::Webhooks).networks(&allowed);
    let bounds = Bounds { connect: Duration::from_secs(2), total: Duration::from_millis(2500), body: 100 };
    GuardedClient::with_lookup(rules, bounds, lookup)
}

async fn get(client: &GuardedClient, url: impl Into<String>) -> Result<HttpResponse, HttpError> {
    client.send(HttpRequest::get(url)).await
}

fn is_refused(answer: &Result<HttpResponse, HttpError>) -> bool {
    matches!(answer, Err(HttpError::Refused(_)))
}

#[tokio::test]
async fn an_allowed_network_is_called_without_encryption_too() {
    let server = Server::start("127.0.0.1:0", HELLO).await;
    let client = guarded(&["127.0.0.1/32"], Script::new(&[&["127.0.0.1"]]));
    for host in ["127.0.0.1", "some.name"] {
        let answer = get(&client, format!("http://{host}:{}/", server.address.port())).await.unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
        assert!(answer.headers.contains(&("x-kind".into(), "test".into())));
    }
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn loopback_is_refused_in_every_notation() {
    let server = Server::start("127.0.0.1:0", HELLO).await;
    let client = guarded(&[], Script::new(&[&["127.0.0.1"]]));
    let port = server.address.port();
    for host in [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "0",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "%31%32%37.0.0.1",
        "localhost",
        "localhost.",
        "LOCALHOST",
        "some.name",
    ] {
        for scheme in ["http", "https"] {
            let answer = get(&client, format!("{scheme}://{host}:{port}/")).await;
            assert!(is_refused(&answer), "{scheme}://{host}: {answer:?}");
        }
    }
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn other_schemes_and_credentials_are_refused() {
    let client = guarded(&["127.0.0.0/8"], Script::new(&[&["127.0.0.1"]]));
    for url in [
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "gopher://127.0.0.1/",
        "data:text/plain,x",
        "127.0.0.1",
        "//127.0.0.1/",
        "http://",
        "https:///",
        "http://user:secret@127.0.0.1/",
        "",
    ] {
        let answer = get(&client, url).await;
        assert!(is_refused(&answer), "{url}: {answer:?}");
    }
}

#[tokio::test]
async fn a_public_address_wants_encryption() {
    let lookup = Script::new(&[&["8.8.8.8", "2001:4860:4860::8888"]]);
    let client = guarded(&[], lookup.clone());
    for url in ["http://8.8.8.8/", "http://[2001:4860:4860::8888]/", "http://some.name/"] {
        let answer = get(&client, url).await;
        assert!(is_refused(&answer), "{url}: {answer:?}");
    }
}

/// The name resolves to an allowed address first and to another one afterwards; a client that resolved it once for the
/// check and again to connect would call the other one.
#[tokio::test]
async fn a_name_that_changes_its_address_gains_nothing() {
    let allowed = Server::start("127.0.0.2:0", HELLO).await;
    let port = allowed.address.port();
    let inside = Server::start(&format!("127.0.0.1:{port}"), HELLO).await;
    let lookup = Script::new(&[&["127.0.0.2"], &["127.0.0.1"]]);
    let client = guarded(&["127.0.0.2/32"], lookup.clone());
    let url = format!("http://rebinding.test:{port}/");

    get(&client, &url).await.unwrap();
    assert_eq!((lookup.asked.load(Ordering::SeqCst), allowed.connections(), inside.connections()), (1, 1, 0));
    let second = get(&client, &url).await;
    assert!(is_refused(&second), "{second:?}");
    assert_eq!((lookup.asked.load(Ordering::SeqCst), allowed.connections(), inside.connections()), (2, 1, 0));
}

#[tokio::test]
async fn of_several_addresses_only_the_allowed_ones_are_called() {
    let allowed = Server::start("127.0.0.2:0", HELLO).await;
    let port = allowed.address.port();
    let inside = Server::start(&format!("127.0.0.1:{port}"), HELLO).await;
    let lookup = Script::new(&[&["127.0.0.1", "10.0.0.1", "127.0.0.2", "169.254.169.254"]]);
    let client = guarded(&["127.0.0.2/32"], lookup);
    get(&client, format!("http://mixed.test:{port}/")).await.unwrap();
    assert_eq!((allowed.connections(), inside.connections()), (1, 0));
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let inside = Server::start("127.0.0.1:0", HELLO).await;
    let moved = format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{}/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        inside.address.port()
    );
    let outside = Server::start("127.0.0.2:0", moved.leak()).await;
    let client = guarded(&["127.0.0.0/8"], Script::new(&[&["127.0.0.2"]]));
    let answer = get(&client, format!("http://some.name:{}/", outside.address.port())).await.unwrap();
    assert_eq!((answer.status, inside.connections()), (302, 0));
}

#[tokio::test]
async fn size_is_bounded_announced_or_not() {
    let announced = "HTTP/1.1 200 OK\r\ncontent-length: 101\r\n\r\n";
    let body = "x".repeat(50);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n32\r\n{body}\r\n32\r\n{body}\r\n1\r\nx\r\n0\r\n\r\n"
    );
    for answer in [announced, chunked.leak()] {
        let server = Server::start("127.0.0.1:0", answer).await;
        let client = guarded(&["127.0.0.1/32"], Script::new(&[&[]]));
        let answer = get(&client, format!("http://{}/", server.address)).await;
        assert_eq!(answer, Err(HttpError::TooLarge));
    }
}

#[tokio::test]
async fn time_is_bounded() {
    let server = Server::start_slow("127.0.0.1:0", HELLO, Duration::from_secs(60)).await;
    let client = guarded(&["127.0.0.1/32"], Script::new(&[&[]]));
    let answer = get(&client, format!("http://{}/", server.address)).await;
    assert_eq!(answer, Err(HttpError::TimedOut));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = guarded(&["127.0.0.1/32"], Script::new(&[&[]]));
    let answer = get(&client, format!("http://{address}/?code=secret")).await;
    let Err(HttpError::Unreachable(cause)) = answer else { panic!("{answer:?}") };
    assert!(!cause.contains("secret"), "{cause}");
    let unknown = get(&client, "https://no-address.test/").await;
    assert!(is_refused(&unknown), "{unknown:?}");
}

/// Keeps connections open, answers every request with the same bytes, and records requests.
async fn keeping(answer: &'static str) -> (Server, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (count, seen) = (connections.clone(), requests.clone());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let seen = seen.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                // The requests of these tests are small enough to arrive in one read.
                while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                    seen.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (Server { address, connections }, requests)
}

fn posting(server: &Server, patience: Patience) -> HttpRequest {
    let headers = vec![("webhook-id".to_owned(), "evt_1".to_owned())];
    let url = format!("http://{}/hook", server.address);
    HttpRequest { patience, ..HttpRequest::post(url, headers, b"{}".to_vec()) }
}

fn here() -> GuardedClient {
    guarded(&["127.0.0.1/32"], Script::new(&[&[]]))
}

#[tokio::test]
async fn a_connection_is_used_again_also_when_not_all_of_an_answer_is_wanted() {
    let long = format!("HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n{}", "x".repeat(2000));
    let (server, requests) = keeping(long.leak()).await;
    let client = here();
    let patience = Patience { beginning: Some(50), ..Patience::default() };
    for _ in 0..5 {
        let answer = client.send(posting(&server, patience)).await.unwrap();
        assert_eq!((answer.status, answer.body), (200, vec![b'x'; 50]), "more than is bounded, and no error");
    }
    assert_eq!(server.connections(), 1);
    let requests = requests.lock().unwrap().clone();
    assert!(
        requests[0].starts_with("POST /hook HTTP/1.1\r\n") && requests[0].ends_with("\r\n\r\n{}"),
        "{requests:?}"
    );
    assert!(requests[0].contains("webhook-id: evt_1\r\n"));
    assert_eq!(client.send(posting(&server, Patience::default())).await, Err(HttpError::TooLarge));
}

#[tokio::test]
async fn the_beginning_of_an_answer_is_enough_even_if_the_rest_never_comes() {
    let broken = "HTTP/1.1 500 Oh\r\ncontent-length: 90\r\n\r\nsorry";
    let patience = Patience { time: Some(Duration::from_millis(300)), beginning: Some(50) };
    for server in [Server::start("127.0.0.1:0", broken).await, keeping(broken).await.0] {
        let answer = here().send(posting(&server, patience)).await.unwrap();
        assert_eq!((answer.status, answer.body), (500, b"sorry".to_vec()));
        let whole = Patience { beginning: None, ..patience };
        assert!(here().send(posting(&server, whole)).await.is_err());
    }
}

#[tokio::test]
async fn a_call_may_have_less_time_than_others() {
    let server = Server::start_slow("127.0.0.1:0", HELLO, Duration::from_secs(60)).await;
    let patience = Patience { time: Some(Duration::from_millis(50)), beginning: Some(50) };
    let begun = std::time::Instant::now();
    assert_eq!(here().send(posting(&server, patience)).await, Err(HttpError::TimedOut));
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn only_ports_of_the_web_are_called_on_public_addresses() {
    let client = guarded(&[], Script::new(&[&["8.8.8.8"]]));
    let listing = guarded(&["127.0.0.0/8"], Script::new(&[&["8.8.8.8"]]));
    for port in [22, 25, 80, 465, 587, 993, 1024, 3000, 5432, 6379, 8080, 9200] {
        for host in ["8.8.8.8", "[2001:4860:4860::8888]", "some.name"] {
            for client in [&client, &listing] {
                let answer = get(client, format!("https://{host}:{port}/")).await;
                assert!(is_refused(&answer), "{host}:{port}: {answer:?}");
            }
        }
        assert!(client.admits(&format!("https://8.8.8.8:{port}/")).is_err());
        assert!(listing.admits(&format!("https://127.0.0.1:{port}/")).is_ok(), "the operator's own");
    }
    assert!(client.admits("https://8.8.8.8:8443/").is_ok() && client.admits("https://some.name/").is_ok());
}
