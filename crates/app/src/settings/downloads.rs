//! Settings of downloads.

use std::time::Duration;

use documented::DocumentedFields;
use portico_feature_licensing::state::DownloadRule;
use portico_runtime::settings::{Problems, sources::duration};
use serde::{Deserialize, Serialize};

/// Shortest and longest time for which a link may be good, in seconds: a minute to a week.
const LINK_SECONDS: std::ops::RangeInclusive<u32> = 60..=7 * 24 * 3600;

/// Most bytes that a file may be allowed to have: what a bucket takes in 10,000 parts of 8 MiB.
const FILE_BYTES: u64 = 10_000 * (8 << 20);

/// Releases for download.
#[derive(Clone, Debug, Deserialize, Serialize, DocumentedFields)]
#[serde(deny_unknown_fields, default)]
pub struct Downloads {
    /// Most bytes of the file of a release, up to 83886080000. Default: `5368709120` (5 GiB).
    pub max_file_bytes: u64,
    /// For how many seconds a link to download is good, 60 to 604800.
    pub link_seconds: u32,
    /// Whether files of a bucket are sent through this server, and not by the bucket itself at an address that is good for a minute: for
    /// buckets that customers cannot reach.
    pub through_server: bool,
    /// How long it is kept who has downloaded what, with their addresses; 0s keeps it for ever.
    #[serde(with = "duration")]
    pub log_retention: Duration,
    /// How long after it was withdrawn, or last changed, the file of a release is deleted; 0s keeps it for ever.
    #[serde(with = "duration")]
    pub withdrawn_retention: Duration,
}

impl Default for Downloads {
    fn default() -> Self {
        Self {
            max_file_bytes: 5 << 30,
            link_seconds: 900,
            through_server: false,
            log_retention: Duration::from_secs(365 * 24 * 3600),
            withdrawn_retention: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

impl Downloads {
    /// Fails if a setting is invalid.
    pub(super) fn check(&self) -> Result<(), Problems> {
        let mut problems = Problems::default();
        if !(1..=FILE_BYTES).contains(&self.max_file_bytes) {
            problems.add(format!("downloads.max_file_bytes must be between 1 and {FILE_BYTES}"));
        }
        if !LINK_SECONDS.contains(&self.link_seconds) {
            problems.add("downloads.link_seconds must be between 60 (a minute) and 604800 (seven days)");
        }
        problems.into_result()
    }

    /// How downloads work. `publish_unscannable` says whether a file may be published that is too large for the scanner.
    pub fn rule(&self, publish_unscannable: bool) -> DownloadRule {
        let kept = |retention| time::Duration::try_from(retention).ok().filter(|kept| !kept.is_zero());
        DownloadRule {
            max_file_bytes: self.max_file_bytes,
            link_lifetime: time::Duration::seconds(self.link_seconds.into()),
            through_server: self.through_server,
            log_retention: kept(self.log_retention),
            withdrawn_retention: kept(self.withdrawn_retention),
            publish_unscannable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lives_a_minute_to_a_week_and_a_log_for_ever_or_some_time() {
        assert!(Downloads::default().check().is_ok());
        for wrong in [
            Downloads { link_seconds: 59, ..Downloads::default() },
            Downloads { link_seconds: 604_801, ..Downloads::default() },
            Downloads { max_file_bytes: 0, ..Downloads::default() },
            Downloads { max_file_bytes: FILE_BYTES + 1, ..Downloads::default() },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
        let rule = Downloads::default().rule(false);
        assert_eq!((rule.link_lifetime, rule.max_file_bytes), (time::Duration::minutes(15), 5_368_709_120));
        assert_eq!(rule.log_retention, Some(time::Duration::days(365)));
        assert_eq!(rule.withdrawn_retention, Some(time::Duration::days(90)));
        let kept = Downloads {
            log_retention: Duration::ZERO,
            withdrawn_retention: Duration::ZERO,
            ..Downloads::default()
        };
        let rule = kept.rule(true);
        assert_eq!(
            (rule.log_retention, rule.withdrawn_retention, rule.publish_unscannable),
            (None, None, true)
        );
    }
}
