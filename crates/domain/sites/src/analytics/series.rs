//! Days in a row.

use std::collections::BTreeMap;

use portico_kernel::{FieldError, RuleMessage};
use time::{Date, Duration};

use super::DayVisits;

/// The requested days, both included. Where `to` is absent it is today, or as late as `most` days allow; where `from` is absent,
/// `default` days end at `to`.
///
/// # Errors
/// When the end is before the beginning, or there are more than `most` days.
pub fn period(
    from: Option<Date>,
    to: Option<Date>,
    today: Date,
    default: i64,
    most: i64,
) -> Result<(Date, Date), Vec<FieldError>> {
    let latest = |from: Date| today.max(from).min(from.saturating_add(Duration::days(most - 1)));
    let to = to.or_else(|| from.map(latest)).unwrap_or(today);
    let from = from.unwrap_or_else(|| to.saturating_sub(Duration::days(default - 1)));
    let invalid = |code: &'static str, message: RuleMessage| Err(vec![FieldError::new("to", code, message)]);
    if to < from {
        return invalid("before_from", "The last day is before the first one.".into());
    }
    if (to - from).whole_days() >= most {
        return invalid("out_of_range", RuleMessage::new(format!("Ask for {most} days at most.")).max(most));
    }
    Ok((from, to))
}

/// Every day from the first to the last, with what is known of it: visits and visitors.
pub fn filled(from: Date, to: Date, known: Vec<(Date, u64, u64)>) -> Vec<DayVisits> {
    let known: BTreeMap<Date, (u64, u64)> =
        known.into_iter().map(|(date, visits, visitors)| (date, (visits, visitors))).collect();
    std::iter::successors(Some(from), |day| day.next_day())
        .take_while(|day| *day <= to)
        .map(|date| {
            let (visits, visitors) = known.get(&date).copied().unwrap_or_default();
            DayVisits { date, visits, visitors }
        })
        .collect()
}

/// `2026-11-21`.
pub(crate) fn iso_date<S: serde::Serializer>(date: &Date, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(date)
}

#[cfg(test)]
mod tests {
    use time::macros::date;

    use super::*;

    const TODAY: Date = date!(2026 - 11 - 21);

    fn asked(from: Option<Date>, to: Option<Date>) -> Result<(Date, Date), &'static str> {
        period(from, to, TODAY, 30, 400).map_err(|errors| match &*errors[0].code {
            "before_from" => "before_from",
            _ => "out_of_range",
        })
    }

    #[test]
    fn a_period_has_defaults_and_bounds() {
        assert_eq!(asked(None, None), Ok((date!(2026 - 10 - 23), TODAY)));
        assert_eq!(asked(Some(date!(2026 - 11 - 01)), None), Ok((date!(2026 - 11 - 01), TODAY)));
        assert_eq!(
            asked(None, Some(date!(2026 - 01 - 30))),
            Ok((date!(2026 - 01 - 01), date!(2026 - 01 - 30)))
        );
        assert_eq!(asked(Some(TODAY), Some(TODAY)), Ok((TODAY, TODAY)));
        assert_eq!(asked(Some(TODAY), Some(date!(2026 - 11 - 20))), Err("before_from"));
        assert_eq!(asked(Some(date!(2025 - 10 - 18)), Some(TODAY)), Ok((date!(2025 - 10 - 18), TODAY)));
        assert_eq!(asked(Some(date!(2025 - 10 - 17)), Some(TODAY)), Err("out_of_range"));
        // Long ago, or in the future, without an end.
        assert_eq!(
            asked(Some(date!(2020 - 01 - 01)), None),
            Ok((date!(2020 - 01 - 01), date!(2021 - 02 - 03)))
        );
        assert_eq!(
            asked(Some(date!(2030 - 01 - 01)), None),
            Ok((date!(2030 - 01 - 01), date!(2030 - 01 - 01)))
        );
        assert!(asked(Some(Date::MAX), None).is_ok() && asked(None, Some(Date::MIN)).is_ok());
    }

    #[test]
    fn gaps_are_filled() {
        let days = filled(date!(2026 - 02 - 27), date!(2026 - 03 - 01), vec![(date!(2026 - 02 - 28), 5, 2)]);
        let shown: Vec<_> = days.iter().map(|day| (day.date.to_string(), day.visits, day.visitors)).collect();
        assert_eq!(
            shown,
            [("2026-02-27".into(), 0, 0), ("2026-02-28".into(), 5, 2), ("2026-03-01".into(), 0, 0)]
        );
        assert_eq!(filled(Date::MAX, Date::MAX, Vec::new()).len(), 1);
    }
}
