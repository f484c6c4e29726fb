//! What takes more than one use case: steps across domains, files that are stored, and files that are sent.

pub mod downloads;
pub mod import;
pub mod release_files;
pub mod release_uploads;
pub mod transfer;

use portico_kernel::{Kind, files::FileError};
use portico_runtime::logging;
use portico_web::problem::Problem;

/// The file store does not answer.
fn unavailable(error: &FileError) -> Problem {
    logging::warn("the file store failed", error);
    Problem::new(Kind::Unavailable, "unavailable", "Files cannot be reached right now. Try again shortly.")
}
