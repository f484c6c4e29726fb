//! Support: what customers ask, how staff answer, and the mails between them.

pub mod breach;
pub mod canned_reply;
pub mod desk;
mod embedded;
pub mod error;
pub mod events;
pub mod inbound;
pub mod mail;
pub mod message;
#[cfg(test)]
mod parsers;
pub mod ports;
pub mod priority;
pub mod quotation;
pub mod reply_address;
pub mod scan;
pub mod scan_job;
pub mod scan_state;
pub mod status;
#[cfg(test)]
mod testing;
pub mod thread;
pub mod ticket;
pub mod tickets;

pub use error::SupportError;
