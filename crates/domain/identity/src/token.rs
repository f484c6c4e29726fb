//! One-time tokens: the links in emails, and tickets.

use portico_kernel::{Timestamp, UserId};
use time::Duration;

/// Purpose of a one-time token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenPurpose {
    /// Proves an email address.
    EmailVerification,
    /// Sets a new password.
    PasswordReset,
    /// Cancels a change of address that was requested, from the mailbox of the address so far.
    EmailChangeCancellation,
    /// Admits one request without an `Authorization` header.
    Ticket,
}

impl TokenPurpose {
    /// Every purpose.
    pub const ALL: [Self; 4] =
        [Self::EmailVerification, Self::PasswordReset, Self::EmailChangeCancellation, Self::Ticket];

    /// Name in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmailVerification => "email_verification",
            Self::PasswordReset => "password_reset",
            Self::EmailChangeCancellation => "email_change_cancellation",
            Self::Ticket => "ticket",
        }
    }

    /// How long such a token is valid.
    pub const fn lifetime(self) -> Duration {
        match self {
            Self::EmailVerification => Duration::hours(24),
            Self::PasswordReset => Duration::hours(1),
            Self::EmailChangeCancellation => Duration::hours(24),
            // A page uses it at once.
            Self::Ticket => Duration::minutes(1),
        }
    }
}

/// A token as it is stored: only the SHA-256 of the secret, never the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneTimeToken {
    /// SHA-256 of the secret in the link.
    pub hash: [u8; 32],
    /// The user.
    pub user: UserId,
    /// Its purpose.
    pub purpose: TokenPurpose,
    /// Not after.
    pub expires_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
}
