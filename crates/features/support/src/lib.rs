//! Support tickets: routes, flows, background jobs.

pub mod background;
pub mod flows;
pub mod routes;
pub mod state;
