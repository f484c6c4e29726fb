//! Files of releases: received piece by piece, checked while they come, and stored.
//!
//! A file is whole in the store before the row that names it. What a crash, a client that goes away or a refusal leaves is deleted by a job
//! that is enqueued before the first byte is stored.

use actix_web::{HttpResponse, web::Payload};
use futures_util::StreamExt;
use portico_kernel::{FieldError, Job, Kind, Permission, ReleaseId};
use portico_licensing::{
    release::{AnnouncedFile, Release, ReleaseFile},
    release_administration::{PurgeReleaseFile, Releases, UPLOAD_TIME},
};
use portico_runtime::{logging::chain, worker::jobs::JobError};
use portico_web::{caller::Caller, problem::Problem};
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
    let file = ReleaseFile { id, name, content_type, size, sha256 };
    let mut work = app.core.begin().await?;
    let stored = Releases::new(&mut *work, scope, env).store_file(release, file).await?;
    caller.commit(work, HttpResponse::Ok().json(stored)).await
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
    let found: String = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let refusal = match size {
        0 => Some(FieldError::new("file", "required", "The file is empty.")),
        _ if found != sha256 => {
            let message = format!("What came has the SHA-256 {found}.");
            Some(FieldError::new("sha256", "checksum_mismatch", message))
        }
        _ => None,
    };
    if let Some(error) = refusal {
        return Err(Problem::invalid(vec![error]));
    }
    upload.finish().await.map_err(|error| unavailable(&error))?;
    Ok(size)
}

fn too_large(app: &App) -> Problem {
    let detail = format!("The file may have {} bytes at most.", app.downloads.max_file_bytes);
    Problem::new(Kind::TooLarge, "body_too_large", detail)
}

/// `release.purge`: deletes a file that its release does not have.
pub async fn purge(app: &App, purge: PurgeReleaseFile, _: &Job) -> Result<(), JobError> {
    let PurgeReleaseFile { release_id, file_id } = purge;
    let release = app.core.reader().releases().find(release_id).await?;
    if release.and_then(|release| release.file).is_some_and(|file| file.id == file_id) {
        return Ok(());
    }
    let folder = Release::folder(release_id, file_id);
    let deleted = app.files.delete_prefix(&folder).await;
    deleted.map_err(|error| JobError::Retry(format!("{folder}: {}", chain(&error))))
}
