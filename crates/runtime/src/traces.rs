//! Tracing of SQL statements, and logging of slow ones.

use std::{num::NonZero, time::Duration};

use metrics::{Counter, Histogram};
use portico_kernel::{TraceParent, trace::StoreObserver};

use crate::{context, logging};

pub use portico_otlp::{Span, Tracer, carry};

/// Maximum length of a statement in logs and traces, in characters.
const STATEMENT: usize = 2000;

/// The id of the current trace, for logs.
pub fn current_id() -> Option<String> {
    portico_otlp::current().map(|parent| parent.trace_id())
}

/// Observes the database: durations of statements, slow ones, and their trace.
pub struct Watch {
    tracer: Tracer,
    system: &'static str,
    slow: Option<NonZero<u128>>,
    durations: Histogram,
    slow_ones: Counter,
}

impl Watch {
    /// Logs statements that take at least `slow`; zero disables it. Metrics must be installed already.
    pub fn new(is_postgres: bool, slow: Duration, tracer: Tracer) -> Self {
        Self {
            tracer,
            system: if is_postgres { "postgresql" } else { "sqlite" },
            slow: NonZero::new(slow.as_nanos()),
            durations: metrics::histogram!("portico_database_statement_duration_seconds"),
            slow_ones: metrics::counter!("portico_slow_queries_total"),
        }
    }
}

impl StoreObserver for Watch {
    fn trace_parent(&self) -> Option<TraceParent> {
        portico_otlp::current()
    }

    fn statement(&self, sql: &str, took: Duration, failed: bool) {
        self.durations.record(took.as_secs_f64());
        if self.slow.is_some_and(|slow| took.as_nanos() >= slow.get()) {
            self.slow_ones.increment(1);
            let request = context::current();
            tracing::warn!(
                target: "portico::slow_query",
                statement = short(sql), duration_ms = logging::millis(took), failed,
                request_id = request.info.id, trace_id = current_id(), "a statement was slow"
            );
        }
        if self.tracer.records() {
            let operation = operation(sql);
            let attributes = [
                ("db.system.name", self.system.to_owned()),
                ("db.operation.name", operation.clone()),
                ("db.query.text", short(sql)),
            ];
            self.tracer.past(operation, took, attributes, failed);
        }
    }
}

/// The first word of a statement.
fn operation(sql: &str) -> String {
    let word = sql.trim_start().split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    word.to_ascii_uppercase()
}

/// A statement on one line. Values are not included: they are bound.
fn short(sql: &str) -> String {
    let mut text = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = text.char_indices().nth(STATEMENT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use portico_kernel::RequestInfo;

    use super::*;
    use crate::context::{CURRENT, RequestContext};

    #[test]
    fn a_slow_statement_is_one_line_that_names_the_request() {
        let lines = Arc::new(std::sync::Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer({
                let lines = lines.clone();
                move || Lines(lines.clone())
            })
            .finish();
        let slow = Watch::new(false, Duration::from_millis(50), Tracer::off());
        let silent = Watch::new(false, Duration::ZERO, Tracer::off());
        let info = RequestInfo { id: "r-17".into(), ..RequestInfo::default() };
        let request = RequestContext { info, ..RequestContext::default() };
        tracing::subscriber::with_default(subscriber, || {
            CURRENT.sync_scope(request, || {
                slow.statement("select 1", Duration::from_millis(49), false);
                slow.statement("update pages\n set title = $1", Duration::from_millis(50), true);
                silent.statement("select pg_sleep(9)", Duration::from_secs(9), false);
            });
        });
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        for part in [
            "WARN portico::slow_query",
            "update pages set title = $1",
            "duration_ms=50",
            "failed=true",
            "r-17",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn statements_are_shown_on_one_line_and_not_without_end() {
        assert_eq!(short("select *\n   from pages\twhere id = $1"), "select * from pages where id = $1");
        let long = short(&"é".repeat(STATEMENT * 2));
        assert_eq!(long.chars().count(), STATEMENT + 1);
        assert_eq!(
            (operation(" select 1"), operation("INSERT into"), operation("")),
            ("SELECT".to_owned(), "INSERT".to_owned(), String::new())
        );
    }
}
