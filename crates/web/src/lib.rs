//! actix-web without a domain: typed input, problem details, conditional requests, normalised paths, clients behind
//! proxies, connections and bodies with deadlines; and the middleware of every route: credentials, limits, admission,
//! idempotency, the API document.

pub mod admission;
pub mod alias;
pub mod api;
pub mod body;
pub mod caller;
pub mod client;
pub mod conditional;
pub mod connection;
pub mod credentials;
pub mod csv;
pub mod devices;
pub mod dialect;
pub mod direct;
pub mod headers;
pub mod host;
pub mod idempotency;
pub mod json;
mod late_routes;
pub mod limits;
pub mod list;
pub mod live_caller;
pub mod middleware;
pub mod openapi;
pub mod pace;
pub mod packed;
pub mod path;
pub mod pieces;
pub mod problem;
pub mod query;
pub mod ranges;
pub mod read;
pub mod request_admission;
pub mod response_cache;
pub mod routing;
pub mod settings;
pub mod traces;
pub mod write;
