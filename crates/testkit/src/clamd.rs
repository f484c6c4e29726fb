//! A daemon of ClamAV that knows one signature.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What every scanner finds, although it is harmless (the EICAR test file).
pub const EICAR: &[u8] = br"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*";

/// The daemon, until it is dropped.
pub struct Clamd {
    /// Host and port.
    pub address: String,
    broken: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Clamd {
    /// Starts one that takes streams of so many bytes (`StreamMaxLength`).
    pub async fn start(limit: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address").to_string();
        let broken = Arc::new(AtomicBool::new(false));
        let is_broken = broken.clone();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let is_broken = is_broken.load(Ordering::SeqCst);
                tokio::spawn(async move { drop(serve(connection, limit, is_broken).await) });
            }
        });
        Self { address, broken, task }
    }

    /// Whether it hangs up on everybody from now on.
    pub fn break_off(&self, broken: bool) {
        self.broken.store(broken, Ordering::SeqCst);
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut connection: TcpStream, limit: usize, is_broken: bool) -> io::Result<()> {
    if is_broken {
        return Ok(());
    }
    let mut command = Vec::new();
    loop {
        match connection.read_u8().await? {
            0 => break,
            byte => command.push(byte),
        }
    }
    let answer = match command.as_slice() {
        b"zPING" => "PONG\0",
        b"zINSTREAM" => scan(&mut connection, limit).await?,
        _ => "UNKNOWN COMMAND\0",
    };
    connection.write_all(answer.as_bytes()).await
}

async fn scan(connection: &mut TcpStream, limit: usize) -> io::Result<&'static str> {
    let mut file = Vec::new();
    loop {
        let length = connection.read_u32().await? as usize;
        if length == 0 {
            break;
        }
        if file.len() + length > limit {
            // The rest is not read.
            return Ok("INSTREAM size limit exceeded. ERROR\0");
        }
        let from = file.len();
        file.resize(from + length, 0);
        connection.read_exact(&mut file[from..]).await?;
    }
    let is_infected = file.windows(EICAR.len()).any(|part| part == EICAR);
    Ok(if is_infected { "stream: Eicar-Test-Signature FOUND\0" } else { "stream: OK\0" })
}
