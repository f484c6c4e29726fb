//! Settings of the scanner for malware.

use std::sync::Arc;

use documented::DocumentedFields;
use portico_clamav::ClamAv;
use portico_kernel::malware::MalwareScanner;
use portico_runtime::settings::Problems;
use serde::{Deserialize, Serialize};
use url::Host;

/// ClamAV, which looks for malware in files of releases, and in files and mails that come with tickets.
#[derive(Clone, Debug, Default, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Clamav {
    /// Host and port of a daemon, such as `clamav.internal:3310`. It is spoken to without encryption. Default: none, files are not scanned.
    pub address: Option<String>,
    /// Whether a release may be published, and a file of a ticket loaded, that is larger than the daemon takes (its `StreamMaxLength`).
    pub publish_too_large: bool,
}

impl Clamav {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if self.address.as_deref().is_some_and(|address| !is_address(address)) {
            problems.add("clamav.address must be a host and a port, such as clamav.internal:3310");
        }
        problems.into_result()
    }

    /// The scanner, if there is one. Makes no connection.
    pub fn scanner(&self) -> Option<Arc<dyn MalwareScanner>> {
        self.address.as_ref().map(|address| Arc::new(ClamAv::at(address)) as Arc<dyn MalwareScanner>)
    }
}

/// Whether a text is a host and a port, and nothing else.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    Host::parse(host).is_ok() && port.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_has_a_host_and_a_port() {
        let of = |address: &str| Clamav { address: Some(address.to_owned()), ..Clamav::default() };
        for right in ["clamav:3310", "127.0.0.1:3310", "[::1]:3310", "clamav.internal:1"] {
            assert!(of(right).check().is_ok() && of(right).scanner().is_some(), "{right}");
        }
        for wrong in
            ["", "clamav", "clamav:", ":3310", "clamav:0", "clamav:70000", "tcp://clamav:3310", "::1"]
        {
            assert!(of(wrong).check().is_err(), "{wrong}");
        }
        assert!(Clamav::default().check().is_ok() && Clamav::default().scanner().is_none());
    }
}
