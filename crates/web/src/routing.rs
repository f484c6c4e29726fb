//! Adding routes, with or without what the API document says of them.

use actix_web::{dev::HttpServiceFactory, web};
use utoipa_actix_web::{OpenApiFactory, service_config::ServiceConfig};

/// Where routes are added. Each server thread has an application of its own, and none of them needs the document, which
/// takes much longer to make than the routes.
pub enum Routes<'a, 's> {
    /// To an application alone.
    Plain(&'a mut web::ServiceConfig),
    /// To an application, of which the document is wanted.
    Documented(&'a mut ServiceConfig<'s>),
}

impl Routes<'_, '_> {
    /// Adds an operation.
    pub fn service(&mut self, factory: impl HttpServiceFactory + OpenApiFactory + 'static) -> &mut Self {
        match self {
            Self::Plain(config) => drop(config.service(factory)),
            Self::Documented(config) => drop(config.service(factory)),
        }
        self
    }

    /// Adds the operations of a module.
    pub fn configure(&mut self, add: impl FnOnce(&mut Self)) -> &mut Self {
        add(self);
        self
    }
}
