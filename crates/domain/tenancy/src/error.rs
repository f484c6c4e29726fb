//! Errors of tenancy.

use std::borrow::Cow;

use portico_kernel::{
    Denied, EntitlementError, Fault, FieldError, Kind, StoreError, TenantId, sealing::SealError,
};

/// A tenant that a user cannot leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedTenant {
    /// Its id.
    pub id: TenantId,
    /// Display name.
    pub name: String,
}

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
    /// The tenant would be left without an owner.
    #[error("last owner")]
    LastOwner,
    /// The person is the only owner of tenants that have other members.
    #[error("only owner")]
    OnlyOwner(Vec<OwnedTenant>),
    /// The person is a member already.
    #[error("already a member")]
    AlreadyMember,
    /// The address has an open invitation to the tenant.
    #[error("already invited")]
    AlreadyInvited,
    /// Too many invitations are open, or too many messages were sent today.
    #[error("too many invitations")]
    TooManyInvitations,
    /// The invitation was accepted, declined or revoked.
    #[error("invitation closed")]
    InvitationClosed,
    /// The link of an invitation that is unknown, expired, used, or taken back.
    #[error("invitation not valid")]
    InvalidInvitation,
    /// The invitation is for an address that is not the caller's.
    #[error("wrong account")]
    WrongAccount,
    /// The person owns as many tenants as one may.
    #[error("too many tenants")]
    TooManyTenants,
    /// The tenant is about to be deleted.
    #[error("tenant is being deleted")]
    Deleting,
    /// The tenant is not about to be deleted.
    #[error("tenant is not being deleted")]
    NotDeleting,
    /// Another tenant or site has the subdomain.
    #[error("subdomain taken")]
    SubdomainTaken,
    /// The tenant has as many webhooks as the operator allows.
    #[error("too many webhooks")]
    TooManyWebhooks,
    /// The webhook is paused or was switched off.
    #[error("webhook not enabled")]
    WebhookNotEnabled,
    /// The event log does not have the event any more.
    #[error("event forgotten")]
    EventForgotten,
    /// A secret could not be kept.
    #[error(transparent)]
    Sealing(#[from] SealError),
    /// `If-Match` names an older version.
    #[error("precondition failed")]
    PreconditionFailed,
    /// The plan does not include more.
    #[error(transparent)]
    Entitlement(#[from] EntitlementError),
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
            Self::LastOwner
            | Self::OnlyOwner(_)
            | Self::AlreadyMember
            | Self::AlreadyInvited
            | Self::TooManyInvitations
            | Self::InvitationClosed
            | Self::TooManyTenants
            | Self::Deleting
            | Self::NotDeleting
            | Self::TooManyWebhooks
            | Self::WebhookNotEnabled
            | Self::EventForgotten
            | Self::SubdomainTaken => Kind::Conflict,
            Self::Sealing(_) => Kind::Internal,
            Self::InvalidInvitation => Kind::Invalid,
            Self::WrongAccount => Kind::Forbidden,
            Self::PreconditionFailed => Kind::PreconditionFailed,
            Self::Entitlement(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::LastOwner | Self::OnlyOwner(_) => "last_owner",
            Self::AlreadyMember => "already_member",
            Self::AlreadyInvited => "already_invited",
            Self::TooManyInvitations => "too_many_invitations",
            Self::InvitationClosed => "invitation_closed",
            Self::InvalidInvitation => "invalid_token",
            Self::WrongAccount => "wrong_account",
            Self::TooManyTenants => "too_many_tenants",
            Self::Deleting => "tenant_deleting",
            Self::NotDeleting => "tenant_not_deleting",
            Self::TooManyWebhooks => "too_many_webhooks",
            Self::WebhookNotEnabled => "webhook_not_enabled",
            Self::EventForgotten => "event_forgotten",
            Self::Sealing(_) => "internal",
            Self::SubdomainTaken => "subdomain_taken",
            Self::PreconditionFailed => "precondition_failed",
            Self::Entitlement(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) => "Some fields are not valid.".into(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::LastOwner => "A tenant needs an owner. Make somebody else an owner first.".into(),
            Self::OnlyOwner(_) => {
                "Some tenants have other members but no other owner. Make somebody an owner there, or delete them.".into()
            }
            Self::AlreadyMember => "This person is a member already.".into(),
            Self::AlreadyInvited => "There is an open invitation to this address. Send it again, or revoke it.".into(),
            Self::TooManyInvitations => {
                "There are too many open invitations, or too many were sent today. Try again tomorrow.".into()
            }
            Self::InvitationClosed => "This invitation was answered or revoked.".into(),
            Self::InvalidInvitation => "This invitation is not valid any more. Ask for a new one.".into(),
            Self::WrongAccount => "This invitation is for another address than that of your account.".into(),
            Self::TooManyTenants => "You own as many tenants as one account may.".into(),
            Self::Deleting => "This tenant is about to be deleted. Restore it first.".into(),
            Self::NotDeleting => "This tenant is not about to be deleted.".into(),
            Self::TooManyWebhooks => "This tenant has as many webhooks as it may.".into(),
            Self::WebhookNotEnabled => "This webhook is paused or was switched off. Resume it first.".into(),
            Self::EventForgotten => "This event is too old: the event log does not have it any more.".into(),
            Self::Sealing(_) => "Something went wrong on our side.".into(),
            Self::SubdomainTaken => "This subdomain is taken.".into(),
            Self::PreconditionFailed => "It was changed since you read it. Read it again.".into(),
            Self::Entitlement(error) => error.detail(),
            Self::Store(error) => error.detail(),
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) => errors,
            _ => &[],
        }
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        let held = match self {
            Self::OnlyOwner(held) => held,
            Self::Entitlement(error) => return error.members(),
            _ => return Vec::new(),
        };
        let tenants = held.iter().map(|tenant| serde_json::json!({"id": tenant.id, "name": tenant.name}));
        vec![("tenants", tenants.collect())]
    }
}

impl From<Vec<FieldError>> for TenancyError {
    fn from(errors: Vec<FieldError>) -> Self {
        Self::Invalid(errors)
    }
}
