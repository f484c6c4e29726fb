//! Licenses: routes, background work.

pub mod background;
pub mod routes;
pub mod state;
