//! Errors as responses: problem details (RFC 9457). The only place that maps kinds of errors to status codes.

use std::{borrow::Cow, fmt};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use portico_kernel::{Denied, Fault, FieldError, Kind};
use portico_runtime::{context, logging::chain, report};
use serde::Serialize;
use serde_json::{Map, Value};

/// `Retry-After` in seconds when a component is unavailable.
const RETRY_AFTER_SECONDS: u64 = 5;

/// The body of an error response.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "type": "about:blank", "title": "Unprocessable Entity", "status": 422, "detail": "Some fields are not valid.",
    "instance": "/api/v1/auth/register", "code": "invalid", "requestId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d",
    "errors": [{"field": "email", "code": "invalid_email", "message": "This is not a valid email address."}]
}))]
pub struct ProblemBody {
    /// `about:blank`: the meaning is that of the status code; `code` is more specific.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The reason phrase of the status code.
    title: Cow<'static, str>,
    /// The status code.
    status: u16,
    /// A human-readable sentence.
    detail: Cow<'static, str>,
    /// Path of the request.
    instance: String,
    /// Stable error code.
    code: Cow<'static, str>,
    /// Id of the request; include it in support requests.
    request_id: String,
    /// Errors of single fields (422 only).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// Additional members of some codes, for instance `meter`, `limit`, `used` and `plan` of `quota_exceeded`.
    #[serde(flatten)]
    #[schema(ignore)]
    members: Map<String, Value>,
}

/// An error response. Contains nothing that a client may not see.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    kind: Kind,
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    members: Map<String, Value>,
    retry_after: Option<u64>,
    allow: Option<String>,
}

/// The status code of a kind of error.
pub fn status_of(kind: Kind) -> StatusCode {
    match kind {
        Kind::Malformed => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Quota => StatusCode::PAYMENT_REQUIRED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Gone => StatusCode::GONE,
        Kind::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Kind::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        Kind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    }
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: Kind, code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            kind,
            status: status_of(kind),
            code,
            detail: detail.into(),
            errors: Vec::new(),
            members: Map::new(),
            retry_after: (kind == Kind::Unavailable).then_some(RETRY_AFTER_SECONDS),
            allow: None,
        }))
    }

    /// Invalid fields.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let mut problem = Self::new(Kind::Invalid, "invalid", "Some fields are not valid.");
        problem.0.errors = errors;
        problem
    }

    /// Adds further invalid fields.
    #[must_use]
    pub fn and(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors.extend(errors);
        self
    }

    /// Not there, or not visible to this caller.
    pub fn not_found() -> Self {
        Self::new(Kind::NotFound, "not_found", "There is nothing here.")
    }

    /// No valid credentials.
    pub fn unauthenticated() -> Self {
        Denied::Unauthenticated.into()
    }

    /// The path exists, but not with this method.
    pub fn method_not_allowed(allow: String) -> Self {
        let mut problem =
            Self::new(Kind::NotFound, "method_not_allowed", format!("This path answers to {allow} only."));
        problem.0.status = StatusCode::METHOD_NOT_ALLOWED;
        problem.0.allow = Some(allow);
        problem
    }

    /// Too many requests.
    pub fn rate_limited(retry_after: u64) -> Self {
        let detail = format!("Too many requests. Try again in {retry_after} s.");
        let mut problem = Self::new(Kind::RateLimited, "rate_limited", detail);
        problem.0.retry_after = Some(retry_after);
        problem
    }

    /// The body arrived too slowly.
    pub fn request_timeout() -> Self {
        let mut problem = Self::new(Kind::Malformed, "request_timeout", "The body came too slowly.");
        problem.0.status = StatusCode::REQUEST_TIMEOUT;
        problem
    }

    /// Adds `Retry-After` with this number of seconds.
    #[must_use]
    pub fn after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// A server error. The cause is logged, not sent to the client.
    pub fn internal(cause: impl fmt::Display) -> Self {
        report::note("internal", Kind::Internal, &cause.to_string());
        Self::new(Kind::Internal, "internal", "Something went wrong on our side.")
    }

    /// The stable error code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The body of the response.
    fn body(&self) -> ProblemBody {
        let context = context::current();
        ProblemBody {
            kind: "about:blank",
            title: self.0.status.canonical_reason().unwrap_or("Error").into(),
            status: self.0.status.as_u16(),
            detail: self.0.detail.clone(),
            instance: context.path,
            code: self.0.code.into(),
            request_id: context.info.id,
            errors: self.0.errors.clone(),
            members: self.0.members.clone(),
        }
    }
}

impl<F: Fault> From<F> for Problem {
    fn from(fault: F) -> Self {
        let kind = fault.kind();
        // Every 5xx can be found in the log by the id in the response.
        if matches!(kind, Kind::Internal | Kind::Unavailable) {
            report::note(fault.code(), kind, &chain(&fault));
        }
        let mut problem = Self::new(kind, fault.code(), fault.detail());
        problem.0.retry_after = fault.retry_after().or(problem.0.retry_after);
        problem.0.errors = fault.fields().to_vec();
        problem.0.members =
            fault.members().into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        problem
    }
}

impl std::error::Error for Problem {}
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.detail)?;
        self.0.errors.iter().try_for_each(|error| write!(f, " {}: {}", error.field, error.message))
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.0.status
    }

    fn error_response(&self) -> HttpResponse {
        if self.0.status.is_server_error() {
            report::refused(self.0.code, &self.0.detail);
        }
        let mut response = HttpResponse::build(self.0.status);
        response.content_type("application/problem+json");
        if self.0.kind == Kind::Unauthenticated {
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(seconds) = self.0.retry_after {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        if let Some(allow) = self.0.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            response.insert_header((ALLOW, allow));
        }
        match serde_json::to_vec(&self.body()) {
            Ok(body) => response.body(body),
            Err(_) => response.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use portico_kernel::{RequestInfo, StoreError};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_5xx_is_logged_with_the_id_of_the_request() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let context = context::RequestContext {
            info: RequestInfo { id: "r-17".into(), ..RequestInfo::default() },
            path: "/api/v1/sites".into(),
            ..context::RequestContext::default()
        };
        tracing::subscriber::with_default(subscriber, || {
            context::CURRENT.sync_scope(context, || {
                let _ = Problem::internal("first cause");
                let _ = Problem::from(StoreError::Internal("second cause".into()));
                let _ = Problem::from(StoreError::Unavailable("third cause".into()));
                let _ = Problem::not_found();
            });
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        for (line, (level, cause)) in
            lines.iter().zip([("ERROR", "first"), ("ERROR", "second"), ("WARN", "third")])
        {
            for part in [level, cause, "request_id=\"r-17\""] {
                assert!(line.contains(part), "{part}: {line}");
            }
        }
    }
}
