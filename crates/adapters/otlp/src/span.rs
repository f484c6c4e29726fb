//! Spans, and the span of the current task.

use std::{borrow::Cow, num::NonZero};

use opentelemetry::{
    Context, KeyValue, Value,
    context::FutureExt,
    trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, WithContext},
};
use portico_kernel::TraceParent;

/// A unit of work in a trace. Ends when it is dropped.
///
/// Without a collector it records nothing, and only propagates the trace that it was begun with.
#[derive(Debug)]
pub struct Span {
    pub(crate) context: Context,
}

impl Span {
    /// A span without a trace.
    pub fn none() -> Self {
        Self { context: Context::new() }
    }

    /// The parent of work that follows from this span.
    pub fn parent(&self) -> Option<TraceParent> {
        parent_of(&self.context)
    }

    /// Runs the work in the span, as the one that [`current`] and [`annotate`] refer to.
    pub fn run<F: Future>(&self, work: F) -> WithContext<F> {
        work.with_context(self.context.clone())
    }

    /// Whether the span is recorded.
    pub fn is_recorded(&self) -> bool {
        self.context.span().is_recording()
    }

    /// Sets an attribute. Names follow the semantic conventions of OpenTelemetry, if there is one.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        if self.is_recorded() {
            self.context.span().set_attribute(KeyValue::new(name, value));
        }
    }

    /// Renames the span: the route of a request is known only at the end.
    pub fn rename(&self, name: impl FnOnce() -> String) {
        if self.is_recorded() {
            self.context.span().update_name(name());
        }
    }

    /// Marks the work as failed. `why` MUST NOT contain secrets.
    pub fn fail(&self, why: impl Into<Cow<'static, str>>) {
        self.context.span().set_status(Status::error(why));
    }
}

/// The parent of work that follows from the current task.
pub fn current() -> Option<TraceParent> {
    Context::map_current(parent_of)
}

/// Runs work of another task in the span of this one.
pub fn carry<F: Future>(work: F) -> WithContext<F> {
    work.with_current_context()
}

/// Adds an event to the span of the current task.
pub fn annotate(name: &str, attributes: &[(&'static str, &dyn ToString)]) {
    Context::map_current(|context| {
        let span = context.span();
        if span.is_recording() {
            let attributes = attributes.iter().map(|(name, value)| KeyValue::new(*name, value.to_string()));
            span.add_event(name.to_owned(), attributes.collect());
        }
    });
}

pub(crate) fn parent_of(context: &Context) -> Option<TraceParent> {
    let span = context.span();
    let of = span.span_context();
    Some(TraceParent {
        trace: NonZero::new(u128::from_be_bytes(of.trace_id().to_bytes()))?,
        span: NonZero::new(u64::from_be_bytes(of.span_id().to_bytes()))?,
        sampled: of.is_sampled(),
    })
}

/// The context of a remote span.
pub(crate) fn remote(parent: TraceParent) -> Context {
    let flags = if parent.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    Context::new().with_remote_span_context(SpanContext::new(
        TraceId::from_bytes(parent.trace.get().to_be_bytes()),
        SpanId::from_bytes(parent.span.get().to_be_bytes()),
        flags,
        true,
        TraceState::default(),
    ))
}
