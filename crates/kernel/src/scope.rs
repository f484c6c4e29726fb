//! Who acts, in which tenant, with which permissions.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{ApiKeyId, Fault, Kind, Permission, Permissions, PlatformRole, SessionId, TenantId, UserId};

/// The caller of a request or a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Not signed in.
    Anonymous,
    /// A signed-in person.
    User {
        /// The user.
        id: UserId,
        /// Their session.
        session: SessionId,
        /// Whether the address of the account is proven.
        email_verified: bool,
        /// Platform-wide role.
        role: PlatformRole,
        /// The member of staff who acts as this person (impersonation), if any. Goes into every event.
        impersonator: Option<UserId>,
    },
    /// A program of a tenant.
    ApiKey {
        /// The key.
        id: ApiKeyId,
        /// The person accountable for the secret in use; `None` when unknown, which counts as unverified.
        maker: Option<KeyMaker>,
    },
    /// Portico itself, for instance a background job.
    System,
}

/// The person who made the secret of an API key, as their account is now. A key cannot do what requires its maker's address to be
/// verified while it is not: otherwise making a key would bypass that rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyMaker {
    /// The user.
    pub id: UserId,
    /// Whether the address of the account is verified.
    pub email_verified: bool,
}

/// The device that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id. Not a secret: only the signed mark that carries it cannot be forged.
    pub id: uuid::Uuid,
    /// Whether the client has sent its mark, rather than getting it with this very answer.
    pub shown: bool,
}

/// Where a request came from; goes into every event it causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// `X-Request-Id`, sent by the client or made by us. Jobs keep the id of the request that caused them.
    pub id: String,
    /// Address of the client.
    pub address: Option<String>,
    /// `User-Agent` of the client, cut to a sane length.
    pub user_agent: Option<String>,
    /// Method and path, for instance `POST /api/v1/sites`; at most 300 characters.
    pub line: Option<String>,
    /// The device of the client, where one signs in. Does not go into events.
    pub device: Option<Device>,
}

/// Who acts, in which tenant, with which permissions. The first line of a use case checks it.
#[derive(Clone, Debug)]
pub struct Scope {
    actor: Actor,
    tenant: Option<TenantId>,
    permissions: Permissions,
    /// What was required of the caller. Shared by clones.
    asked_for: Arc<Mutex<Permissions>>,
    /// Where the request came from.
    pub request: RequestInfo,
}

impl Scope {
    /// A caller that is not signed in.
    pub fn anonymous(request: RequestInfo) -> Self {
        Self {
            actor: Actor::Anonymous,
            tenant: None,
            permissions: Permissions::NONE,
            asked_for: Arc::default(),
            request,
        }
    }

    /// A signed-in caller who acts in `tenant` (if any) with `permissions`. An impersonator has only those that are
    /// [delegable](Permission::is_delegable): who belongs where, and whether a tenant exists, is for people themselves.
    pub fn user(
        actor: Actor,
        tenant: Option<TenantId>,
        permissions: Permissions,
        request: RequestInfo,
    ) -> Self {
        let permissions = left_to(&actor, permissions);
        Self { actor, tenant, permissions, asked_for: Arc::default(), request }
    }

    /// A program that acts in the tenant of its key with the key's permissions. `maker` is accountable for it.
    pub fn api_key(
        id: ApiKeyId,
        maker: Option<KeyMaker>,
        tenant: TenantId,
        permissions: Permissions,
        request: RequestInfo,
    ) -> Self {
        Self {
            actor: Actor::ApiKey { id, maker },
            tenant: Some(tenant),
            permissions,
            asked_for: Arc::default(),
            request,
        }
    }

    /// Portico itself, acting on behalf of an earlier request in `tenant`.
    pub fn system(tenant: Option<TenantId>, request: RequestInfo) -> Self {
        let permissions = Permissions::from_list(&Permission::ALL);
        Self { actor: Actor::System, tenant, permissions, asked_for: Arc::default(), request }
    }

    /// The same caller with one more permission, for a step that is part of something they may do.
    #[must_use]
    pub fn with(&self, permission: Permission) -> Self {
        let permissions = self.permissions.union(Permissions::from_list(&[permission]));
        let permissions = left_to(&self.actor, permissions);
        // What the step requires is not required of the caller, so it is not recorded as such.
        Self { permissions, asked_for: Arc::default(), ..self.clone() }
    }

    /// Who acts.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }

