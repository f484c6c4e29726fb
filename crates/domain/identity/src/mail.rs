//! The messages that identity sends.

use crate::user::{EmailAddress, User};

/// Who gets a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Address.
    pub email: EmailAddress,
    /// Name for the salutation.
    pub full_name: String,
    /// Preferred language, BCP 47.
    pub language: String,
}

impl Recipient {
    /// The user as the receiver of a message.
    pub fn of(user: &User) -> Self {
        Self { email: user.email.clone(), full_name: user.full_name.clone(), language: user.language.clone() }
    }
}

/// A message about an account. The adapter has a template for each, as HTML and as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountMail {
    /// Asks to prove the address. Carries the secret of the link.
    Verification {
        /// Goes into the link as `?token=`.
        token: String,
    },
    /// Tells the owner of an address that somebody tried to register with it.
    AlreadyRegistered,
    /// Greets after the address was proven.
    Welcome,
    /// Lets the owner set a new password. Carries the secret of the link.
    PasswordReset {
        /// Goes into the link as `?token=`.
        token: String,
    },
    /// Tells that the password was changed.
    PasswordChanged,
}
