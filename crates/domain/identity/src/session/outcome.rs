//! Results of a step of signing in, and of a refresh.

use secrecy::SecretString;

use super::Session;
use crate::{
    IdentityError,
    pending_sign_in::{FactorMethod, PendingSignInId},
    ports::FactorSecrets,
    user::User,
};

/// A session and its user.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// Its user.
    pub user: User,
}

/// Result of a first factor (a password, an OpenID provider) that was right.
#[derive(Debug)]
pub enum SignInStep {
    /// Signed in.
    Complete(Box<SignedIn>),
    /// The account has a second factor, which is required next.
    SecondFactor(SecondFactorNeeded),
}

/// The second factor that a sign-in waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactorNeeded {
    /// The sign-in.
    pub pending: PendingSignInId,
    /// How it can continue.
    pub methods: Vec<FactorMethod>,
}

impl SecondFactorNeeded {
    /// The error for the client.
    pub fn into_error(self, secrets: &dyn FactorSecrets) -> IdentityError {
        let token: SecretString = secrets.pending_token(self.pending).into();
        IdentityError::SecondFactorRequired { token, methods: self.methods }
    }
}

/// Result of a second factor, or of a passkey alone. Both have to be committed.
#[derive(Debug)]
pub enum FactorOutcome {
    /// Signed in.
    Complete(Box<SignedIn>),
    /// Wrong. The try is counted and recorded; the caller gets this error.
    Refused(IdentityError),
}

/// Result of a refresh. Both have to be committed.
#[derive(Debug)]
pub enum Refreshed {
    /// The session stays; its tokens are those of its generation.
    Continued(Box<SignedIn>),
    /// The token had been used before: the session has been ended, and the caller gets
    /// [`IdentityError::InvalidRefreshToken`].
    ReuseDetected,
}
