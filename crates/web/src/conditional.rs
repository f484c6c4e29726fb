//! `ETag`, `If-None-Match` and `If-Match` (RFC 9110 section 13).

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderMap, HeaderValue},
};
use serde::Serialize;

use crate::{
    problem::Problem,
    write::{WithJson, to_vec},
};

/// The entity tag of a version of a resource.
pub fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}

/// The version that the client wants to change, from `If-Match`: `None` for any version. An unknown tag matches no version.
pub fn expected_version(request: &HttpRequest) -> Option<i64> {
    let value = request.headers().get(header::IF_MATCH)?;
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return None;
    }
    let version =
        text.strip_prefix("\"v").and_then(|rest| rest.strip_suffix('"')).and_then(|v| v.parse().ok());
    Some(version.unwrap_or(-1))
}

/// Whether the client has this representation already.
pub fn not_modified(request: &HttpRequest, tag: &str) -> bool {
    is_known(request.headers(), tag)
}

/// The same by the headers of a request.
pub fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        value
            .split(',')
            .map(str::trim)
            .any(|candidate| candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == tag)
    })
}

/// 200 with the resource and its `ETag`, or 304 when the client has it already.
pub fn resource(request: &HttpRequest, version: i64, body: &impl Serialize) -> Result<HttpResponse, Problem> {
    let tag = etag(version);
    if not_modified(request, &tag) {
        return Ok(HttpResponse::NotModified().insert_header((header::ETAG, tag)).finish());
    }
    let json = to_vec(body).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, tag))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")))
        .content_type("application/json")
        .body(json))
}

/// 201 with `Location`, the resource and its `ETag`.
pub fn created(location: &str, version: i64, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((header::LOCATION, location))
        .insert_header((header::ETAG, etag(version)))
        .with_json(body)
}

/// 200 with the resource after a change, and its `ETag`.
pub fn updated(version: i64, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::ETAG, etag(version))).with_json(body)
}
