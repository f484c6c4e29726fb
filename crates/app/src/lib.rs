//! The Portico server: configuration, wiring, HTTP, workers, command line.

pub mod admission;
pub mod answers;
pub mod background;
pub mod flows;
pub mod health_check;
pub mod http;
pub mod live_stream;
pub mod outbound;
pub mod routes;
pub mod run;
pub mod server;
pub mod settings;
pub mod startup;
pub mod state;
pub mod throttle;
pub mod visits;
pub mod writer;
