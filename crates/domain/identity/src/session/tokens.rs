//! The tokens of a session: issuing, refreshing and revoking them.

use portico_kernel::{Timestamp, Violations};
use serde::{Deserialize, Serialize};

use super::{SessionLifetimes, SignedIn};
use crate::{
    IdentityError,
    ports::{AccessClaims, TokenIssuer},
    user::User,
};

/// Where a client wants the refresh token of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RefreshTokenIn {
    /// In the answer.
    #[default]
    #[serde(rename = "token")]
    Body,
    /// In a cookie that scripts cannot read. For pages of the server's own origin only.
    Cookie,
}

/// Input of a refresh.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"refresh_token": "AZOt…"})))]
pub struct Refresh {
    /// The refresh token of the last answer. Left out by a page whose session is in a cookie.
    #[serde(alias = "refreshToken")]
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 2000))]
    pub refresh_token: Option<String>,
}

impl Refresh {
    /// The token. Errors: [`IdentityError::Invalid`] when it is missing.
    pub fn validate(self) -> Result<String, IdentityError> {
        let token = self.refresh_token.unwrap_or_default();
        let mut violations = Violations::default();
        violations.text("refresh_token", &token, 1, 2000);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(token)
    }
}

/// Input of signing out. The access token alone is enough.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"refresh_token": "AZOt…"})))]
pub struct SignOut {
    /// The refresh token of the session to end.
    #[serde(alias = "refreshToken")]
    #[cfg_attr(feature = "openapi", schema(max_length = 2000))]
    pub refresh_token: Option<String>,
}

/// The token answer (names of RFC 6749 section 5.1).
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Tokens {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// Always `bearer`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "bearer"))]
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: i64,
    /// Valid for one refresh. Absent where it is in the cookie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// The signed-in user.
    pub user: User,
}

impl Tokens {
    /// The tokens of a session's current generation.
    pub fn issue(
        issuer: &dyn TokenIssuer,
        signed_in: SignedIn,
        lifetimes: SessionLifetimes,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let SignedIn { session, user } = signed_in;
        let expires_at = (now + lifetimes.access_token).min(session.expires_at);
        let claims =
            AccessClaims { user: user.id, session: session.id, tenant: session.active_tenant, expires_at };
        Ok(Self {
            access_token: issuer.access_token(&claims, now)?,
            token_type: "bearer",
            expires_in: (expires_at - now).whole_seconds(),
            refresh_token: Some(issuer.refresh_token(session.id, session.generation)),
            user,
        })
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("user", &self.user.id).finish_non_exhaustive()
    }
}
