//! Email templates, and SMTP through lettre.

mod mailer;
mod smtp;

pub use mailer::{TemplateError, TemplateMailer};
pub use smtp::{SmtpSetupError, SmtpTransport};
