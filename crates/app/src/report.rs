//! Reports of errors of ours: one line in the log for each request that is answered with 5xx, and for each job that is dead.
//! The line names the request and the trace, and is counted. What is said again and again while a part is down is said once a
//! second, with the number of times that it was not said.

use std::{
    collections::{HashMap, hash_map::Entry},
    error::Error,
    fmt::Display,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

use actix_web::http::StatusCode;
use portico_kernel::{Job, Kind};

use crate::{
    http::{
        context::{self, CURRENT},
        problem::chain,
    },
    traces,
};

/// How often the same is said at most.
const PAUSE: Duration = Duration::from_secs(1);

/// Most things that are told apart. Beyond that, causes of the same kind are one.
const KINDS: usize = 64;

/// Most characters of a cause.
const CAUSE: usize = 2000;

/// What went wrong on our side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable word for programs, as in the answer.
    pub code: &'static str,
    /// An error with its causes.
    pub cause: String,
    /// Whether it is a mistake in the program, and not a part that is down for a while.
    pub bug: bool,
}

/// The latest failure of a request that is being answered.
#[derive(Clone, Debug)]
pub struct Failures(Arc<Request>);

#[derive(Debug)]
struct Request {
    id: String,
    slot: Mutex<Slot>,
}

#[derive(Debug)]
enum Slot {
    Open(Option<Failure>),
    /// The request was answered; what its tasks still do is no part of the answer.
    Closed,
}

impl Failures {
    /// Of the request of this id.
    pub fn of(id: &str) -> Self {
        Self(Arc::new(Request { id: id.to_owned(), slot: Mutex::new(Slot::Open(None)) }))
    }

    /// Keeps a failure until the answer. Gives it back when there was one already.
    fn put(&self, failure: Failure) -> Option<Failure> {
        match &mut *self.0.slot.lock().unwrap_or_else(PoisonError::into_inner) {
            Slot::Open(slot) => {
                *slot = Some(failure);
                None
            }
            Slot::Closed => Some(failure),
        }
    }

    /// Keeps a failure if there is none yet.
    fn put_first(&self, failure: Failure) {
        if let Slot::Open(slot @ None) = &mut *self.0.slot.lock().unwrap_or_else(PoisonError::into_inner) {
            *slot = Some(failure);
        }
    }

    fn close(&self) -> Option<Failure> {
        self.0.close()
    }
}

impl Request {
    fn close(&self) -> Option<Failure> {
        match std::mem::replace(&mut *self.slot.lock().unwrap_or_else(PoisonError::into_inner), Slot::Closed)
        {
            Slot::Open(slot) => slot,
            Slot::Closed => None,
        }
    }
}

impl Drop for Request {
    /// A client that did not wait for the answer does not take the report along.
    fn drop(&mut self) {
        if let Some(failure) = self.close() {
            failure.report(&self.id, None);
        }
    }
}

impl Failure {
    /// Outside of a request that waits.
    fn report(self, request_id: &str, trace_id: Option<String>) {
        let Self { code, cause, bug } = self;
        metrics::counter!("errors_total", "code" => code).increment(1);
        if bug {
            tracing::error!(target: "portico::errors", code, error = cause, request_id, trace_id, "failed");
        } else if let Some(repeated) = seldom(code, &cause) {
            tracing::warn!(
                target: "portico::errors", code, error = cause, request_id, trace_id,
                repeated = (repeated > 0).then_some(repeated), "a part is not available"
            );
        }
    }
}

/// Notes why the request at hand fails; it is reported once it is answered so. Outside of one it is reported at once.
pub fn note(code: &'static str, kind: Kind, cause: &str) {
    let failure = Failure { code, cause: scrub(cause), bug: kind == Kind::Internal };
    let answering = CURRENT.try_with(|context| context.failures.clone()).ok().flatten();
    let late = match answering {
        Some(failures) => failures.put(failure),
        None => Some(failure),
    };
    if let Some(failure) = late {
        failure.report(&context::current().info.id, traces::current_id());
    }
}

