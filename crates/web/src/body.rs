//! The body of a request as a typed input.

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::CONTENT_TYPE,
    web::{self, Bytes},
};
use futures_util::{
    FutureExt, StreamExt,
    future::{self, LocalBoxFuture},
};
use portico_kernel::Kind;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{json, problem::Problem, read};

/// Maximum size of a JSON body; registered as application data.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit(pub usize);

/// A JSON body, read as a `T`: 415 for another content type (JSON without any, or with the one that curl sends unasked, is taken), 413 when too large, 400 when it is not JSON or names a field twice, 422 with every
/// unknown or mistyped field.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Body<T> {
    type Error = Problem;
    type Future = future::Map<Json, Read<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        json_of(request, payload).map(read_body as Read<Self>)
    }
}

fn read_body<T: DeserializeOwned>(json: Result<Value, Problem>) -> Result<Body<T>, Problem> {
    read::from_json(json?).map(Body).map_err(Problem::invalid)
}

/// JSON that comes. One future for all types, so that the program has it once.
type Json = LocalBoxFuture<'static, Result<Value, Problem>>;

/// Reads a `T` from it.
type Read<T> = fn(Result<Value, Problem>) -> Result<T, Problem>;

/// The JSON of a body.
fn json_of(request: &HttpRequest, payload: &mut Payload) -> Json {
    let label = label(request);
    let limit = request.app_data::<BodyLimit>().map_or(0, |limit| limit.0);
    let body = collect(request, payload.take(), limit);
    Box::pin(async move {
        if label == Label::Other {
            return Err(unsupported());
        }
        let bytes = body.await?;
        // serde_json stops at 128 levels, so a body that nests deeper is malformed, not a stack overflow.
        json::parse(&bytes).map_err(|error| match label {
            Label::Json => malformed(format!("The body is not JSON: {error}.")),
            Label::None | Label::Other => unsupported(),
        })
    })
}

/// Like [`Body`], but a missing body, or `null`, is read as a default `T`.
pub struct OptionalBody<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest for OptionalBody<T> {
    type Error = Problem;
    type Future = future::Map<Json, Read<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let absent = content_length(request).unwrap_or(0) == 0
            && !request.headers().contains_key(actix_web::http::header::TRANSFER_ENCODING)
            && !request.headers().contains_key(CONTENT_TYPE);
        let json: Json =
            if absent { future::ready(Ok(Value::Null)).boxed_local() } else { json_of(request, payload) };
        json.map(read_optional as Read<Self>)
    }
}

fn read_optional<T: DeserializeOwned + Default>(
    json: Result<Value, Problem>,
) -> Result<OptionalBody<T>, Problem> {
    match json? {
        Value::Null => Ok(OptionalBody(T::default())),
        json => read::from_json(json).map(OptionalBody).map_err(Problem::invalid),
    }
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// 413 when it is larger, 400 when it is truncated.
pub fn collect(
    request: &HttpRequest,
    mut payload: Payload,
    limit: usize,
) -> impl Future<Output = Result<Bytes, Problem>> + use<> {
    let announced = content_length(request);
    async move {
        let too_large = || {
            let detail = format!("The body may have {limit} bytes at most.");
            Problem::new(Kind::TooLarge, "body_too_large", detail)
        };
        if announced.is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut bytes = web::BytesMut::new();
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|_| malformed("The body could not be read."))?;
            if bytes.len() + chunk.len() > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

/// Refuses a body that is not labelled as JSON, for requests whose credential is a cookie: forms of other sites can send any body
/// without a label.
///
/// # Errors
/// 415.
pub fn require_json_type(request: &HttpRequest) -> Result<(), Problem> {
    let has_body = content_length(request).unwrap_or(0) > 0
        || request.headers().contains_key(actix_web::http::header::TRANSFER_ENCODING);
    if has_body && label(request) != Label::Json { Err(unsupported()) } else { Ok(()) }
}

fn malformed(detail: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(Kind::Malformed, "malformed_body", detail)
}

/// The length that a request announces.
pub fn content_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(actix_web::http::header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn unsupported() -> Problem {
    let detail = "Send the body as application/json.";
    Problem::new(Kind::UnsupportedMediaType, "unsupported_media_type", detail)
}

/// What a request says about its body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Json,
    /// Nothing, or the default of curl for `--data`.
    None,
    Other,
}

fn label(request: &HttpRequest) -> Label {
    if !request.headers().contains_key(CONTENT_TYPE) {
        return Label::None;
    }
    match request.content_type().to_ascii_lowercase().as_str() {
        essence if essence == "application/json" || essence.ends_with("+json") => Label::Json,
        "application/x-www-form-urlencoded" => Label::None,
        _ => Label::Other,
    }
}
