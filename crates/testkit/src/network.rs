//! A network path to a server that a test can make silent.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};
use url::Url;

/// Forwards connections to a server. While it is silent it takes every byte and passes none on, as a network does that drops
/// packets: neither end gets an error. Dropped, it accepts no more connections.
pub struct NetworkPath {
    url: String,
    silent: Arc<AtomicBool>,
    listening: JoinHandle<()>,
}

impl NetworkPath {
    /// To the server of a URL with a port.
    ///
    /// # Panics
    /// When the URL has no host, or there is no free port.
    pub async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).expect("a URL");
        let host = url.host_str().expect("a host").trim_matches(['[', ']']).to_owned();
        let target = (host, url.port().unwrap_or(5432));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        url.set_host(Some("127.0.0.1")).expect("a URL with a host");
        url.set_port(Some(port)).expect("a URL with a port");
        let silent = Arc::new(AtomicBool::new(false));
        let is_silent = silent.clone();
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, silent) = (target.clone(), is_silent.clone());
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let ((from_client, to_client), (from_server, to_server)) =
                        (client.into_split(), server.into_split());
                    tokio::join!(
                        forward(from_client, to_server, &silent),
                        forward(from_server, to_client, &silent)
                    );
                });
            }
        });
        Self { url: url.into(), silent, listening }
    }

    /// The URL by which the server is reached on this path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes it silent, or lets bytes pass again; those that were sent meanwhile are lost.
    pub fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::SeqCst);
    }
}

impl Drop for NetworkPath {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, silent: &AtomicBool) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        if !silent.load(Ordering::SeqCst) && to.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
    // Ends of connections pass, so that nothing is left over when a test ends.
    let _ = to.shutdown().await;
}
