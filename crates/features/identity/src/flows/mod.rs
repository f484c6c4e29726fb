//! Flows that span several domains or call external services.

pub mod account_mail;
pub mod avatars;
pub mod external_sign_in;
pub mod notices;
pub mod registration;
pub mod users;
