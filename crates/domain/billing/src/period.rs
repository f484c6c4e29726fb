//! Periods over which meters count.

use portico_kernel::{Meter, Timestamp};
use time::{Date, Month, OffsetDateTime, Time, UtcOffset, format_description::well_known::Rfc3339};

/// The period over which a meter counts. A new one begins at zero because it has a key of its own; nothing is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Period {
    /// Without end: what there is now.
    Standing,
    /// A calendar month in UTC: the tokens of all tenants together, and what tenants used before they had billing periods.
    Month {
        /// Year.
        year: i32,
        /// 1 to 12.
        month: u8,
    },
    /// A day in UTC, for the record of what was added on each.
    Day(Date),
    /// A month from a tenant's anchor, see [`Period::of`].
    Billing {
        /// Its first moment.
        start: Timestamp,
        /// The first moment of the next one.
        end: Timestamp,
    },
}

impl Period {
    /// The period that a meter counts over at this time, for the tenant with this anchor.
    pub fn for_meter(meter: Meter, anchor: Timestamp, now: Timestamp) -> Self {
        if meter.is_monthly() { Self::of(anchor, now) } else { Self::Standing }
    }

    /// The billing period with a point in time in it. Periods begin on the day and at the time of the anchor, in each month in UTC, and
    /// on the last day of a month that has no such day. Each is computed from the anchor, so a short month moves no later one.
    pub fn of(anchor: Timestamp, at: Timestamp) -> Self {
        let months = |time: Timestamp| {
            let date = time.into_inner().date();
            date.year() * 12 + i32::from(u8::from(date.month())) - 1
        };
        let here = months(at) - months(anchor);
        let start = months_after(anchor, here);
        if at < start {
            Self::Billing { start: months_after(anchor, here - 1), end: start }
        } else {
            Self::Billing { start, end: months_after(anchor, here + 1) }
        }
    }

    /// The calendar month of a point in time.
    pub fn month_of(now: Timestamp) -> Self {
        let date = now.into_inner().date();
        Self::Month { year: date.year(), month: date.month().into() }
    }

    /// The day of a point in time.
    pub fn day_of(now: Timestamp) -> Self {
        Self::Day(now.into_inner().date())
    }

