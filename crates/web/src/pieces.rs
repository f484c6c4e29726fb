//! Bodies that are passed to the connection in pieces. A connection buffers what it is given, however slow its client:
//! whole files would be in memory once for each client.

use std::{
    convert::Infallible,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, MessageBody, SizedStream},
    web::Bytes,
};
use futures_util::{StreamExt, stream};
use portico_kernel::files::{FileError, FileStore};
use portico_runtime::logging;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes of a piece. A connection requests the next one while it buffers less than 128 KiB.
pub const PIECE: usize = 64 * 1024;

/// Bytes of a large piece. A bucket takes as long to begin an answer as to send these, so that reading small ones would be slow.
const LARGE: usize = 1 << 20;

/// How many large pieces are in memory at once, whatever the number of clients: 32 MiB. Who gets none reads small ones.
static LARGE_PIECES: Semaphore = Semaphore::const_new(AT_ONCE);
const AT_ONCE: usize = 32;

/// Bytes already in memory, shared with other responses.
pub struct InPieces(pub Bytes);

impl MessageBody for InPieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.0.len().min(PIECE);
        Poll::Ready((length > 0).then(|| Ok(self.0.split_to(length))))
    }
}

/// Bytes of a stored file, each piece read when the client has received those before it. Nothing is held open in between.
/// The first piece is read at once, so that its failure can still be answered; `None` when there is no such file.
///
/// # Errors
/// When the first piece cannot be read. Later on the answer is broken off.
pub async fn of_file(
    files: Arc<dyn FileStore>,
    key: String,
    range: Range<u64>,
) -> Result<Option<impl MessageBody + 'static>, FileError> {
    let Some(first) = files.get_range(&key, of_length(&range, PIECE)).await? else { return Ok(None) };
    let rest = range.start + first.len() as u64..range.end;
    let rest = Rest { files, key, range: rest, read: Bytes::new(), permit: None };
    let first = stream::iter((!first.is_empty()).then(|| Ok(Bytes::from(first))));
    let following = stream::unfold(rest, Rest::next);
    Ok(Some(SizedStream::new(range.end - range.start, Box::pin(first.chain(following)))))
}

/// What is still to be sent of a file.
struct Rest {
    files: Arc<dyn FileStore>,
    key: String,
    /// What was not read yet.
    range: Range<u64>,
    /// What was read and not sent yet.
    read: Bytes,
    /// Held while a large piece is in `read`.
    permit: Option<SemaphorePermit<'static>>,
}

impl Rest {
    /// The next piece; `None` at the end.
    async fn next(mut self) -> Option<(Result<Bytes, FileError>, Self)> {
        if self.read.is_empty() {
            if self.range.is_empty() {
                return None;
            }
            match self.fetched().await {
                Ok(bytes) => self.read = bytes,
                Err(error) => {
                    logging::warn("a file was sent in part only", &error);
                    self.range.start = self.range.end;
                    return Some((Err(error), self));
                }
            }
        }
        let piece = self.read.split_to(self.read.len().min(PIECE));
        if self.read.is_empty() {
            self.permit = None;
        }
        Some((Ok(piece), self))
    }

    /// Reads a large piece if there may be another one, else a small one.
    async fn fetched(&mut self) -> Result<Bytes, FileError> {
        self.permit = LARGE_PIECES.try_acquire().ok();
        let asked = of_length(&self.range, if self.permit.is_some() { LARGE } else { PIECE });
        let read = self.files.get_range(&self.key, asked).await?;
        // Deleted meanwhile.
        let read = read.ok_or_else(|| FileError::Unavailable("the file is gone".into()))?;
        self.range.start += read.len() as u64;
        Ok(read.into())
    }
}

/// So many bytes of the remaining range, or all of it.
fn of_length(rest: &Range<u64>, length: usize) -> Range<u64> {
    rest.start..rest.end.min(rest.start + length as u64)
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;
    use portico_storage::ObjectFileStore;

    use super::*;

    fn bytes() -> Vec<u8> {
        (0..3 * PIECE + 7).map(|number| (number % 251) as u8).collect()
    }

    #[tokio::test]
    async fn what_is_in_memory_is_sent_in_pieces() {
        let mut body = InPieces(bytes().into());
        let mut lengths = Vec::new();
        while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
            lengths.push(piece.unwrap().len());
        }
        assert_eq!(lengths, [PIECE, PIECE, PIECE, 7]);
        assert_eq!(to_bytes(InPieces(bytes().into())).await.unwrap(), bytes());
        assert_eq!(InPieces(Bytes::new()).size(), BodySize::Sized(0));
    }

    #[tokio::test]
    async fn a_file_is_read_while_it_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let files: Arc<dyn FileStore> = Arc::new(ObjectFileStore::directory(folder.path()).unwrap());
        files.put("file", bytes()).await.unwrap();
        let size = bytes().len();
        for range in [0..size, 5..PIECE + 5, size - 1..size, 0..1, 3..3] {
            let asked = range.start as u64..range.end as u64;
            let body = of_file(files.clone(), "file".to_owned(), asked).await.unwrap().unwrap();
            assert_eq!(body.size(), BodySize::Sized(range.len() as u64));
            assert!(to_bytes(body).await.unwrap_or_else(|_| panic!("{range:?}")) == bytes()[range]);
        }
        // More than a large piece, with and without one to be had.
        let large: Vec<u8> = (0..3 * LARGE + 7).map(|number| (number % 251) as u8).collect();
        files.put("large", large.clone()).await.unwrap();
        let taken = LARGE_PIECES.acquire_many(AT_ONCE as u32).await.unwrap();
        let asked = async |files: Arc<dyn FileStore>| {
            of_file(files, "large".to_owned(), 0..large.len() as u64).await.unwrap().unwrap()
        };
        let small = to_bytes(asked(files.clone()).await).await;
        assert!(small.unwrap_or_else(|_| panic!("small pieces")) == large);
        drop(taken);
        let whole = to_bytes(asked(files.clone()).await).await;
        assert!(whole.unwrap_or_else(|_| panic!("large pieces")) == large);
        assert!(of_file(files.clone(), "none".to_owned(), 0..1).await.unwrap().is_none());

        let body = of_file(files.clone(), "file".to_owned(), 0..size as u64).await.unwrap().unwrap();
        files.delete("file").await.unwrap();
        assert!(to_bytes(body).await.is_err(), "a part does not pass for all of it");
    }
}
