//! Email templates, and SMTP through lettre.

mod device;
mod look;
mod mailer;
mod outline;
mod smtp;
mod words;

pub use mailer::{Links, TemplateError, TemplateMailer};
pub use smtp::{SmtpSetupError, SmtpTransport};
pub use words::WordsError;
