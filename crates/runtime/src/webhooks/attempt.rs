//! One call of a receiver.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use portico_kernel::{
    Event,
    http::{HttpClient, HttpError, HttpRequest, HttpResponse, Patience},
    message::EventMessage,
};
use portico_otlp::{Span, Tracer, Work};
use portico_security::webhook_signature;
use portico_tenancy::{
    delivery::{Delivery, DeliveryCause, DeliveryStatus},
    dispatch::{self, Schedule},
    ports::{DueDelivery, Outcome},
};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use crate::core::Core;

/// Bytes of a response that are kept.
const ANSWER: usize = 512;

/// Status by which a receiver unsubscribes (Standard Webhooks, "Operational considerations").
const GONE: u16 = 410;

/// Statuses by which a receiver requests a pause, if it gives a duration (RFC 9110 section 10.2.3).
const BUSY: [u16; 2] = [429, 503];

/// Where and how a webhook is called.
pub struct DeliveryTarget {
    /// URL.
    pub url: String,
    /// Signing keys; `None` when the secrets cannot be decrypted.
    pub keys: Option<Vec<Vec<u8>>>,
    /// Delays between attempts.
    pub schedule: Schedule,
    /// Timeout of a call.
    pub timeout: Duration,
}

/// A completed attempt.
pub struct Attempted {
    /// The outcome to record.
    pub outcome: Outcome,
    /// Duration of the call; `None` when none was made.
    pub took: Option<Duration>,
    /// The receiver has unsubscribed.
    pub gone: bool,
    /// The receiver has requested a pause of this duration.
    pub pause: Option<Duration>,
}

/// Calls the receiver.
pub async fn attempt(
    core: &Core,
    client: &dyn HttpClient,
    target: &DeliveryTarget,
    due: DueDelivery,
) -> Attempted {
    let DueDelivery { delivery, payload, event } = due;
    let body = match (&payload, &event) {
        (Some(payload), _) => serde_json::to_vec(payload).ok(),
        (None, Some(event)) => {
            serde_json::to_vec(&EventMessage::new(event, delivery.event_type.clone(), delivery.sequence)).ok()
        }
        (None, None) => None,
    };
    let mut outcome = Outcome {
        id: delivery.id,
        tenant: delivery.tenant,
        webhook: delivery.webhook_id,
        status: DeliveryStatus::Failed,
        counts: false,
        response_status: None,
        response_body: None,
        duration_ms: None,
        error: None,
        finished_at: core.env.now(),
        next: None,
    };
    let Some(body) = body else {
        outcome.error = Some("the event is not kept any more".to_owned());
        count("forgotten");
        return Attempted { outcome, took: None, gone: false, pause: None };
    };
    let started = Instant::now();
    let (answer, took) = match &target.keys {
        Some(keys) => {
            let id = dispatch::message_id(delivery.event_id);
            let timestamp = core.env.now().unix_seconds();
            let mut headers = vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("webhook-signature".to_owned(), webhook_signature(keys, &id, timestamp, &body)),
                ("webhook-timestamp".to_owned(), timestamp.to_string()),
                ("webhook-id".to_owned(), id),
            ];
            let span = span_of(&core.tracer, &delivery, event.as_ref());
            if let Some(parent) = span.parent() {
                headers.push(("traceparent".to_owned(), parent.to_string()));
            }
            let patience = Patience { time: Some(target.timeout), beginning: Some(ANSWER) };
            let request = HttpRequest { patience, ..HttpRequest::post(target.url.as_str(), headers, body) };
            let answer = span.run(client.send(request)).await;
            answered(&span, answer.as_ref().ok().map(|answer| answer.status));
            (Some(answer), Some(started.elapsed()))
        }
        None => (None, None),
    };
    let now = core.env.now();
    outcome.finished_at = now;
    outcome.duration_ms = took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
    // A manual test does not count towards the health of the receiver.
    outcome.counts = answer.is_some() && delivery.cause != DeliveryCause::Test;
    let mut retry_after = None;
    let mut gone = false;
    match &answer {
        Some(Ok(answer)) => {
            outcome.response_status = Some(answer.status);
            outcome.response_body = shown(answer);
            if (200..300).contains(&answer.status) {
                outcome.status = DeliveryStatus::Succeeded;
            } else {
                outcome.error = Some(refusal(answer.status).into_owned());
                gone = answer.status == GONE;
                retry_after = asked_for(answer, now.into_inner());
            }
        }
        Some(Err(error)) => outcome.error = Some(failure(error)),
        None => outcome.error = Some("the secret cannot be read; rotate it".to_owned()),
    }
    let word = match outcome.status {
        DeliveryStatus::Succeeded => "succeeded",
        _ if gone => "gone",
        _ if delivery.cause == DeliveryCause::Test => "failed",
        _ => match target.schedule.next(&core.env, delivery.attempt, now, retry_after) {
            Some(at) => {
                outcome.next = Some(dispatch::attempt_after(&core.env, &delivery, at, now));
                "retried"
            }
            None => "exhausted",
        },
    };
    count(word);
    if let Some(took) = took {
        metrics::histogram!("portico_webhook_delivery_duration_seconds").record(took.as_secs_f64());
    }
    let busy = outcome.response_status.is_some_and(|status| BUSY.contains(&status));
    let pause = retry_after.filter(|_| busy).and_then(|pause| pause.try_into().ok());
    Attempted { outcome, took, gone, pause }
}