/// Notes that the request at hand is refused with 5xx, unless it is known already why.
pub fn refused(code: &'static str, why: &str) {
    // Not ready is what a server is that starts or stops, and probes ask each second.
    if code == "not_ready" {
        return;
    }
    let _ = CURRENT.try_with(|context| {
        if let Some(failures) = &context.failures {
            failures.put_first(Failure { code, cause: why.to_owned(), bug: false });
        }
    });
}

/// A request that was answered.
pub struct Answered<'r> {
    /// Method.
    pub method: &'r str,
    /// Path as it may be written down.
    pub path: &'r str,
    /// Pattern of the route, where one was found.
    pub route: Option<&'r str>,
    /// Id of the request, as the client was told.
    pub id: &'r str,
    /// Id of its trace.
    pub trace: Option<&'r str>,
    /// With what.
    pub status: StatusCode,
}

/// Reports a request that was answered with 5xx, with what was noted about it.
pub fn answered(request: Answered<'_>, failures: &Failures) {
    let noted = failures.close();
    if !request.status.is_server_error() {
        return;
    }
    let unknown = || Failure { code: "internal", cause: "the route said no more".to_owned(), bug: true };
    let by_itself = request.status == StatusCode::INTERNAL_SERVER_ERROR;
    let Some(Failure { code, cause, bug }) = noted.or_else(|| by_itself.then(unknown)) else { return };
    metrics::counter!("errors_total", "code" => code).increment(1);
    let Answered { method, path, route, id, trace, status } = request;
    let (status, route) = (status.as_u16(), route.unwrap_or("none"));
    if bug {
        tracing::error!(
            target: "portico::errors", code, status, method, route, path, request_id = id, trace_id = trace,
            error = cause, "request failed"
        );
    } else if let Some(repeated) = seldom(code, &cause) {
        tracing::warn!(
            target: "portico::errors", code, status, method, route, path, request_id = id, trace_id = trace,
            error = cause, repeated = (repeated > 0).then_some(repeated), "a part is not available"
        );
    }
}

/// Whether to say something now: once a second for each kind and cause. Answers how often it was not said since.
pub fn seldom(kind: &'static str, cause: &str) -> Option<u64> {
    static SAID: LazyLock<Mutex<Said>> = LazyLock::new(Mutex::default);
    let mut hasher = DefaultHasher::new();
    cause.hash(&mut hasher);
    SAID.lock().unwrap_or_else(PoisonError::into_inner).say((kind, hasher.finish()), Instant::now())
}

/// Warns of what comes again and again while a part is down.
pub fn warn(what: &'static str, error: &dyn Error) {
    let error = chain(error);
    if let Some(repeated) = seldom(what, &error) {
        tracing::warn!(error, repeated = (repeated > 0).then_some(repeated), "{what}");
    }
}

/// The same, where it happens to many things in turn. The line names one of them.
pub fn warn_about(what: &'static str, about: impl Display, error: &dyn Error) {
    let error = chain(error);
    if let Some(repeated) = seldom(what, &error) {
        tracing::warn!(%about, error, repeated = (repeated > 0).then_some(repeated), "{what}");
    }
}

