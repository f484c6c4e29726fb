//! Every metric. `docs/observability.md` and the code are compared with this list by tests.

use Kind::{Counter, Gauge, Histogram};

/// Type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only increases, until the process ends.
    Counter,
    /// Increases and decreases.
    Gauge,
    /// Distribution of values.
    Histogram,
}

impl Kind {
    /// Name in the Prometheus text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Counter => "counter",
            Gauge => "gauge",
            Histogram => "histogram",
        }
    }
}

/// A metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Help text.
    pub help: &'static str,
}

const fn metric(
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
) -> Metric {
    Metric { name, kind, labels, help }
}

/// Every metric, by subject.
pub const METRICS: &[Metric] = &[
    metric(
        "portico_build_info",
        Gauge,
        &["revision", "version"],
        "Always 1; the labels say which build runs.",
    ),
    metric(
        "portico_http_request_duration_seconds",
        Histogram,
        &["method", "route", "status"],
        "Time until the head of the answer.",
    ),
    metric(
        "portico_errors_total",
        Counter,
        &["code"],
        "Requests answered with 5xx, and jobs that are dead (job_dead).",
    ),
    metric("portico_job_duration_seconds", Histogram, &["kind", "outcome"], "Time to do a job."),
    metric("portico_jobs", Gauge, &["state"], "Jobs in the queue. The same on every instance."),
    metric(
        "portico_job_oldest_due_seconds",
        Gauge,
        &[],
        "How long the oldest job that is due has waited. The same on every instance.",
    ),
    metric(
        "portico_event_lag_seconds",
        Gauge,
        &["reader"],
        "Age of the oldest event that a reader has not read. The same on every instance.",
    ),
    metric(
        "portico_schedule_duration_seconds",
        Histogram,
        &["schedule", "outcome"],
        "Time to do scheduled work, on the instance whose turn it was.",
    ),
    metric(
        "portico_webhook_deliveries_total",
        Counter,
        &["outcome"],
        "Attempts to deliver a message: succeeded, retried (to be tried again), exhausted (the last one failed), gone (410), failed (a test), forgotten (the event is not kept any more).",
    ),
    metric(
        "portico_webhook_delivery_duration_seconds",
        Histogram,
        &[],
        "Time of an attempt to deliver a message.",
    ),
    metric(
        "portico_webhook_deliveries_pending",
        Gauge,
        &[],
        "Deliveries that wait, retries included, counted up to 100,000. The same on every instance.",
    ),
    metric(
        "portico_webhook_oldest_due_seconds",
        Gauge,
        &[],
        "How long the webhook has waited that is to be looked after next. The same on every instance.",
    ),
    metric("portico_admission_running", Gauge, &["class"], "Work that has a place."),
    metric("portico_admission_waiting", Gauge, &["class"], "Work that waits for a place."),
    metric(
        "portico_admission_refused_total",
        Counter,
        &["class"],
        "Requests refused because they would have had to wait too long for a place.",
    ),
    metric(
        "portico_slow_bodies_total",
        Counter,
        &[],
        "Requests given up because their bodies came too slowly.",
    ),
    metric("portico_live_streams", Gauge, &[], "Live streams that are open."),
    metric("portico_live_streams_ended_total", Counter, &["reason"], "Live streams that ended."),
    metric("portico_live_messages_total", Counter, &[], "Messages sent to live streams."),
    metric("portico_live_reads_total", Counter, &[], "Times that the event log was read for live streams."),
    metric("portico_idempotent_requests_total", Counter, &["outcome"], "Requests with an Idempotency-Key."),
    metric("portico_redis_up", Gauge, &[], "Whether Redis answers: 1 or 0. Absent where none is set."),
    metric(
        "portico_rate_limit_fallbacks_total",
        Counter,
        &[],
        "Requests counted by this process alone because Redis does not answer.",
    ),
    metric(
        "portico_broadcast_messages_total",
        Counter,
        &["outcome"],
        "Hints to other processes by way of Redis.",
    ),
    metric(
        "portico_database_connections",
        Gauge,
        &["state"],
        "Connections of the pool: open, idle, and max, the most there may be.",
    ),
    metric(
        "portico_database_statement_duration_seconds",
        Histogram,
        &[],
        "Time to run a statement of SQL; commits, and beginnings with their wait for a connection, included.",
    ),
    metric(
        "portico_slow_queries_total",
        Counter,
        &[],
        "Statements that took longer than database.slow_query.",
    ),
    metric("portico_cache_requests_total", Counter, &["about", "outcome"], "Answers asked of the cache."),
    metric("portico_cache_failures_total", Counter, &[], "Times that the cache could not be asked."),
    metric(
        "portico_caller_lookups_total",
        Counter,
        &[],
        "Sessions read from the database and not from the cache.",
    ),
    metric(
        "portico_api_key_lookups_total",
        Counter,
        &[],
        "API keys read from the database and not from the cache.",
    ),
    metric(
        "portico_sign_ins_throttled_total",
        Counter,
        &[],
        "Sign-ins refused after too many wrong guesses.",
    ),
    metric("portico_visits_stored_total", Counter, &[], "Visits of published sites that were counted."),
    metric(
        "portico_site_answers_stale_total",
        Counter,
        &[],
        "Answers of published sites that went by what the database had said last, because it could not be asked.",
    ),
    metric(
        "portico_visits_dropped_total",
        Counter,
        &[],
        "Visits that were not counted because too many came at once.",
    ),
    metric(
        "portico_mails_total",
        Counter,
        &["class", "outcome"],
        "Messages, by who can cause them: sent, rejected (by the mail server), dropped or later (the recipient had enough in the hour).",
    ),
    metric(
        "portico_inbound_mails_total",
        Counter,
        &["outcome"],
        "Mails that the provider brought: accepted, duplicate, automatic, unreadable, unknown_address, refused (not the one to whom the address was given), ended (the ticket has).",
    ),
    metric("portico_forms_refused_total", Counter, &[], "Contact forms refused because too many were sent."),
    metric("portico_texts_written_total", Counter, &["kind"], "Texts that the model wrote."),
    metric("portico_texts_failed_total", Counter, &["code"], "Texts that the model did not write."),
    metric(
        "portico_text_tokens_total",
        Counter,
        &["direction"],
        "Tokens that the model read (input) and wrote (output).",
    ),
    metric(
        "portico_trace_exports_total",
        Counter,
        &["outcome"],
        "Batches of spans for the collector: sent or failed.",
    ),
    metric(
        "process_cpu_seconds_total",
        Counter,
        &[],
        "Time on processors, in whole seconds. Linux only, like all of process_*.",
    ),
    metric("process_resident_memory_bytes", Gauge, &[], "Memory in use."),
    metric("process_open_fds", Gauge, &[], "Open files and connections."),
    metric("process_max_fds", Gauge, &[], "The most open files and connections there may be."),
    metric("process_threads", Gauge, &[], "Threads of the process."),
    metric("process_start_time_seconds", Gauge, &[], "When the process started, in seconds since 1970."),
];

/// Registers the help text of each metric, for `/api/metrics`.
pub fn describe() {
    for metric in METRICS {
        match metric.kind {
            Counter => metrics::describe_counter!(metric.name, metric.help),
            Gauge => metrics::describe_gauge!(metric.name, metric.help),
            Histogram => metrics::describe_histogram!(metric.name, metric.help),
        }
    }
}
