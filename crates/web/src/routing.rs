//! Registration of routes: the properties of each operation for the middleware, with or without its documentation.

use actix_web::{
    FromRequest, Handler, Resource, Responder,
    dev::{AppService, HttpServiceFactory, ServiceRequest},
    guard, web,
};
use utoipa::openapi::{
    Paths, RefOr,
    path::{self, HttpMethod},
    schema::Schema,
};
use utoipa_actix_web::{OpenApiFactory, service_config::ServiceConfig};

use crate::{
    admission::Class,
    late_routes::{LateRoutes, Registration},
};

/// Properties of an operation for the middleware. Every route declares them when it is added: one of [`READ`], [`WRITE`],
/// [`MERGE`] and [`KEYED`], and its differences from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The class in which its requests are queued; none if they are not queued.
    pub class: Option<Class>,
    /// Whether the strict rate limit applies, because it allows guessing secrets, sends mail or costs money.
    pub strict: bool,
    /// Whether its requests are signed by a service, which sends many from one address: they are counted by a limit of their own, and what
    /// else they show of their sender is not looked at.
    pub signed: bool,
    /// Whether it takes an `Idempotency-Key`.
    pub keyed: bool,
    /// Whether callers need not be signed in.
    pub for_anyone: bool,
    /// Whether it is a PUT that changes only the fields that it names. PATCH answers the same, and is what the document has.
    pub merges: bool,
    /// Whether its last parameter is the rest of the path, slashes included.
    pub takes_rest: bool,
    /// Whether a ticket in the query admits to it instead of a header: a download or a stream, which browsers open by a link.
    pub by_ticket: bool,
    /// Whether its body is a form with files, which nothing reads before the route does.
    pub takes_files: bool,
}

/// Reads, for signed-in callers.
pub const READ: Operation = Operation {
    class: Some(Class::Reads),
    strict: false,
    signed: false,
    keyed: false,
    for_anyone: false,
    merges: false,
    takes_rest: false,
    by_ticket: false,
    takes_files: false,
};

/// Changes something, for signed-in callers.
pub const WRITE: Operation = Operation { class: Some(Class::Writes), ..READ };

/// A PUT that changes only the fields that it names, and leaves the others.
pub const MERGE: Operation = Operation { merges: true, ..WRITE };

/// Changes something, and takes an `Idempotency-Key`. Not for responses with tokens, or with secrets that are not to be
/// shown again without a proof of identity, nor for routes that verify such a proof.
pub const KEYED: Operation = Operation { keyed: true, ..WRITE };

impl Operation {
    /// The same, also for callers who are not signed in.
    #[must_use]
    pub const fn for_anyone(self) -> Self {
        Self { for_anyone: true, ..self }
    }

    /// The same with the rest of the path as its last parameter.
    #[must_use]
    pub const fn taking_rest(self) -> Self {
        Self { takes_rest: true, ..self }
    }

    /// The same, also by ticket.
    #[must_use]
    pub const fn by_ticket(self) -> Self {
        Self { by_ticket: true, ..self }
    }

    /// The same with a form with files as its body.
    #[must_use]
    pub const fn taking_files(self) -> Self {
        Self { takes_files: true, ..self }
    }

    /// The same with the strict limit.
    #[must_use]
    pub const fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// The same for requests that a service signs. The route MUST check the signature before it does anything else.
    #[must_use]
    pub const fn signed(self) -> Self {
        Self { signed: true, for_anyone: true, ..self }
    }

    /// The same with another class.
    #[must_use]
    pub const fn waiting_in(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }

    /// The same without a queue: for probes, streams, and files, which their routes spool before they wait.
    #[must_use]
    pub const fn unqueued(self) -> Self {
        Self { class: None, ..self }
    }
}

/// An operation of GET that answers HEAD as well (RFC 9110 section 9.3.2). The document names GET only.
pub struct WithHead<F> {
    get: F,
    head: Resource,
}

impl<F> WithHead<F> {
    /// `get` with its path, and what answers HEAD there.
    pub fn new<H, Args>(get: F, path: &str, head: H) -> Self
    where
        H: Handler<Args>,
        Args: FromRequest + 'static,
        H::Output: Responder + 'static,
    {
        Self { get, head: web::resource(path).guard(guard::Head()).to(head) }
    }
}

impl<F: HttpServiceFactory> HttpServiceFactory for WithHead<F> {
    fn register(self, config: &mut AppService) {
        self.get.register(config);
        self.head.register(config);
    }
}