    /// The tenant that the caller acts in. Use [`Scope::require`] to get it with a right to do something there.
    pub fn active_tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// What the caller may do in the active tenant.
    pub fn permissions(&self) -> Permissions {
        self.permissions
    }

    /// Whether the caller has the permission in the active tenant.
    pub fn allows(&self, permission: Permission) -> bool {
        self.permissions.contains(permission)
    }

    /// The active tenant, if the caller has the permission there.
    pub fn require(&self, permission: Permission) -> Result<TenantId, Denied> {
        if self.actor == Actor::Anonymous {
            return Err(Denied::Unauthenticated);
        }
        match self.tenant {
            Some(tenant) if self.allows(permission) => {
                self.note(permission);
                Ok(tenant)
            }
            _ if self.impersonator().is_some() && !permission.is_delegable() => Err(Denied::Impersonated),
            _ => Err(Denied::Forbidden(permission)),
        }
    }

    /// Checks that the caller has a platform-wide permission.
    pub fn require_platform(&self, permission: Permission) -> Result<(), Denied> {
        match self.actor {
            Actor::Anonymous => Err(Denied::Unauthenticated),
            Actor::User { .. } | Actor::ApiKey { .. } | Actor::System => match self.allows(permission) {
                true => {
                    self.note(permission);
                    Ok(())
                }
                false => Err(Denied::Forbidden(permission)),
            },
        }
    }

    /// The permissions that were [required](Scope::require) of this caller so far, and that they have.
    pub fn required_permissions(&self) -> Permissions {
        *self.asked_for.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, permission: Permission) {
        let mut asked_for = self.asked_for.lock().unwrap_or_else(PoisonError::into_inner);
        *asked_for = asked_for.union(Permissions::from_list(&[permission]));
    }

    /// The signed-in person and their session.
    pub fn require_user(&self) -> Result<(UserId, SessionId), Denied> {
        match self.actor {
            Actor::User { id, session, .. } => Ok((id, session)),
            Actor::System | Actor::ApiKey { .. } => Err(Denied::NotAPerson),
            Actor::Anonymous => Err(Denied::Unauthenticated),
        }
    }

    /// The signed-in person, unless impersonated: for what must not be done in another person's name, such as setting a password
    /// or making a key.
    pub fn require_not_impersonated(&self) -> Result<(UserId, SessionId), Denied> {
        match self.actor {
            Actor::User { impersonator: Some(_), .. } => Err(Denied::Impersonated),
            Actor::User { impersonator: None, .. }
            | Actor::ApiKey { .. }
            | Actor::System
            | Actor::Anonymous => self.require_user(),
        }
    }

    /// Checks that the caller is not an impersonator. Programs and Portico itself pass.
    pub fn forbid_impersonation(&self) -> Result<(), Denied> {
        match self.actor {
            Actor::User { impersonator: Some(_), .. } => Err(Denied::Impersonated),
            Actor::User { impersonator: None, .. }
            | Actor::ApiKey { .. }
            | Actor::System
            | Actor::Anonymous => Ok(()),
        }
    }

    /// The member of staff who acts as the signed-in person (impersonation), if any.
    pub fn impersonator(&self) -> Option<UserId> {
        match self.actor {
            Actor::User { impersonator, .. } => impersonator,
            Actor::ApiKey { .. } | Actor::System | Actor::Anonymous => None,
        }
    }

    /// Checks that a person with a verified address is accountable for what the caller does: the signed-in person, or the maker
    /// of the API key. For what costs money, writes to or calls others, or is shown to the public. Portico itself passes.
    pub fn require_verified(&self) -> Result<(), Denied> {
        match self.actor {
            Actor::User { email_verified: true, .. }
            | Actor::ApiKey { maker: Some(KeyMaker { email_verified: true, .. }), .. }
            | Actor::System => Ok(()),
            Actor::User { email_verified: false, .. }
            | Actor::ApiKey { maker: Some(KeyMaker { email_verified: false, .. }) | None, .. } => {
                Err(Denied::EmailUnverified)
            }
            Actor::Anonymous => Err(Denied::Unauthenticated),
        }
    }

    /// Whether the caller may cross tenants.
    pub fn crosses_tenants(&self) -> bool {
        match self.actor {
            Actor::System => true,
            Actor::User { role, .. } => role == PlatformRole::SuperAdmin,
            Actor::ApiKey { .. } | Actor::Anonymous => false,
        }
    }
}

