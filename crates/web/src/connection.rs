//! Client connections: what actix does not handle itself.
//!
//! - A client that sends nothing at all is disconnected without a response: actix answers 408 when the first request is
//!   late, also to a browser that only preconnected.
//! - The head of every request has a deadline: that of actix applies to the first one of a connection only.
//! - At shutdown, idle connections are closed, each once there is nothing more to read from it, and new ones are not
//!   accepted.

use std::{
    cell::{Cell, RefCell},
    io,
    net::{IpAddr, TcpListener},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use actix_web::rt::net::TcpStream;
use futures_util::future::LocalBoxFuture;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

/// Deadline of the head of a request.
pub const HEAD: Duration = Duration::from_secs(5);

/// The same, for one that has begun when the server stops.
const HEAD_AT_THE_END: Duration = Duration::from_secs(1);

/// The client connections of a server.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    /// The same as `ending`, to be read without a lock.
    is_ending: AtomicBool,
    ending: watch::Sender<bool>,
    listener: OnceLock<TcpListener>,
}

impl Connections {
    /// Sets the listener that accepts the connections.
    pub fn set_listener(&self, listener: &TcpListener) -> io::Result<()> {
        let _ = self.listener.set(listener.try_clone()?);
        Ok(())
    }

    /// Number of open connections.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Blocks new connections: the system drops every connection attempt, as if the packet were lost, so the client retries
    /// and is refused once the listener is closed. Connections being established still complete. Closing the listener at
    /// once would reset connections that wait to be accepted, with the requests on them. Linux only; elsewhere this does
    /// nothing.
    pub fn block_new(&self) {
        #[cfg(target_os = "linux")]
        if let Some(listener) = self.listener.get() {
            use socket2::SockFilter;
            let drop_syn = [
                // Load the byte of flags in the TCP header (BPF_LD | BPF_B | BPF_ABS),
                SockFilter::new(0x30, 0, 0, 13),
                // jump if SYN is among them (BPF_JMP | BPF_JSET | BPF_K),
                SockFilter::new(0x45, 0, 1, 0x02),
                // drop such a packet, and accept all others (BPF_RET | BPF_K).
                SockFilter::new(0x06, 0, 0, 0),
                SockFilter::new(0x06, 0, 0, u32::MAX),
            ];
            if let Err(error) = socket2::SockRef::from(listener).attach_filter(&drop_syn) {
                tracing::debug!(%error, "clients are let in until the end");
            }
        }
    }

    /// Closes idle connections, from now on.
    pub fn close_idle(&self) {
        self.is_ending.store(true, Ordering::Release);
        self.ending.send_replace(true);
    }

    /// Completes when [`Connections::close_idle`] was called.
    pub fn ending(&self) -> impl Future<Output = ()> + use<> {
        let mut ending = self.ending.subscribe();
        async move {
            // The sender lives as long as the application.
            let _ = ending.wait_for(|ending| *ending).await;
        }
    }
}

/// State of a connection shared by the socket and the request handlers, on both sides of the HTTP parser.
#[derive(Debug, Default)]
pub struct Exchange {
    /// Number of requests in progress.
    answering: Cell<usize>,
    /// Whether there was a request.
    asked: Cell<bool>,
    /// Deadline of the head of the next request, if it has begun.
    deadline: Cell<Option<Instant>>,
    /// Wakes the connection once the last request is answered, to check whether it is to be closed: the parser would wait
    /// for the next request.
    at_end: RefCell<Option<Waker>>,
    /// The address that the last request came from, and its text.
    client: RefCell<Option<(IpAddr, String)>>,
}

impl Exchange {
    /// The text of the address that a request came from. Mostly that of the request before, and formatting it again takes longer than
    /// finding it.
    pub fn text_of(&self, address: IpAddr) -> String {
        let mut last = self.client.borrow_mut();
        if let Some((known, text)) = &*last
            && *known == address
        {
            return text.clone();
        }
        let text = address.to_string();
        *last = Some((address, text.clone()));
        text
    }
}

