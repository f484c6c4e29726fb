//! Having files scanned for malware: read from the store while the scanner takes them.

use std::time::Duration;

use portico_kernel::{
    files::FileStore,
    malware::{MalwareScan, MalwareScanner, Verdict},
};
use tokio::time::timeout;

use crate::logging::chain;

/// Bytes that are read from the store at once.
const PIECE: u64 = 1 << 20;

/// How long a scan may take: less than a job may, which would end without a word about the file.
const SCAN_TIME: Duration = Duration::from_secs(14 * 60);

/// Why there is no verdict where the settings name no scanner.
pub const NO_SCANNER: &str = "there is no scanner any more";

/// The verdict on a stored file of `size` bytes. There is none without a scanner.
///
/// # Errors
/// Why there is none yet, for the log.
pub async fn of_file(
    scanner: Option<&dyn MalwareScanner>,
    files: &dyn FileStore,
    key: &str,
    size: u64,
) -> Result<Verdict, String> {
    in_time(async {
        let mut scan = begin(scanner).await?;
        let mut sent = 0;
        while sent < size {
            let end = size.min(sent + PIECE);
            let read = files.get_range(key, sent..end).await.map_err(|error| chain(&error))?;
            let bytes = read.ok_or_else(|| format!("{key} is not in the store"))?;
            if !scan.write(&bytes).await.map_err(|error| chain(&error))? {
                break;
            }
            sent = end;
        }
        scan.finish().await.map_err(|error| chain(&error))
    })
    .await
}

/// The verdict on bytes at hand.
///
/// # Errors
/// Why there is none yet, for the log.
pub async fn of_bytes(scanner: Option<&dyn MalwareScanner>, bytes: &[u8]) -> Result<Verdict, String> {
    in_time(async {
        let mut scan = begin(scanner).await?;
        scan.write(bytes).await.map_err(|error| chain(&error))?;
        scan.finish().await.map_err(|error| chain(&error))
    })
    .await
}

async fn begin(scanner: Option<&dyn MalwareScanner>) -> Result<Box<dyn MalwareScan>, String> {
    let scanner = scanner.ok_or_else(|| NO_SCANNER.to_owned())?;
    scanner.begin().await.map_err(|error| chain(&error))
}

async fn in_time(scan: impl Future<Output = Result<Verdict, String>>) -> Result<Verdict, String> {
    timeout(SCAN_TIME, scan).await.unwrap_or_else(|_| Err("the scanner took too long".to_owned()))
}
