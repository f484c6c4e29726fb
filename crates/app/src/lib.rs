//! The Portico server: configuration, wiring, command line.

pub mod api_docs;
pub mod background;
pub mod billing;
pub mod dead_letters;
pub mod demo;
#[cfg(feature = "document")]
pub mod document;
pub mod health_check;
pub mod keys;
pub mod outbound;
pub mod parts;
pub mod payments;
mod payments_sandbox;
pub mod recurrente;
pub mod reseal;
pub mod routes;
pub mod run;
pub mod server;
pub mod settings;
pub mod startup;
pub mod state;
pub mod writer;