/// A request in progress, until this is dropped.
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
    has_received: bool,
    /// The start of the shutdown, until it has happened.
    ending: Option<LocalBoxFuture<'static, ()>>,
    /// Whom `ending` wakes.
    waiting: Option<Waker>,
    /// Fires at or before the deadline of a head.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    /// Wraps an accepted connection.
    pub fn new(stream: TcpStream, connections: Arc<Connections>) -> Self {
        connections.open.fetch_add(1, Ordering::AcqRel);
        // Not put off in favour of other tasks: it is polled once, and has to wake then.
        let ending: LocalBoxFuture<'static, ()> = Box::pin(unconstrained(connections.ending()));
        Self {
            stream,
            connections,
            exchange: Rc::default(),
            has_received: false,
            ending: Some(ending),
            waiting: None,
            timer: None,
        }
    }

    /// The state shared with the requests of this connection.
    pub fn exchange(&self) -> Rc<Exchange> {
        self.exchange.clone()
    }

    /// Whether to stop reading, although more may come. Called when there is nothing to read right now.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        let exchange = self.exchange.clone();
        if self.has_begun_to_end(context) {
            (self.ending, self.waiting, self.timer) = (None, None, None);
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
        // For the first request, actix answers 408.
        (ended || exchange.asked.get()) && self.is_late(context)
    }

    /// Whether the shutdown has begun since this was last called. Otherwise the task is woken then. It asks to be woken once, because that
    /// takes a lock of all connections, and this is called for each request.
    fn has_begun_to_end(&mut self, context: &mut Context<'_>) -> bool {
        let Some(ending) = &mut self.ending else { return false };
        let is_waiting = self.waiting.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
        if is_waiting && !self.connections.is_ending.load(Ordering::Acquire) {
            return false;
        }
        self.waiting = Some(context.waker().clone());
        ending.as_mut().poll(context).is_ready()
    }

    /// Whether the head of a request has begun and missed its deadline.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let deadline = self.exchange.deadline.get();
        deadline.is_some_and(|deadline| has_passed(deadline, &mut self.timer, context))
    }
}

/// Whether a deadline has passed. Otherwise the task is woken at or before it: a timer set for an earlier deadline is kept
/// and checked again when it fires, as most deadlines are met long before.
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
            // Reading no bytes signals the end of the stream.
            Poll::Pending if self.is_over(context) => Poll::Ready(Ok(())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => {
                if buffer.filled().len() > before {
                    self.has_received = true;
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
        if !self.has_received {
            // No request was received, so no response is sent: the connection is just closed.
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if !self.has_received {
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

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io::Write};

    use actix_web::rt::net::TcpListener;
    use tokio::{join, task::yield_now, time::timeout};

    use super::*;

    /// How many bytes come next; 0 when the connection is over.
    async fn received(connection: &mut Connection) -> usize {
        let mut bytes = [0; 8];
        let mut buffer = ReadBuf::new(&mut bytes);
        poll_fn(|context| Pin::new(&mut *connection).poll_read(context, &mut buffer)).await.unwrap();
        buffer.filled().len()
    }

    #[test]
    fn each_address_has_its_own_text() {
        let exchange = Exchange::default();
        for text in ["192.0.2.1", "192.0.2.1", "2001:db8::1", "192.0.2.1"] {
            assert_eq!(exchange.text_of(text.parse().unwrap()), text);
        }
    }

    #[tokio::test]
    async fn an_idle_connection_is_over_when_the_server_stops_however_often_it_was_read() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let connections = Arc::new(Connections::default());
        let mut connection = Connection::new(stream, connections.clone());
        for _ in 0..3 {
            client.write_all(b"GET").unwrap();
            assert_eq!(received(&mut connection).await, 3);
            drop(Answering::begin(&connection.exchange()));
        }
        let stopped = async {
            yield_now().await;
            connections.close_idle();
        };
        let waiting = async { join!(received(&mut connection), stopped) };
        let (bytes, ()) = timeout(Duration::from_secs(5), waiting).await.expect("it is woken");
        assert_eq!(bytes, 0);
    }
}
