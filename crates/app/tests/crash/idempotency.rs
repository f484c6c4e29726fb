//! SIGKILL while requests with a key are carried out: sent again until they are answered, each is carried out once.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use portico_testkit::{
    TestDatabase,
    database::{Holder, tamper},
    server::eventually,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    kill::{random, reached},
    process::{Person, Server},
};

const WRITERS: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_after_a_kill_is_done_once_on_sqlite() {
    survive(None, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_again_after_a_kill_is_done_once_on_postgres() {
    let database = TestDatabase::postgres().await;
    survive(Some(database.url()), 3).await;
}

/// What one writer received.
#[derive(Default)]
struct Received {
    /// The first answer to each key.
    answers: BTreeMap<String, String>,
    /// How many requests were answered only when repeated after the server had died.
    repeated: usize,
    /// How many of those had been committed before it died.
    done_before: usize,
}

async fn survive(database: Option<&str>, kills: usize) {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = vec![
        ("PORTICO__SECURITY__ARGON2_MEMORY_KIB", "64"),
        ("PORTICO__SECURITY__ARGON2_PASSES", "1"),
        ("PORTICO__IDEMPOTENCY__LEASE", "1s"),
        ("PORTICO__DATABASE__MAX_CONNECTIONS", "8"),
    ];
    settings.extend(database.map(|url| ("PORTICO__DATABASE__URL", url)));
    let mut server = Server::start(folder.path(), &settings).await;
    let mut people = Vec::new();
    for number in 0..WRITERS {
        people.push(Person::with_site(&server, &format!("writer{number}@example.com")).await);
    }
    let mut before = Vec::new();
    for person in &people {
        before.push(person.pages().await.len());
    }

    let (answered, stopping) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let (moved, _) = watch::channel(people.clone());
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| tokio::spawn(write(writer, moved.subscribe(), answered.clone(), stopping.clone())))
        .collect();
    for _ in 0..kills {
        reached(&answered, answered.load(Ordering::Relaxed) + WRITERS).await;
        tokio::time::sleep(Duration::from_millis(random(250))).await;
        server.kill();
        server = Server::start(folder.path(), &settings).await;
        people = people.iter().map(|person| person.at(&server)).collect();
        moved.send_replace(people.clone());
    }
    reached(&answered, answered.load(Ordering::Relaxed) + WRITERS).await;
    stopping.store(true, Ordering::Relaxed);

    let (mut written, mut repeated, mut done_before) = (0, 0, 0);
    for (writer, received) in writers.into_iter().enumerate() {
        let received = received.await.unwrap();
        let person = &people[writer];
        let pages = person.pages().await;
        assert_eq!(pages.len() - before[writer], received.answers.len(), "one page for each key");
        assert_eq!(person.created_pages().await.len(), pages.len(), "one event for each page");
        for (key, answer) in &received.answers {
            let page: Value = serde_json::from_str(answer).unwrap();
            assert!(pages.contains(page["id"].as_str().unwrap()), "{page}");
            let again = person.once(key, &person.t("/pages"), &body(key)).await.unwrap();
            assert_eq!(again, (201, answer.clone(), true), "the same answer for good");
        }
        written += received.answers.len();
        repeated += received.repeated;
        done_before += received.done_before;
    }
    assert!(written >= WRITERS * (kills + 1), "the writers were busy: {written}");
    assert!(repeated > 0, "requests died with the server");
    eprintln!(
        "{kills} kills, {written} requests, {repeated} sent again, {done_before} of them done before the kill"
    );
}

fn body(key: &str) -> Value {
    json!({"title": format!("Page {key}")})
}

/// Makes pages one after the other, and sends each request until it is answered.
async fn write(
    writer: usize,
    mut people: watch::Receiver<Vec<Person>>,
    answered: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
) -> Received {
    let mut received = Received::default();
    for number in 0.. {
        if stopping.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("{writer}-{number}");
        let mut died = false;
        loop {
            let person = people.borrow_and_update()[writer].clone();
            match person.once(&key, &person.t("/pages"), &body(&key)).await {
                Some((201, answer, replayed)) => {
                    received.repeated += usize::from(died);
                    received.done_before += usize::from(replayed);
                    received.answers.insert(key, answer);
                    answered.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                // The claim of the dead process ends with its lease.
                Some((409, answer, _)) => {
                    assert!(died && answer.contains("idempotency_key_in_use"), "{answer}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Some(answer) => panic!("{answer:?}"),
                None => {
                    died = true;
                    // The server has another address after the restart.
                    people.changed().await.unwrap();
                }
            }
        }
    }
    received
}

/// The smallest picture: one grey pixel as GIF.
const PICTURE: &[u8] =
    b"GIF87a\x01\x00\x01\x00\x80\x01\x00\x00\x00\x00ccc,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;";

/// Begins an upload under a key.
fn begin(server: &Server, person: &Person, key: &str, length: usize) -> TcpStream {
    let host = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let (path, token) = (person.t("/assets/upload"), person.tokens["access_token"].as_str().unwrap());
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nIdempotency-Key: {key}\r\n\
         Content-Type: multipart/form-data; boundary=xyz\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

/// Uploads the whole form, and returns head and body of the response.
fn upload(server: &Server, person: &Person, key: &str, form: &[u8]) -> String {
    let mut stream = begin(server, person, key, form.len());
    stream.write_all(form).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Killed after every write but that of the answer: another transaction has locked the row that the answer is written to.
#[tokio::test(flavor = "multi_thread")]
async fn an_effect_whose_answer_is_not_written_yet_goes_with_the_process() {
    let database = TestDatabase::postgres().await;
    let url = database.url();
    let folder = tempfile::tempdir().unwrap();
    let settings = [("PORTICO__IDEMPOTENCY__LEASE", "1s"), ("PORTICO__DATABASE__URL", url)];
    let server = Server::start(folder.path(), &settings).await;
    let person = Person::with_site(&server, "writer@example.com").await;
    let mut form =
        b"--xyz\r\nContent-Disposition: form-data; name=\"files\"; filename=\"a.gif\"\r\n\r\n".to_vec();
    form.extend(PICTURE);
    form.extend(b"\r\n--xyz--\r\n");
    let until = async |statement: &str| {
        let found = eventually(Duration::from_secs(20), async || {
            (tamper(url, statement, &[]).await > 0).then_some(())
        });
        found.await.unwrap_or_else(|| panic!("{statement}"));
    };

    let mut stream = begin(&server, &person, "between", form.len());
    stream.write_all(&form[..20]).unwrap();
    until("select 1 from idempotency_keys where key = 'between'").await;
    let holder =
        Holder::begin(url, "select key from idempotency_keys where key = 'between' for update").await;
    stream.write_all(&form[20..]).unwrap();
    until(
        "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' \
         and query like 'insert into idempotency_keys%'",
    )
    .await;
    server.kill();
    holder.release().await;

    let server = Server::start(folder.path(), &settings).await;
    let person = person.at(&server);
    assert_eq!(person.get(&person.t("/assets")).await["total"], 0, "it went with the process");
    let made = eventually(Duration::from_secs(10), async || {
        let answer = upload(&server, &person, "between", &form);
        let in_use = answer.contains("idempotency_key_in_use");
        assert!(answer.starts_with("HTTP/1.1 201") || in_use, "{answer}");
        (!in_use).then_some(answer)
    });
    let made = made.await.unwrap();
    assert!(!made.contains("idempotent-replayed: true"), "{made}");
    let again = upload(&server, &person, "between", &form);
    assert!(again.contains("idempotent-replayed: true"), "{again}");
    let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&again), body(&made));
    assert_eq!(person.get(&person.t("/assets")).await["total"], 1);
}
