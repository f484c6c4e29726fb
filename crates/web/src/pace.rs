//! Minimum rate and total deadline for receiving the body of a request, whichever route reads it.

use std::{
    cell::{Cell, RefCell},
    io::{Error, ErrorKind},
    pin::Pin,
    rc::Rc,
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpMessage,
    body::{BodySize, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest},
    error::PayloadError,
    web::Bytes,
};
use futures_util::{FutureExt, Stream, StreamExt, future::LocalBoxFuture};
use tokio::{
    task::yield_now,
    time::{Instant, Sleep},
};

use crate::connection::{Answering, Connections, Exchange, has_passed};

/// How long a body may take before the minimum rate applies, so that a connection may stall for a moment.
const GRACE: Duration = Duration::from_secs(5);

/// Maximum jitter added to it, so that bodies that began together are not aborted together, which would stall the server.
const SPREAD: Duration = Duration::from_secs(2);

/// The same during shutdown, counted from its beginning.
const GRACE_AT_THE_END: Duration = Duration::from_secs(2);

/// Maximum bytes of an unread body that are discarded.
const LITTLE: usize = 64 << 10;

/// Limits on how slowly a body may arrive.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    grace: Duration,
    /// Bytes per second.
    least_rate: u64,
    /// Time for each started `piece`.
    timeout: Duration,
    /// Bytes.
    piece: u64,
}

impl Pace {
    /// At least `least_rate` bytes per second, and at most `timeout` for each started piece of `piece` bytes.
    pub fn new(least_rate: u64, timeout: Duration, piece: usize) -> Self {
        Self { grace: GRACE, least_rate: least_rate.max(1), timeout, piece: (piece as u64).max(1) }
    }

    /// How long a body may take in total, given the number of bytes received.
    fn patience(&self, received: u64) -> Duration {
        let by_rate = self.grace + Duration::from_secs_f64(received as f64 / self.least_rate as f64);
        let pieces = u32::try_from(received / self.piece).unwrap_or(u32::MAX);
        by_rate.min(self.timeout.saturating_mul(pieces.saturating_add(1)))
    }
}

/// A fraction of [`SPREAD`], another one each time: the multiples of the golden ratio are distributed evenly (Knuth,
/// section 6.4).
fn spread() -> Duration {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let part = NEXT.fetch_add(0x9E37_79B9, Ordering::Relaxed);
    SPREAD.mul_f64(f64::from(part) / f64::from(u32::MAX))
}

/// A request from its head to the end of its response.
pub struct HeldRequest {
    payload: Option<Rc<RefCell<Payload>>>,
    cut: Rc<Cell<bool>>,
    _answering: Option<Answering>,
}

impl HeldRequest {
    /// Wraps the body of a request with the limits.
    pub fn begin(request: &mut ServiceRequest, pace: Pace, connections: &Connections) -> Self {
        let answering = request.conn_data::<Rc<Exchange>>().map(Answering::begin);
        let cut = Rc::new(Cell::new(false));
        let payload = match request.take_payload() {
            Payload::None => None,
            payload => {
                let payload = Rc::new(RefCell::new(payload));
                let stream = Paced {
                    payload: payload.clone(),
                    pace: Pace { grace: pace.grace + spread(), ..pace },
                    begun: Instant::now(),
                    received: 0,
                    cut: cut.clone(),
                    ending: Some(Box::pin(connections.ending())),
                    timer: None,
                };
                request.set_payload(Payload::Stream { payload: Box::pin(stream) });
                Some(payload)
            }
        };
        Self { payload, cut, _answering: answering }
    }

    /// Whether the body was too slow, and was aborted.
    pub fn is_cut(&self) -> bool {
        self.cut.get()
    }

