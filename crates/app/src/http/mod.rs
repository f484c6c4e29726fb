//! What stands between the parts of `portico_web` and the routes: credentials, limits, aliases, published sites, the middleware.

pub mod alias;
pub mod caller;
pub mod devices;
pub mod door;
pub mod host;
pub mod idempotency;
pub mod keys;
pub mod limits;
pub mod middleware;
pub mod openapi;
pub mod site;
pub mod spool;
pub mod standing;
pub mod traces;
