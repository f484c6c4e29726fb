//! Switching the tenant that a session acts in.

use portico_kernel::{Denied, Event, TenantId, Timestamp, Violations};
use serde::{Deserialize, Serialize};

use crate::{
    IdentityError, Sessions, events,
    ports::{AccessClaims, TokenIssuer},
    session::{SessionLifetimes, SignedIn, TenantAccess, audit_tenant},
};

/// Switches to another tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"tenantId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d"})))]
pub struct SwitchTenant {
    /// A tenant that the caller is a member of.
    #[cfg_attr(feature = "openapi", schema(required, value_type = TenantId))]
    pub tenant_id: Option<TenantId>,
}

/// An access token for the tenant that was switched to.
///
/// There is no refresh token with it: the one that the client has stays valid, and gives tokens for the new tenant. Otherwise an
/// access token, which lives for minutes, could be exchanged for one that lives for days.
#[derive(Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SwitchedTenant {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// Always `bearer`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "bearer"))]
    pub token_type: &'static str,
    /// Seconds until the access token expires.
    pub expires_in: i64,
    /// The tenant that it acts in.
    #[serde(rename = "activeTenantId")]
    pub active_tenant: Option<TenantId>,
}

impl SwitchedTenant {
    /// The token for a session's active tenant.
    pub fn issue(
        issuer: &dyn TokenIssuer,
        signed_in: &SignedIn,
        lifetimes: SessionLifetimes,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let session = &signed_in.session;
        let expires_at = (now + lifetimes.access_token).min(session.expires_at);
        let claims = AccessClaims {
            user: session.user,
            session: session.id,
            tenant: session.active_tenant,
            expires_at,
        };
        Ok(Self {
            access_token: issuer.access_token(&claims, now)?,
            token_type: "bearer",
            expires_in: (expires_at - now).whole_seconds(),
            active_tenant: session.active_tenant,
        })
    }
}

impl Sessions<'_> {
    /// Makes the caller's session act in another tenant of theirs from now on, and begin there at the next sign-in. Errors:
    /// [`IdentityError::NotFound`] for a tenant that they do not belong to, [`IdentityError::TenantSuspended`].
    pub async fn switch_tenant(&mut self, input: SwitchTenant) -> Result<SignedIn, IdentityError> {
        let (user, session) = self.scope.require_user()?;
        let mut violations = Violations::default();
        violations.check(input.tenant_id.is_some(), "tenantId", "required", "This field is required.");
        violations.into_result().map_err(IdentityError::Invalid)?;
        let tenant = input.tenant_id.ok_or(IdentityError::NotFound("tenant"))?;
        let now = self.env.now();
        let state = self.repositories.sessions().caller(session, Some(tenant), now).await?;
        let state = state.ok_or(Denied::Unauthenticated)?;
        if state.access == TenantAccess::Suspended {
            return Err(IdentityError::TenantSuspended);
        }
        if state.membership.is_none() {
            return Err(IdentityError::NotFound("tenant"));
        }
        let before = self.repositories.sessions().find(session).await?.ok_or(Denied::Unauthenticated)?;
        if !self.repositories.sessions().switch(user, session, tenant, now).await? {
            return Err(Denied::Unauthenticated.into());
        }
        // The tenant that an impersonator chooses is not the user's own choice for the next sign-in.
        if self.scope.impersonator().is_none() {
            self.repositories.users().remember_tenant(user, tenant).await?;
        }
        let home = audit_tenant(self.repositories, user).await?;
        let event = Event::new(self.env, self.scope, &events::SESSION_TENANT_SWITCHED, session.uuid())
            .in_tenant(home)
            .before(&serde_json::json!({"activeTenantId": before.active_tenant}))
            .after(&serde_json::json!({"activeTenantId": tenant}));
        self.repositories.events().append(event).await?;
        let user = self.repositories.users().find(user).await?.ok_or(Denied::Unauthenticated)?;
        let mut session = before;
        session.active_tenant = Some(tenant);
        Ok(SignedIn { session, user })
    }
}
