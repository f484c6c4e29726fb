//! Files of releases that come in parts.
//!
//! A part is a file of its own in the store, which is replaced whole when it comes again. So any instance takes any part, in any order, and the
//! store alone says which are there. The file is put together by reading them once, checked while it is written, and seen by nobody before.

use std::{collections::BTreeSet, time::Duration};

use actix_web::{HttpResponse, web::Payload};
use futures_util::StreamExt;
use portico_kernel::{FieldError, Kind, Permission, ReleaseFileId, ReleaseId};
use portico_licensing::{
    LicensingError,
    release::Release,
    release_upload::{ReleaseUpload, ReleaseUploads},
};
use portico_web::{caller::Caller, problem::Problem, write::WithJson};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{release_files::require_digest, unavailable};
use crate::state::App;

/// Bytes that are read from the store at once, of a file that is put together.
const PIECE: u64 = 1 << 20;

/// How long a part may take to come, and a file to be put together: less than the hour between the end of an upload and its deletion.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// An upload that can be gone on with, and the numbers of the parts that are stored.
///
/// # Errors
/// 403, 404; 409 for what is no draft any more; 503.
pub async fn state(
    app: &App,
    caller: &Caller,
    release: ReleaseId,
    id: ReleaseFileId,
) -> Result<(ReleaseUpload, BTreeSet<u64>), Problem> {
    let upload = find(app, caller, release, id).await?;
    let parts = stored_parts(app, &upload).await?;
    Ok((upload, parts))
}

async fn find(
    app: &App,
    caller: &Caller,
    release: ReleaseId,
    id: ReleaseFileId,
) -> Result<ReleaseUpload, Problem> {
    let mut repositories = app.core.reader();
    Ok(ReleaseUploads::new(&mut *repositories, &caller.0, &app.core.env).get(release, id).await?)
}

async fn stored_parts(app: &App, upload: &ReleaseUpload) -> Result<BTreeSet<u64>, Problem> {
    let folder = Release::parts(upload.release_id, upload.id);
    let keys = app.files.list(&folder).await.map_err(|error| unavailable(&error))?;
    let number = |key: &String| key.rsplit('/').next().and_then(|name| name.parse().ok());
    Ok(keys.iter().filter_map(number).collect())
}

/// A part that is sent.
pub struct SentPart {
    /// Which one, from 1.
    pub number: u64,
    /// The SHA-256 that it must have, if it was announced.
    pub sha256: Option<String>,
    /// Its bytes, as far as they are known before they come.
    pub length: Option<u64>,
}

/// Stores a part that comes as the body of a request. What was stored of it before is replaced once it is whole.
///
/// # Errors
/// 403, 404; 409 for what is no draft any more; 422 for a part that the file does not have, that has another length, or another SHA-256 than
/// was announced; 400 when it is cut off, 408 after half an hour; 503.
pub async fn store_part(
    app: &App,
    caller: &Caller,
    (release, id): (ReleaseId, ReleaseFileId),
    part: SentPart,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let upload = find(app, caller, release, id).await?;
    let Some(size) = upload.size_of(part.number) else {
        let message = format!("The file has the parts 1 to {}.", upload.part_count());
        return Err(Problem::invalid(vec![FieldError::new("part", "unknown_part", message)]));
    };
    if part.length.is_some_and(|length| length != size) {
        return Err(wrong_length(size));
    }
    let key = Release::part_key(release, id, part.number);
    let received = timeout(PATIENCE, receive(app, &key, size, part.sha256.as_deref(), payload)).await;
    received.map_err(|_| Problem::request_timeout())??;
    Ok(HttpResponse::NoContent().finish())
}