    /// Its key in the database: empty for [`Period::Standing`], `2026-11` for a month, `2026-11-23` for a day, and both ends of a
    /// billing period, `2026-11-23T10:00:00Z/2026-12-23T10:00:00Z`.
    pub fn key(self) -> String {
        match self {
            Self::Standing => String::new(),
            Self::Month { year, month } => format!("{year:04}-{month:02}"),
            Self::Day(date) => format!("{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day()),
            Self::Billing { start, end } => format!("{start}/{end}"),
        }
    }

    /// The period of this key.
    pub fn parse(key: &str) -> Option<Self> {
        if key.is_empty() {
            return Some(Self::Standing);
        }
        if let Some((start, end)) = key.split_once('/') {
            let time = |text| OffsetDateTime::parse(text, &Rfc3339).ok().map(Timestamp::new);
            return Some(Self::Billing { start: time(start)?, end: time(end)? });
        }
        let (year, rest) = key.split_once('-')?;
        let (month, day) = rest.split_once('-').map_or((rest, None), |(month, day)| (month, Some(day)));
        let month: u8 = month.parse().ok().filter(|month| (1..=12).contains(month))?;
        let year = year.parse().ok()?;
        let Some(day) = day else { return Some(Self::Month { year, month }) };
        let month = Month::try_from(month).ok()?;
        Date::from_calendar_date(year, month, day.parse().ok()?).ok().map(Self::Day)
    }

    /// Its first moment.
    pub fn starts_at(self) -> Option<Timestamp> {
        match self {
            Self::Billing { start, .. } => Some(start),
            _ => Some(midnight(self.days()?.0)),
        }
    }

    /// When it is over, and the next one begins.
    pub fn ends_at(self) -> Option<Timestamp> {
        match self {
            Self::Billing { end, .. } => Some(end),
            _ => Some(midnight(self.days()?.1)),
        }
    }

    /// The days of what is counted by day: the first one, and the first one of the next period. The day on which a billing period
    /// begins belongs to it as a whole.
    pub fn days(self) -> Option<(Date, Date)> {
        match self {
            Self::Standing => None,
            Self::Day(date) => Some((date, date.next_day()?)),
            Self::Month { year, month } => {
                let (after, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
                let first =
                    |year, month| Date::from_calendar_date(year, Month::try_from(month).ok()?, 1).ok();
                Some((first(year, month)?, first(after, next)?))
            }
            Self::Billing { start, end } => Some((start.into_inner().date(), end.into_inner().date())),
        }
    }
}

fn midnight(date: Date) -> Timestamp {
    OffsetDateTime::new_in_offset(date, Time::MIDNIGHT, UtcOffset::UTC).into()
}

/// The anchor, so many months later; on the last day of a month that is too short.
pub(crate) fn months_after(anchor: Timestamp, months: i32) -> Timestamp {
    let anchor = anchor.into_inner();
    let count = anchor.year() * 12 + i32::from(u8::from(anchor.month())) - 1 + months;
    let year = count.div_euclid(12);
    // From 0 to 11.
    let month = Month::January.nth_next(count.rem_euclid(12) as u8);
    let day = anchor.day().min(month.length(year));
    // Only years that no clock shows are out of range.
    let date =
        Date::from_calendar_date(year, month, day).unwrap_or(if year < 0 { Date::MIN } else { Date::MAX });
    anchor.replace_date(date).into()
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn time(text: &str) -> Timestamp {
        OffsetDateTime::parse(text, &Rfc3339).unwrap().into()
    }

    /// First moment and end.
    fn ends(period: Period) -> (Timestamp, Timestamp) {
        (period.starts_at().unwrap(), period.ends_at().unwrap())
    }

    #[test]
    fn a_month_ends_where_the_next_one_begins() {
        // 2026-12-31T23:59:59Z
        let last = Period::month_of(at(1_798_761_599));
        assert_eq!(last.key(), "2026-12");
        assert_eq!(last.starts_at(), Some(time("2026-12-01T00:00:00Z")));
        assert_eq!(last.ends_at(), Some(at(1_798_761_600)));
        assert_eq!(Period::month_of(at(1_798_761_600)).key(), "2027-01");
        assert_eq!((Period::Standing.starts_at(), Period::Standing.ends_at()), (None, None));
    }

    #[test]
    fn keys_are_read_back() {
        let anchor = time("2026-01-31T10:20:30.000001Z");
        for (period, key) in [
            (Period::Standing, ""),
            (Period::Month { year: 2026, month: 2 }, "2026-02"),
            (Period::day_of(anchor), "2026-01-31"),
            (
                Period::of(anchor, time("2026-03-01T00:00:00Z")),
                "2026-02-28T10:20:30.000001Z/2026-03-31T10:20:30.000001Z",
            ),
        ] {
            assert_eq!((period.key().as_str(), Period::parse(key)), (key, Some(period)));
        }
        for wrong in [
            "2026",
            "2026-13",
            "2026-00",
            "2026-02-29",
            "2026-1-1-1",
            "x-1",
            "-",
            "/",
            "2026-01-01/2026-02-01",
        ] {
            assert_eq!(Period::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_short_month_moves_no_later_period() {
        let anchor = time("2027-10-31T23:59:59.999999Z");
        let mut starts = Vec::new();
        let mut now = anchor;
        for _ in 0..8 {
            let (start, end) = ends(Period::of(anchor, now));
            assert_eq!(start, now);
            starts.push(start.to_string()[..10].to_owned());
            now = end;
        }
        assert_eq!(
            starts,
            [
                "2027-10-31",
                "2027-11-30",
                "2027-12-31",
                "2028-01-31",
                "2028-02-29",
                "2028-03-31",
                "2028-04-30",
                "2028-05-31",
            ]
        );
        // Neither is a leap year.
        for year in [2027, 2100] {
            let day = time(&format!("{year}-03-01T00:00:00Z"));
            assert_eq!(ends(Period::of(anchor, day)).0, time(&format!("{year}-02-28T23:59:59.999999Z")));
        }
    }

    #[test]
    fn periods_tile_time_whatever_the_anchor() {
        let (microsecond, mut anchor) = (Duration::microseconds(1), time("2023-12-28T00:00:00Z"));
        // Every day of more than four years, each at another time of the day.
        for step in 0..1500_i64 {
            anchor = anchor + Duration::days(1) + Duration::microseconds(step * 997);
            // From before the anchor to after the next February of a leap year.
            let mut now = anchor - Duration::days(400);
            let until = anchor + Duration::days(1600);
            while now < until {
                let period = Period::of(anchor, now);
                let (start, end) = ends(period);
                assert!(start <= now && now < end, "{anchor} {now} {period:?}");
                let days = end - start;
                assert!(
                    (28..=31).contains(&days.whole_days()) && days == Duration::days(days.whole_days()),
                    "{period:?}"
                );
                for inside in [start, start + microsecond, end - microsecond] {
                    assert_eq!(Period::of(anchor, inside), period, "{anchor} {inside}");
                }
                assert_eq!(ends(Period::of(anchor, end)).0, end, "{anchor}");
                assert_eq!(ends(Period::of(anchor, start - microsecond)).1, start, "{anchor}");
                assert_eq!(Period::parse(&period.key()), Some(period));
                now = end;
            }
        }
    }

    #[test]
    fn the_day_on_which_a_period_begins_belongs_to_it() {
        let anchor = time("2026-11-23T10:00:00Z");
        let (before, after) = (Period::of(anchor, anchor - Duration::seconds(1)), Period::of(anchor, anchor));
        let day = anchor.into_inner().date();
        assert_eq!((before.days().unwrap().1, after.days().unwrap().0), (day, day));
        assert_eq!(Period::day_of(anchor).days(), Some((day, day.next_day().unwrap())));
    }

    #[test]
    fn only_monthly_meters_have_an_end() {
        let anchor = time("2026-11-23T10:00:00Z");
        for meter in Meter::ALL {
            let period = Period::for_meter(meter, anchor, anchor);
            assert_eq!(period.ends_at().is_some(), meter.is_monthly(), "{meter:?}");
        }
    }
}
