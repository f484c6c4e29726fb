//! Traces. A span is a unit of work: a request, a job, a delivery, an SQL statement. Spans that follow from each other
//! share a trace, and are sent to an OpenTelemetry collector (OTLP over HTTP, in protobuf).
//!
//! Spans are created explicitly where work enters a process, and not through `tracing`: so logs and traces are configured
//! separately, and a trace is continued by an id that is stored with events and jobs, even where no spans are sent.

mod client;
mod span;
mod tracer;

pub use span::{Span, annotate, carry, current};
pub use tracer::{Collector, Tracer, TracerError, Work};
