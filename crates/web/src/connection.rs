//! Connections of clients: what actix does not look after by itself.
//!
//! - A client that sends nothing at all is let go without a word: actix answers 408 when the first request is late, also to a
//!   browser that only connected ahead.
//! - The head of every request has a deadline: that of actix holds for the first one of a connection only.
//! - At the end of the process, connections on which nothing is asked are closed, each once there is nothing more to read from it,
//!   and nobody new is let in.

use std::{
    cell::{Cell, RefCell},
    io,
    net::TcpListener,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use futures_util::future::LocalBoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    time::{Instant, Sleep, sleep_until},
};

/// How long the head of a request may take.
pub const HEAD: Duration = Duration::from_secs(5);

/// The same, of one that has begun when the server stops.
const HEAD_AT_THE_END: Duration = Duration::from_secs(1);

/// The connections of a server.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    ending: watch::Sender<bool>,
    listener: OnceLock<TcpListener>,
}

impl Connections {
    /// Where the connections come from.
    pub fn come_from(&self, listener: &TcpListener) -> io::Result<()> {
        let _ = self.listener.set(listener.try_clone()?);
        Ok(())
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Lets nobody new in: the system drops every attempt to connect, as if it were lost on the way, so the client tries again
    /// and is refused once the listener is closed. Who is connecting already gets through. Closing the listener at once would
    /// reset connections that wait to be accepted, with the requests on them. Linux only; elsewhere this does nothing.
    pub fn let_nobody_in(&self) {
        #[cfg(target_os = "linux")]
        if let Some(listener) = self.listener.get() {
            use socket2::SockFilter;
            let drop_syn = [
                // The byte of flags in the header of TCP (BPF_LD | BPF_B | BPF_ABS),
                SockFilter::new(0x30, 0, 0, 13),
                // and whether SYN is among them (BPF_JMP | BPF_JSET | BPF_K).
                SockFilter::new(0x45, 0, 1, 0x02),
                // Keeps nothing of such a packet, and all of the others (BPF_RET | BPF_K).
                SockFilter::new(0x06, 0, 0, 0),
                SockFilter::new(0x06, 0, 0, u32::MAX),
            ];
            if let Err(error) = socket2::SockRef::from(listener).attach_filter(&drop_syn) {
                tracing::debug!(%error, "clients are let in until the end");
            }
        }
    }

    /// Closes the connections on which nothing is asked, from now on.
    pub fn close_idle(&self) {
        self.ending.send_replace(true);
    }

    /// Comes to an end when [`Connections::close_idle`] was called.
    pub fn ending(&self) -> impl Future<Output = ()> + use<> {
        let mut ending = self.ending.subscribe();
        async move {
            // The sender lives as long as the application.
            let _ = ending.wait_for(|ending| *ending).await;
        }
    }
}

/// What is known on both sides of the HTTP parser of a connection.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Requests that are being answered.
    answering: Cell<usize>,
    /// Whether there was a request.
    asked: Cell<bool>,
    /// When the head of the next request has to be there, given that it has begun.
    deadline: Cell<Option<Instant>>,
    /// Looks again whether the connection is over once the last request is answered: the parser would wait for the next one.
    at_end: RefCell<Option<Waker>>,
}

/// A request that is being answered, until this is dropped.
#[derive(Debug)]
pub struct Answering(Rc<Exchange>);

impl Answering {
    /// The head of a request was read.
    pub fn begin(exchange: &Rc<Exchange>) -> Self {
        exchange.answering.set(exchange.answering.get() + 1);
        exchange.asked.set(true);
        exchange.deadline.set(None);
        Self(exchange.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let left = self.0.answering.get().saturating_sub(1);
        self.0.answering.set(left);
        if left == 0
            && let Some(waker) = self.0.at_end.take()
        {
            waker.wake();
        }
    }
}

/// A connection.
pub struct Connection {
    stream: TcpStream,
    connections: Arc<Connections>,
    exchange: Rc<Exchange>,
    /// Whether the client has sent anything.
    heard: bool,
    /// The end of the process, until it has come.
    ending: Option<LocalBoxFuture<'static, ()>>,
    /// Wakes at or before the deadline of a head.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// Looks after a connection that was accepted.
    pub fn new(stream: TcpStream, connections: Arc<Connections>) -> Self {
        connections.open.fetch_add(1, Ordering::AcqRel);
        let ending: LocalBoxFuture<'static, ()> = Box::pin(connections.ending());
        Self { stream, connections, exchange: Rc::default(), heard: false, ending: Some(ending), timer: None }
    }

    /// What the requests of this connection can find out about it.
    pub fn exchange(&self) -> Rc<Exchange> {
        self.exchange.clone()
    }

    /// Whether to read no more, although more may come. Called when there is nothing to read right now.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let exchange = self.exchange.clone();
        if self.ending.as_mut().is_some_and(|ending| ending.as_mut().poll(context).is_ready()) {
            (self.ending, self.timer) = (None, None);
            let last = Instant::now() + HEAD_AT_THE_END;
            exchange.deadline.set(exchange.deadline.get().map(|deadline| deadline.min(last)));
        }
        let ended = self.ending.is_none();
        if exchange.answering.get() > 0 {
            if ended {
                exchange.at_end.replace(Some(context.waker().clone()));
            }
            return false;
        }
        if ended && exchange.deadline.get().is_none() {
            return true;
        }
        // Of the first request, actix answers 408.
        (ended || exchange.asked.get()) && self.is_late(context)
    }

    /// Whether the head of a request has begun and did not end in time.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let deadline = self.exchange.deadline.get();
        deadline.is_some_and(|deadline| has_passed(deadline, &mut self.timer, context))
    }
}

/// Whether it is past a deadline. Otherwise the task is woken at or before it: a timer that is set for an earlier deadline is left
/// alone and looked at again when it fires, as most of what has a deadline comes long before.
pub(crate) fn has_passed(
    deadline: Instant,
    timer: &mut Option<Pin<Box<Sleep>>>,
    context: &mut Context<'_>,
) -> bool {
    loop {
        if deadline <= Instant::now() {
            return true;
        }
        let set = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if set.as_mut().poll(context).is_pending() {
            return false;
        }
        *timer = None;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::AcqRel);
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            // No bytes read is the end of the stream.
            Poll::Pending if self.is_over(context) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => {
                if buffer.filled().len() > before {
                    self.heard = true;
                    let exchange = &self.exchange;
                    if exchange.answering.get() == 0 && exchange.deadline.get().is_none() {
                        exchange.deadline.set(Some(Instant::now() + HEAD));
                    }
                }
                Poll::Ready(read)
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if !self.heard {
            // Nothing was asked, so this is no answer: the client learns from the close that it waited too long.
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.heard {
            return Poll::Ready(Ok(parts.iter().map(|part| part.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
