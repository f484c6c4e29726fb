//! The messages that identity sends.

use portico_kernel::{TenantRole, Timestamp};

use crate::user::{EmailAddress, User};

/// The recipient of a message.
///
/// To an address that no user has verified, any client can cause messages. So no text that people choose goes there, and a
/// recipient has a name only together with a verified address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Address.
    pub email: EmailAddress,
    /// Preferred language, BCP 47.
    pub language: String,
    name: Option<String>,
}

impl Recipient {
    /// The user as the receiver of a message.
    pub fn of(user: &User) -> Self {
        match user.email_verified {
            true => Self::verified(user.email.clone(), user.full_name.clone(), user.language.clone()),
            false => Self::unverified(user.email.clone(), user.language.clone()),
        }
    }

    /// The reader of an address that their account has verified.
    pub fn verified(email: EmailAddress, full_name: String, language: String) -> Self {
        Self { email, language, name: Some(full_name) }
    }

    /// The reader of an address whose owner is unknown.
    pub fn unverified(email: EmailAddress, language: String) -> Self {
        Self { email, language, name: None }
    }

    /// Whether they have verified the address.
    pub fn is_verified(&self) -> bool {
        self.name.is_some()
    }

    /// Name for the salutation; nothing for an address that is not verified.
    pub fn full_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }
}

/// A message about an account. The adapter has a template for each, as HTML and as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountMail {
    /// Asks to prove the address. Carries the secret of the link.
    Verification {
        /// Goes into the link as `?token=`.
        token: String,
    },
    /// Notifies the owner of an address that a registration with it was attempted.
    AlreadyRegistered,
    /// Greets after the address was proven.
    Welcome,
    /// Lets the owner set a new password. Carries the secret of the link.
    PasswordReset {
        /// Goes into the link as `?token=`.
        token: String,
    },
    /// Notifies that the password was changed.
    PasswordChanged,
    /// Asks the reader of a new address to confirm it. Carries the secret of the link.
    EmailChange {
        /// Goes into the link as `?token=`.
        token: String,
    },
    /// Notifies the address of an account that its replacement was requested. Carries the secret of the link that cancels it.
    EmailChangeRequested {
        /// The new address, shortened like that of [`AccountMail::EmailChanged`].
        masked: String,
        /// Goes into the link as `?token=`.
        token: String,
    },
    /// Notifies the old address that the account has another one now.
    EmailChanged {
        /// The new address, shortened so that the old mailbox does not learn it: `a…@example.com`.
        masked: String,
    },
    /// Notifies of a sign-in from a device that the account was not used on before.
    NewDevice {
        /// `User-Agent`, as far as known.
        device: Option<String>,
        /// Address of the client.
        address: Option<String>,
        /// When.
        at: Timestamp,
    },
    /// Notifies that a second factor was added or removed.
    SecondFactorChanged {
        /// What happened.
        change: FactorChange,
    },
    /// Notifies that an account at a provider can sign in to this one now.
    IdentityLinked {
        /// Name of the provider.
        provider: String,
    },
    /// Invites a person to become a member of a tenant. Carries the secret of the link. It goes to any address, so it contains
    /// neither the name of the tenant nor that of the inviter, which people choose.
    Invitation {
        /// Subdomain of the tenant.
        tenant: String,
        /// Verified address of the inviter.
        inviter: EmailAddress,
        /// Role.
        role: TenantRole,
        /// Goes into the link as `?token=`.
        token: String,
        /// Not after.
        expires_at: Timestamp,
    },
    /// Notifies the owners of a tenant about the use of an API key.
    ApiKeyNotice {
        /// Name of the tenant.
        tenant: String,
        /// Name of the key.
        key: String,
        /// What happened.
        notice: KeyNotice,
    },
    /// Notifies the owners of a tenant that a webhook was switched off, because it failed.
    WebhookDisabled {
        /// Name of the tenant.
        tenant: String,
        /// Target address.
        url: String,
        /// Whether the receiver requested it; otherwise it failed for too long.
        gone: bool,
    },
    /// Notifies the owners of a tenant of a change of its state or ownership.
    TenantNotice {
        /// Name of the tenant.
        tenant: String,
        /// The change.
        notice: TenantNotice,
    },
    /// Contains what a visitor of a tenant's site sent through a contact form. Every text of it comes from a stranger.
    Submission {
        /// Name of the site.
        site: String,
        /// Path of the page with the form.
        page: String,
        /// Name of the visitor, as they say.
        name: String,
        /// Address of theirs, as they say; answers go there.
        email: String,
        /// Phone number, as they say.
        phone: Option<String>,
        /// Text of the visitor.
        message: String,
        /// Whether they agreed to be written to later.
        consent: bool,
    },
    /// Notifies of a message through a contact form, without a word of it: for an address that a tenant named, but that none of
    /// its members has verified.
    SubmissionWaiting {
        /// Subdomain of the site.
        site: String,
    },
    /// Notifies that the account was suspended, deleted, or is back.
    AccountNotice {
        /// What happened.
        notice: AccountNotice,
    },
}

