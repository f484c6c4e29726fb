//! Answers that are given before a request comes to the application: what [`crate::middleware::around`] does for each answer, without
//! what only routes need.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    rc::Rc,
    sync::atomic::Ordering,
    task::{Context, Poll},
    time::Instant,
};

use actix_web::{
    body::{BodySize, MessageBody},
    dev::{RequestHead, Response},
    web::Bytes,
};

use crate::{
    api::Api,
    client,
    connection::{Answering, Exchange},
    middleware::{Seen, request_id, seal},
    pieces::InPieces,
    traces,
};

/// A request without a body, for a path in its normal form, that is answered before it comes to the application.
pub struct DirectRequest<'r> {
    api: &'r Api,
    head: &'r RequestHead,
    started: Instant,
}

impl<'r> DirectRequest<'r> {
    /// None where more has to be done than this does: for requests with the host in their target, and while the server asks clients to
    /// close their connections.
    pub fn begin(api: &'r Api, head: &'r RequestHead) -> Option<Self> {
        let is_plain = head.uri.authority().is_none() && api.ready.load(Ordering::Acquire);
        is_plain.then(|| Self { api, head, started: Instant::now() })
    }

    /// When it began.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// The address of the client.
    pub fn address(&self) -> IpAddr {
        let server = &self.api.settings;
        let peer = client::peer_of(self.head);
        client::find(peer, &server.trusted_proxies, server.forwarded_header, &self.head.headers)
    }

    /// Adds the headers of every response, records its span, counts the answer, and writes its line of the access log. `path` is the one
    /// for logs.
    pub fn finish<B>(self, response: &mut Response<B>, path: &str, address: IpAddr) {
        let Self { api, head, started } = self;
        let (method, status) = (&head.method, response.status());
        let id = request_id(api, &head.headers);
        seal(response.headers_mut(), &id, api.is_https());
        // Only now, because a request that is not answered here gets its span from the application.
        let span = traces::of_request(&api.core.tracer, method.as_str(), path, &head.headers, &id, started);
        let trace = span.parent().map(|parent| parent.trace_id());
        traces::answered(&span, method.as_str(), None, status.as_u16());
        Seen { method, path, id: &id, address, started, trace: trace.as_deref() }.record(None, status, None);
    }
}

/// The body of such an answer. Until it is sent, its connection counts as one with a request in progress.
pub struct DirectBody {
    body: InPieces,
    _answering: Option<Answering>,
}

impl DirectBody {
    /// Sends `bytes` on a connection.
    pub fn new(bytes: Bytes, connection: Option<&Rc<Exchange>>) -> Self {
        Self { body: InPieces::new(bytes), _answering: connection.map(Answering::begin) }
    }
}

impl MessageBody for DirectBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}
