//! The parts of each message: the key of its texts, the target of its link, and the values in the texts.

use std::collections::BTreeMap;

use minijinja::Value;
use portico_identity::mail::{AccountMail, AccountNotice, FactorChange, KeyNotice, TenantNotice};
use portico_kernel::{TenantRole, Timestamp};

use crate::{
    device,
    words::{Section, WordsError},
};

/// A message before its texts are filled in.
pub struct Outline {
    /// Key of the texts.
    pub key: &'static str,
    /// Page that the link leads to, relative to the public URL.
    pub page: &'static str,
    /// Secret of the link.
    pub token: Option<String>,
    /// Values in the texts.
    pub values: Value,
}

impl Outline {
    /// The outline of a message. `common` has the names of roles and the format of times.
    pub fn of(mail: &AccountMail, common: &Section) -> Result<Self, WordsError> {
        let mut values: BTreeMap<&'static str, Value> = BTreeMap::new();
        let (page, token) = match mail {
            AccountMail::Verification { token } => ("verify-email", Some(token)),
            AccountMail::PasswordReset { token } => ("reset-password", Some(token)),
            AccountMail::EmailChange { token } => ("confirm-email-change", Some(token)),
            AccountMail::EmailChangeRequested { token, .. } => ("cancel-email-change", Some(token)),
            AccountMail::Invitation { token, .. } => ("accept-invitation", Some(token)),
            _ => ("", None),
        };
        match mail {
            AccountMail::Verification { .. }
            | AccountMail::AlreadyRegistered
            | AccountMail::Welcome
            | AccountMail::PasswordReset { .. }
            | AccountMail::PasswordChanged
            | AccountMail::EmailChange { .. }
            | AccountMail::SecondFactorChanged { .. }
            | AccountMail::AccountNotice { .. } => {}
            AccountMail::EmailChanged { masked } | AccountMail::EmailChangeRequested { masked, .. } => {
                values.insert("masked", masked.as_str().into());
            }
            AccountMail::NewDevice { device, address, at } => {
                values.insert("device", device.as_deref().map(device::name).into());
                values.insert("address", address.as_deref().into());
                values.insert("at", moment(*at, common)?.into());
            }
            AccountMail::IdentityLinked { provider } => {
                values.insert("provider", provider.as_str().into());
            }
            AccountMail::Invitation { tenant, inviter, role, expires_at, .. } => {
                values.insert("tenant", tenant.as_str().into());
                values.insert("inviter", inviter.as_str().into());
                values.insert("role", common.line(role_key(*role))?.into());
                values.insert("expires_at", moment(*expires_at, common)?.into());
            }
            AccountMail::ApiKeyNotice { tenant, key, notice } => {
                values.insert("tenant", tenant.as_str().into());
                values.insert("key", key.as_str().into());
                match notice {
                    KeyNotice::Created => {}
                    KeyNotice::NewAddress { address } => {
                        values.insert("address", address.as_str().into());
                    }
                    KeyNotice::Refusals { count } => {
                        values.insert("count", (*count).into());
                    }
                }
            }
            AccountMail::WebhookDisabled { tenant, url, gone } => {
                values.insert("tenant", tenant.as_str().into());
                values.insert("url", url.as_str().into());
                values.insert("gone", (*gone).into());
            }
            AccountMail::Submission { site, page, name, email, phone, message, consent } => {
                values.insert("site", site.as_str().into());
                values.insert("page", page.as_str().into());
                values.insert("visitor", name.as_str().into());
                values.insert("email", email.as_str().into());
                values.insert("phone", phone.as_deref().into());
                values.insert("message", message.as_str().into());
                values.insert("consent", (*consent).into());
            }
            AccountMail::SubmissionWaiting { site } => {
                values.insert("site", site.as_str().into());
            }
            AccountMail::TenantNotice { tenant, notice } => {
                values.insert("tenant", tenant.as_str().into());
                if let TenantNotice::DeletionScheduled { at } = notice {
                    values.insert("at", moment(*at, common)?.into());
                }
            }
        }
        Ok(Self { key: key(mail), page, token: token.cloned(), values: Value::from_pairs(values) })
    }
}

fn key(mail: &AccountMail) -> &'static str {
    match mail {
        AccountMail::Verification { .. } => "verification",
        AccountMail::AlreadyRegistered => "already_registered",
        AccountMail::Welcome => "welcome",
        AccountMail::PasswordReset { .. } => "password_reset",
        AccountMail::PasswordChanged => "password_changed",
        AccountMail::EmailChange { .. } => "email_change",
        AccountMail::EmailChangeRequested { .. } => "email_change_requested",
        AccountMail::EmailChanged { .. } => "email_changed",
        AccountMail::NewDevice { .. } => "new_device",
        AccountMail::SecondFactorChanged { change } => match change {
            FactorChange::TotpAdded => "second_factor.totp_added",
            FactorChange::TotpRemoved => "second_factor.totp_removed",
            FactorChange::PasskeyAdded => "second_factor.passkey_added",
            FactorChange::PasskeyRemoved => "second_factor.passkey_removed",
            FactorChange::RecoveryCodeUsed => "second_factor.recovery_code_used",
            FactorChange::RecoveryCodesRenewed => "second_factor.recovery_codes_renewed",
            FactorChange::Reset => "second_factor.reset",
        },
        AccountMail::IdentityLinked { .. } => "identity_linked",
        AccountMail::Invitation { .. } => "invitation",
        AccountMail::ApiKeyNotice { notice, .. } => match notice {
            KeyNotice::Created => "api_key.created",
            KeyNotice::NewAddress { .. } => "api_key.new_address",
            KeyNotice::Refusals { .. } => "api_key.refusals",
        },
        AccountMail::WebhookDisabled { .. } => "webhook.disabled",
        AccountMail::Submission { .. } => "submission",
        AccountMail::SubmissionWaiting { .. } => "submission_waiting",
        AccountMail::TenantNotice { notice, .. } => match notice {
            TenantNotice::Suspended => "tenant.suspended",
            TenantNotice::Reinstated => "tenant.reinstated",
            TenantNotice::DeletionScheduled { .. } => "tenant.deletion_scheduled",
            TenantNotice::OwnershipReceived => "tenant.ownership_received",
        },
        AccountMail::AccountNotice { notice } => match notice {
            AccountNotice::Suspended => "account.suspended",
            AccountNotice::Reinstated => "account.reinstated",
            AccountNotice::Deleted => "account.deleted",
        },
    }
}

const fn role_key(role: TenantRole) -> &'static str {
    match role {
        TenantRole::Viewer => "Viewer",
        TenantRole::Editor => "Editor",
        TenantRole::Admin => "Admin",
        TenantRole::Owner => "Owner",
    }
}

/// A time as written in the language, in UTC, because the time zone of the recipient is unknown.
fn moment(at: Timestamp, common: &Section) -> Result<String, WordsError> {
    let time = at.into_inner();
    let month = common.line("Months")?.split(' ').nth(usize::from(u8::from(time.month())) - 1);
    let month = month.ok_or_else(|| WordsError::Missing("Months".to_owned()))?;
    let values = [
        ("{{ day }}", time.day().to_string()),
        ("{{ month }}", month.to_owned()),
        ("{{ year }}", time.year().to_string()),
        ("{{ clock }}", format!("{:02}:{:02}", time.hour(), time.minute())),
    ];
    let pattern = common.line("Time")?.to_owned();
    Ok(values.iter().fold(pattern, |text, (name, value)| text.replace(name, value)))
}
