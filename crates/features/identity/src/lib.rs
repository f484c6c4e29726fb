//! Accounts, sign-in and API keys: routes, flows across domains, background work.

pub mod background;
pub mod flows;
mod refresh_cookie;
pub mod routes;
pub mod state;
pub mod throttle;
