//! DNS rebinding against a real name server that changes its answers.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use hickory_resolver::{
    TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
    proto::rr::{Name, RecordType},
};
use portico_kernel::http::{HttpClient, HttpError, HttpRequest};
use portico_outbound::{Bounds, GuardedClient, Lookup, Purpose, Rules};
use portico_testkit::dns::TestDns;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Queries one name server, without a cache.
struct Asking(TokioResolver);

impl Asking {
    fn new(server: SocketAddr) -> Self {
        let mut udp = ConnectionConfig::udp();
        udp.port = server.port();
        let config =
            ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, vec![udp])]);
        let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        builder.options_mut().cache_size = 0;
        Self(builder.build().unwrap())
    }
}

#[async_trait]
impl Lookup for Asking {
    async fn lookup(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let name = Name::from_ascii(format!("{host}.")).map_err(io::Error::other)?;
        let found = self.0.lookup(name, RecordType::A).await.map_err(io::Error::other)?;
        Ok(found.answers().iter().filter_map(|record| record.data.ip_addr()).collect())
    }
}

/// Counts connections, and answers them.
async fn server(on: &str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(on).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
                let _ = stream.write_all(answer.as_bytes()).await;
            });
        }
    });
    (address, connections)
}

/// `127.0.0.2` stands for the public internet, and `127.0.0.1` for the internal network.
#[tokio::test]
async fn whatever_the_name_says_next_only_what_was_checked_is_called() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (outside, outside_calls) = server("127.0.0.2:0").await;
    let (_, inside_calls) = server(&format!("127.0.0.1:{}", outside.port())).await;
    let dns = TestDns::start().await;
    let client = || {
        let lookup = Arc::new(Asking::new(dns.address()));
        let outside = "127.0.0.2/32".parse().unwrap();
        let rules = Rules::new(Purpose::Webhooks).networks([&outside]);
        GuardedClient::with_lookup(rules, Bounds::default(), lookup)
    };
    let call = async |client: &GuardedClient, name: &str| {
        let url = format!("http://{name}:{}/", outside.port());
        client.send(HttpRequest::post(url, Vec::new(), b"{}".to_vec())).await.map(|answer| answer.status)
    };
    let calls = || (outside_calls.load(Ordering::SeqCst), inside_calls.load(Ordering::SeqCst));

    // A client that checked one answer and connected to the next one would call the internal server.
    dns.rebinding("flips.test", &["127.0.0.2", "127.0.0.1"]);
    let one = client();
    assert_eq!(call(&one, "flips.test").await, Ok(200));
    assert_eq!(calls(), (1, 0));
    for _ in 0..3 {
        let answer = call(&one, "flips.test").await;
        assert!(matches!(answer, Err(HttpError::Refused(_))), "{answer:?}");
    }
    // One name resolves to an internal address first, and one changes back and forth.
    dns.rebinding("begins.test", &["127.0.0.1", "169.254.169.254", "127.0.0.2", "127.0.0.1"]);
    let mut answers = Vec::new();
    for _ in 0..4 {
        answers.push(call(&client(), "begins.test").await.is_ok());
    }
    assert_eq!(answers, [false, false, true, false]);
    assert_eq!(calls(), (2, 0), "nobody inside was called");
}
