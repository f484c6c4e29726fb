//! Periods over which meters count.

use portico_kernel::{Meter, Timestamp};
use time::{Date, Month, OffsetDateTime, UtcOffset};

/// The period over which a meter counts. A new one begins at zero because it has a key of its own; nothing is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// Without end: what there is now.
    Standing,
    /// A calendar month in UTC.
    Month {
        /// Year.
        year: i32,
        /// 1 to 12.
        month: u8,
    },
}

impl Period {
    /// The period that a meter counts over at this time.
    pub fn for_meter(meter: Meter, now: Timestamp) -> Self {
        if meter.is_monthly() { Self::month_of(now) } else { Self::Standing }
    }

    /// The calendar month of a point in time.
    pub fn month_of(now: Timestamp) -> Self {
        let date = now.into_inner().date();
        Self::Month { year: date.year(), month: date.month().into() }
    }

    /// Its key in the database: empty for [`Period::Standing`], `2026-11` for a month.
    pub fn key(self) -> String {
        match self {
            Self::Standing => String::new(),
            Self::Month { year, month } => format!("{year:04}-{month:02}"),
        }
    }

    /// The period of this key.
    pub fn parse(key: &str) -> Option<Self> {
        if key.is_empty() {
            return Some(Self::Standing);
        }
        let (year, month) = key.split_once('-')?;
        let month = month.parse().ok().filter(|month| (1..=12).contains(month))?;
        Some(Self::Month { year: year.parse().ok()?, month })
    }

    /// When it is over, and the next one begins.
    pub fn ends_at(self) -> Option<Timestamp> {
        let Self::Month { year, month } = self else { return None };
        let (year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        let first = Date::from_calendar_date(year, Month::try_from(next).ok()?, 1).ok()?;
        Some(OffsetDateTime::new_in_offset(first, time::Time::MIDNIGHT, UtcOffset::UTC).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    #[test]
    fn a_month_ends_where_the_next_one_begins() {
        // 2026-12-31T23:59:59Z
        let last = Period::month_of(at(1_798_761_599));
        assert_eq!(last.key(), "2026-12");
        assert_eq!(last.ends_at(), Some(at(1_798_761_600)));
        assert_eq!(Period::month_of(at(1_798_761_600)).key(), "2027-01");
        assert_eq!(Period::Standing.ends_at(), None);
    }

    #[test]
    fn keys_are_read_back() {
        for period in [Period::Standing, Period::Month { year: 2026, month: 2 }] {
            assert_eq!(Period::parse(&period.key()), Some(period));
        }
        for wrong in ["2026", "2026-13", "2026-00", "x-1", "-"] {
            assert_eq!(Period::parse(wrong), None, "{wrong}");
        }
    }
}
