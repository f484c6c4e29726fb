//! Bodies that are passed to the connection in pieces. A connection buffers what it is given, however slow its client:
//! whole files would be in memory once for each client.
//!
//! A download holds at most
//!
//! - the buffer of its connection. A piece is requested while less than [`BUFFER`] waits there, so it contains less than
//!   `BUFFER + PIECE`. It is allocated for the head of the answer (2 KiB at most) and the first piece, and keeps that size: 22 KiB, which
//!   touch seven pages of memory, or 28 KiB. (Where a longer answer was sent on the connection before, it has the size that this needed.)
//! - what is left of a large piece, for the `AT_ONCE` downloads that have one. A small piece is copied into the buffer and freed.
//!
//! So 1,000 downloads hold 1,000 × 28 KiB + 32 × 256 KiB = 35.3 MiB, or 37.1 MB, besides what any connection takes.

use std::{
    convert::Infallible,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use actix_web::{
    body::{BodySize, MessageBody, SizedStream},
    web::Bytes,
};
use futures_util::{StreamExt, stream};
use portico_kernel::files::{FileError, FileStore};
use portico_runtime::logging;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Bytes of an answer from which on a connection sends what it has before it requests more. The server is built with it. Larger than the
/// head of an answer, so that a small answer is sent at once.
pub const BUFFER: usize = 4 * 1024;

/// Bytes of a piece.
const PIECE: usize = 16 * 1024;

/// Bytes of the first piece. It makes the buffer so large that a piece fits behind what is left of the one before; otherwise the buffer
/// is doubled as soon as a client does not take everything.
const FIRST: usize = PIECE + BUFFER;

/// Bytes of a large piece. A bucket takes about as long to begin an answer as to send these, so that reading small ones is slow; a local
/// file is opened once for sixteen pieces.
const LARGE: usize = 256 * 1024;

/// How many large pieces are in memory at once, whatever the number of clients: 8 MiB. Who gets none reads small ones.
const AT_ONCE: usize = 32;
static LARGE_PIECES: LargePieces =
    LargePieces { permits: Semaphore::const_new(AT_ONCE), patience: Duration::from_secs(5) };

/// Who may have a large piece.
struct LargePieces {
    /// One for each that may be in memory.
    permits: Semaphore,
    /// Who takes longer for one reads small ones from there on: a few slow clients would keep large ones from everybody.
    patience: Duration,
}

/// Bytes already in memory, shared with other responses.
pub struct InPieces {
    rest: Bytes,
    has_begun: bool,
}

impl InPieces {
    /// Sends all of these.
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, has_begun: false }
    }
}

impl MessageBody for InPieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = if self.has_begun { PIECE } else { FIRST }.min(self.rest.len());
        self.has_begun = true;
        Poll::Ready((length > 0).then(|| Ok(self.rest.split_to(length))))
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
    with_large_pieces(files, key, range, &LARGE_PIECES).await
}

/// The same, with large pieces of so many permits.
async fn with_large_pieces(
    files: Arc<dyn FileStore>,
    key: String,
    range: Range<u64>,
    large: &'static LargePieces,
) -> Result<Option<impl MessageBody + 'static>, FileError> {
    let Some(first) = files.get_range(&key, of_length(&range, FIRST)).await? else { return Ok(None) };
    let rest = range.start + first.len() as u64..range.end;
    let rest = Rest { files, key, range: rest, read: Bytes::new(), large, permit: None, began: None };
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
    large: &'static LargePieces,
    /// Held while a large piece is in `read`.
    permit: Option<SemaphorePermit<'static>>,
    /// When the last large piece was read.
    began: Option<Instant>,
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

    /// Reads a large piece if there may be another one and the client was quick with its last one, else a small one.
    async fn fetched(&mut self) -> Result<Bytes, FileError> {
        let is_slow = self.began.is_some_and(|began| began.elapsed() >= self.large.patience);
        self.permit = if is_slow { None } else { self.large.permits.try_acquire().ok() };
        let asked = of_length(&self.range, if self.permit.is_some() { LARGE } else { PIECE });
        let read = self.files.get_range(&self.key, asked).await?;
        // Deleted meanwhile.
        let read = read.ok_or_else(|| FileError::Unavailable("the file is gone".into()))?;
        self.range.start += read.len() as u64;
        if !is_slow {
            self.began = self.permit.is_some().then(Instant::now);
        }
        Ok(read.into())
    }
}

