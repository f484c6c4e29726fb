//! What concerns more than one domain.

pub mod account_mail;
pub mod audit_export;
pub mod avatars;
pub mod dead_letters;
pub mod external_sign_in;
pub mod invitations;
pub mod notices;
pub mod publishing;
pub mod registration;
pub mod users;