    /// Discards the received part of an unread body, up to a limit: if that is all of it, the connection can be reused.
    /// Otherwise each refusal would cost a new connection.
    pub async fn drain(&self) {
        let Some(payload) = &self.payload else { return };
        let mut room = LITTLE;
        for _ in 0..2 {
            loop {
                let next = payload.borrow_mut().next().now_or_never();
                match next {
                    Some(Some(Ok(bytes))) if bytes.len() <= room => room -= bytes.len(),
                    Some(_) => return,
                    None => break,
                }
            }
            // The parser processes bytes received with the head only after the route has yielded.
            yield_now().await;
        }
    }

    /// Keeps the request until the response is sent, so that the unread body is not dropped before: when a chunked body is
    /// dropped, actix reads the rest for as long as it takes; otherwise it closes the connection within a second.
    pub fn until_sent(self, body: impl MessageBody + 'static) -> Answer {
        Answer { body: body.boxed(), _held: self }
    }
}

/// The body of a response, with the request that it answers.
pub struct Answer {
    body: BoxBody,
    _held: HeldRequest,
}

impl MessageBody for Answer {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// A body that is aborted when it is too slow.
struct Paced {
    payload: Rc<RefCell<Payload>>,
    pace: Pace,
    begun: Instant,
    received: u64,
    cut: Rc<Cell<bool>>,
    /// The start of the shutdown, until it has happened.
    ending: Option<LocalBoxFuture<'static, ()>>,
    /// Fires at or before the deadline.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Paced {
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        if self.ending.as_mut().is_some_and(|ending| ending.as_mut().poll(context).is_ready()) {
            // Uploads above the minimum rate continue. Those that use up credit from faster periods do not.
            self.ending = None;
            self.pace.grace = GRACE_AT_THE_END;
            (self.begun, self.received, self.timer) = (Instant::now(), 0, None);
        }
        has_passed(self.begun + self.pace.patience(self.received), &mut self.timer, context)
    }
}

impl Stream for Paced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.cut.get() {
            return Poll::Ready(None);
        }
        let next = Pin::new(&mut *self.payload.borrow_mut()).poll_next(context);
        match next {
            Poll::Pending if self.is_late(context) => {
                self.cut.set(true);
                metrics::counter!("portico_slow_bodies_total").increment(1);
                Poll::Ready(Some(Err(PayloadError::Io(Error::from(ErrorKind::TimedOut)))))
            }
            Poll::Ready(Some(Ok(bytes))) => {
                self.received += bytes.len() as u64;
                Poll::Ready(Some(Ok(bytes)))
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_began_together_are_given_up_one_after_the_other() {
        let mut parts: Vec<Duration> = (0..100).map(|_| spread()).collect();
        parts.sort();
        assert!(parts.iter().all(|part| *part <= SPREAD));
        let gaps = parts.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.max().unwrap() < SPREAD / 25, "{parts:?}");
    }

    #[test]
    fn a_body_has_to_keep_a_rate_and_a_deadline_that_grows_with_it() {
        let pace = Pace {
            grace: Duration::from_secs(5),
            least_rate: 1024,
            timeout: Duration::from_secs(60),
            piece: 1 << 20,
        };
        for (received, seconds) in [
            (0, 5),
            (1024, 6),
            // At one byte per second, the bytes do not extend the deadline enough.
            (7, 5),
            (16 << 10, 21),
            // From here on the total deadline is earlier.
            (55 << 10, 60),
            ((1 << 20) - 1, 60),
            (1 << 20, 120),
            (50 << 20, 51 * 60),
        ] {
            assert_eq!(pace.patience(received).as_secs(), seconds, "{received} bytes");
        }
        assert!(pace.patience(u64::MAX) > Duration::from_secs(3600), "no overflow");
    }

    #[test]
    fn settings_make_the_pace() {
        let pace = Pace::new(100, Duration::from_secs(7), 1 << 20);
        assert_eq!(pace.patience(100), Duration::from_secs(6));
        assert_eq!(pace.patience(1000), Duration::from_secs(7));
    }
}
