//! Periods of subscriptions: days, weeks, and months that keep their day ("Billing cycle" in Stripe's documentation).

use serde_json::Value;
use time::{OffsetDateTime, util::days_in_month};

use crate::{parameters::LAST_TIME, value::Read};

pub(crate) const DAY: i64 = 86_400;

/// `count` intervals after the anchor. Months keep the anchor's day, or end on their last one: of the 31st come the 28th of
/// February and the 31st of March.
pub(crate) fn after(anchor: i64, interval: &str, count: i64) -> i64 {
    let found = match interval {
        "day" => anchor.checked_add(count.saturating_mul(DAY)),
        "week" => anchor.checked_add(count.saturating_mul(7 * DAY)),
        "year" => months_after(anchor, count.saturating_mul(12)),
        _ => months_after(anchor, count),
    };
    found.unwrap_or(LAST_TIME * 2).clamp(0, LAST_TIME * 2)
}

fn months_after(anchor: i64, months: i64) -> Option<i64> {
    let anchor = OffsetDateTime::from_unix_timestamp(anchor).ok()?;
    let index = i64::from(anchor.year()) * 12 + i64::from(u8::from(anchor.month())) - 1 + months;
    let year = i32::try_from(index.div_euclid(12)).ok().filter(|year| (1..9999).contains(year))?;
    let month = time::Month::try_from(u8::try_from(index.rem_euclid(12) + 1).ok()?).ok()?;
    let day = anchor.day().min(days_in_month(month, year));
    let date = time::Date::from_calendar_date(year, month, day).ok()?;
    Some(anchor.replace_date(date).unix_timestamp())
}

/// The first end of a period of `recurring` after `moment`, counted from the anchor.
pub(crate) fn next_end(anchor: i64, recurring: &Value, moment: i64) -> i64 {
    let interval = recurring.text("interval").unwrap_or("month");
    let step = recurring.int("interval_count").unwrap_or(1).max(1);
    let seconds = step * length(interval);
    // Begins a little early, as months differ in length.
    let mut count = ((moment - anchor) / seconds - 2).max(0);
    loop {
        let end = after(anchor, interval, count * step);
        if end > moment || end >= LAST_TIME * 2 {
            return end;
        }
        count += 1;
    }
}

/// About how many seconds an interval has, for bounds.
pub(crate) fn length(interval: &str) -> i64 {
    match interval {
        "day" => DAY,
        "week" => 7 * DAY,
        "year" => 366 * DAY,
        _ => 31 * DAY,
    }
}

/// `5 Mar 2026`, as descriptions of lines have it.
pub(crate) fn day_text(moment: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(moment) else { return String::new() };
    let month: String = at.month().to_string().chars().take(3).collect();
    format!("{} {month} {}", at.day(), at.year())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn months_keep_the_day_of_the_anchor() {
        let anchor = datetime!(2027-01-31 10:00 UTC).unix_timestamp();
        let ends = [
            datetime!(2027-02-28 10:00 UTC),
            datetime!(2027-03-31 10:00 UTC),
            datetime!(2027-04-30 10:00 UTC),
            datetime!(2027-05-31 10:00 UTC),
        ];
        let monthly = json!({"interval": "month", "interval_count": 1});
        let mut moment = anchor;
        for end in ends {
            moment = next_end(anchor, &monthly, moment);
            assert_eq!(moment, end.unix_timestamp());
        }
        let leap = datetime!(2028-01-30 10:00 UTC).unix_timestamp();
        assert_eq!(next_end(leap, &monthly, leap), datetime!(2028-02-29 10:00 UTC).unix_timestamp());
    }

    #[test]
    fn a_leap_day_is_kept_over_years() {
        let anchor = datetime!(2028-02-29 00:00 UTC).unix_timestamp();
        let yearly = json!({"interval": "year", "interval_count": 1});
        let first = next_end(anchor, &yearly, anchor);
        assert_eq!(first, datetime!(2029-02-28 00:00 UTC).unix_timestamp());
        let in_2032 = after(anchor, "year", 4);
        assert_eq!(in_2032, datetime!(2032-02-29 00:00 UTC).unix_timestamp());
    }

    #[test]
    fn several_intervals_and_days() {
        let anchor = datetime!(2027-01-15 00:00 UTC).unix_timestamp();
        let quarter = json!({"interval": "month", "interval_count": 3});
        let moment = datetime!(2027-05-01 00:00 UTC).unix_timestamp();
        assert_eq!(next_end(anchor, &quarter, moment), datetime!(2027-07-15 00:00 UTC).unix_timestamp());
        let weekly = json!({"interval": "week", "interval_count": 2});
        assert_eq!(next_end(anchor, &weekly, anchor), anchor + 14 * DAY);
        assert_eq!(day_text(anchor), "15 Jan 2027");
    }
}