impl AccountMail {
    /// Whether a tenant is the sender, and not the operator writing about it: then the message has the tenant's look.
    pub fn speaks_for_tenant(&self) -> bool {
        matches!(
            self,
            Self::Invitation { .. }
                | Self::ApiKeyNotice { .. }
                | Self::WebhookDisabled { .. }
                | Self::Submission { .. }
                | Self::SubmissionWaiting { .. }
                | Self::TenantNotice { notice: TenantNotice::OwnershipReceived, .. }
        )
    }

    /// Whether it holds texts that people chose: names of tenants, sites and keys, addresses of webhooks, what visitors wrote. Such a
    /// message goes to verified addresses only.
    pub fn has_free_text(&self) -> bool {
        match self {
            Self::Verification { .. }
            | Self::AlreadyRegistered
            | Self::Welcome
            | Self::PasswordReset { .. }
            | Self::PasswordChanged
            | Self::EmailChange { .. }
            | Self::EmailChangeRequested { .. }
            | Self::EmailChanged { .. }
            | Self::NewDevice { .. }
            | Self::SecondFactorChanged { .. }
            | Self::IdentityLinked { .. }
            | Self::Invitation { .. }
            | Self::SubmissionWaiting { .. }
            | Self::AccountNotice { .. } => false,
            Self::ApiKeyNotice { .. }
            | Self::WebhookDisabled { .. }
            | Self::TenantNotice { .. }
            | Self::Submission { .. } => true,
        }
    }

    /// The budget of its recipient that it takes from. What goes to an address that is not verified, any client can cause.
    pub fn class(&self, to: &Recipient) -> MailClass {
        match self {
            Self::PasswordReset { .. } => MailClass::Recovery,
            _ if !to.is_verified() => MailClass::Unsolicited,
            Self::Verification { .. }
            | Self::AlreadyRegistered
            | Self::EmailChange { .. }
            | Self::Invitation { .. }
            | Self::SubmissionWaiting { .. } => MailClass::Unsolicited,
            Self::Welcome
            | Self::PasswordChanged
            | Self::EmailChangeRequested { .. }
            | Self::EmailChanged { .. }
            | Self::NewDevice { .. }
            | Self::SecondFactorChanged { .. }
            | Self::IdentityLinked { .. }
            | Self::AccountNotice { .. } => MailClass::Account,
            Self::ApiKeyNotice { .. } | Self::WebhookDisabled { .. } | Self::TenantNotice { .. } => {
                MailClass::Tenant
            }
            Self::Submission { .. } => MailClass::Submission,
        }
    }

    /// Where answers go, if not to us.
    pub fn reply_to(&self) -> Option<&str> {
        match self {
            Self::Submission { email, .. } => Some(email),
            _ => None,
        }
    }
}

/// Who can cause a message, and so exhaust a budget. Each class has a budget of its own for each recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailClass {
    /// Any client, for any address.
    Unsolicited,
    /// Any client that knows the address of an account. Apart, so that no other message keeps its owner from a new password.
    Recovery,
    /// A user of the account. These messages must not be lost.
    Account,
    /// A member of a tenant of the recipient.
    Tenant,
    /// Any visitor of a site of the recipient.
    Submission,
}

impl MailClass {
    /// Name in metrics and keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsolicited => "unsolicited",
            Self::Recovery => "recovery",
            Self::Account => "account",
            Self::Tenant => "tenant",
            Self::Submission => "submission",
        }
    }
}

/// What changed about the second factors of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorChange {
    /// An authenticator app was added.
    TotpAdded,
    /// The authenticator app was removed.
    TotpRemoved,
    /// A passkey was added.
    PasskeyAdded,
    /// A passkey was removed.
    PasskeyRemoved,
    /// A recovery code was used.
    RecoveryCodeUsed,
    /// New recovery codes were made.
    RecoveryCodesRenewed,
    /// The operator removed every second factor.
    Reset,
}

/// An event around an API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyNotice {
    /// It was made.
    Created,
    /// It was used from an address that it was not used from before.
    NewAddress {
        /// The address.
        address: String,
    },
    /// Many calls with it were refused within minutes.
    Refusals {
        /// How many.
        count: u64,
    },
}

/// A change of a tenant's state or ownership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantNotice {
    /// Suspended by the operator.
    Suspended,
    /// In use again.
    Reinstated,
    /// Will be deleted at a time, until which an owner can cancel that.
    DeletionScheduled {
        /// When.
        at: Timestamp,
    },
    /// The receiver is an owner now.
    OwnershipReceived,
}

/// What happened to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountNotice {
    /// Suspended by the operator.
    Suspended,
    /// In use again.
    Reinstated,
    /// Deleted.
    Deleted,
}

/// How a message looks: that of the tenant it speaks for, or the product's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailBrand {
    /// Name of the tenant, for verified addresses; the product's own where absent.
    pub name: Option<String>,
    /// Subdomain of the tenant, which stands for its name at other addresses.
    pub subdomain: Option<String>,
    /// Colour of buttons and headings, `#rrggbb`; the product's own where absent.
    pub primary: Option<String>,
}
