//! Sign-ins that wait for their second factor, and the ways to prove it.
//!
//! Such a sign-in is a row, and its token is a MAC over the row's id (like refresh tokens, ADR 3): a reader of the table cannot
//! use it.

use portico_kernel::{Id, Timestamp, UserId};
use serde::Serialize;
use time::Duration;

/// Id of a sign-in that waits for its second factor.
pub type PendingSignInId = Id<PendingSignIn>;

/// How long a sign-in waits.
pub const PENDING: Duration = Duration::minutes(5);

/// Tries for one sign-in. Codes of authenticator apps are also bounded for the account, see [`crate::code_limit`].
pub const TRIES: i32 = 5;

/// A sign-in whose first factor was right. It is void when the password that it was made with is replaced: setting one deletes
/// it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingSignIn {
    /// UUIDv7.
    pub id: PendingSignInId,
    /// The user.
    pub user: UserId,
    /// Tries so far.
    pub tries: i32,
    /// When it began.
    pub created_at: Timestamp,
    /// Not after.
    pub expires_at: Timestamp,
}

/// A way to prove the second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FactorMethod {
    /// A code of an authenticator app.
    Totp,
    /// A recovery code.
    RecoveryCode,
    /// A passkey.
    Passkey,
}
