//! Licenses, releases and downloads: routes, flows, background work.

pub mod background;
pub mod flows;
pub mod routes;
pub mod state;
