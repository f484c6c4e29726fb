//! Months of the calendar.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{Date, OffsetDateTime};

use crate::Timestamp;

/// A month of the calendar, in UTC. Written `2026-11`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(i32);

impl Month {
    /// The month to which a time belongs.
    pub fn of(time: Timestamp) -> Self {
        let date = time.into_inner().date();
        Self(date.year() * 12 + i32::from(u8::from(date.month())) - 1)
    }

    /// Reads `2026-11`, of the years 1970 to 9998.
    pub fn parse(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let is_number = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        if !is_number(year, 4) || !is_number(month, 2) {
            return None;
        }
        let (year, month): (i32, i32) = (year.parse().ok()?, month.parse().ok()?);
        ((1970..=9998).contains(&year) && (1..=12).contains(&month)).then(|| Self(year * 12 + month - 1))
    }

    /// The month that is so many months later, or earlier where it is less than nothing.
    #[must_use]
    pub const fn plus(self, months: i32) -> Self {
        Self(self.0.saturating_add(months))
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// How many months an earlier one is before it; less than nothing for a later one.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Its first moment.
    pub fn starts_at(self) -> Timestamp {
        let month =
            u8::try_from(self.0.rem_euclid(12) + 1).ok().and_then(|month| time::Month::try_from(month).ok());
        let first = Date::from_calendar_date(self.0.div_euclid(12), month.unwrap_or(time::Month::January), 1);
        Timestamp::new(first.map_or(OffsetDateTime::UNIX_EPOCH, |first| first.midnight().assume_utc()))
    }

    /// Its end: the first moment of the next one.
    pub fn ends_at(self) -> Timestamp {
        self.next().starts_at()
    }

    /// This one and those after it, up to the last one; none where that is earlier.
    pub fn through(self, last: Self) -> impl Iterator<Item = Self> {
        (self.0..=last.0).map(Self)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

impl Serialize for Month {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Month {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("use a month as 2026-11"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_written_and_counted() {
        let month = Month::parse("2026-11").unwrap();
        assert_eq!(month.to_string(), "2026-11");
        assert_eq!(month.plus(2).to_string(), "2027-01");
        assert_eq!(month.plus(-11).to_string(), "2025-12");
        assert_eq!((month.next().since(month), month.since(month.plus(13))), (1, -13));
        assert_eq!(month.starts_at().to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(month.ends_at(), month.next().starts_at());
        assert_eq!(month.through(month.plus(2)).count(), 3);
        assert_eq!(month.through(month.plus(-1)).count(), 0);
        assert_eq!(serde_json::to_value(month).unwrap(), "2026-11");
        assert_eq!(serde_json::from_str::<Month>("\"2026-11\"").unwrap(), month);
    }

    #[test]
    fn the_last_moment_belongs_to_the_month() {
        let month = Month::parse("2024-02").unwrap();
        assert_eq!(Month::of(month.starts_at()), month);
        assert_eq!(Month::of(month.ends_at() - time::Duration::microseconds(1)), month);
        assert_eq!(Month::of(month.ends_at()), month.next());
    }

    #[test]
    fn nothing_else_is_a_month() {
        for text in [
            "",
            "2026",
            "2026-0",
            "2026-00",
            "2026-13",
            "26-11",
            "+026-11",
            "2026-11-01",
            "1969-12",
            "9999-01",
        ] {
            assert_eq!(Month::parse(text), None, "{text}");
            assert!(serde_json::from_str::<Month>(&format!("\"{text}\"")).is_err());
        }
    }
}
