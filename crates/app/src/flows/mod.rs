//! What concerns more than one domain.

pub mod account_mail;
pub mod assets;
pub mod audit_export;
pub mod avatars;
pub mod dead_letters;
pub mod deliveries;
pub mod domains;
pub mod external_sign_in;
pub mod generation;
pub mod invitations;
pub mod notices;
pub mod previews;
pub mod publishing;
pub mod registration;
pub mod submission_export;
pub mod submissions;
pub mod template_preview;
pub mod templates;
pub mod users;
pub mod wizard;
pub mod writing;
