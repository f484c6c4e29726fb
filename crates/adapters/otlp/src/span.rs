//! A span, and the one that the task at hand works in.

use std::{borrow::Cow, num::NonZero};

use opentelemetry::{
    Context, KeyValue, Value,
    context::FutureExt,
    trace::{SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, WithContext},
};
use portico_kernel::TraceParent;

/// A piece of work in a trace. Ends when it is dropped.
///
/// Where nothing is sent it records nothing, and only carries the trace on that it was begun with.
#[derive(Debug)]
pub struct Span {
    pub(crate) context: Context,
}

impl Span {
    /// Belongs to no trace.
    pub fn none() -> Self {
        Self { context: Context::new() }
    }

    /// What follows from this work has this parent.
    pub fn parent(&self) -> Option<TraceParent> {
        parent_of(&self.context)
    }

    /// Does the work in the span: [`current`] and [`annotate`] mean this one there.
    pub fn run<F: Future>(&self, work: F) -> WithContext<F> {
        work.with_context(self.context.clone())
    }

    /// Whether what is said about it goes anywhere.
    pub fn is_recorded(&self) -> bool {
        self.context.span().is_recording()
    }

    /// Says something about it. Names are those of the semantic conventions of OpenTelemetry, where they have one.
    pub fn set(&self, name: &'static str, value: impl Into<Value>) {
        if self.is_recorded() {
            self.context.span().set_attribute(KeyValue::new(name, value));
        }
    }

    /// Gives it another name: of a request one knows the route only at the end.
    pub fn rename(&self, name: impl FnOnce() -> String) {
        if self.is_recorded() {
            self.context.span().update_name(name());
        }
    }

    /// Says that the work failed. `why` MUST NOT hold secrets.
    pub fn fail(&self, why: impl Into<Cow<'static, str>>) {
        self.context.span().set_status(Status::error(why));
    }
}

/// What follows from the work of this task has this parent.
pub fn current() -> Option<TraceParent> {
    Context::map_current(parent_of)
}

/// Work in another task, in the span of this one.
pub fn carry<F: Future>(work: F) -> WithContext<F> {
    work.with_current_context()
}

/// Notes that something happened in the span of this task.
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

/// A context whose span is somewhere else.
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
