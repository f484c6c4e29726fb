//! Traces of requests.

use std::time::Instant;

use actix_web::http::header::{HeaderMap, HeaderName};
use portico_kernel::TraceParent;
use portico_runtime::traces::{Span, Tracer};

/// Header with the trace context of a client.
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Maximum length of a path in traces, in characters.
const PATH: usize = 256;

/// The span of a request that began at `started`. Probes and metrics have none: they would be most of the data.
pub fn of_request(
    tracer: &Tracer,
    method: &str,
    path: &str,
    headers: &HeaderMap,
    id: &str,
    started: Instant,
) -> Span {
    if path.starts_with("/api/health") || path == "/api/metrics" {
        return Span::none();
    }
    let span = tracer.asked("HTTP", asked_by(headers), started);
    if span.is_recorded() {
        span.set("http.request.method", method.to_owned());
        span.set("url.path", path.chars().take(PATH).collect::<String>());
        span.set("portico.request_id", id.to_owned());
    }
    span
}

/// Records the result of a request.
pub fn answered(span: &Span, method: &str, route: Option<&str>, status: u16) {
    if !span.is_recorded() {
        return;
    }
    span.rename(|| route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")));
    if let Some(route) = route {
        span.set("http.route", route.to_owned());
    }
    span.set("http.response.status_code", i64::from(status));
    if status >= 500 {
        span.fail("");
    }
}

/// The client's trace context. Duplicate headers are ignored (W3C Trace Context, section 3.2.2).
fn asked_by(headers: &HeaderMap) -> Option<TraceParent> {
    let mut said = headers.get_all(TRACE_PARENT);
    match (said.next(), said.next()) {
        (Some(one), None) => one.to_str().ok()?.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_traceparent_is_believed_when_it_is_said_once() {
        const ONE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(TRACE_PARENT, HeaderValue::from_str(value).unwrap());
            }
            asked_by(&headers)
        };
        assert_eq!(headers(&[]), None);
        assert_eq!(headers(&[ONE]).unwrap().to_string(), ONE);
        assert_eq!(headers(&[ONE, ONE]), None);
        assert_eq!(headers(&["nonsense"]), None);
        assert_eq!(headers(&["00-é"]), None);
    }
}
