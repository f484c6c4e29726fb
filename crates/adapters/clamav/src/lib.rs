//! ClamAV: its daemon scans what is sent to it over TCP (`clamd(8)`, commands `zINSTREAM` and `zPING`).
//!
//! A stream is a sequence of chunks, each with its length as four bytes in network order before it; an empty one ends it. The daemon answers
//! one line that ends with a zero byte. It says so and hangs up while it is still sent to where the file exceeds its `StreamMaxLength`.

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use portico_kernel::malware::{MalwareScan, MalwareScanner, ScanError, Verdict};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How many files are scanned at once. A scan holds a slot of the worker, for minutes where the daemon hangs or an archive is made to take
/// long: it must not have all of them.
const AT_ONCE: usize = 2;

/// How long a connection may take to be made, and a chunk to be taken.
const CONNECT: Duration = Duration::from_secs(5);
const TAKE: Duration = Duration::from_secs(30);

/// How long the daemon may look at a file after its last byte: archives are unpacked.
const LOOK: Duration = Duration::from_secs(10 * 60);

/// Most bytes of a chunk.
const CHUNK: usize = 64 * 1024;

/// Most bytes of an answer.
const ANSWER: usize = 4096;

/// A daemon of ClamAV.
#[derive(Clone, Debug)]
pub struct ClamAv {
    /// Host and port.
    address: String,
    /// One for each scan that may be under way; clones share them.
    scans: Arc<Semaphore>,
}

impl ClamAv {
    /// The daemon at an address such as `clamav.internal:3310`. Makes no connection.
    pub fn at(address: impl Into<String>) -> Self {
        Self { address: address.into(), scans: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Connects, and sends a command.
    async fn connect(&self, command: &[u8]) -> io::Result<TcpStream> {
        let mut connection = timeout(CONNECT, TcpStream::connect(&self.address)).await??;
        connection.set_nodelay(true)?;
        timeout(TAKE, connection.write_all(command)).await??;
        Ok(connection)
    }

    async fn pong(&self) -> io::Result<()> {
        let mut connection = self.connect(b"zPING\0").await?;
        match timeout(CONNECT, answer(&mut connection)).await??.as_str() {
            "PONG" => Ok(()),
            other => Err(unexpected(other)),
        }
    }
}

#[async_trait]
impl MalwareScanner for ClamAv {
    async fn begin(&self) -> Result<Box<dyn MalwareScan>, ScanError> {
        let busy = |_| failed(io::Error::new(io::ErrorKind::WouldBlock, "other files are being scanned"));
        let permit = self.scans.clone().try_acquire_owned().map_err(busy)?;
        let connection = self.connect(b"zINSTREAM\0").await.map_err(failed)?;
        Ok(Box::new(Stream { connection, early: None, _permit: permit }))
    }

    async fn ping(&self) -> Result<(), ScanError> {
        self.pong().await.map_err(failed)
    }
}

/// A stream that the daemon scans.
struct Stream {
    connection: TcpStream,
    /// What the daemon has answered before the end of the file. It listens no more.
    early: Option<String>,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    async fn send(&mut self, chunk: &[u8]) -> io::Result<()> {
        let length = u32::try_from(chunk.len()).map_err(io::Error::other)?;
        self.connection.write_all(&length.to_be_bytes()).await?;
        self.connection.write_all(chunk).await
    }

    /// Sends a chunk. Where the daemon takes no more, its answer is kept if there is one.
    async fn offer(&mut self, chunk: &[u8]) -> io::Result<()> {
        match timeout(TAKE, self.send(chunk)).await? {
            Ok(()) => Ok(()),
            Err(broken) => match timeout(TAKE, answer(&mut self.connection)).await? {
                Ok(said) => {
                    self.early = Some(said);
                    Ok(())
                }
                Err(_) => Err(broken),
            },
        }
    }

    async fn verdict(mut self) -> io::Result<Verdict> {
        if self.early.is_none() {
            self.offer(&[]).await?;
        }
        let Some(said) = self.early.take() else {
            return read(&timeout(LOOK, answer(&mut self.connection)).await??);
        };
        match read(&said)? {
            // It has not seen the end.
            Verdict::Clean => Err(unexpected(&said)),
            verdict => Ok(verdict),
        }
    }
}

#[async_trait]
impl MalwareScan for Stream {
    async fn write(&mut self, bytes: &[u8]) -> Result<bool, ScanError> {
        for chunk in bytes.chunks(CHUNK) {
            if self.early.is_some() {
                break;
            }
            self.offer(chunk).await.map_err(failed)?;
        }
        Ok(self.early.is_none())
    }

    async fn finish(self: Box<Self>) -> Result<Verdict, ScanError> {
        self.verdict().await.map_err(failed)
    }
}

/// What the daemon answers, without the zero byte at its end.
async fn answer(connection: &mut TcpStream) -> io::Result<String> {
    let mut said = Vec::new();
    loop {
        match connection.read_u8().await? {
            0 => return Ok(String::from_utf8_lossy(&said).into_owned()),
            _ if said.len() == ANSWER => return Err(unexpected("an answer without an end")),
            byte => said.push(byte),
        }
    }
}

/// What an answer to a stream means.
fn read(said: &str) -> io::Result<Verdict> {
    if said == "stream: OK" {
        return Ok(Verdict::Clean);
    }
    if said.starts_with("INSTREAM size limit exceeded") {
        return Ok(Verdict::TooLarge);
    }
    let signature = said.strip_prefix("stream: ").and_then(|rest| rest.strip_suffix(" FOUND"));
    match signature {
        // With `AlertExceedsMax`: it has not looked at all of the file, and found nothing in the rest.
        Some(signature) if signature.starts_with("Heuristics.Limits.Exceeded") => Ok(Verdict::TooLarge),
        Some(signature) => Ok(Verdict::Infected(signature.to_owned())),
        None => Err(unexpected(said)),
    }
}

fn unexpected(said: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the daemon answered {said:?}"))
}

fn failed(error: io::Error) -> ScanError {
    ScanError(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_clean_only_where_it_says_so() {
        assert_eq!(read("stream: OK").unwrap(), Verdict::Clean);
        assert_eq!(
            read("stream: Eicar-Test-Signature FOUND").unwrap(),
            Verdict::Infected("Eicar-Test-Signature".to_owned())
        );
        assert_eq!(read("INSTREAM size limit exceeded. ERROR").unwrap(), Verdict::TooLarge);
        assert_eq!(read("stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND").unwrap(), Verdict::TooLarge);
        for odd in
            ["", "OK", "stream: OK ERROR", "stream: Can't allocate memory ERROR", "UNKNOWN COMMAND", "PONG"]
        {
            assert!(read(odd).is_err(), "{odd}");
        }
    }
}
