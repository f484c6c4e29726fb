//! Sends messages through a mail server.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    address::AddressError,
    message::{
        Mailbox, MultiPart,
        header::{Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        self,
        response::{Category, Code},
    },
};
use portico_kernel::{
    mail::{MailError, MailMessage, MailTransport},
    name_text::one_line,
};

/// Timeout of each step.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The SMTP settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum SmtpSetupError {
    /// Not an address such as `Portico <no-reply@example.com>`.
    #[error("sender address: {0}")]
    From(#[from] AddressError),
    /// Not a URL such as `smtps://user:password@smtp.example.com`.
    #[error("SMTP URL: {0}")]
    Url(#[from] smtp::Error),
}

/// Sends through one mail server, over a pool of connections.
pub struct SmtpTransport {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl SmtpTransport {
    /// From a URL (`smtps://user:password@host`, `smtp://host:587?tls=required`, `smtp://localhost:1025`) and the sender
    /// (`Name <address>`, or the address alone). Connects when the first message is sent. Must be called inside a tokio
    /// runtime, because of the pool.
    pub fn new(url: &str, from: &str) -> Result<Self, SmtpSetupError> {
        let from = from.parse()?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?.timeout(Some(TIMEOUT)).build();
        Ok(Self { transport, from })
    }

    /// Whether mail can be sent from this sender. Sends nothing.
    ///
    /// # Errors
    /// [`SmtpSetupError::From`].
    pub fn check_sender(from: &str) -> Result<(), SmtpSetupError> {
        from.parse::<Mailbox>()?;
        Ok(())
    }

    /// Whether this is the URL of a mail server. Connects to none.
    ///
    /// # Errors
    /// [`SmtpSetupError::Url`].
    pub fn check_url(url: &str) -> Result<(), SmtpSetupError> {
        AsyncSmtpTransport::<Tokio1Executor>::from_url(url)?;
        Ok(())
    }

    fn build(&self, message: &MailMessage) -> Result<Message, Box<dyn std::error::Error + Send + Sync>> {
        // lettre panics on a line break in a name, and a header must not contain one.
        let to = Mailbox::new(message.to_name.as_deref().map(one_line), message.to.parse()?);
        // An address given by a stranger is parsed, so it can only be an address; an invalid one is left out.
        let reply_to = message.reply_to.as_deref().and_then(|address| address.parse().ok());
        let mut builder = Message::builder().from(self.from.clone()).to(to);
        if let Some(address) = reply_to {
            builder = builder.reply_to(Mailbox::new(None, address));
        }
        Ok(builder
            .subject(one_line(&message.subject))
            .message_id(Some(format!("<{}@{}>", message.id, self.from.email.domain())))
            .header(AutoSubmitted)
            .multipart(MultiPart::alternative_plain_html(message.text.clone(), message.html.clone()))?)
    }
}

impl fmt::Debug for SmtpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The transport holds the password of the mail server.
        f.debug_struct("SmtpTransport").field("from", &self.from).finish_non_exhaustive()
    }
}

/// `Auto-Submitted: auto-generated` (RFC 3834 section 5): keeps vacation responders quiet.
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }
    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }
    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".into())
    }
}

/// Whether a permanent refusal concerns this message. A refusal of our authentication (codes 530 to 538, RFC 4954
/// section 6) does not: the message is sent once the operator has corrected the settings.
fn is_final(code: Code) -> bool {
    code.category != Category::Unspecified3
}

#[async_trait]
impl MailTransport for SmtpTransport {
    async fn send(&self, message: &MailMessage) -> Result<(), MailError> {
        let message = self.build(message).map_err(MailError::Rejected)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() && error.status().is_some_and(is_final) => {
                Err(MailError::Rejected(error.into()))
            }
            Err(error) => Err(MailError::Unavailable(error.into())),
        }
    }
}
