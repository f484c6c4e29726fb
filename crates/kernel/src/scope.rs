//! Who acts, in which tenant, with which permissions.

use std::borrow::Cow;

use crate::{ApiKeyId, Fault, Kind, Permission, Permissions, PlatformRole, SessionId, TenantId, UserId};

/// Who is behind a request or a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nobody signed in.
    Anonymous,
    /// A signed-in person.
    User {
        /// Who.
        id: UserId,
        /// From which session.
        session: SessionId,
        /// Whether the address of the account is proven.
        email_verified: bool,
        /// Platform-wide role.
        role: PlatformRole,
        /// Who of the operator's people acts as this person, if anybody. Goes into every event.
        impersonator: Option<UserId>,
    },
    /// A program of a tenant.
    ApiKey {
        /// Which key.
        id: ApiKeyId,
    },
    /// Portico itself, for instance a background job.
    System,
}

/// The device that a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is recognised by. Not a secret: only the mark around it cannot be made up.
    pub id: uuid::Uuid,
    /// Whether the client has shown its mark, and does not get it with this very answer.
    pub shown: bool,
}

/// Where a request came from; goes into every event it causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// `X-Request-Id`, sent by the client or made by us. Jobs carry on the id of the request that caused them.
    pub id: String,
    /// Address of the client.
    pub address: Option<String>,
    /// `User-Agent` of the client, cut to a sane length.
    pub user_agent: Option<String>,
    /// The device of the client, where one signs in. Does not go into events.
    pub device: Option<Device>,
}

/// Who acts, in which tenant, with which permissions. The first line of a use case asks it.
#[derive(Clone, Debug)]
pub struct Scope {
    actor: Actor,
    tenant: Option<TenantId>,
    permissions: Permissions,
    /// Where the request came from.
    pub request: RequestInfo,
}

impl Scope {
    /// A caller that is not signed in.
    pub fn anonymous(request: RequestInfo) -> Self {
        Self { actor: Actor::Anonymous, tenant: None, permissions: Permissions::NONE, request }
    }

    /// A signed-in caller who acts in `tenant` (if any) with `permissions`. Somebody who acts as another person has only those
    /// that are [delegable](Permission::is_delegable): who belongs where, and whether a tenant exists, is for people themselves.
    pub fn user(
        actor: Actor,
        tenant: Option<TenantId>,
        permissions: Permissions,
        request: RequestInfo,
    ) -> Self {
        let permissions = match actor {
            Actor::User { impersonator: Some(_), .. } => permissions.delegable(),
            _ => permissions,
        };
        Self { actor, tenant, permissions, request }
    }

    /// A program that acts in the tenant of its key with the key's permissions.
    pub fn api_key(id: ApiKeyId, tenant: TenantId, permissions: Permissions, request: RequestInfo) -> Self {
        Self { actor: Actor::ApiKey { id }, tenant: Some(tenant), permissions, request }
    }

    /// Portico itself, acting on behalf of an earlier request in `tenant`.
    pub fn system(tenant: Option<TenantId>, request: RequestInfo) -> Self {
        Self { actor: Actor::System, tenant, permissions: Permissions::of(&Permission::ALL), request }
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

    /// The active tenant, given that the caller has the permission there.
    pub fn require(&self, permission: Permission) -> Result<TenantId, Denied> {
        if self.actor == Actor::Anonymous {
            return Err(Denied::Unauthenticated);
        }
        match self.tenant {
            Some(tenant) if self.allows(permission) => Ok(tenant),
            _ if self.impersonator().is_some() && !permission.is_delegable() => Err(Denied::Impersonated),
            _ => Err(Denied::Forbidden(permission)),
        }
    }

    /// That the caller has a platform-wide permission.
    pub fn require_platform(&self, permission: Permission) -> Result<(), Denied> {
        match self.actor {
            Actor::Anonymous => Err(Denied::Unauthenticated),
            _ if self.allows(permission) => Ok(()),
            _ => Err(Denied::Forbidden(permission)),
        }
    }

    /// The signed-in person and their session.
    pub fn require_user(&self) -> Result<(UserId, SessionId), Denied> {
        match self.actor {
            Actor::User { id, session, .. } => Ok((id, session)),
            Actor::System | Actor::ApiKey { .. } => Err(Denied::NotAPerson),
            Actor::Anonymous => Err(Denied::Unauthenticated),
        }
    }

    /// The signed-in person, given that it is really they: for what nobody may do in somebody else's name, such as setting
    /// a password or making a key.
    pub fn require_oneself(&self) -> Result<(UserId, SessionId), Denied> {
        match self.actor {
            Actor::User { impersonator: Some(_), .. } => Err(Denied::Impersonated),
            _ => self.require_user(),
        }
    }

    /// That nobody acts in somebody else's name. Programs and Portico itself pass.
    pub fn forbid_impersonation(&self) -> Result<(), Denied> {
        match self.actor {
            Actor::User { impersonator: Some(_), .. } => Err(Denied::Impersonated),
            _ => Ok(()),
        }
    }

    /// Who of the operator's people acts as the signed-in person, if anybody.
    pub fn impersonator(&self) -> Option<UserId> {
        match self.actor {
            Actor::User { impersonator, .. } => impersonator,
            _ => None,
        }
    }

    /// That the address of the signed-in person is proven. Portico itself passes.
    pub fn require_verified(&self) -> Result<(), Denied> {
        match self.actor {
            Actor::User { email_verified: false, .. } => Err(Denied::EmailUnverified),
            Actor::Anonymous => Err(Denied::Unauthenticated),
            _ => Ok(()),
        }
    }

    /// Whether the caller may cross tenants.
    pub fn crosses_tenants(&self) -> bool {
        matches!(self.actor, Actor::System | Actor::User { role: PlatformRole::SuperAdmin, .. })
    }
}

/// Why a caller may not do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Nobody is signed in.
    #[error("not signed in")]
    Unauthenticated,
    /// Signed in, but without this permission.
    #[error("permission {} is missing", .0.as_str())]
    Forbidden(Permission),
    /// The address of the account is not proven yet.
    #[error("email address is not verified")]
    EmailUnverified,
    /// Only a signed-in person can do this.
    #[error("not a person")]
    NotAPerson,
    /// Only the person themselves can do this, not somebody who acts as them.
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
            Self::EmailUnverified => "Verify your email address first; we can send the message again.".into(),
            Self::NotAPerson => "Only a signed-in person can do this.".into(),
            Self::Impersonated => "Nobody can do this in somebody else's name.".into(),
        }
    }
}
