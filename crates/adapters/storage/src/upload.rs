//! Files that are stored piece by piece.

use async_trait::async_trait;
use object_store::{MultipartUpload, WriteMultipart};
use portico_kernel::files::{FileError, FileUpload};
use tokio::runtime::Handle;

/// Bytes of a part. S3 takes 10,000 of 5 MiB or more, so a file may have 78 GiB.
const PART: usize = 8 << 20;

/// Parts that are on their way at once, besides the one that is being filled.
const ON_THE_WAY: usize = 2;

/// A file in parts. Those of a local store are in a temporary file beside it, which is renamed at the end.
pub(crate) struct Parts {
    /// `None` once it is finished.
    writer: Option<WriteMultipart>,
}

impl Parts {
    /// Over an upload that has begun.
    pub(crate) fn new(upload: Box<dyn MultipartUpload>) -> Self {
        Self { writer: Some(WriteMultipart::new_with_chunk_size(upload, PART)) }
    }
}

#[async_trait]
impl FileUpload for Parts {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer
            .wait_for_capacity(ON_THE_WAY)
            .await
            .map_err(|error| FileError::Unavailable(Box::new(error)))?;
        writer.write(bytes);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<(), FileError> {
        match self.writer.take() {
            Some(writer) => {
                writer.finish().await.map(drop).map_err(|error| FileError::Unavailable(Box::new(error)))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Parts {
    /// Not every store forgets parts by itself.
    fn drop(&mut self) {
        if let (Some(writer), Ok(runtime)) = (self.writer.take(), Handle::try_current()) {
            runtime.spawn(async move { drop(writer.abort().await) });
        }
    }
}
