//! Tenants, their members and branding, and the trail of what happened in them.

pub mod audit;
pub mod branding;
pub mod chain;
pub mod contact;
pub mod customer;
pub mod customer_note;
pub mod dealer;
pub mod delivery;
pub mod departure;
pub mod dispatch;
pub mod error;
pub mod events;
pub mod growth;
pub mod invitation;
pub mod lifecycle;
pub mod mail;
pub mod member;
pub mod membership;
pub mod ownership;
pub mod ports;
pub mod retention;
pub mod seal;
pub mod settings;
pub mod subdomain;
pub mod tenant;
#[cfg(test)]
mod testing;
pub mod webhook;

pub use error::TenancyError;