async fn receive(
    app: &App,
    key: &str,
    size: u64,
    sha256: Option<&str>,
    mut payload: Payload,
) -> Result<(), Problem> {
    let mut upload = app.files.begin(key).await.map_err(|error| unavailable(&error))?;
    let (mut came, mut digest) = (0, Sha256::new());
    while let Some(piece) = payload.next().await {
        let piece = piece.map_err(|_| {
            Problem::new(Kind::Malformed, "malformed_body", "The part did not come whole. Send it again.")
        })?;
        came += piece.len() as u64;
        if came > size {
            return Err(wrong_length(size));
        }
        digest.update(&piece);
        upload.write(&piece).await.map_err(|error| unavailable(&error))?;
    }
    if came != size {
        return Err(wrong_length(size));
    }
    if let Some(sha256) = sha256 {
        require_digest(digest, &sha256.to_ascii_lowercase())?;
    }
    upload.finish().await.map_err(|error| unavailable(&error))
}

fn wrong_length(size: u64) -> Problem {
    let message = format!("This part has {size} bytes.");
    Problem::invalid(vec![FieldError::new("part", "wrong_length", message)])
}

/// Puts the file together, and gives it to the release. One that the release has already is answered again.
///
/// # Errors
/// 403, 404; 409 for what is no draft any more, and while parts are missing; 422 where the whole has another SHA-256 than was announced; 408
/// after half an hour; 503.
pub async fn complete(
    app: &App,
    caller: &Caller,
    release: ReleaseId,
    id: ReleaseFileId,
) -> Result<HttpResponse, Problem> {
    caller.0.require_platform(Permission::PlatformReleases)?;
    if let Some(release) = completed(app, caller, release, id).await? {
        return Ok(HttpResponse::Ok().with_json(&release));
    }
    let upload = match whole(app, caller, release, id).await {
        Ok(upload) => upload,
        // Another request may have completed it meanwhile: then its parts are gone, and there is nothing to complain of.
        Err(problem) => {
            let release = completed(app, caller, release, id).await?.ok_or(problem)?;
            return Ok(HttpResponse::Ok().with_json(&release));
        }
    };
    let mut work = app.core.begin().await?;
    let mut uploads = ReleaseUploads::new(&mut *work, &caller.0, &app.core.env);
    let stored = uploads.complete(&upload, app.scan_status()).await?;
    caller.commit(work, HttpResponse::Ok().with_json(&stored)).await
}

/// The release that has the file of an upload; `None` while it has not.
async fn completed(
    app: &App,
    caller: &Caller,
    release: ReleaseId,
    id: ReleaseFileId,
) -> Result<Option<Release>, Problem> {
    let mut repositories = app.core.reader();
    Ok(ReleaseUploads::new(&mut *repositories, &caller.0, &app.core.env).completed(release, id).await?)
}

/// An upload whose file is stored whole.
async fn whole(
    app: &App,
    caller: &Caller,
    release: ReleaseId,
    id: ReleaseFileId,
) -> Result<ReleaseUpload, Problem> {
    let (upload, parts) = state(app, caller, release, id).await?;
    upload.require_parts(&parts)?;
    timeout(PATIENCE, put_together(app, &upload)).await.map_err(|_| Problem::request_timeout())??;
    Ok(upload)
}

async fn put_together(app: &App, upload: &ReleaseUpload) -> Result<(), Problem> {
    let (release, id) = (upload.release_id, upload.id);
    let key = Release::file_key(release, id, &upload.file_name);
    let mut file = app.files.begin(&key).await.map_err(|error| unavailable(&error))?;
    let mut digest = Sha256::new();
    for part in 1..=upload.part_count() {
        let (key, size) = (Release::part_key(release, id, part), upload.size_of(part).unwrap_or_default());
        let mut read = 0;
        while read < size {
            let end = size.min(read + PIECE);
            let bytes = app.files.get_range(&key, read..end).await.map_err(|error| unavailable(&error))?;
            // Deleted meanwhile: the upload was given up, or another request has completed it.
            let bytes = bytes.ok_or_else(|| LicensingError::UploadIncomplete { missing: vec![part] })?;
            digest.update(&bytes);
            file.write(&bytes).await.map_err(|error| unavailable(&error))?;
            read = end;
        }
    }
    require_digest(digest, &upload.sha256)?;
    file.finish().await.map_err(|error| unavailable(&error))
}
