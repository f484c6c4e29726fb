//! The messages that identity sends.

use portico_kernel::{
    Timestamp,
    mail::{Mail, MailClass, MailContent, MailValue},
};

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
    pub fn for_user(user: &User) -> Self {
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

    /// Which budget of theirs a message counts against. Whatever goes to an address that is not verified, everybody can cause.
    pub fn class(&self, mail: &MailContent) -> MailClass {
        match mail.class {
            MailClass::Recovery => MailClass::Recovery,
            _ if !self.is_verified() => MailClass::Unsolicited,
            class => class,
        }
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
    /// Tells the owners of a tenant about the use of an API key.
    ApiKeyNotice {
        /// Name of the tenant.
        tenant: String,
        /// Name of the key.
        key: String,
        /// What happened.
        notice: KeyNotice,
    },
    /// Tells that the account was suspended, deleted, or is back.
    AccountNotice {
        /// What happened.
        notice: AccountNotice,
    },
}

impl Mail for AccountMail {
    fn content(&self) -> MailContent {
        use MailClass::{Account, Recovery, Tenant, Unsolicited};
        match self {
            Self::Verification { token } => {
                MailContent::new("verification", Unsolicited).link("verify-email", token)
            }
            Self::AlreadyRegistered => MailContent::new("already_registered", Unsolicited),
            Self::Welcome => MailContent::new("welcome", Account),
            Self::PasswordReset { token } => {
                MailContent::new("password_reset", Recovery).link("reset-password", token)
            }
            Self::PasswordChanged => MailContent::new("password_changed", Account),
            Self::EmailChange { token } => {
                MailContent::new("email_change", Unsolicited).link("confirm-email-change", token)
            }
            Self::EmailChangeRequested { masked, token } => {
                let content = MailContent::new("email_change_requested", Account);
                content.link("cancel-email-change", token).with("masked", masked.as_str())
            }
            Self::EmailChanged { masked } => {
                MailContent::new("email_changed", Account).with("masked", masked.as_str())
            }
            Self::NewDevice { device, address, at } => MailContent::new("new_device", Account)
                .with("device", device.clone().map(MailValue::UserAgent))
                .with("address", address.as_deref())
                .with("at", *at),
            Self::SecondFactorChanged { change } => MailContent::new(change.key(), Account),
            Self::IdentityLinked { provider } => {
                MailContent::new("identity_linked", Account).with("provider", provider.as_str())
            }
            Self::ApiKeyNotice { tenant, key, notice } => {
                let content = match notice {
                    KeyNotice::Created => MailContent::new("api_key.created", Tenant),
                    KeyNotice::NewAddress { address } => {
                        MailContent::new("api_key.new_address", Tenant).with("address", address.as_str())
                    }
                    KeyNotice::Refusals { count } => {
                        MailContent::new("api_key.refusals", Tenant).with("count", *count)
                    }
                };
                content.written("tenant", tenant).written("key", key).for_tenant()
            }
            Self::AccountNotice { notice } => MailContent::new(notice.key(), Account),
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

impl FactorChange {
    const fn key(self) -> &'static str {
        match self {
            Self::TotpAdded => "second_factor.totp_added",
            Self::TotpRemoved => "second_factor.totp_removed",
            Self::PasskeyAdded => "second_factor.passkey_added",
            Self::PasskeyRemoved => "second_factor.passkey_removed",
            Self::RecoveryCodeUsed => "second_factor.recovery_code_used",
            Self::RecoveryCodesRenewed => "second_factor.recovery_codes_renewed",
            Self::Reset => "second_factor.reset",
        }
    }
}

/// What happened around an API key.
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

impl AccountNotice {
    const fn key(self) -> &'static str {
        match self {
            Self::Suspended => "account.suspended",
            Self::Reinstated => "account.reinstated",
            Self::Deleted => "account.deleted",
        }
    }
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
