//! Logging of errors: with their causes, without secrets, and repeated messages at most once a second, with the number of
//! those suppressed.

use std::{
    collections::{HashMap, hash_map::Entry},
    error::Error,
    fmt::Display,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Minimum time between equal messages.
const PAUSE: Duration = Duration::from_secs(1);

/// Maximum number of messages distinguished. Beyond that, causes of the same kind count as one.
const KINDS: usize = 64;

/// Most characters of a cause.
const CAUSE: usize = 2000;

/// A time in milliseconds, for the log: to a hundredth.
pub fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e5).round() / 1e2
}

/// An error with its causes, for the log.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Whether to log a message now: once a second for each kind and cause. Returns how many were suppressed since the last
/// one.
pub fn throttled(kind: &'static str, cause: &str) -> Option<u64> {
    static SAID: LazyLock<Mutex<Said>> = LazyLock::new(Mutex::default);
    let mut hasher = DefaultHasher::new();
    cause.hash(&mut hasher);
    SAID.lock().unwrap_or_else(PoisonError::into_inner).say((kind, hasher.finish()), Instant::now())
}

/// Logs a warning that repeats while a component is unavailable.
pub fn warn(what: &'static str, error: &dyn Error) {
    let error = chain(error);
    if let Some(repeated) = throttled(what, &error) {
        tracing::warn!(error, repeated = (repeated > 0).then_some(repeated), "{what}");
    }
}

/// The same, where it concerns many objects in turn. The line names one of them.
pub fn warn_about(what: &'static str, about: impl Display, error: &dyn Error) {
    let error = chain(error);
    if let Some(repeated) = throttled(what, &error) {
        tracing::warn!(%about, error, repeated = (repeated > 0).then_some(repeated), "{what}");
    }
}

/// Recently logged messages.
#[derive(Default)]
struct Said(HashMap<(&'static str, u64), (Instant, u64)>);

impl Said {
    fn say(&mut self, (kind, cause): (&'static str, u64), now: Instant) -> Option<u64> {
        if self.0.len() >= KINDS {
            self.0.retain(|_, (at, _)| now.saturating_duration_since(*at) < PAUSE);
        }
        let cause = if self.0.len() < KINDS { cause } else { 0 };
        match self.0.entry((kind, cause)) {
            Entry::Vacant(place) => {
                place.insert((now, 0));
                Some(0)
            }
            Entry::Occupied(mut place) => {
                let (at, repeated) = place.get_mut();
                if now.saturating_duration_since(*at) < PAUSE {
                    *repeated += 1;
                    return None;
                }
                *at = now;
                Some(std::mem::take(repeated))
            }
        }
    }
}

/// A cause fit for the log: on one line, of bounded length, without what looks like a secret.
///
/// Causes contain none by design. This is for texts of libraries and of other servers, which may quote their input.
pub fn scrub(text: &str) -> String {
    let mut scrubbed = String::with_capacity(text.len().min(CAUSE));
    let mut after_bearer = false;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if scrubbed.len() >= CAUSE {
            scrubbed.push_str(" …");
            break;
        }
        if !scrubbed.is_empty() {
            scrubbed.push(' ');
        }
        if std::mem::replace(&mut after_bearer, word.to_ascii_lowercase().ends_with("bearer")) {
            scrubbed.push('…');
            continue;
        }
        let word = match secret_in(word) {
            Some(at) => format!("{}…", word.get(..at).unwrap_or_default()),
            None => without_credentials(word),
        };
        scrubbed.extend(word.chars().take(CAUSE));
    }
    scrubbed
}

/// The position in a word of a prefix of our keys, keys of webhooks or models, or signed tokens.
fn secret_in(word: &str) -> Option<usize> {
    const BEGINNINGS: [&str; 5] = ["sn_live_", "sn_test_", "whsec_", "sk-", "eyJ"];
    let begins = |at: usize| word.get(..at).is_some_and(|before| !before.ends_with(char::is_alphanumeric));
    let places = BEGINNINGS.iter().flat_map(|beginning| word.match_indices(beginning));
    places.map(|(at, _)| at).filter(|at| begins(*at)).min()
}

/// A URL in a text without its user, password and query.
fn without_credentials(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let (rest, had_query) = match rest.split_once(['?', '#']) {
        Some((rest, _)) => (rest, true),
        None => (rest, false),
    };
    let host_begins = match rest.find('/') {
        Some(path) => rest.get(..path).and_then(|authority| authority.rfind('@')),
        None => rest.rfind('@'),
    };
    let host = host_begins.and_then(|at| rest.get(at + 1..)).unwrap_or(rest);
    format!("{scheme}://{host}{}", if had_query { "?…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_lose_what_looks_like_a_secret() {
        for (text, expected) in [
            ("it broke: no route to host", "it broke: no route to host"),
            ("the task-local slot", "the task-local slot"),
            ("authorization:bearer abc", "authorization:bearer …"),
            ("two\nlines\tand\u{0}more", "two lines and more"),
            (
                "cannot reach postgres://portico:hunter2@db:5432/portico",
                "cannot reach postgres://db:5432/portico",
            ),
            ("cannot reach postgres://u:p@ss@db", "cannot reach postgres://db"),
            ("GET https://a.example/x@y?token=abc: 500", "GET https://a.example/x@y?… 500"),
            ("sent Authorization: Bearer abc.def", "sent Authorization: Bearer …"),
            ("key=sn_live_4fG7kQ2mZx9B is wrong", "key=… is wrong"),
            ("(whsec_abc) (eyJhbGciOi.x.y)", "(… (…"),
        ] {
            assert_eq!(scrub(text), expected, "{text}");
        }
    }

    #[test]
    fn the_same_is_said_once_a_second_with_how_often_it_was_not() {
        let (mut said, start) = (Said::default(), Instant::now());
        let mut say = |kind, cause, millis| said.say((kind, cause), start + Duration::from_millis(millis));
        assert_eq!([say("a", 1, 0), say("a", 1, 1), say("a", 1, 999)], [Some(0), None, None]);
        assert_eq!(say("a", 2, 1), Some(0), "another cause");
        assert_eq!(say("b", 1, 1), Some(0), "another kind");
        assert_eq!([say("a", 1, 1000), say("a", 1, 1500), say("a", 1, 2100)], [Some(2), None, Some(1)]);
        let lines = (0..10_000).filter(|cause| say("c", *cause, 2200).is_some()).count();
        assert!(lines <= KINDS, "{lines} lines for causes that are all different");
    }

    #[test]
    fn times_are_rounded() {
        for (nanos, shown) in [(0, 0.0), (1_234, 0.0), (12_345_678, 12.35), (1_500_000_000, 1500.0)] {
            assert_eq!(millis(Duration::from_nanos(nanos)), shown);
        }
    }

    #[test]
    fn causes_are_not_without_end() {
        assert!(scrub(&"é".repeat(100_000)).chars().count() <= CAUSE + 2);
        assert!(scrub(&"word ".repeat(100_000)).chars().count() <= CAUSE + 10);
    }
}
