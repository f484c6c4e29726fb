//! Reports of server errors: one line in the log for each request that is answered with 5xx, and for each dead job. The
//! line names the request and the trace, and is counted.

use portico_kernel::{Job, Kind, UserId};

use crate::{
    context::{self, CURRENT},
    failures::{Failure, Failures},
    logging::{scrub, throttled},
    traces,
};

/// Records why the current request fails; it is reported when it is answered with 5xx. Outside of a request it is reported
/// at once.
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

/// Records that the current request is refused with 5xx, unless a cause is recorded already.
pub fn refused(code: &'static str, why: &str) {
    // Normal for a server that starts or shuts down, and probes repeat every second.
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
    /// Path as it may be logged.
    pub path: &'r str,
    /// Pattern of the route, where one was found.
    pub route: Option<&'r str>,
    /// Id of the request, as returned to the client.
    pub id: &'r str,
    /// Id of its trace.
    pub trace: Option<&'r str>,
    /// Status of the answer.
    pub status: u16,
    /// Who asked, where the credentials were good.
    pub user: Option<UserId>,
}

/// Reports a request that was answered with 5xx, with its recorded failure.
pub fn answered(request: Answered<'_>, failures: &Failures) {
    let noted = failures.close();
    if request.status < 500 {
        return;
    }
    let unknown = || Failure { code: "internal", cause: "the route said no more".to_owned(), bug: true };
    let by_itself = request.status == 500;
    let Some(Failure { code, cause, bug }) = noted.or_else(|| by_itself.then(unknown)) else { return };
    metrics::counter!("portico_errors_total", "code" => code).increment(1);
    let Answered { method, path, route, id, trace, status, user } = request;
    let user = user.map(tracing::field::display);
    let route = route.unwrap_or("none");
    if bug {
        tracing::error!(
            target: "portico::errors", code, status, method, route, path, request_id = id, trace_id = trace,
            user_id = user, error = cause, "request failed"
        );
    } else if let Some(repeated) = throttled(code, &cause) {
        tracing::warn!(
            target: "portico::errors", code, status, method, route, path, request_id = id, trace_id = trace,
            user_id = user, error = cause, repeated = (repeated > 0).then_some(repeated), "a part is not available"
        );
    }
}

/// Reports a job that failed for good.
pub fn dead_job(job: &Job, cause: &str) {
    metrics::counter!("portico_errors_total", "code" => "job_dead").increment(1);
    tracing::error!(
        target: "portico::errors", code = "job_dead", job = %job.id, kind = job.kind, attempts = job.attempts,
        tenant = %job.tenant_id, request_id = job.request_id, trace_id = job.trace_parent.map(|parent| parent.trace_id()),
        error = scrub(cause), "the job is dead"
    );
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use portico_kernel::RequestInfo;

    use super::*;

    /// The log lines of a request with these failures and response.
    fn lines(work: impl FnOnce(&Failures)) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Lines(lines.clone());
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let failures = Failures::for_request("r-17");
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

    fn with(status: u16) -> Answered<'static> {
        Answered {
            method: "GET",
            path: "/api/v1/sites",
            route: Some("/sites"),
            id: "r-17",
            trace: Some("4bf9"),
            status,
            user: Some(UserId::from_uuid(uuid::Uuid::from_u128(7))),
        }
    }

    #[test]
    fn an_answer_with_5xx_is_one_line_that_says_all() {
        let found = lines(|failures| {
            note("internal", Kind::Internal, "first try");
            note("internal", Kind::Internal, "row 7: unreadable");
            answered(with(500), failures);
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
            "user_id=00000000-0000-0000-0000-000000000007",
            "error=\"row 7: unreadable\"",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let found = lines(|failures| {
            note("unavailable", Kind::Unavailable, "no connection");
            answered(with(503), failures);
        });
        assert!(found.len() == 1 && found[0].contains(" WARN portico::errors"), "{found:?}");
    }

    #[test]
    fn a_refusal_is_told_with_its_code_unless_the_reason_is_known() {
        let found = lines(|failures| {
            refused("too_many_streams", "Too many live streams.");
            answered(with(503), failures);
        });
        assert!(found.len() == 1 && found[0].contains("code=\"too_many_streams\""), "{found:?}");
        let found = lines(|failures| {
            note("internal", Kind::Internal, "the reason");
            refused("internal", "Something went wrong on our side.");
            answered(with(500), failures);
        });
        assert!(found.len() == 1 && found[0].contains("the reason"), "{found:?}");
        let found = lines(|failures| {
            refused("not_ready", "The server is starting or shutting down.");
            answered(with(503), failures);
        });
        assert_eq!(found, Vec::<String>::new());
        let found = lines(|failures| answered(with(500), failures));
        assert!(found.len() == 1 && found[0].contains("code=\"internal\""), "{found:?}");
    }

    #[test]
    fn what_was_overcome_is_no_error_and_what_comes_too_late_is_told_at_once() {
        let found = lines(|failures| {
            note("unavailable", Kind::Unavailable, "the cache is gone");
            answered(with(200), failures);
        });
        assert_eq!(found, Vec::<String>::new());
        let found = lines(|failures| {
            answered(with(200), failures);
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
}
