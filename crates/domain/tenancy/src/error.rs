//! How tenancy fails.

use std::borrow::Cow;

use portico_kernel::{Denied, Fault, FieldError, Kind, StoreError};

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum TenancyError {
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The input breaks rules.
    #[error("invalid input: {0:?}")]
    Invalid(Vec<FieldError>),
    /// Not there, or not to be seen by this caller.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// Another tenant or site has the subdomain.
    #[error("subdomain taken")]
    SubdomainTaken,
    /// `If-Match` names an older version.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Fault for TenancyError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Invalid(_) => Kind::Invalid,
            Self::NotFound(_) => Kind::NotFound,
            Self::SubdomainTaken => Kind::Conflict,
            Self::PreconditionFailed => Kind::PreconditionFailed,
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::SubdomainTaken => "subdomain_taken",
            Self::PreconditionFailed => "precondition_failed",
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.".into(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::SubdomainTaken => "This subdomain is taken.".into(),
            Self::PreconditionFailed => "It was changed since you read it. Read it again.".into(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }
}

impl From<Vec<FieldError>> for TenancyError {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}
