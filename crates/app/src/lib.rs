//! The Portico server: configuration, wiring, HTTP, workers, command line.

pub mod answers;
pub mod broadcasts;
pub mod callers;
pub mod flows;
pub mod health_check;
pub mod http;
pub mod key_usage;
pub mod keys;
pub mod live;
pub mod report;
pub mod routes;
pub mod run;
pub mod server;
pub mod settings;
pub mod signals;
pub mod startup;
pub mod state;
pub mod telemetry;
pub mod throttle;
pub mod traces;
pub mod turns;
pub mod unit_of_work;
pub mod visits;
pub mod webhooks;
pub mod worker;
pub mod writer;
