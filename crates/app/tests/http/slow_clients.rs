//! Clients that send slowly, or nothing: they delay themselves only.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use portico_testkit::server::{Client, Database, TestServer};
use portico_web::admission::Class;
use serde_json::json;

/// What came back, and when.
#[derive(Debug)]
pub struct Outcome {
    /// All of it.
    pub text: String,
    /// Until the first byte of the answer.
    answered: Option<Duration>,
    /// Until the server closed the connection.
    closed: Option<Duration>,
}

impl Outcome {
    /// Status code; 0 without an answer.
    pub fn status(&self) -> u16 {
        self.text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    fn closed_after(&self) -> f64 {
        self.closed.unwrap_or_else(|| panic!("still open: {self:?}")).as_secs_f64()
    }
}

/// Sends `first` at once and then `piece` every so often, until the server closes the connection or the time is up.
pub fn trickle(server: &TestServer, first: &str, piece: &[u8], pause: Duration, until: Duration) -> Outcome {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    stream.set_read_timeout(Some(pause)).unwrap();
    let begun = Instant::now();
    let (mut text, mut answered, mut buffer) = (Vec::new(), None, [0; 4096]);
    let closed = loop {
        if begun.elapsed() > until {
            break None;
        }
        match stream.read(&mut buffer) {
            Ok(0) => break Some(begun.elapsed()),
            Ok(read) => {
                answered.get_or_insert(begun.elapsed());
                text.extend_from_slice(&buffer[..read]);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if stream.write_all(piece).is_err() {
                    break Some(begun.elapsed());
                }
            }
            Err(_) => break Some(begun.elapsed()),
        }
    };
    Outcome { text: String::from_utf8_lossy(&text).into_owned(), answered, closed }
}

fn head(request: &str, client: Option<&Client>, lines: &[&str]) -> String {
    let token = client.and_then(|client| client.headers.get("authorization"));
    let token = token.map(|token| format!("Authorization: {token}\r\n")).unwrap_or_default();
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{request} HTTP/1.1\r\nHost: localhost\r\n{token}{lines}\r\n")
}

const JSON: &str = "Content-Type: application/json";
const LONG: &str = "Content-Length: 100000";
const CHUNKED: &str = "Transfer-Encoding: chunked";
const FORM: &str = "Content-Type: multipart/form-data; boundary=b";
const EXPECT: &str = "Expect: 100-continue";

/// What is sent once the head of a request with [`EXPECT`] was read.
const CONTINUE: &[u8; 25] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Sends the beginning of a request that has [`EXPECT`], and waits until the server says that it has read the head.
fn send_head(address: &str, first: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(first.as_bytes()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut answer = [0; CONTINUE.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, CONTINUE);
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_at_a_byte_now_and_then_are_cut_whoever_sends_them_and_whatever_they_are_for() {
    let server = TestServer::start().await;
    let owner = server.customer("slow@example.com").await;
    let upload = format!("POST /api/v1/tenants/{}/assets/upload", owner.tenant);
    let part = "--b\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.png\"\r\n\r\n";
    let (half, one) = (Duration::from_millis(300), b"1".as_slice());
    let chunk = b"1\r\n1\r\n".as_slice();
    thread::scope(|scope| {
        let server = &server;
        let run = |first: String, piece: &'static [u8]| {
            scope.spawn(move || trickle(server, &first, piece, half, Duration::from_secs(15)))
        };
        // Read by a route, or before one.
        let cut = [
            run(head("POST /api/v1/auth/login", None, &[JSON, LONG]) + "{", one),
            run(head("POST /api/v1/auth/login", None, &[JSON, CHUNKED]), chunk),
            run(head("POST /api/v1/sites", Some(&owner), &[JSON, LONG]), one),
            run(head("POST /api/v1/sites", Some(&owner), &[JSON, LONG, "Idempotency-Key: slow"]), one),
            run(head(&upload, Some(&owner), &[FORM, LONG]) + part, one),
            run(head("PUT /api/v1/profile/avatar", Some(&owner), &["Content-Type: image/png", LONG]), one),
            run(head("POST /api/v1/nothing-here", None, &[JSON, CHUNKED]), chunk),
        ];
        // Bodies that no handler reads.
        let refused = [
            (404, run(head("POST /nothing-here", None, &[JSON, LONG]), one)),
            (404, run(head("POST /nothing-here", None, &[JSON, CHUNKED]), chunk)),
            (401, run(head("GET /api/v1/sites", None, &[CHUNKED]), chunk)),
            (401, run(head(&upload, None, &[FORM, CHUNKED]), chunk)),
            (401, run(head("POST /api/v1/sites", None, &[JSON, LONG]), one)),
        ];
        // Slow, but above the limit.
        let piece = [b' '; 1024].as_slice();
        let honest =
            format!("{}{{", head("POST /api/v1/sites", Some(&owner), &[JSON, "Content-Length: 20481"]));
        let honest = scope.spawn(move || trickle(server, &honest, piece, half, Duration::from_secs(15)));
        for slow in cut {
            let outcome = slow.join().unwrap();
            assert_eq!(outcome.status(), 408, "{outcome:?}");
            assert!(outcome.text.contains("\"request_timeout\""), "{outcome:?}");
            assert!(outcome.text.to_lowercase().contains("connection: close"), "{outcome:?}");
            let answered = outcome.answered.unwrap().as_secs_f64();
            assert!((4.5..8.0).contains(&answered) && outcome.closed_after() < 10.0, "{outcome:?}");
        }
        for (status, slow) in refused {
            let outcome = slow.join().unwrap();
            assert_eq!(outcome.status(), status, "{outcome:?}");
            assert!(outcome.answered.unwrap().as_secs_f64() < 2.0, "at once: {outcome:?}");
            assert!(outcome.closed_after() < 4.0, "{outcome:?}");
        }
        let honest = honest.join().unwrap();
        assert_eq!(honest.status(), 400, "{honest:?}");
        assert!(honest.answered.unwrap() > Duration::from_secs(5), "it took its time: {honest:?}");
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_let_go_without_a_word_and_every_head_has_a_deadline() {
    let server = TestServer::start().await;
    let pause = Duration::from_millis(200);
    thread::scope(|scope| {
        let server = &server;
        let run = |first: &'static str, piece: &'static [u8]| {
            scope.spawn(move || trickle(server, first, piece, pause, Duration::from_secs(15)))
        };
        let silent = run("", b"");
        let half = run("GET /api/heal", b"");
        let trickled = run("GET /api/heal", b"x");
        let second = run("GET /api/health/live HTTP/1.1\r\nHost: localhost\r\n\r\nGET /api/hea", b"x");
        let silent = silent.join().unwrap();
        assert_eq!(silent.text, "");
        assert!((3.0..9.0).contains(&silent.closed_after()), "{silent:?}");
        for half in [half, trickled] {
            let half = half.join().unwrap();
            assert_eq!(half.status(), 408, "{half:?}");
            assert!((3.0..9.0).contains(&half.closed_after()), "{half:?}");
        }
        let second = second.join().unwrap();
        assert_eq!((second.status(), second.text.matches("HTTP/1.1").count()), (204, 1), "{second:?}");
        assert!((3.0..9.0).contains(&second.closed_after()), "{second:?}");
    });
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_does_not_hold_up_the_end_of_the_server() {
    let server = TestServer::start().await;
    let owner = server.customer("last@example.com").await;
    let upload = format!("POST /api/v1/tenants/{}/assets/upload", owner.tenant);
    let address = server.url.trim_start_matches("http://").to_owned();
    let clients: Vec<_> = [
        head("POST /api/v1/sites", Some(&owner), &[JSON, LONG, EXPECT]) + "{",
        head(&upload, Some(&owner), &[FORM, LONG, EXPECT]) + "--b\r\n",
        head("POST /api/v1/auth/login", None, &[JSON, CHUNKED, EXPECT]),
    ]
    .into_iter()
    .map(|first| send_head(&address, &first))
    .collect();
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for mut stream in clients {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_at_once_and_the_rest_goes_on() {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.admission.writes = Some(1);
        settings.admission.wait = Duration::from_millis(10);
    })
    .await;
    let owner = server.customer("busy@example.com").await;
    // A body that is still arriving takes no admission slot.
    let address = server.url.trim_start_matches("http://").to_owned();
    let slow = send_head(&address, &(head("POST /api/v1/sites", Some(&owner), &[JSON, LONG, EXPECT]) + "{"));
    let branding = owner.t("/branding");
    let colour = |colour: &str| json!({"colors": {"primary": colour}});
    owner.put(&branding, colour("#111111")).await.expect(200);

    let app = server.app.clone();
    let place = app.api.admission.enter(Class::Writes, 0).await.unwrap();
    for number in 0..5 {
        let begun = Instant::now();
        let refused = owner.put(&branding, colour(&format!("#22222{number}"))).await;
        assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
        assert_eq!((refused.status.as_u16(), &refused.json["code"]), (503, &json!("overloaded")));
        let seconds: u64 = refused.header("retry-after").parse().unwrap();
        assert!((1..=3).contains(&seconds), "{seconds}");
    }
    // Other admission classes, and requests in none.
    owner.get(&branding).await.expect(200);
    for path in ["/api/health/live", "/api/health/ready", "/api/metrics", "/api/openapi.json"] {
        assert!(server.client().get(path).await.status.is_success(), "{path}");
    }
    let login = json!({"email": "busy@example.com", "password": "wrong-Horse-7"});
    assert_eq!(server.client().post("/api/v1/auth/login", login).await.status.as_u16(), 401);
    let metrics = server.client().get("/api/metrics").await.text;
    assert!(metrics.contains("portico_admission_refused_total{class=\"writes\"}"), "{metrics}");
    drop(place);
    let done = owner.put(&branding, colour("#333333")).await.expect(200);
    assert_eq!(done["colors"]["primary"], "#333333");
    drop(slow);
    server.stop().await;
}
