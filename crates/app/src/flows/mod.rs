//! What concerns more than one domain.

pub mod account_mail;
pub mod dead_letters;
pub mod publishing;
pub mod registration;
