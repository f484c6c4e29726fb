//! Tenants, members, audit trail, webhooks and live updates: routes, flows across domains, background work.

pub mod background;
pub mod flows;
pub mod live_stream;
pub mod routes;
pub mod settings;
pub mod state;
