//! What still works during the outage of a part, and how it recovers.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use portico_testkit::server::{Answer, Client, Database, TestServer, at_once, eventually};
use secrecy::ExposeSecret;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use url::Url;

use crate::{
    contact_forms::{ANA, Form},
    visitors::{FIREFOX, Shop},
};

/// State of the network path to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Connections end, and are refused.
    Cut,
    /// Packets are lost, without an error at either end.
    Silent,
}

/// A network path to a server that can be closed.
struct Gate {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Gate {
    /// In front of a server on this machine. Runs until the test ends.
    fn before(server: String) -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (way, gate) = watch::channel(Way::Open);
        tokio::spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, server.clone(), gate.clone()));
            }
        });
        Self { address, way }
    }
}

async fn carry(mut client: TcpStream, server: String, mut gate: watch::Receiver<Way>) {
    if *gate.borrow_and_update() == Way::Cut {
        return;
    }
    let mut server = TcpStream::connect(server).await.unwrap();
    loop {
        let way = *gate.borrow_and_update();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server), if way == Way::Open => return,
            changed = gate.changed() => if changed.is_err() { return },
        }
        if *gate.borrow() == Way::Cut {
            return;
        }
    }
}

/// A server on Postgres behind a gate.
async fn gated() -> (TestServer, Gate) {
    let mut gate = None;
    let server = TestServer::start_with(Database::Postgres, |settings| {
        let mut url: Url = settings.database.url.as_ref().unwrap().expose_secret().parse().unwrap();
        let before = Gate::before(format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()));
        url.set_port(Some(before.address.port())).unwrap();
        settings.database.url = Some(url.to_string().into());
        gate = Some(before);
    })
    .await;
    (server, gate.unwrap())
}

fn is_stale(answer: &Answer) -> bool {
    let status = answer.header("cache-status");
    assert!(
        status.is_empty()
            || status.starts_with("portico; hit; ttl=-") && status.ends_with("; detail=database-unreachable"),
        "{status}"
    );
    !status.is_empty()
}

/// Asks until an answer is stale.
async fn until_stale(visitor: &Client) -> Answer {
    let stale = eventually(Duration::from_secs(10), async || {
        let answer = visitor.get("/").await;
        is_stale(&answer).then_some(answer)
    });
    stale.await.expect("the database is away")
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_are_served_while_the_database_is_away_and_fresh_when_it_is_back() {
    let (server, gate) = gated().await;
    let form = Form::open(&server, "shop@example.com").await;
    let visitor = form.shop.visitor(&server, FIREFOX);
    let no_site = server.client().with("host", "nobody.localhost");
    let page = visitor.get("/").await;
    assert!(page.status.is_success() && !is_stale(&page));
    assert_eq!(no_site.get("/").await.status.as_u16(), 404);

    for (way, name) in [(Way::Cut, "one.localhost"), (Way::Silent, "other.localhost")] {
        // Not asked for before.
        let unknown = server.client().with("host", name);
        gate.way.send_replace(way);
        let started = Instant::now();
        until_stale(&visitor).await;
        assert!(started.elapsed() < Duration::from_secs(3), "{way:?}: {:?}", started.elapsed());
        let waits = at_once(40, |number| {
            let visitor = visitor.clone();
            async move {
                let started = Instant::now();
                let answer = visitor.get(["/", "/about-us/"][number % 2]).await;
                assert!(answer.status.is_success() && is_stale(&answer), "{answer:?}");
                started.elapsed()
            }
        })
        .await;
        // One of them at most asks the database.
        let long = waits.iter().filter(|wait| **wait > Duration::from_millis(850)).count();
        assert!(long <= 1, "{way:?}: {waits:?}");
        let answer = visitor.with("if-none-match", page.header("etag")).get("/").await;
        assert!(answer.status.as_u16() == 304 && is_stale(&answer), "{answer:?}");
        assert_eq!(visitor.get("/").await.text, page.text);
        assert_eq!(until_stale(&no_site).await.status.as_u16(), 404);
        for (asked, path) in [(&unknown, "/"), (&visitor, "/assets/of-another-deployment.css")] {
            let started = Instant::now();
            let answer = asked.get(path).await;
            assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "5"), "{answer:?}");
            assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
        }
        if way == Way::Cut {
            let sent = form.send(&ANA).await;
            assert_eq!(sent.status.as_u16(), 503, "{sent:?}");
            assert!(!sent.header("retry-after").is_empty());
        }

        gate.way.send_replace(Way::Open);
        let back = Instant::now();
        let fresh = eventually(Duration::from_secs(10), async || {
            let answer = visitor.get("/").await;
            assert!(answer.status.is_success(), "{answer:?}");
            (!is_stale(&answer)).then_some(())
        });
        assert!(fresh.await.is_some(), "{way:?}");
        assert!(back.elapsed() < Duration::from_secs(4), "{way:?}: {:?}", back.elapsed());
        assert_eq!(unknown.get("/").await.status.as_u16(), 404);
    }
    assert_eq!(form.send(&ANA).await.status.as_u16(), 303);
    server.stop().await;
}

/// A shop on SQLite, and a visitor who has seen it.
async fn shop(serve_stale: Duration) -> (TestServer, Client) {
    let server = TestServer::start_with(Database::Sqlite, |settings| {
        settings.sites.serve_stale = serve_stale;
    })
    .await;
    let shop = Shop::open(&server, "shop@example.com", &[]).await;
    let visitor = shop.visitor(&server, FIREFOX);
    visitor.get("/").await;
    (server, visitor)
}

#[tokio::test(flavor = "multi_thread")]
async fn sites_are_served_stale_no_longer_than_the_setting_says() {
    let (server, visitor) = shop(Duration::from_millis(2500)).await;
    server.app.core.store.close().await;
    let answer = until_stale(&visitor).await;
    assert!(answer.status.is_success(), "{answer:?}");
    let over = eventually(Duration::from_secs(10), async || {
        let answer = visitor.get("/").await;
        (answer.status.as_u16() == 503).then_some(answer)
    });
    assert_eq!(over.await.unwrap().header("retry-after"), "5");
    drop(server);

    let (server, visitor) = shop(Duration::ZERO).await;
    server.app.core.store.close().await;
    let over = eventually(Duration::from_secs(10), async || {
        let answer = visitor.get("/").await;
        assert!(!is_stale(&answer));
        (answer.status.as_u16() == 503).then_some(())
    });
    assert!(over.await.is_some());
    drop(server);
}
