//! Byte ranges of requests (RFC 9110 section 14): what a download goes on with after it was broken off.

use std::ops::Range;

use actix_web::{
    HttpRequest,
    http::{Method, header},
};

/// What a request asks of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// All of it. Also where the range is malformed, of another unit, one of several, or of another version of the file, as section 14.2
    /// allows, and for HEAD, as it demands: only GET has ranges.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes behind its end.
    Beyond,
}

impl Asked {
    /// What a request asks of a file of so many bytes with this entity tag.
    pub fn of(request: &HttpRequest, tag: &str, size: u64) -> Self {
        let text = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        if *request.method() != Method::GET || text(header::IF_RANGE).is_some_and(|wanted| wanted != tag) {
            return Self::Whole;
        }
        let range = text(header::RANGE).and_then(|range| range.trim().strip_prefix("bytes="));
        range.and_then(|range| part(range, size)).unwrap_or(Self::Whole)
    }
}

/// What a single range asks; `None` if it is malformed.
fn part(range: &str, size: u64) -> Option<Asked> {
    let number = |text: &str| -> Option<u64> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // Behind the end of every file.
        is_number.then(|| text.parse().unwrap_or(u64::MAX))
    };
    let (first, last) = match range.split_once('-')? {
        ("", length) => match number(length)? {
            0 => return Some(Asked::Beyond),
            length => (size.saturating_sub(length), u64::MAX),
        },
        (first, "") => (number(first)?, u64::MAX),
        (first, last) => (number(first)?, number(last)?),
    };
    if first > last {
        return None;
    }
    Some(if first >= size { Asked::Beyond } else { Asked::Part(first..last.saturating_add(1).min(size)) })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn ranges_are_those_of_http() {
        for (range, expected) in [
            ("0-0", Some(Asked::Part(0..1))),
            ("0-", Some(Asked::Part(0..10))),
            ("3-5", Some(Asked::Part(3..6))),
            ("3-500", Some(Asked::Part(3..10))),
            ("3-99999999999999999999", Some(Asked::Part(3..10))),
            ("-4", Some(Asked::Part(6..10))),
            ("-40", Some(Asked::Part(0..10))),
            ("10-", Some(Asked::Beyond)),
            ("-0", Some(Asked::Beyond)),
            ("99999999999999999999-", Some(Asked::Beyond)),
            ("5-3", None),
            ("a-b", None),
            ("+1-2", None),
            ("-", None),
            ("0-1,3-4", None),
        ] {
            assert_eq!(part(range, 10), expected, "{range}");
        }
        assert_eq!(part("0-0", 0), Some(Asked::Beyond));
        assert_eq!(part("-1", 0), Some(Asked::Beyond));
    }

    #[test]
    fn a_range_of_another_version_is_not_sent() {
        let asked_by = |method: Method, headers: &[(&str, &str)]| {
            let request = TestRequest::default().method(method);
            let request = headers.iter().fold(request, |request, header| request.insert_header(*header));
            Asked::of(&request.to_http_request(), "\"a\"", 10)
        };
        let asked = |headers: &[(&str, &str)]| asked_by(Method::GET, headers);
        assert_eq!(asked(&[]), Asked::Whole);
        assert_eq!(asked(&[("range", "bytes=3-")]), Asked::Part(3..10));
        assert_eq!(asked(&[("range", "bytes=3-"), ("if-range", "\"a\"")]), Asked::Part(3..10));
        assert_eq!(asked(&[("range", "bytes=3-"), ("if-range", "\"b\"")]), Asked::Whole);
        assert_eq!(asked(&[("range", "lines=3-")]), Asked::Whole);
        assert_eq!(asked_by(Method::HEAD, &[("range", "bytes=3-")]), Asked::Whole);
        assert_eq!(asked_by(Method::HEAD, &[("range", "bytes=10-")]), Asked::Whole);
    }
}
