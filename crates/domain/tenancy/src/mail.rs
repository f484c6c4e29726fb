//! The messages about tenants.

use portico_kernel::{
    TenantRole, Timestamp,
    mail::{Mail, MailClass, MailContent, MailValue},
};

/// A message about a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TenantMail {
    /// Invites the reader of an address to become a member. It goes to any address, so neither the tenant nor the inviter is called
    /// by a name that they chose.
    Invitation {
        /// Subdomain of the tenant.
        tenant: String,
        /// Verified address of the inviter.
        inviter: String,
        /// As what.
        role: TenantRole,
        /// Secret of the link.
        token: String,
        /// Not after.
        expires_at: Timestamp,
    },
    /// Says to the owners that a webhook was switched off, because it failed.
    WebhookDisabled {
        /// Name of the tenant.
        tenant: String,
        /// Where it leads.
        url: String,
        /// Whether the receiver asked for it (410); otherwise it failed for too long.
        gone: bool,
    },
    /// Says to the owners what becomes of the tenant.
    Notice {
        /// Name of the tenant.
        tenant: String,
        /// What becomes of it.
        notice: TenantNotice,
    },
}

/// What becomes of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantNotice {
    /// Suspended by the operator.
    Suspended,
    /// In use again.
    Reinstated,
    /// Will be deleted at a time, until which an owner can take that back.
    DeletionScheduled {
        /// When.
        at: Timestamp,
    },
    /// The recipient is an owner now.
    OwnershipReceived,
}

impl Mail for TenantMail {
    fn content(&self) -> MailContent {
        match self {
            Self::Invitation { tenant, inviter, role, token, expires_at } => {
                MailContent::new("invitation", MailClass::Unsolicited)
                    .link("accept-invitation", token)
                    .with("tenant", tenant.as_str())
                    .with("inviter", inviter.as_str())
                    .with("role", MailValue::Line(line_of(*role)))
                    .with("expires_at", *expires_at)
                    .for_tenant()
            }
            Self::WebhookDisabled { tenant, url, gone } => {
                MailContent::new("webhook.disabled", MailClass::Tenant)
                    .written("tenant", tenant)
                    .written("url", url)
                    .with("gone", *gone)
                    .for_tenant()
            }
            Self::Notice { tenant, notice } => {
                let content = match notice {
                    TenantNotice::Suspended => MailContent::new("tenant.suspended", MailClass::Tenant),
                    TenantNotice::Reinstated => MailContent::new("tenant.reinstated", MailClass::Tenant),
                    TenantNotice::DeletionScheduled { at } => {
                        MailContent::new("tenant.deletion_scheduled", MailClass::Tenant).with("at", *at)
                    }
                    TenantNotice::OwnershipReceived => {
                        MailContent::new("tenant.ownership_received", MailClass::Tenant).for_tenant()
                    }
                };
                content.written("tenant", tenant)
            }
        }
    }
}

/// The line that names a role, among those that all messages share.
const fn line_of(role: TenantRole) -> &'static str {
    match role {
        TenantRole::Viewer => "Viewer",
        TenantRole::Editor => "Editor",
        TenantRole::Admin => "Admin",
        TenantRole::Owner => "Owner",
    }
}
