//! What a scanner for malware says of a file.

use serde::Serialize;

/// What a scanner for malware says of the file of a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ScanStatus {
    /// Nothing: the installation had no scanner when it was uploaded.
    NotScanned,
    /// Nothing yet.
    Scanning,
    /// It has found nothing.
    Clean,
    /// It has found something. The file is deleted.
    Infected,
    /// It did not answer the last time. It is asked again.
    Failed,
    /// It does not take files of this size.
    TooLargeToScan,
}

impl ScanStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::NotScanned, Self::Scanning, Self::Clean, Self::Infected, Self::Failed, Self::TooLargeToScan];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotScanned => "not_scanned",
            Self::Scanning => "scanning",
            Self::Clean => "clean",
            Self::Infected => "infected",
            Self::Failed => "failed",
            Self::TooLargeToScan => "too_large_to_scan",
        }
    }

    /// The status of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether the scanner is still to say something.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Scanning | Self::Failed)
    }

    /// Whether a file of which this is said may be offered. One that is too large for the scanner may where the operator says so.
    pub const fn may_be_offered(self, unscannable: bool) -> bool {
        match self {
            Self::NotScanned | Self::Clean => true,
            Self::TooLargeToScan => unscannable,
            Self::Scanning | Self::Infected | Self::Failed => false,
        }
    }
}
