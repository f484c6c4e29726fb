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

/// Bytes of a piece. A connection requests the next one while it buffers less than 128 KiB.
pub const PIECE: usize = 64 * 1024;

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
    let Some(first) = files.get_range(&key, piece(&range)).await? else { return Ok(None) };
    let rest = range.start + first.len() as u64..range.end;
    let following = stream::unfold((files, key, rest), |(files, key, mut rest)| async move {
        if rest.is_empty() {
            return None;
        }
        let read = match files.get_range(&key, piece(&rest)).await {
            Ok(Some(bytes)) => Ok(bytes),
            // Deleted meanwhile.
            Ok(None) => Err(FileError::Unavailable("the file is gone".into())),
            Err(error) => Err(error),
        };
        if let Err(error) = &read {
            logging::warn("a file was sent in part only", error);
        }
        rest.start = read.as_ref().map_or(rest.end, |bytes| rest.start + bytes.len() as u64);
        Some((read.map(Bytes::from), (files, key, rest)))
    });
    let first = stream::iter((!first.is_empty()).then(|| Ok(Bytes::from(first))));
    Ok(Some(SizedStream::new(range.end - range.start, Box::pin(first.chain(following)))))
}

/// The first piece of the remaining range.
fn piece(rest: &Range<u64>) -> Range<u64> {
    rest.start..rest.end.min(rest.start + PIECE as u64)
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
        assert!(of_file(files.clone(), "none".to_owned(), 0..1).await.unwrap().is_none());

        let body = of_file(files.clone(), "file".to_owned(), 0..size as u64).await.unwrap().unwrap();
        files.delete("file").await.unwrap();
        assert!(to_bytes(body).await.is_err(), "a part does not pass for all of it");
    }
}
