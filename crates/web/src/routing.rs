//! Adding routes: what each operation is for the layers around it, with or without what the API document says of it.

use actix_web::{dev::HttpServiceFactory, web};
use utoipa::openapi::PathItem;
use utoipa_actix_web::{OpenApiFactory, service_config::ServiceConfig};

use crate::admission::Class;

/// What an operation is for the layers around it. Every route says all of it when it is added: one of [`READ`], [`WRITE`] and
/// [`KEYED`], and in what it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The queue that its requests wait in; none where nothing is held up.
    pub class: Option<Class>,
    /// Whether each address has few of them, because it guesses at secrets, sends mail or costs money.
    pub strict: bool,
    /// Whether it takes an `Idempotency-Key`.
    pub keyed: bool,
    /// Whether callers need not be signed in.
    pub for_anyone: bool,
}

/// Reads, for signed-in callers.
pub const READ: Operation =
    Operation { class: Some(Class::Reads), strict: false, keyed: false, for_anyone: false };

/// Changes something, for signed-in callers.
pub const WRITE: Operation = Operation { class: Some(Class::Writes), ..READ };

/// Changes something, and takes an `Idempotency-Key`. Not for what answers tokens or secrets that are not to be had again without a
/// proof, nor for what proves who somebody is at this moment.
pub const KEYED: Operation = Operation { keyed: true, ..WRITE };

impl Operation {
    /// The same, for callers that are not signed in, too.
    #[must_use]
    pub const fn for_anyone(self) -> Self {
        Self { for_anyone: true, ..self }
    }

    /// The same with the strict limit.
    #[must_use]
    pub const fn strict(self) -> Self {
        Self { strict: true, ..self }
    }

    /// The same in another queue.
    #[must_use]
    pub const fn waiting_in(self, class: Class) -> Self {
        Self { class: Some(class), ..self }
    }

    /// The same without a queue: for probes, streams, and files, whose routes put them aside and wait then.
    #[must_use]
    pub const fn unqueued(self) -> Self {
        Self { class: None, ..self }
    }
}

/// What was said of one operation.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its method, in upper case.
    pub method: &'static str,
    /// Its path, as in the API document.
    pub path: String,
    /// What it is.
    pub operation: Operation,
}

/// Where routes are added. Each server thread has an application of its own, and none of them needs the document, which
/// takes much longer to make than the routes.
pub enum Routes<'a, 's> {
    /// To an application alone.
    Plain(&'a mut web::ServiceConfig),
    /// To an application, of which the document is wanted.
    Documented {
        /// The application.
        config: &'a mut ServiceConfig<'s>,
        /// What stands before the paths.
        prefix: &'static str,
        /// What was said of the operations so far.
        rows: &'a mut Vec<Row>,
    },
}

impl Routes<'_, '_> {
    /// Adds an operation.
    pub fn service(
        &mut self,
        operation: Operation,
        factory: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        match self {
            Self::Plain(config) => drop(config.service(factory)),
            Self::Documented { config, prefix, rows } => {
                for (path, item) in factory.paths().paths {
                    for method in methods(&item) {
                        rows.push(Row { method, path: format!("{prefix}{path}"), operation });
                    }
                }
                config.service(factory);
            }
        }
        self
    }

    /// Adds the operations of a module.
    pub fn configure(&mut self, add: impl FnOnce(&mut Self)) -> &mut Self {
        add(self);
        self
    }
}

/// The methods of a path.
fn methods(item: &PathItem) -> impl Iterator<Item = &'static str> {
    [
        ("GET", item.get.is_some()),
        ("PUT", item.put.is_some()),
        ("POST", item.post.is_some()),
        ("DELETE", item.delete.is_some()),
        ("PATCH", item.patch.is_some()),
    ]
    .into_iter()
    .filter_map(|(method, is_there)| is_there.then_some(method))
}