/// What was said lately.
#[derive(Default)]
struct Said(HashMap<(&'static str, u64), (Instant, u64)>);

impl Said {
    fn say(&mut self, (kind, cause): (&'static str, u64), now: Instant) -> Option<u64> {
        if self.0.len() >= KINDS {
            self.0.retain(|_, (at, _)| now.saturating_duration_since(*at) < PAUSE);
        }
        let cause = if self.0.len() < KINDS { cause } else { 0 };
        match self.0.entry((kind, cause)) {
            Entry::Vacant(place) => {
                place.insert((now, 0));
                Some(0)
            }
            Entry::Occupied(mut place) => {
                let (at, repeated) = place.get_mut();
                if now.saturating_duration_since(*at) < PAUSE {
                    *repeated += 1;
                    return None;
                }
                *at = now;
                Some(std::mem::take(repeated))
            }
        }
    }
}

/// Reports a job that failed for good.
pub fn dead_job(job: &Job, cause: &str) {
    metrics::counter!("errors_total", "code" => "job_dead").increment(1);
    tracing::error!(
        target: "portico::errors", code = "job_dead", job = %job.id, kind = job.kind, attempts = job.attempts,
        tenant = %job.tenant_id, request_id = job.request_id, trace_id = job.trace_parent.map(|parent| parent.trace_id()),
        error = scrub(cause), "the job is dead"
    );
}

/// A cause as it may be written down: on one line, of bounded length, without what looks like a secret.
///
/// Causes hold none by design. This is for texts of libraries and of other servers, which may quote what they were sent.
pub fn scrub(text: &str) -> String {
    let mut scrubbed = String::with_capacity(text.len().min(CAUSE));
    let mut after_bearer = false;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if scrubbed.len() >= CAUSE {
            scrubbed.push_str(" …");
            break;
        }
        if !scrubbed.is_empty() {
            scrubbed.push(' ');
        }
        if std::mem::replace(&mut after_bearer, word.to_ascii_lowercase().ends_with("bearer")) {
            scrubbed.push('…');
            continue;
        }
        let word = match secret_in(word) {
            Some(at) => format!("{}…", word.get(..at).unwrap_or_default()),
            None => without_credentials(word),
        };
        scrubbed.extend(word.chars().take(CAUSE));
    }
    scrubbed
}

/// Where something in a word begins as our keys, those of webhooks and of models, and signed tokens do.
fn secret_in(word: &str) -> Option<usize> {
    const BEGINNINGS: [&str; 5] = ["sn_live_", "sn_test_", "whsec_", "sk-", "eyJ"];
    let begins = |at: usize| word.get(..at).is_some_and(|before| !before.ends_with(char::is_alphanumeric));
    let places = BEGINNINGS.iter().flat_map(|beginning| word.match_indices(beginning));
    places.map(|(at, _)| at).filter(|at| begins(*at)).min()
}

/// An address in a text without its user, password and query.
fn without_credentials(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (rest, had_query) = match rest.split_once(['?', '#']) {
        Some((rest, _)) => (rest, true),
        None => (rest, false),
    };
    let host_begins = match rest.find('/') {
        Some(path) => rest.get(..path).and_then(|authority| authority.rfind('@')),
        None => rest.rfind('@'),
    };
    let host = host_begins.and_then(|at| rest.get(at + 1..)).unwrap_or(rest);
    format!("{scheme}://{host}{}", if had_query { "?…" } else { "" })
}

#[cfg(test)]
mod tests {
    use portico_kernel::RequestInfo;

    use super::*;

    #[test]
    fn causes_lose_what_looks_like_a_secret() {
        for (text, expected) in [
            ("it broke: no route to host", "it broke: no route to host"),
            ("the task-local slot", "the task-local slot"),
            ("authorization:bearer abc", "authorization:bearer …"),
            ("two\nlines\tand\u{0}more", "two lines and more"),
            (
                "cannot reach postgres://portico:hunter2@db:5432/portico",
                "cannot reach postgres://db:5432/portico",
            ),
            ("cannot reach postgres://u:p@ss@db", "cannot reach postgres://db"),
            ("GET https://a.example/x@y?token=abc: 500", "GET https://a.example/x@y?… 500"),
            ("sent Authorization: Bearer abc.def", "sent Authorization: Bearer …"),
            ("key=sn_live_4fG7kQ2mZx9B is wrong", "key=… is wrong"),
            ("(whsec_abc) (eyJhbGciOi.x.y)", "(… (…"),
        ] {
            assert_eq!(scrub(text), expected, "{text}");
        }
    }

    /// What a request that failed so and was answered so leaves in the log.
    fn lines(work: impl FnOnce(&Failures)) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Lines(lines.clone());
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let failures = Failures::of("r-17");
            let context = context::RequestContext {
                info: RequestInfo { id: "r-17".into(), ..RequestInfo::default() },
                failures: Some(failures.clone()),
                ..context::RequestContext::default()
            };
            CURRENT.sync_scope(context, || work(&failures));
        });
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[derive(Clone)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn with(status: StatusCode) -> Answered<'static> {
        Answered {
            method: "GET",
            path: "/api/v1/sites",
            route: Some("/sites"),
            id: "r-17",
            trace: Some("4bf9"),
            status,
        }
    }

    #[test]
    fn an_answer_with_5xx_is_one_line_that_says_all() {
        let found = lines(|failures| {
            note("internal", Kind::Internal, "first try");
            note("internal", Kind::Internal, "row 7: unreadable");
            answered(with(StatusCode::INTERNAL_SERVER_ERROR), failures);
        });
        let [line] = found.as_slice() else { panic!("{found:?}") };
        for part in [
            "ERROR portico::errors",
            "request failed",
            "code=\"internal\"",
            "status=500",
            "route=\"/sites\"",
            "path=\"/api/v1/sites\"",
            "request_id=\"r-17\"",
            "trace_id=\"4bf9\"",
            "error=\"row 7: unreadable\"",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let found = lines(|failures| {
            note("unavailable", Kind::Unavailable, "no connection");
            answered(with(StatusCode::SERVICE_UNAVAILABLE), failures);
        });
        assert!(found.len() == 1 && found[0].contains(" WARN portico::errors"), "{found:?}");
    }

    #[test]
    fn a_refusal_is_told_with_its_code_unless_the_reason_is_known() {
        let found = lines(|failures| {
            refused("too_many_streams", "Too many live streams.");
            answered(with(StatusCode::SERVICE_UNAVAILABLE), failures);
        });
        assert!(found.len() == 1 && found[0].contains("code=\"too_many_streams\""), "{found:?}");
        let found = lines(|failures| {
            note("internal", Kind::Internal, "the reason");
            refused("internal", "Something went wrong on our side.");
            answered(with(StatusCode::INTERNAL_SERVER_ERROR), failures);
        });
        assert!(found.len() == 1 && found[0].contains("the reason"), "{found:?}");
        let found = lines(|failures| {
            refused("not_ready", "The server is starting or shutting down.");
            answered(with(StatusCode::SERVICE_UNAVAILABLE), failures);
        });
        assert_eq!(found, Vec::<String>::new());
        let found = lines(|failures| answered(with(StatusCode::INTERNAL_SERVER_ERROR), failures));
        assert!(found.len() == 1 && found[0].contains("code=\"internal\""), "{found:?}");
    }

    #[test]
    fn what_was_overcome_is_no_error_and_what_comes_too_late_is_told_at_once() {
        let found = lines(|failures| {
            note("unavailable", Kind::Unavailable, "the cache is gone");
            answered(with(StatusCode::OK), failures);
        });
        assert_eq!(found, Vec::<String>::new());
        let found = lines(|failures| {
            answered(with(StatusCode::OK), failures);
            note("internal", Kind::Internal, "afterwards");
        });
        assert!(
            found.len() == 1 && found[0].contains("afterwards") && found[0].contains("r-17"),
            "{found:?}"
        );
        let found = lines(|_| note("internal", Kind::Internal, "nobody waited"));
        assert!(
            found.len() == 1 && found[0].contains("nobody waited") && found[0].contains("r-17"),
            "{found:?}"
        );
    }

    #[test]
    fn the_same_is_said_once_a_second_with_how_often_it_was_not() {
        let (mut said, start) = (Said::default(), Instant::now());
        let mut say = |kind, cause, millis| said.say((kind, cause), start + Duration::from_millis(millis));
        assert_eq!([say("a", 1, 0), say("a", 1, 1), say("a", 1, 999)], [Some(0), None, None]);
        assert_eq!(say("a", 2, 1), Some(0), "another cause");
        assert_eq!(say("b", 1, 1), Some(0), "another kind");
        assert_eq!([say("a", 1, 1000), say("a", 1, 1500), say("a", 1, 2100)], [Some(2), None, Some(1)]);
        let lines = (0..10_000).filter(|cause| say("c", *cause, 2200).is_some()).count();
        assert!(lines <= KINDS, "{lines} lines for causes that are all different");
    }

    #[test]
    fn causes_are_not_without_end() {
        assert!(scrub(&"é".repeat(100_000)).chars().count() <= CAUSE + 2);
        assert!(scrub(&"word ".repeat(100_000)).chars().count() <= CAUSE + 10);
    }
}