/// The permissions that this kind of actor keeps, see [`Scope::user`].
fn left_to(actor: &Actor, permissions: Permissions) -> Permissions {
    match actor {
        Actor::User { impersonator: Some(_), .. } => permissions.delegable(),
        Actor::User { impersonator: None, .. } | Actor::ApiKey { .. } | Actor::System | Actor::Anonymous => {
            permissions
        }
    }
}

/// Why a caller may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The caller is not signed in.
    #[error("not signed in")]
    Unauthenticated,
    /// Signed in, but without this permission.
    #[error("permission {} is missing", .0.as_str())]
    Forbidden(Permission),
    /// The address of the account, or of the account that made the API key, is not verified yet.
    #[error("email address is not verified")]
    EmailUnverified,
    /// Only a signed-in person can do this.
    #[error("not a person")]
    NotAPerson,
    /// Only the person themselves can do this, not an impersonator.
    #[error("impersonated")]
    Impersonated,
}

impl Fault for Denied {
    fn kind(&self) -> Kind {
        match self {
            Self::Unauthenticated => Kind::Unauthenticated,
            _ => Kind::Forbidden,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::EmailUnverified => "email_unverified",
            Self::NotAPerson => "person_required",
            Self::Impersonated => "impersonated",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Unauthenticated => "Sign in to do this.".into(),
            Self::Forbidden(permission) => {
                format!("This needs the permission {} in the tenant.", permission.as_str()).into()
            }
            Self::EmailUnverified => {
                "Verify your email address first; we can send the message again. An API key needs the \
                 verified address of the person who made it."
                    .into()
            }
            Self::NotAPerson => "Only a signed-in person can do this.".into(),
            Self::Impersonated => "This cannot be done while impersonating.".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(email_verified: bool) -> Actor {
        let id = UserId::from_uuid(Default::default());
        let session = SessionId::from_uuid(Default::default());
        Actor::User { id, session, email_verified, role: PlatformRole::Customer, impersonator: None }
    }

    fn key(email_verified: Option<bool>) -> Actor {
        let id = UserId::from_uuid(Default::default());
        let maker = email_verified.map(|email_verified| KeyMaker { id, email_verified });
        Actor::ApiKey { id: ApiKeyId::from_uuid(Default::default()), maker }
    }

    #[test]
    fn a_key_is_as_good_as_the_address_of_its_maker() {
        for (actor, wanted) in [
            (Actor::System, Ok(())),
            (user(true), Ok(())),
            (user(false), Err(Denied::EmailUnverified)),
            (key(Some(true)), Ok(())),
            (key(Some(false)), Err(Denied::EmailUnverified)),
            (key(None), Err(Denied::EmailUnverified)),
            (Actor::Anonymous, Err(Denied::Unauthenticated)),
        ] {
            let scope = Scope::user(actor.clone(), None, Permissions::NONE, RequestInfo::default());
            assert_eq!(scope.require_verified(), wanted, "{actor:?}");
        }
    }

    #[test]
    fn a_scope_knows_what_it_was_asked_for_and_has() {
        let has = Permissions::from_list(&[Permission::PagesWrite, Permission::PagesRead]);
        let tenant = Some(TenantId::from_uuid(Default::default()));
        let scope = Scope::user(user(true), tenant, has, RequestInfo::default());
        assert_eq!(scope.required_permissions(), Permissions::NONE);
        assert!(scope.require(Permission::SitesWrite).is_err());
        assert!(scope.clone().require(Permission::PagesWrite).is_ok());
        assert!(scope.with(Permission::BrandingWrite).require(Permission::BrandingWrite).is_ok());
        assert!(scope.allows(Permission::PagesRead));
        assert_eq!(scope.required_permissions(), Permissions::from_list(&[Permission::PagesWrite]));
    }

    #[test]
    fn one_more_permission_makes_nobody_somebody_else() {
        let Actor::User { id, session, email_verified, role, .. } = user(true) else { return };
        let acting = Actor::User { id, session, email_verified, role, impersonator: Some(id) };
        for (actor, permission, has) in [
            (user(true), Permission::TenantDelete, true),
            (acting.clone(), Permission::TenantDelete, false),
            (acting, Permission::BrandingWrite, true),
        ] {
            let scope = Scope::user(actor.clone(), None, Permissions::NONE, RequestInfo::default());
            let scope = scope.with(permission);
            assert_eq!((scope.allows(permission), scope.actor()), (has, &actor), "{permission:?}");
        }
    }
}
