//! actix-web without a domain: typed input, problem details, conditional requests, paths in a normal form, clients behind proxies,
//! connections and bodies with deadlines.

pub mod body;
pub mod client;
pub mod conditional;
pub mod connection;
pub mod csv;
pub mod headers;
pub mod json;
pub mod pace;
pub mod path;
pub mod pieces;
pub mod problem;
pub mod query;
pub mod read;
pub mod routing;
