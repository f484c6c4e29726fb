//! Sessions: a signed-in device, and its family of refresh tokens.

use portico_kernel::{PlatformRole, SessionId, TenantId, TenantRole, Timestamp, UserId};

/// A signed-in device of a user.
///
/// Its refresh tokens are numbered by `generation`. A token carries the session, its number and a MAC over both
/// (see [`crate::ports::TokenIssuer`]), so the store keeps no token at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// UUIDv7.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// Number of the only refresh token that is good now.
    pub generation: i32,
    /// When that token was made.
    pub rotated_at: Timestamp,
    /// `User-Agent` at sign-in.
    pub user_agent: Option<String>,
    /// Address at sign-in or at the last refresh.
    pub address: Option<String>,
    /// When it began.
    pub created_at: Timestamp,
    /// Last refresh.
    pub last_used_at: Timestamp,
    /// Ends by itself at this time; each refresh moves it.
    pub expires_at: Timestamp,
    /// The tenant that its access tokens act in.
    pub active_tenant: Option<TenantId>,
    /// Ended by logging out, a password change, reuse of a token, or staff.
    pub ended_at: Option<Timestamp>,
}

/// What a request needs to know of its caller, read in one round trip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerState {
    /// Who.
    pub user: UserId,
    /// Whether the address is proven.
    pub email_verified: bool,
    /// Platform-wide role.
    pub role: PlatformRole,
    /// When the session ends by itself.
    pub expires_at: Timestamp,
    /// The tenant asked about and the caller's role in it; `None` when not a member or the tenant is not active.
    pub membership: Option<(TenantId, TenantRole)>,
}
