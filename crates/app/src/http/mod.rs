//! Everything between the socket and a use case.

pub mod alias;
pub mod body;
pub mod caller;
pub mod client;
pub mod conditional;
pub mod context;
pub mod csv;
pub mod devices;
pub mod headers;
pub mod host;
pub mod idempotency;
pub mod json;
pub mod keys;
pub mod limits;
pub mod middleware;
pub mod openapi;
pub mod path;
pub mod pieces;
pub mod problem;
pub mod query;
pub mod read;
pub mod routing;
pub mod site;
pub mod spool;
pub mod standing;