impl<F: OpenApiFactory> OpenApiFactory for WithHead<F> {
    fn paths(&self) -> Paths {
        self.get.paths()
    }

    fn schemas(&self, schemas: &mut Vec<(String, RefOr<Schema>)>) {
        self.get.schemas(schemas);
    }
}

impl<F: utoipa::Path> utoipa::Path for WithHead<F> {
    fn methods() -> Vec<HttpMethod> {
        F::methods()
    }

    fn path() -> String {
        F::path()
    }

    fn operation() -> path::Operation {
        F::operation()
    }
}

/// The declaration of one operation.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its method, in upper case.
    pub method: &'static str,
    /// Its path, as in the API document.
    pub path: String,
    /// Its properties.
    pub operation: Operation,
    /// How many registrations were before it.
    pub place: usize,
}

/// Where routes are registered. Each server thread has its own application, and a server lists its operations once; neither needs
/// the document, which takes much more time and memory to build.
pub enum Routes<'a, 's> {
    /// To an application.
    Plain(&'a mut web::ServiceConfig),
    /// To an application that builds each at its first request.
    Late(Vec<Registration>),
    /// To the document. Adds nothing without the feature `document`: the schemas of all bodies and answers are then not in the program.
    Documented(&'a mut ServiceConfig<'s>),
    /// To a list of operations.
    Listed {
        /// Prefix of the paths.
        prefix: &'static str,
        /// The operations declared so far.
        rows: &'a mut Vec<Row>,
        /// How many were added.
        count: usize,
    },
}

impl Routes<'_, '_> {
    /// Adds operations to an application, each of which is built at its first request. `place_of` finds the [`Row::place`] of the operation
    /// that a request is for.
    pub fn late(
        config: &mut web::ServiceConfig,
        place_of: fn(&ServiceRequest) -> Option<usize>,
        add: impl FnOnce(&mut Routes<'_, '_>),
    ) {
        let mut routes = Routes::Late(Vec::new());
        add(&mut routes);
        if let Routes::Late(registrations) = routes {
            config.service(LateRoutes::new(registrations, place_of));
        }
    }

    /// A list of operations under a prefix.
    pub fn listed(prefix: &'static str, rows: &mut Vec<Row>, add: impl FnOnce(&mut Routes<'_, '_>)) {
        add(&mut Routes::Listed { prefix, rows, count: 0 });
    }

    /// Adds an operation. There are hundreds of types of routes: what does not depend on the type is in functions of its own.
    pub fn service<F>(&mut self, operation: Operation, factory: F) -> &mut Self
    where
        F: HttpServiceFactory + OpenApiFactory + utoipa::Path + 'static,
    {
        match self {
            #[cfg(feature = "document")]
            Self::Documented(config) => drop(config.service(factory)),
            Self::Listed { .. } => self.list(operation, &F::path(), &F::methods()),
            _ => self.register(Registration::new(factory)),
        }
        self
    }

    fn list(&mut self, operation: Operation, path: &str, methods: &[HttpMethod]) {
        if let Self::Listed { prefix, rows, count } = self {
            let place = *count;
            *count += 1;
            let methods = methods.iter().filter_map(name_of);
            rows.extend(methods.map(|method| Row {
                method,
                path: format!("{prefix}{path}"),
                operation,
                place,
            }));
        }
    }

    fn register(&mut self, registration: Registration) {
        match self {
            Self::Plain(config) => drop(config.service(registration)),
            Self::Late(registrations) => registrations.push(registration),
            Self::Documented(_) | Self::Listed { .. } => {}
        }
    }

    /// Adds the operations of a module.
    pub fn configure(&mut self, add: impl FnOnce(&mut Self)) -> &mut Self {
        add(self);
        self
    }
}

/// The methods of operations, in the order in which `Allow` lists them.
pub(crate) const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "PATCH"];

/// The name of a method, where operations have it.
fn name_of(method: &HttpMethod) -> Option<&'static str> {
    match method {
        HttpMethod::Get => Some("GET"),
        HttpMethod::Put => Some("PUT"),
        HttpMethod::Post => Some("POST"),
        HttpMethod::Delete => Some("DELETE"),
        HttpMethod::Patch => Some("PATCH"),
        HttpMethod::Options | HttpMethod::Head | HttpMethod::Trace => None,
    }
}
