//! Sending email: what a domain says in a message, the message itself, and the port that hands it over.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Id, Timestamp};

/// A kind of message, with what it is about. Each domain declares its own; the adapter has texts for each key, in every language.
pub trait Mail: Send + Sync {
    /// What it says.
    fn content(&self) -> MailContent;
}

/// What a message says, before it is put into words.
#[derive(Clone, Debug, PartialEq)]
pub struct MailContent {
    /// Key of its texts, for instance `password_reset`.
    pub key: &'static str,
    /// Which budget of the recipient it counts against, if their address is verified.
    pub class: MailClass,
    /// Page of the portal that its link leads to; the start page where that is empty.
    pub page: &'static str,
    /// Secret of the link, which gets it as `?token=`.
    pub token: Option<String>,
    /// What the texts name.
    pub values: BTreeMap<&'static str, MailValue>,
    /// Whether a tenant speaks here, and not the operator about it: then the message has the tenant's look.
    pub speaks_for_tenant: bool,
    /// Where answers go, if not to the sender.
    pub reply_to: Option<String>,
}

/// What a text of a message names.
#[derive(Clone, Debug, PartialEq)]
pub enum MailValue {
    /// A text that users or visitors chose, such as the name of a tenant. A message with one goes to verified addresses only: to
    /// any other, everybody can have us write.
    Written(String),
    /// Any other text: an address, a provider, a subdomain.
    Text(String),
    /// A number.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// A point in time.
    Time(Timestamp),
    /// Name of a line among the texts that all messages share, for instance that of a role.
    Line(&'static str),
    /// `User-Agent` of a client. The name of the program is made of it, and nothing else is shown.
    UserAgent(String),
    /// Nothing.
    Absent,
}

impl MailContent {
    /// A message without a link, which the operator sends.
    pub const fn new(key: &'static str, class: MailClass) -> Self {
        let values = BTreeMap::new();
        Self { key, class, page: "", token: None, values, speaks_for_tenant: false, reply_to: None }
    }

    /// With a link to a page of the portal.
    #[must_use]
    pub fn link(self, page: &'static str, token: &str) -> Self {
        Self { page, token: Some(token.to_owned()), ..self }
    }

    /// With a value that its texts name.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<MailValue>) -> Self {
        self.values.insert(name, value.into());
        self
    }

    /// With a text that users or visitors chose, see [`MailValue::Written`].
    #[must_use]
    pub fn written(self, name: &'static str, text: &str) -> Self {
        self.with(name, MailValue::Written(text.to_owned()))
    }

    /// In the look of the tenant.
    #[must_use]
    pub fn for_tenant(self) -> Self {
        Self { speaks_for_tenant: true, ..self }
    }

    /// Whether it holds a text that users or visitors chose.
    pub fn has_free_text(&self) -> bool {
        self.values.values().any(|value| matches!(value, MailValue::Written(_)))
    }
}

impl From<&str> for MailValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u64> for MailValue {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for MailValue {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Timestamp> for MailValue {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl<V: Into<Self>> From<Option<V>> for MailValue {
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

/// Who can cause a message, and so whose flood could use a budget up. Each class has a budget of its own for each recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailClass {
    /// Everybody, for any address.
    Unsolicited,
    /// Everybody who knows the address of an account. Apart, so that nothing else keeps its owner from a new password.
    Recovery,
    /// A caller who is signed in to the account. These messages must not be lost.
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

/// Id of a message.
pub type MailId = Id<MailMessage>;

/// A message ready to send, as HTML and as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailMessage {
    /// The same for every attempt to send this message, so that a receiver can detect duplicates (RFC 5322 section 3.6.4).
    pub id: MailId,
    /// Address of the receiver.
    pub to: String,
    /// Display name of the receiver.
    pub to_name: Option<String>,
    /// Where answers go, if not to the sender. It may be input of a visitor: a transport leaves out what is no address.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Subject.
    pub subject: String,
    /// Body as HTML.
    pub html: String,
    /// Body as plain text.
    pub text: String,
}

/// Mail transport.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MailTransport: Send + Sync {
    /// Passes the message to the next hop. MUST return only after the next hop has taken responsibility for it, and MUST answer
    /// [`MailError::Rejected`] when trying again cannot help.
    async fn send(&self, message: &MailMessage) -> Result<(), MailError>;
}

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The next hop is down or busy; try again later.
    #[error("mail transport unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The message or its receiver is refused for good.
    #[error("mail rejected")]
    Rejected(#[source] Box<dyn std::error::Error + Send + Sync>),
}
