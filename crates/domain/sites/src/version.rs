//! Optimistic locking: what all updates have in common.

use portico_kernel::StoreError;

use crate::SitesError;

/// Refuses when the client saw another version than the stored one. `expected` comes from `If-Match`; absent means any.
pub(crate) fn check(stored: i64, expected: Option<i64>) -> Result<(), SitesError> {
    match expected {
        Some(expected) if expected != stored => Err(SitesError::PreconditionFailed),
        _ => Ok(()),
    }
}

/// The error of a failed update. With an expected version, that it is not the stored one; without, that trying again helps.
pub(crate) fn refused(error: StoreError, expected: Option<i64>) -> SitesError {
    match error {
        StoreError::Stale if expected.is_some() => SitesError::PreconditionFailed,
        error => SitesError::Store(error),
    }
}
