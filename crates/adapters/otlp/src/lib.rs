//! Traces. A span is a piece of work: a request, a job, a delivery, a statement of SQL. Spans that follow from each other
//! share a trace, and are sent to an OpenTelemetry collector (OTLP over HTTP, in protobuf).
//!
//! The spans are made by hand where work enters a process, and not through `tracing`: what is logged and what is traced are
//! then two settings, and a trace is carried on by an id that is stored with events and jobs, also where nothing is sent.

mod client;
mod span;
mod tracer;

pub use span::{Span, annotate, carry, current};
pub use tracer::{Collector, Tracer, TracerError, Work};
