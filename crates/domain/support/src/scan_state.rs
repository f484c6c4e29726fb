//! What a scanner for malware says of a file that came with a ticket.

use portico_kernel::malware::Verdict;
use serde::{Deserialize, Serialize};

/// What a scanner for malware says of a file that came with a ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AttachmentScan {
    /// Nothing: the installation had no scanner when it came, or has none any more, or it was deleted before it was scanned.
    #[default]
    NotScanned,
    /// Nothing yet. It is asked until it answers.
    Pending,
    /// It has found nothing.
    Clean,
    /// It has found something. The file is deleted.
    Infected,
    /// It does not take files of this size.
    TooLargeToScan,
}

impl AttachmentScan {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::NotScanned, Self::Pending, Self::Clean, Self::Infected, Self::TooLargeToScan];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotScanned => "not_scanned",
            Self::Pending => "pending",
            Self::Clean => "clean",
            Self::Infected => "infected",
            Self::TooLargeToScan => "too_large_to_scan",
        }
    }

    /// The state of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether a file of which this is said may be loaded. One that is too large for the scanner may where the operator says so
    /// (`unscannable`).
    pub const fn may_be_loaded(self, unscannable: bool) -> bool {
        match self {
            Self::NotScanned | Self::Clean => true,
            Self::TooLargeToScan => unscannable,
            Self::Pending | Self::Infected => false,
        }
    }
}

/// What came of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is to be said of the file.
    pub scan: AttachmentScan,
    /// The name of what was found in it, as the scanner calls it.
    pub signature: Option<String>,
}

impl Finding {
    /// It was not scanned, and will not be: it was deleted before, or there is no scanner any more.
    pub const NOT_SCANNED: Self = Self { scan: AttachmentScan::NotScanned, signature: None };
}

impl From<Verdict> for Finding {
    fn from(verdict: Verdict) -> Self {
        let (scan, signature) = match verdict {
            Verdict::Clean => (AttachmentScan::Clean, None),
            Verdict::Infected(signature) => (AttachmentScan::Infected, Some(signature)),
            Verdict::TooLarge => (AttachmentScan::TooLargeToScan, None),
        };
        Self { scan, signature }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_answer_is_no_permission() {
        for (state, strict, lenient) in [
            (AttachmentScan::NotScanned, true, true),
            (AttachmentScan::Pending, false, false),
            (AttachmentScan::Clean, true, true),
            (AttachmentScan::Infected, false, false),
            (AttachmentScan::TooLargeToScan, false, true),
        ] {
            assert_eq!(
                (state.may_be_loaded(false), state.may_be_loaded(true)),
                (strict, lenient),
                "{state:?}"
            );
            assert_eq!(AttachmentScan::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        assert_eq!(AttachmentScan::parse("dirty"), None);
    }
}
