//! Endpoints that hold connections and never answer.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// Way of not answering.
#[derive(Clone, Copy)]
pub enum Manner {
    /// Reads everything and sends nothing.
    Silent,
    /// Sends its answer byte by byte, one in a second, without end.
    Trickling,
}

/// A server that accepts everything and never gives an answer. Dropping it ends it.
pub struct Blackhole {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Blackhole {
    /// Opens it, on a free port of this machine.
    pub async fn open(manner: Manner) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(swallow(stream, manner));
            }
        });
        Ok(Self { address, connections, task })
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Connections that it accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Blackhole {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Holds a connection until the other side closes it.
async fn swallow(stream: TcpStream, manner: Manner) {
    let (mut reading, mut writing) = stream.into_split();
    let read = async {
        let mut bytes = [0; 4096];
        while matches!(reading.read(&mut bytes).await, Ok(read) if read > 0) {}
    };
    let write = async {
        if let Manner::Trickling = manner {
            for byte in b"HTTP/1.1 200 OK\r\nx-padding: ".iter().chain(std::iter::repeat(&b'a')) {
                if writing.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = read => {}
        () = write => {}
    }
}
