//! Acting as a customer, to see what they see and to help them; both identities are recorded.
//!
//! It is a session of the customer that names the impersonator. Such a session cannot be refreshed, it carries no rights across
//! tenants, and none that are reserved to the customer (see [`portico_kernel::Scope::user`]).

use portico_kernel::{Denied, Event, Permission, TenantId, Timestamp, UserId, Violations};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    Accounts, IdentityError, events,
    ports::{AccessClaims, TokenIssuer},
    session::{Session, SignedIn, audit_tenant},
    user::{User, UserStatus},
};

/// How long an impersonation lasts before its reason has to be given again.
pub const LIFETIME: Duration = Duration::hours(1);

/// Input of an impersonation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"reason": "Ticket 4711: the navigation does not save"})))]
pub struct Impersonate {
    /// Why. The customer reads it in their audit trail.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 5, max_length = 500))]
    pub reason: String,
}

impl Impersonate {
    /// The reason. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<String, IdentityError> {
        let mut violations = Violations::default();
        violations.text("reason", &self.reason, 5, 500);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self.reason.trim().to_owned())
    }
}

/// The answer to an impersonator (names of RFC 6749 section 5.1). There is no refresh token.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImpersonationTokens {
    /// For `Authorization: Bearer`.
    pub access_token: String,
    /// Always `bearer`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "bearer"))]
    pub token_type: &'static str,
    /// Seconds until the access token expires, and with it the session.
    pub expires_in: i64,
    /// The impersonated user.
    pub user: User,
}

impl ImpersonationTokens {
    /// The token of a session that [`Accounts::impersonate`] began.
    pub fn issue(
        issuer: &dyn TokenIssuer,
        signed_in: SignedIn,
        now: Timestamp,
    ) -> Result<Self, IdentityError> {
        let SignedIn { session, user } = signed_in;
        let claims = AccessClaims {
            user: user.id,
            session: session.id,
            tenant: session.active_tenant,
            expires_at: session.expires_at,
        };
        Ok(Self {
            access_token: issuer.access_token(&claims, now)?,
            token_type: "bearer",
            expires_in: (session.expires_at - now).whole_seconds(),
            user,
        })
    }
}

impl std::fmt::Debug for ImpersonationTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImpersonationTokens").field("user", &self.user.id).finish_non_exhaustive()
    }
}

/// What the event of a new impersonation says.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Begun<'r> {
    user_id: UserId,
    impersonator_id: UserId,
    reason: &'r str,
    expires_at: Timestamp,
}

