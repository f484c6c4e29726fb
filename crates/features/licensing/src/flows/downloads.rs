//! Files of releases, sent to whoever has a link.
//!
//! Link, release and license are looked up for each request, and the request is noted before the first byte is sent. No connection to the
//! database is held while a client receives.

use std::{convert::Infallible, ops::Range, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder,
    body::SizedStream,
    http::{
        Method, StatusCode,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use futures_util::stream;
use portico_kernel::Scope;
use portico_licensing::{
    LicensingError,
    download::{LinkHolders, LinkedFile},
    download_link::DownloadLink,
    release::Release,
};
use portico_web::{conditional, pieces, problem::Problem, ranges::Asked};

use super::unavailable;
use crate::state::App;

/// How long the address is good to which a client is sent: it follows at once. What has begun by then goes on.
const DIRECT: Duration = Duration::from_secs(60);

/// A file gets no capabilities where a browser shows it in spite of all.
const POLICY: &str =
    "default-src 'none'; sandbox; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// The address of a link.
pub fn url(app: &App, link: &DownloadLink) -> String {
    format!("{}/api/v1{}", app.api.public_url, link.signed(&*app.api.signer))
}

/// Answers GET or HEAD at a link.
///
/// # Errors
/// 403 for a link that is not good (any more), or whose license is not; 404; 410; 503.
pub async fn send(
    app: &App,
    scope: &Scope,
    link: &DownloadLink,
    signature: &str,
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    let env = &app.core.env;
    if !link.is_signed(&*app.api.signer, signature, env.now()) {
        return Err(LicensingError::InvalidLink.into());
    }
    let mut repositories = app.core.reader();
    let linked = LinkHolders::new(&mut *repositories, scope, env).follow(link).await?;
    drop(repositories);
    let (size, tag) = (linked.file.size, format!("\"{}\"", linked.file.sha256));
    let mut answer = head(&linked, &tag);
    if conditional::not_modified(request, &tag) {
        return Ok(answer.status(StatusCode::NOT_MODIFIED).finish());
    }
    let range = match Asked::of(request, &tag, size) {
        Asked::Whole => 0..size,
        Asked::Part(Range { start, end }) => {
            answer
                .status(StatusCode::PARTIAL_CONTENT)
                .insert_header((header::CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1)));
            start..end
        }
        Asked::Beyond => {
            answer
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
            return Ok(answer.finish());
        }
    };
    let length = range.end - range.start;
    if *request.method() == Method::HEAD {
        // The length of the file, and nothing of it.
        return Ok(answer.body(SizedStream::new(length, stream::empty::<Result<Bytes, Infallible>>())));
    }
    let key = Release::file_key(linked.release, linked.file.id, &linked.file.name);
    if !app.downloads.through_server
        && let Some(url) = app.files.direct_url(&key, DIRECT).await.map_err(|error| unavailable(&error))?
    {
        note(app, scope, link, &linked, length).await?;
        return Ok(HttpResponse::Found()
            .insert_header((header::LOCATION, url))
            .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
            .finish());
    }
    let body = pieces::of_file(app.files.clone(), key.clone(), range).await;
    let body = body.map_err(|error| unavailable(&error))?;
    let body = body.ok_or_else(|| Problem::internal(format!("{key} is not in the store")))?;
    note(app, scope, link, &linked, length).await?;
    Ok(answer.body(body))
}

/// What is said of the file, whichever part of it is sent.
fn head(linked: &LinkedFile, tag: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .content_type(linked.file.content_type.as_str())
        .insert_header((header::ETAG, tag))
        // Each request is checked and noted.
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")))
        .insert_header((header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)))
        .insert_header((header::ACCEPT_RANGES, HeaderValue::from_static("bytes")))
        // The name has no character that would have to be written in another way (RFC 6266).
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}\"", linked.file.name),
        ))
        // A byte range must refer to the file as it is.
        .insert_header((header::CONTENT_ENCODING, HeaderValue::from_static("identity")));
    answer
}

async fn note(
    app: &App,
    scope: &Scope,
    link: &DownloadLink,
    linked: &LinkedFile,
    bytes: u64,
) -> Result<(), Problem> {
    let mut work = app.core.begin().await?;
    LinkHolders::new(&mut *work, scope, &app.core.env).note(link, linked, bytes).await?;
    Ok(work.commit().await?)
}
