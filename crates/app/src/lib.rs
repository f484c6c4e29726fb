//! The Portico server: configuration, wiring, HTTP, workers, command line.

pub mod answers;
pub mod callers;
pub mod flows;
pub mod http;
pub mod key_usage;
pub mod keys;
pub mod routes;
pub mod server;
pub mod settings;
pub mod signals;
pub mod startup;
pub mod state;
pub mod telemetry;
pub mod throttle;
pub mod turns;
pub mod unit_of_work;
pub mod visits;
pub mod worker;
pub mod writer;
