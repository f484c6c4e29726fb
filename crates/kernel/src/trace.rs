//! Which trace work belongs to, so that what follows from a request can be seen as one, also across processes.
//!
//! The form is that of W3C Trace Context (<https://www.w3.org/TR/trace-context/>), level 1.

use std::{fmt, num::NonZero, str::FromStr, time::Duration};

/// The trace that work belongs to, and the span in it that caused the work: the value of a `traceparent` header.
///
/// An id of zero is not valid there, and cannot be held here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceParent {
    /// The trace.
    pub trace: NonZero<u128>,
    /// The span that causes what comes next.
    pub span: NonZero<u64>,
    /// Whether the creator of that span recorded it.
    pub sampled: bool,
}

/// A text that is no `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct NoTraceParent;

impl TraceParent {
    /// The id of the trace as logs and tools write it: 32 lower-case hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }
}

impl FromStr for TraceParent {
    type Err = NoTraceParent;

    fn from_str(text: &str) -> Result<Self, NoTraceParent> {
        // 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
        const LENGTH: usize = 55;
        let (known, rest) = text.split_at_checked(LENGTH).ok_or(NoTraceParent)?;
        let mut parts = known.split('-');
        let (Some(version), Some(trace), Some(span), Some(flags), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoTraceParent);
        };
        // A later version may add parts, and `ff` is forbidden.
        let whole = rest.is_empty() || (version != "00" && rest.starts_with('-'));
        let (version, trace, span, flags) =
            (digits(version, 2)?, digits(trace, 32)?, digits(span, 16)?, digits(flags, 2)?);
        if !whole || version == 0xff {
            return Err(NoTraceParent);
        }
        Ok(Self {
            trace: NonZero::new(trace).ok_or(NoTraceParent)?,
            span: u64::try_from(span).ok().and_then(NonZero::new).ok_or(NoTraceParent)?,
            sampled: flags & 1 == 1,
        })
    }
}

/// A number of exactly so many lower-case hexadecimal digits.
fn digits(text: &str, count: usize) -> Result<u128, NoTraceParent> {
    let clean = text.len() == count && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if !clean {
        return Err(NoTraceParent);
    }
    u128::from_str_radix(text, 16).map_err(|_| NoTraceParent)
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.sampled))
    }
}

/// Observes a store: for which trace it works, and how long that takes.
pub trait StoreObserver: Send + Sync {
    /// The current trace. Goes into the events and jobs that the store writes.
    fn trace_parent(&self) -> Option<TraceParent>;

    /// A statement was run, in this time. `sql` has placeholders in place of values. Called on the task that ran it.
    fn statement(&self, sql: &str, took: Duration, failed: bool);
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let parent: TraceParent = VALID.parse().unwrap();
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(parent.sampled);
        assert_eq!(parent.to_string(), VALID);
        let unsampled: TraceParent = VALID.replace("-01", "-00").parse().unwrap();
        assert!(!unsampled.sampled);
        // Flags that are not known yet are not passed on.
        assert_eq!(VALID.replace("-01", "-ff").parse::<TraceParent>().unwrap().to_string(), VALID);
    }

    #[test]
    fn a_later_version_may_add_parts() {
        for text in [VALID.replacen("00", "01", 1), VALID.replacen("00", "cc", 1) + "-what-comes-next"] {
            assert_eq!(text.parse::<TraceParent>().unwrap().to_string(), VALID, "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let zero_trace = format!("00-{:032x}-00f067aa0ba902b7-01", 0);
        let zero_span = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{:016x}-01", 0);
        for text in [
            "",
            "00",
            &VALID[..54],
            &format!("{VALID}-more"),
            &format!("{VALID} "),
            &VALID.replacen("00", "ff", 1),
            &(VALID.replacen("00", "01", 1) + "more"),
            &VALID.to_uppercase(),
            &VALID.replace('-', "_"),
            &VALID.replace("4bf9", "4bg9"),
            &VALID.replace("4bf9", "+bf9"),
            &zero_trace,
            &zero_span,
            &"é".repeat(40),
        ] {
            assert_eq!(text.parse::<TraceParent>(), Err(NoTraceParent), "{text}");
        }
    }
}
