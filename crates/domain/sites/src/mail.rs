//! The messages about sites.

use portico_kernel::mail::{Mail, MailClass, MailContent, MailValue};

/// A message about a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SiteMail {
    /// Brings what a visitor sent through a contact form. Every text of it comes from a stranger.
    Submission {
        /// Name of the site.
        site: String,
        /// Path of the page with the form.
        page: String,
        /// Name of the visitor, as they say.
        name: String,
        /// Address of the visitor, as they say; answers go there.
        email: String,
        /// Phone number, as they say.
        phone: Option<String>,
        /// What they write.
        message: String,
        /// Whether they agreed to be written to later.
        consent: bool,
    },
    /// Says that a visitor wrote through a contact form, without a word of what they wrote: for an address that a tenant named, but
    /// that none of its members has verified.
    SubmissionWaiting {
        /// Subdomain of the site.
        site: String,
    },
}

impl Mail for SiteMail {
    fn content(&self) -> MailContent {
        match self {
            Self::Submission { site, page, name, email, phone, message, consent } => {
                let content = MailContent::new("submission", MailClass::Submission)
                    .written("site", site)
                    .written("page", page)
                    .written("visitor", name)
                    .written("email", email)
                    .with("phone", phone.clone().map(MailValue::Written))
                    .written("message", message)
                    .with("consent", *consent)
                    .for_tenant();
                MailContent { reply_to: Some(email.clone()), ..content }
            }
            Self::SubmissionWaiting { site } => {
                let content = MailContent::new("submission_waiting", MailClass::Unsolicited);
                content.with("site", site.as_str()).for_tenant()
            }
        }
    }
}
