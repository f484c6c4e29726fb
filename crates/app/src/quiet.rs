//! At most one line a second in the log about trouble that every request may meet.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Least time between two lines.
const EVERY: Duration = Duration::from_secs(1);

/// Decides which lines of one kind are written.
#[derive(Debug, Default)]
pub struct Quiet(Mutex<(Option<Instant>, u64)>);

impl Quiet {
    /// Nothing was written yet.
    pub const fn new() -> Self {
        Self(Mutex::new((None, 0)))
    }

    /// Whether to write a line now: the number of lines that were left out since the last one, or `None` to leave it out.
    pub fn admits(&self) -> Option<u64> {
        self.admits_at(Instant::now())
    }

    fn admits_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, suppressed) = &mut *state;
        if written.is_some_and(|written| now < written + EVERY) {
            *suppressed += 1;
            return None;
        }
        *written = Some(now);
        Some(std::mem::take(suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_counts_those_that_were_left_out() {
        let (quiet, start) = (Quiet::new(), Instant::now());
        let at = |millis| quiet.admits_at(start + Duration::from_millis(millis));
        assert_eq!([at(0), at(1), at(999)], [Some(0), None, None]);
        assert_eq!([at(1000), at(1500)], [Some(2), None]);
        assert_eq!(at(9000), Some(1));
    }
}
