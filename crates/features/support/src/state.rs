//! Shared state of the routes and background jobs of support.

use std::sync::Arc;

use portico_identity::user::EmailAddress;
use portico_kernel::{files::FileStore, malware::MalwareScanner};
use portico_runtime::{core::Core, mailing::Mailing};
use portico_support::{priority::ReplyTargets, reply_address::ReplyAddresses, scan_state::AttachmentScan};
use portico_web::api::Api;
use secrecy::SecretString;

/// The dependencies of this feature. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// Shared by the whole process.
    pub core: Core,
    /// Shared by the routes of all features.
    pub api: Api,
    /// Sends mail.
    pub mail: Mailing,
    /// How support works here.
    pub rule: Arc<SupportRule>,
    /// Keeps the files that come with tickets.
    pub files: Arc<dyn FileStore>,
    /// Looks for malware in them, and in mails; none where the installation has no scanner.
    pub scanner: Option<Arc<dyn MalwareScanner>>,
    /// Whether a file may be loaded that is too large for the scanner.
    pub serve_unscannable: bool,
}

/// How support works in an installation.
pub struct SupportRule {
    /// Until when tickets are to be answered first.
    pub targets: ReplyTargets,
    /// Where tickets are answered by mail.
    pub addresses: ReplyAddresses,
    /// What the mail provider shows when it brings mail; without it none is taken.
    pub inbound_password: Option<SecretString>,
    /// Who of the staff is told of tickets that nobody looks after.
    pub desk: Option<DeskAddress>,
}

/// The address of the desk.
pub struct DeskAddress {
    /// Address.
    pub email: EmailAddress,
    /// In which language it is written to, BCP 47.
    pub language: String,
}

impl App {
    /// What is said of a file or a mail that just came.
    pub fn scan_state(&self) -> AttachmentScan {
        if self.scanner.is_some() { AttachmentScan::Pending } else { AttachmentScan::NotScanned }
    }

    /// The same state for background jobs.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), mail: self.mail.for_background(), ..self.clone() }
    }
}
