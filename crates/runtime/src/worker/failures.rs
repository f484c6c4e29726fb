//! Failures in a row, in work that goes through many objects.

/// Failures in a row, after which whatever fails is left alone for this round.
const MOST: usize = 3;

/// Counts failures in a row. One object that always fails is then only passed over, and one that is down as a whole is not asked again and
/// again.
#[derive(Debug, Default)]
pub struct Failures(usize);

impl Failures {
    /// Notes how it went with an object, and answers whether the rest is to be left for the next round.
    pub const fn are_enough<T, E>(&mut self, outcome: &Result<T, E>) -> bool {
        self.0 = match outcome {
            Ok(_) => 0,
            Err(_) => self.0 + 1,
        };
        self.0 >= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_row_are_enough() {
        let (good, bad): (Result<(), ()>, Result<(), ()>) = (Ok(()), Err(()));
        let mut failures = Failures::default();
        let seen =
            [&bad, &bad, &good, &bad, &bad, &bad, &bad, &good].map(|outcome| failures.are_enough(outcome));
        assert_eq!(seen, [false, false, false, false, false, true, true, false]);
    }
}