fn count(outcome: &'static str) {
    metrics::counter!("portico_webhook_deliveries_total", "outcome" => outcome).increment(1);
}

/// The explanation of a status in the delivery log.
fn refusal(status: u16) -> Cow<'static, str> {
    match status {
        300..400 => format!("answered {status}; redirects are not followed").into(),
        GONE => "answered 410: the receiver wants nothing any more".into(),
        _ => format!("answered {status}").into(),
    }
}

/// The error without internal details of the HTTP library.
fn failure(error: &HttpError) -> String {
    let mut text = error.to_string();
    if let Some((end, _)) = text.char_indices().nth(500) {
        text.truncate(end);
    }
    text.replace('\0', "")
}

/// The part of a response that is kept: the beginning, if it is text for debugging. Nothing is kept of a response without a
/// content type, that is not UTF-8, or has control characters. A character that is cut in two is left out.
fn shown(answer: &HttpResponse) -> Option<String> {
    let (_, kind) = answer.headers.iter().find(|(name, _)| name == "content-type")?;
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_text =
        kind.starts_with("text/") || kind == "application/json" || kind == "application/problem+json";
    let body = &answer.body[..answer.body.len().min(ANSWER)];
    let text = match std::str::from_utf8(body) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&body[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    let is_plain = !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    (is_text && is_plain && !text.is_empty()).then(|| text.to_owned())
}

/// The pause that the receiver requests: seconds, or a date (RFC 9110 section 10.2.3).
fn asked_for(answer: &HttpResponse, now: OffsetDateTime) -> Option<time::Duration> {
    let (_, value) = answer.headers.iter().find(|(name, _)| name == "retry-after")?;
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u32>() {
        return Some(time::Duration::seconds(i64::from(seconds)));
    }
    // `Sun, 06 Nov 1994 08:49:37 GMT`: the zone is a name in the header, and must be a number for the parser.
    let date = value.strip_suffix("GMT").map(|date| format!("{date}+0000"))?;
    let at = OffsetDateTime::parse(&date, &Rfc2822).ok()?;
    Some((at - now).max(time::Duration::ZERO))
}

/// The span of a delivery attempt. It is sent to the receiver, which can continue the trace.
fn span_of(tracer: &Tracer, delivery: &Delivery, event: Option<&Event>) -> Span {
    let span = tracer.begin(Work::Call, "webhook", event.and_then(|event| event.trace_parent));
    if span.is_recorded() {
        span.set("http.request.method", "POST");
        span.set("portico.delivery.id", delivery.id.to_string());
        span.set("portico.delivery.attempt", i64::from(delivery.attempt));
        span.set("portico.webhook.id", delivery.webhook_id.to_string());
        span.set("portico.event.id", delivery.event_id.to_string());
        span.set("portico.tenant.id", delivery.tenant.to_string());
    }
    span
}

/// Records the status of the response, if there was one.
fn answered(span: &Span, status: Option<u16>) {
    if let Some(status) = status {
        span.set("http.response.status_code", i64::from(status));
    }
    if !status.is_some_and(|status| (200..300).contains(&status)) {
        span.fail("");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answering(value: &str) -> HttpResponse {
        HttpResponse { status: 503, headers: vec![("retry-after".into(), value.into())], body: Vec::new() }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap(); // 1994-11-06 08:49:37
        let asked = |value| asked_for(&answering(value), now).map(time::Duration::whole_seconds);
        assert_eq!(asked("120"), Some(120));
        assert_eq!(asked(" 0 "), Some(0));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(asked("Sun, 06 Nov 1994 08:40:00 GMT"), Some(0), "that is over");
        for odd in ["", "-1", "1.5", "soon", "99999999999999999999", "Sun, 06 Nov 1994 08:50:37 CET"] {
            assert_eq!(asked(odd), None, "{odd}");
        }
        let silent = HttpResponse { headers: Vec::new(), ..answering("") };
        assert_eq!(asked_for(&silent, now), None);
    }

    fn of_type(kind: Option<&str>, body: &[u8]) -> Option<String> {
        let headers = kind.map(|kind| ("content-type".to_owned(), kind.to_owned())).into_iter().collect();
        shown(&HttpResponse { status: 200, headers, body: body.to_vec() })
    }

    #[test]
    fn answers_are_kept_as_a_short_text() {
        for kind in ["text/plain", "text/html; charset=utf-8", "Application/JSON", "application/problem+json"]
        {
            assert_eq!(of_type(Some(kind), b"ok\n").as_deref(), Some("ok\n"), "{kind}");
        }
        let cut = "é".repeat(600);
        let kept = of_type(Some("text/plain"), &[b"a", cut.as_bytes()].concat()).unwrap();
        assert!(kept.len() == ANSWER - 1 && kept.ends_with('é'), "{}", kept.len());
    }

    #[test]
    fn what_is_no_text_is_not_kept() {
        for kind in ["application/octet-stream", "image/png", "application/x-protobuf", "", "textual", "json"]
        {
            assert_eq!(of_type(Some(kind), b"secret"), None, "{kind}");
        }
        assert_eq!(of_type(None, b"secret"), None, "of no type");
        for body in [&b"a\0b"[..], b"a\x1b[2Jb", &[b'a', 0xff, b'b'], &[0x80; 10], &[]] {
            assert_eq!(of_type(Some("text/plain"), body), None, "{body:?}");
        }
    }
}
