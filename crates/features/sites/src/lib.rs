//! The website builder and published sites: routes, flows across domains, background work.

pub mod addresses;
pub mod background;
pub mod flows;
pub mod hosting;
pub mod rendered;
pub mod routes;
pub mod settings;
pub mod spool;
pub mod state;
pub mod visits;
