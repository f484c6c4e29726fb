//! Plans and usage: routes.

pub mod routes;
