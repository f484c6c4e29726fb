//! Sending email: the message, and the port of the transport.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::Id;

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
