//! How identity fails.

use std::borrow::Cow;

use portico_kernel::{Denied, Fault, FieldError, Kind, StoreError};

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The input breaks rules.
    #[error("invalid input: {0:?}")]
    Invalid(Vec<FieldError>),
    /// The person has to prove again who they are: the last time is too long ago for what they want to do.
    #[error("reauthentication required")]
    ReauthenticationRequired,
    /// Address and password do not go together. Never tells which of the two is wrong.
    #[error("wrong address or password")]
    InvalidCredentials,
    /// The account is suspended. Only told to somebody who knows the password.
    #[error("account suspended")]
    AccountSuspended,
    /// A refresh token that is malformed, expired, of an ended session, or used before.
    #[error("refresh token not valid")]
    InvalidRefreshToken,
    /// A verification or reset token that is unknown, expired, or used before.
    #[error("one-time token not valid")]
    InvalidToken,
    /// Not there, or not to be seen by this caller.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// `If-Match` names an older version.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many passwords wait to be hashed. Trying again makes sense.
    #[error("password hashing is overloaded")]
    Overloaded,
    /// Hashing, signing or another internal part failed.
    #[error("internal: {0}")]
    Internal(String),
}

impl Fault for IdentityError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::InvalidCredentials | Self::InvalidRefreshToken => Kind::Unauthenticated,
            Self::AccountSuspended | Self::ReauthenticationRequired => Kind::Forbidden,
            Self::InvalidToken => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::PreconditionFailed => Kind::PreconditionFailed,
            Self::Store(error) => error.kind(),
            Self::Overloaded => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::ReauthenticationRequired => "reauthentication_required",
            Self::InvalidCredentials => "invalid_credentials",
            Self::AccountSuspended => "account_suspended",
            Self::InvalidRefreshToken => "invalid_refresh_token",
            Self::InvalidToken => "invalid_token",
            Self::NotFound(_) => "not_found",
            Self::PreconditionFailed => "precondition_failed",
            Self::Store(error) => error.code(),
            Self::Overloaded => "overloaded",
            Self::Internal(_) => "internal",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.".into(),
            Self::ReauthenticationRequired => {
                "Prove again who you are (POST /api/v1/auth/reauthenticate), then repeat this.".into()
            }
            Self::InvalidCredentials => "The email address or the password is wrong.".into(),
            Self::AccountSuspended => "This account is suspended. Contact support.".into(),
            Self::InvalidRefreshToken => "The refresh token is not valid any more. Sign in again.".into(),
            Self::InvalidToken => "The link is not valid any more. Ask for a new one.".into(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::PreconditionFailed => "It was changed since you read it. Read it again.".into(),
            Self::Store(error) => error.detail(),
            Self::Overloaded => "Too many people are signing in right now. Try again shortly.".into(),
            Self::Internal(_) => "Something went wrong on our side.".into(),
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }
}
