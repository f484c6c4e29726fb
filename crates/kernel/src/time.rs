//! Points in time.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// A point in time: UTC, in whole microseconds, because that is what every store keeps.
///
/// JSON form: RFC 3339, for instance `2026-11-21T09:30:00.5Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

/// The years that RFC 3339 can write.
const YEARS: RangeInclusive<i32> = 0..=9999;

impl Timestamp {
    /// Converts to UTC and cuts to microseconds. What others have sent is for [`Timestamp::checked`].
    ///
    /// # Panics
    /// For a time that is beyond the year 9999 in UTC.
    pub fn new(time: OffsetDateTime) -> Self {
        let utc = time.to_offset(UtcOffset::UTC);
        let micros = utc.microsecond();
        Self(utc.replace_microsecond(micros).unwrap_or(utc))
    }

    /// The same of a time that others have sent; `None` where its year in UTC cannot be written: its offset may lead there.
    pub fn checked(time: OffsetDateTime) -> Option<Self> {
        let utc = time.checked_to_offset(UtcOffset::UTC)?;
        YEARS.contains(&utc.year()).then(|| Self::new(utc))
    }

    /// A time of RFC 3339 with any offset; `None` for a text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        OffsetDateTime::parse(text, &Rfc3339).ok().and_then(Self::checked)
    }

    /// From seconds since 1970-01-01T00:00:00Z; `None` when out of range.
    pub fn from_unix_seconds(seconds: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp(seconds).ok().map(Self)
    }

    /// From microseconds since 1970-01-01T00:00:00Z; `None` when out of range.
    pub fn from_unix_micros(micros: i64) -> Option<Self> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1000).ok().map(Self)
    }

    /// Whole seconds since 1970-01-01T00:00:00Z.
    pub fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn unix_micros(self) -> i64 {
        (self.0.unix_timestamp_nanos() / 1000) as i64
    }

    /// The underlying time, in UTC.
    pub const fn into_inner(self) -> OffsetDateTime {
        self.0
    }
}

impl From<OffsetDateTime> for Timestamp {
    fn from(time: OffsetDateTime) -> Self {
        Self::new(time)
    }
}
impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self::new(self.0.saturating_add(duration))
    }
}
impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, duration: Duration) -> Self {
        Self::new(self.0.saturating_sub(duration))
    }
}
impl std::ops::Sub for Timestamp {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.0 - earlier.0
    }
}
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        time::serde::rfc3339::serialize(&self.0, serializer)
    }
}
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = time::serde::rfc3339::deserialize(deserializer)?;
        Self::checked(time).ok_or_else(|| D::Error::custom("the year is not one of 0 to 9999 in UTC"))
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, schema::Type};
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .into()
    }
}
#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_written_in_utc_is_none() {
        for (text, utc) in [
            ("2027-11-23T10:03:12Z", Some("2027-11-23T10:03:12Z")),
            ("2027-11-23T10:03:12.1234567+02:30", Some("2027-11-23T07:33:12.123456Z")),
            ("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59Z")),
            ("9999-12-31T23:59:59-00:01", None),
            ("0000-01-01T00:00:00Z", Some("0000-01-01T00:00:00Z")),
            ("0000-01-01T00:00:00+00:01", None),
            ("2027-11-23", None),
        ] {
            let parsed = Timestamp::parse(text).map(|time| time.to_string());
            assert_eq!(parsed.as_deref(), utc, "{text}");
            let read: Result<Timestamp, _> = serde_json::from_value(text.into());
            assert_eq!(read.ok(), Timestamp::parse(text), "{text}");
        }
    }
}
