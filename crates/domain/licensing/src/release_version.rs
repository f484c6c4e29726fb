//! Versions of releases: Semantic Versioning 2.0.0, without build metadata, which has no order.

use std::cmp::Ordering;

use semver::Version;
use serde::{Serialize, Serializer};

/// Most characters of a version.
pub(crate) const VERSION_MAX: usize = 64;

/// A version such as `2.1.0` or `2.1.0-beta.3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseVersion {
    text: String,
    parsed: Version,
}

impl ReleaseVersion {
    /// The version that a text says; `None` for one that is none, has build metadata or numbers beyond 64 bits, or is longer than 64
    /// characters.
    pub fn parse(text: &str) -> Option<Self> {
        let parsed = Version::parse(text).ok().filter(|_| text.len() <= VERSION_MAX)?;
        let fits = |part: &str| !is_number(part) || part.parse::<u64>().is_ok();
        let is_ordered = parsed.build.is_empty() && parsed.pre.split('.').all(fits);
        is_ordered.then(|| Self { text: text.to_owned(), parsed })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The major version, which licenses name. One beyond 32 bits is covered by licenses for every one only.
    pub fn major(&self) -> u32 {
        u32::try_from(self.parsed.major).unwrap_or(u32::MAX)
    }

    /// Bytes in the order of versions (section 11 of the specification), so that a store finds the newest by an index.
    ///
    /// Numbers have eight bytes. A part of a pre-release is 1 and its number, or 2, its text and 0; after the last part comes 0, and a
    /// version that is no pre-release, which is above all of those, has 255 in their place.
    pub fn order_key(&self) -> Vec<u8> {
        let Version { major, minor, patch, pre, .. } = &self.parsed;
        let mut key: Vec<u8> =
            [major, minor, patch].into_iter().flat_map(|number| number.to_be_bytes()).collect();
        if pre.is_empty() {
            key.push(u8::MAX);
            return key;
        }
        for part in pre.split('.') {
            match part.parse::<u64>() {
                Ok(number) if is_number(part) => {
                    key.push(1);
                    key.extend(number.to_be_bytes());
                }
                _ => {
                    key.push(2);
                    key.extend(part.bytes());
                    key.push(0);
                }
            }
        }
        key.push(0);
        key
    }
}

fn is_number(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

impl PartialOrd for ReleaseVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ReleaseVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parsed.cmp(&other.parsed)
    }
}

impl Serialize for ReleaseVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> ReleaseVersion {
        ReleaseVersion::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    fn versions() -> impl Strategy<Value = ReleaseVersion> {
        "[0-3]\\.[0-3]\\.(0|10|9)(-(0|9|10|a|aa|b|-|a-|A)(\\.(0|9|10|a|Z|-1)){0,2})?"
            .prop_map(|text| version(&text))
    }

    proptest! {
        #[test]
        fn keys_have_the_order_of_versions(one in versions(), other in versions()) {
            prop_assert_eq!(one.order_key().cmp(&other.order_key()), one.cmp(&other), "{:?} {:?}", one, other);
        }
    }

    #[test]
    fn the_example_of_the_specification_is_in_order() {
        let texts = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.10.0",
            "2.0.0",
        ];
        for pair in texts.windows(2) {
            let (one, next) = (version(pair[0]), version(pair[1]));
            assert!(one < next && one.order_key() < next.order_key(), "{pair:?}");
        }
        assert_eq!(version("18446744073709551615.0.0").major(), u32::MAX);
        assert_eq!(version("2.1.0-beta.3").major(), 2);
    }

    #[test]
    fn what_has_no_order_is_no_version() {
        let long = format!("1.0.0-{}", "a".repeat(60));
        for text in [
            "",
            "1",
            "1.0",
            "v1.0.0",
            "1.0.0 ",
            "01.0.0",
            "1.0.0-01",
            "1.0.0-",
            "1.0.0+build",
            "1.0.0-a..b",
            "1.0.0-99999999999999999999",
            "1.0.0-ñ",
            &long,
        ] {
            assert_eq!(ReleaseVersion::parse(text), None, "{text}");
        }
    }
}