impl Accounts<'_> {
    /// Begins a session in which the caller acts as `user`, in that user's default tenant. The caller has freshly proven their
    /// identity. Errors: [`IdentityError::OwnAccount`]; [`IdentityError::RoleTooHigh`] for a user with the same role on the
    /// platform as the caller or a higher one; [`IdentityError::AccountNotActive`]; [`IdentityError::ReauthenticationRequired`].
    pub async fn impersonate(&mut self, user: UserId, reason: &str) -> Result<SignedIn, IdentityError> {
        self.scope.require_platform(Permission::PlatformImpersonate)?;
        let (id, _) = self.scope.require_user()?;
        // Whoever takes the permission at the same moment either is seen here, or waits and ends this session.
        self.repositories.users().lock(id).await?;
        let caller = self.require_fresh().await?;
        if !caller.platform_permissions().contains(Permission::PlatformImpersonate) {
            return Err(Denied::Forbidden(Permission::PlatformImpersonate).into());
        }
        if caller.id == user {
            return Err(IdentityError::OwnAccount);
        }
        let user = self.repositories.users().find(user).await?.ok_or(IdentityError::NotFound("user"))?;
        if user.role >= caller.role {
            return Err(IdentityError::RoleTooHigh);
        }
        if user.status != UserStatus::Active {
            return Err(IdentityError::AccountNotActive);
        }
        let now = self.env.now();
        let tenant = audit_tenant(self.repositories, user.id).await?;
        let session = Session {
            id: self.env.new_id(),
            user: user.id,
            generation: 1,
            rotated_at: now,
            user_agent: self.scope.request.user_agent.clone(),
            address: self.scope.request.address.clone(),
            created_at: now,
            last_used_at: now,
            expires_at: now + LIFETIME,
            active_tenant: (tenant != TenantId::PLATFORM).then_some(tenant),
            // An impersonator has not proven to be the customer; whatever requires that proof also refuses impersonators.
            authenticated_at: now,
            impersonator: Some(caller.id),
            ended_at: None,
        };
        self.repositories.sessions().insert(&session).await?;
        let begun =
            Begun { user_id: user.id, impersonator_id: caller.id, reason, expires_at: session.expires_at };
        let event = Event::new(self.env, self.scope, &events::SESSION_IMPERSONATED, session.id.uuid());
        self.repositories.events().append(event.in_tenant(tenant).after(&begun)).await?;
        Ok(SignedIn { session, user })
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{Actor, PlatformRole, Scope, StaffArea};

    use super::*;
    use crate::{administration::UserUpdate, fixture::Store};

    async fn impersonate(store: &mut Store, scope: &Scope, user: UserId) -> Result<SignedIn, IdentityError> {
        let env = store.env();
        Accounts::new(store, scope, &env).impersonate(user, "Ticket 4711").await
    }

    #[tokio::test]
    async fn begins_a_session_of_the_customer_and_says_why() {
        let mut store = Store::default();
        let customer = store.user("ada@example.com", true);
        let staff = store.user_with_role("staff@example.com", PlatformRole::Staff);
        let scope = store.looking_after(&staff);
        let SignedIn { session, user } = impersonate(&mut store, &scope, customer.id).await.unwrap();
        assert_eq!((user.id, session.user, session.impersonator), (customer.id, customer.id, Some(staff.id)));
        assert_eq!(session.expires_at, store.env().now() + LIFETIME);
        let event = &store.events()[0];
        assert_eq!((event.kind.as_ref(), event.actor_id), ("session.impersonated", Some(staff.id.uuid())));
        let after = event.after.as_ref().unwrap();
        assert_eq!(
            (&after["reason"], &after["userId"]),
            (&"Ticket 4711".into(), &customer.id.to_string().into())
        );
    }

    #[tokio::test]
    async fn nobody_acts_as_themselves_or_their_like() {
        let mut store = Store::default();
        let staff = store.user_with_role("staff@example.com", PlatformRole::Staff);
        let colleague = store.user_with_role("colleague@example.com", PlatformRole::Staff);
        let root = store.user_with_role("root@example.com", PlatformRole::SuperAdmin);
        let suspended = store.user("ada@example.com", true);
        store.set_status(suspended.id, UserStatus::Suspended);
        let scope = store.looking_after(&staff);
        let mut codes = Vec::new();
        for user in [staff.id, colleague.id, root.id, suspended.id, store.env().new_id()] {
            let error = impersonate(&mut store, &scope, user).await.unwrap_err();
            codes.push(portico_kernel::Fault::code(&error));
        }
        assert_eq!(
            codes,
            ["own_account", "role_too_high", "role_too_high", "account_not_active", "not_found"]
        );
        assert!(store.events().is_empty());
    }

    #[tokio::test]
    async fn wants_a_fresh_proof_and_no_customer_may() {
        let mut store = Store::default();
        let (ada, eve) = (store.user("ada@example.com", true), store.user("eve@example.com", true));
        let staff = store.user_with_role("staff@example.com", PlatformRole::Staff);
        let scope = store.signed_in(&eve);
        assert!(matches!(impersonate(&mut store, &scope, ada.id).await, Err(IdentityError::Denied(_))));
        let scope = store.looking_after(&staff);
        store.pass(Duration::minutes(11));
        let late = impersonate(&mut store, &scope, ada.id).await;
        assert!(matches!(late, Err(IdentityError::ReauthenticationRequired)));
    }

    #[tokio::test]
    async fn the_permission_counts_as_it_is_stored() {
        let mut store = Store::default();
        let ada = store.user("ada@example.com", true);
        let staff = store.user_with_role("staff@example.com", PlatformRole::Staff);
        let root = store.user_with_role("root@example.com", PlatformRole::SuperAdmin);
        let (env, remembered, admin) = (store.env(), store.looking_after(&staff), store.looking_after(&root));
        for (areas, allowed) in [(StaffArea::Billing, false), (StaffArea::Support, true)] {
            let change = UserUpdate { staff_areas: Some(Some(vec![areas].into())), ..UserUpdate::default() };
            Accounts::new(&mut store, &admin, &env).update(staff.id, change, None).await.unwrap();
            let begun = impersonate(&mut store, &remembered, ada.id).await;
            assert_eq!(begun.is_ok(), allowed, "{areas:?}");
            assert!(allowed || matches!(begun, Err(IdentityError::Denied(Denied::Forbidden(_)))));
        }
    }

    #[tokio::test]
    async fn who_acts_as_a_customer_has_no_rights_of_the_platform() {
        let actor = Actor::User {
            id: portico_kernel::Id::from_uuid(TenantId::PLATFORM.uuid()),
            session: portico_kernel::Id::from_uuid(TenantId::PLATFORM.uuid()),
            email_verified: true,
            role: PlatformRole::Customer,
            impersonator: Some(portico_kernel::Id::from_uuid(TenantId::PLATFORM.uuid())),
        };
        let all = portico_kernel::Permissions::from_list(&Permission::ALL);
        let scope = Scope::user(actor, Some(TenantId::PLATFORM), all, Default::default());
        assert!(scope.require(Permission::PagesWrite).is_ok());
        for permission in [Permission::TenantDelete, Permission::TenantTransfer, Permission::MembersWrite] {
            assert_eq!(scope.require(permission), Err(portico_kernel::Denied::Impersonated));
        }
        assert!(scope.require_platform(Permission::PlatformUsers).is_err());
    }
}
