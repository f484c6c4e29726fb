//! Files of releases: received piece by piece, checked while they come, and stored.
//!
//! A file is whole in the store before the row that names it. What a crash, a client that goes away or a refusal leaves is deleted by a job
//! that is enqueued before the first byte is stored.

use actix_web::{HttpResponse, web::Payload};
use futures_util::StreamExt;
use portico_kernel::{FieldError, Job, Kind, Permission, ReleaseId};
use portico_licensing::{
    release::{AnnouncedFile, Release, ReleaseFile},
    release_administration::{Releases, UPLOAD_TIME},
    release_job::{PurgeReleaseFile, ScanReleaseFile},
    release_scan::ReleaseScans,
};
use portico_runtime::{logging::chain, scanning, worker::jobs::JobError};
use portico_web::{caller::Caller, problem::Problem, write::WithJson};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::unavailable;
use crate::state::App;

/// Gives a draft the file that comes as the body of a request, of which `length` is known at most before it comes.
///
/// # Errors
/// 403, 404; 409 for what is no draft; 413; 422 for what breaks the rules, is empty, or has another SHA-256 than was announced; 400 when it is
/// cut off, 408 after a day; 503.
pub async fn upload(
    app: &App,
    caller: &Caller,
    release: ReleaseId,
    announced: &AnnouncedFile,
    length: Option<u64>,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let (scope, env) = (&caller.0, &app.core.env);
    scope.require_platform(Permission::PlatformReleases)?;
    if length.is_some_and(|length| length > app.downloads.max_file_bytes) {
        return Err(too_large(app));
    }
    let mut work = app.core.begin().await?;
    let (id, announced) = Releases::new(&mut *work, scope, env).begin_file(release, announced).await?;
    work.commit().await?;
    let key = Release::file_key(release, id, &announced.name);
    let received = timeout(UPLOAD_TIME.unsigned_abs(), receive(app, &key, &announced.sha256, payload)).await;
    let size = received.map_err(|_| Problem::request_timeout())??;
    let AnnouncedFile { name, content_type, sha256 } = announced;
    let scan = app.scan_status();
    let file = ReleaseFile { id, name, content_type, size, sha256, scan, signature: None, deleted_at: None };
    let mut work = app.core.begin().await?;
    let stored = Releases::new(&mut *work, scope, env).store_file(release, file).await?;
    caller.commit(work, HttpResponse::Ok().with_json(&stored)).await
}

/// Stores a file that has this SHA-256, and answers its size. Of one that has another, or does not come whole, nothing is stored.
async fn receive(app: &App, key: &str, sha256: &str, mut payload: Payload) -> Result<u64, Problem> {
    let mut upload = app.files.begin(key).await.map_err(|error| unavailable(&error))?;
    let (mut size, mut digest) = (0, Sha256::new());
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_| {
            Problem::new(Kind::Malformed, "malformed_body", "The file did not come whole. Send it again.")
        })?;
        size += piece.len() as u64;
        if size > app.downloads.max_file_bytes {
            return Err(too_large(app));
        }
        digest.update(&piece);
        upload.write(&piece).await.map_err(|error| unavailable(&error))?;
    }
    if size == 0 {
        return Err(Problem::invalid(vec![FieldError::new("file", "required", "The file is empty.")]));
    }
    require_digest(digest, sha256)?;
    upload.finish().await.map_err(|error| unavailable(&error))?;
    Ok(size)
}

fn too_large(app: &App) -> Problem {
    let detail = format!("The file may have {} bytes at most.", app.downloads.max_file_bytes);
    Problem::new(Kind::TooLarge, "body_too_large", detail)
}

/// Fails where what came has another SHA-256 than was announced.
pub(super) fn require_digest(digest: Sha256, announced: &str) -> Result<(), Problem> {
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if found == announced {
        return Ok(());
    }
    let message = format!("What came has the SHA-256 {found}.");
    Err(Problem::invalid(vec![FieldError::new("sha256", "checksum_mismatch", message)]))
}

/// `release.purge`: deletes a file that its release does not have, or not any more, and the parts of one that it has.
pub async fn purge(app: &App, purge: PurgeReleaseFile, _: &Job) -> Result<(), JobError> {
    let PurgeReleaseFile { release_id, file_id } = purge;
    let release = app.core.reader().releases().find(release_id).await?;
    let file = release.and_then(|release| release.file);
    let is_kept = file.is_some_and(|file| file.id == file_id && file.deleted_at.is_none());
    let folder =
        if is_kept { Release::parts(release_id, file_id) } else { Release::folder(release_id, file_id) };
    let deleted = app.files.delete_prefix(&folder).await;
    deleted.map_err(|error| JobError::Retry(format!("{folder}: {}", chain(&error))))?;
    let mut work = app.core.begin().await?;
    work.release_uploads().delete(release_id, file_id).await?;
    Ok(work.commit().await?)
}

/// `release.scan`: has a file scanned, read from the store while the scanner takes it. While the scanner does not answer, the file is not
/// published, and the job comes again.
pub async fn scan(app: &App, scan: ScanReleaseFile, _: &Job) -> Result<(), JobError> {
    let mut repositories = app.core.reader();
    let waiting = ReleaseScans::new(&mut *repositories, &app.core.env).waiting(&scan).await?;
    drop(repositories);
    let Some(file) = waiting else { return Ok(()) };
    let key = Release::file_key(scan.release_id, file.id, &file.name);
    let verdict = scanning::of_file(app.scanner.as_deref(), &*app.files, &key, file.size).await;
    let mut work = app.core.begin().await?;
    let failure = verdict.as_ref().err().cloned();
    ReleaseScans::new(&mut *work, &app.core.env).note(&scan, verdict.ok()).await?;
    work.commit().await?;
    failure.map_or(Ok(()), |why| Err(JobError::Retry(why)))
}
