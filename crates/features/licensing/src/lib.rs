//! Licenses: routes, background work.

pub mod background;
pub mod flows;
pub mod routes;
pub mod state;