/// So many bytes of the remaining range, or all of it.
fn of_length(rest: &Range<u64>, length: usize) -> Range<u64> {
    rest.start..rest.end.min(rest.start + length as u64)
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::atomic::{AtomicU64, Ordering},
    };

    use actix_web::{
        body::to_bytes,
        web::{Buf, BytesMut},
    };
    use portico_kernel::files::MockFileStore;
    use portico_storage::ObjectFileStore;

    use super::*;

    const fn large_pieces(patience: Duration) -> LargePieces {
        LargePieces { permits: Semaphore::const_new(AT_ONCE), patience }
    }

    fn bytes(length: usize) -> Vec<u8> {
        (0..length).map(|number| (number % 251) as u8).collect()
    }

    async fn next<B: MessageBody>(body: &mut Pin<Box<B>>) -> Option<Bytes> {
        let piece = poll_fn(|context| body.as_mut().poll_next(context)).await?;
        Some(piece.unwrap_or_else(|_| panic!("a piece did not come")))
    }

    #[tokio::test]
    async fn what_is_in_memory_is_sent_in_pieces() {
        let all = bytes(FIRST + 2 * PIECE + 7);
        let mut body = Box::pin(InPieces::new(all.clone().into()));
        let mut lengths = Vec::new();
        while let Some(piece) = next(&mut body).await {
            lengths.push(piece.len());
        }
        assert_eq!(lengths, [FIRST, PIECE, PIECE, 7]);
        assert_eq!(to_bytes(InPieces::new(all.clone().into())).await.unwrap(), all);
        assert_eq!(InPieces::new(Bytes::new()).size(), BodySize::Sized(0));
    }

    #[tokio::test]
    async fn a_file_is_read_while_it_is_sent() {
        static LARGE_PIECES: LargePieces = large_pieces(Duration::MAX);
        let folder = tempfile::tempdir().unwrap();
        let files: Arc<dyn FileStore> = Arc::new(ObjectFileStore::directory(folder.path()).unwrap());
        let all = bytes(FIRST + 2 * PIECE + 7);
        let size = all.len();
        files.put("file", all.clone()).await.unwrap();
        for range in [0..size, 5..PIECE + 5, 5..FIRST + 6, FIRST..size, size - 1..size, 0..1, 3..3] {
            let asked = range.start as u64..range.end as u64;
            let body = of_file(files.clone(), "file".to_owned(), asked).await.unwrap().unwrap();
            assert_eq!(body.size(), BodySize::Sized(range.len() as u64));
            assert!(to_bytes(body).await.unwrap_or_else(|_| panic!("{range:?}")) == all[range]);
        }
        // More than a large piece, with and without one to be had.
        let large = bytes(3 * LARGE + 7);
        files.put("large", large.clone()).await.unwrap();
        let taken = LARGE_PIECES.permits.acquire_many(AT_ONCE as u32).await.unwrap();
        let asked = async |files: Arc<dyn FileStore>| {
            with_large_pieces(files, "large".to_owned(), 0..large.len() as u64, &LARGE_PIECES)
                .await
                .unwrap()
                .unwrap()
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

    #[tokio::test]
    async fn what_downloads_hold_is_bounded_and_freed() {
        static LARGE_PIECES: LargePieces = large_pieces(Duration::MAX);
        let asked = Arc::new(AtomicU64::new(0));
        let count = asked.clone();
        let mut files = MockFileStore::new();
        files.expect_get_range().returning(move |_, range| {
            let length = range.end - range.start;
            count.fetch_add(length, Ordering::Relaxed);
            Ok(Some(vec![0; length as usize]))
        });
        let files: Arc<dyn FileStore> = Arc::new(files);
        let size = 4 * LARGE as u64;
        let (mut bodies, mut sent) = (Vec::new(), 0);
        for _ in 0..100 {
            let body = with_large_pieces(files.clone(), "file".to_owned(), 0..size, &LARGE_PIECES).await;
            let mut body = Box::pin(body.unwrap().unwrap());
            for _ in 0..3 {
                sent += next(&mut body).await.unwrap().len() as u64;
            }
            bodies.push(body);
        }
        let held = asked.load(Ordering::Relaxed) - sent;
        assert_eq!(held, (AT_ONCE * (LARGE - 2 * PIECE)) as u64, "nothing but the rest of large pieces");
        assert_eq!(LARGE_PIECES.permits.available_permits(), 0);

        // Who leaves in between gives back what it held, and others get it.
        drop(bodies.drain(..10));
        assert_eq!(LARGE_PIECES.permits.available_permits(), 10);
        next(bodies.last_mut().unwrap()).await.unwrap();
        assert_eq!(LARGE_PIECES.permits.available_permits(), 9);
        // So does who has sent it all.
        for _ in 2..LARGE / PIECE {
            assert_eq!(LARGE_PIECES.permits.available_permits(), 9);
            next(&mut bodies[0]).await.unwrap();
        }
        assert_eq!(LARGE_PIECES.permits.available_permits(), 10);

        let piece = next(&mut bodies[1]).await.unwrap();
        assert!(!piece.is_unique(), "the rest of it is still to be sent");
        drop(bodies);
        assert!(piece.is_unique(), "nobody else holds it");
        assert_eq!(LARGE_PIECES.permits.available_permits(), AT_ONCE);
    }

    #[tokio::test]
    async fn who_is_slow_has_one_large_piece() {
        // Everybody is too slow for this.
        static LARGE_PIECES: LargePieces = large_pieces(Duration::ZERO);
        let mut files = MockFileStore::new();
        files.expect_get_range().returning(|_, range| Ok(Some(vec![0; (range.end - range.start) as usize])));
        let size = (FIRST + 2 * LARGE) as u64;
        let body = with_large_pieces(Arc::new(files), "file".to_owned(), 0..size, &LARGE_PIECES).await;
        let mut body = Box::pin(body.unwrap().unwrap());
        next(&mut body).await.unwrap();
        for _ in 1..LARGE / PIECE {
            next(&mut body).await.unwrap();
            assert_eq!(LARGE_PIECES.permits.available_permits(), AT_ONCE - 1);
        }
        for _ in LARGE / PIECE..=2 * LARGE / PIECE {
            assert_eq!(next(&mut body).await.unwrap().len(), PIECE);
            assert_eq!(LARGE_PIECES.permits.available_permits(), AT_ONCE);
        }
        assert!(next(&mut body).await.is_none());
    }

    /// Sends a body through a buffer that is filled and emptied as that of a connection is, by a client that takes so many bytes at a time.
    /// Panics when more memory is allocated for the buffer than for the first piece.
    async fn through_a_connection(body: impl MessageBody, taken: usize) -> Vec<u8> {
        const HEAD: &[u8] = &[b'h'; 1_000];
        let mut body = Box::pin(body);
        // As actix-http 3.20 allocates it.
        let mut buffer = BytesMut::with_capacity(8 * 1024);
        buffer.extend_from_slice(HEAD);
        let (mut received, mut allocated, mut has_ended) = (Vec::new(), None, false);
        while !has_ended || !buffer.is_empty() {
            while !has_ended && buffer.len() < BUFFER {
                let Some(piece) = next(&mut body).await else {
                    has_ended = true;
                    continue;
                };
                buffer.extend_from_slice(&piece);
                assert!(buffer.len() <= HEAD.len() + FIRST && buffer.capacity() <= HEAD.len() + FIRST);
                // Taking bytes moves the beginning of the buffer, never its end.
                let end = buffer.as_ptr().addr() + buffer.capacity();
                assert_eq!(*allocated.get_or_insert(end), end, "it was allocated anew, {taken} at a time");
            }
            let taken = taken.min(buffer.len());
            received.extend_from_slice(&buffer[..taken]);
            if taken == buffer.len() {
                buffer.clear();
            } else {
                buffer.advance(taken);
            }
        }
        received.split_off(HEAD.len())
    }

    #[tokio::test]
    async fn the_buffer_of_a_connection_does_not_grow_after_the_first_piece() {
        let all = bytes(2 * LARGE + 7);
        let folder = tempfile::tempdir().unwrap();
        let files: Arc<dyn FileStore> = Arc::new(ObjectFileStore::directory(folder.path()).unwrap());
        files.put("file", all.clone()).await.unwrap();
        for taken in [100, 1_000, BUFFER - 1, BUFFER + 1, PIECE, PIECE + 1, FIRST + 1, 1 << 20] {
            let stored = of_file(files.clone(), "file".to_owned(), 0..all.len() as u64).await.unwrap();
            assert!(through_a_connection(stored.unwrap(), taken).await == all, "{taken}");
            assert!(through_a_connection(InPieces::new(all.clone().into()), taken).await == all, "{taken}");
        }
    }
}
