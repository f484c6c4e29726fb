//! Strength of passwords: zxcvbn (Wheeler, USENIX Security 2016) and its embedded lists, of 30,000 passwords from breaches
//! and 70,000 words and names, and two additional rules, because users who must use four classes of characters all do it in
//! the same way.

use std::{
    collections::BTreeSet,
    fmt::{self, Debug},
    sync::Arc,
};

use async_trait::async_trait;
use portico_compute::{Pool, PoolError};
use portico_identity::{IdentityError, password::PasswordMeter};
use secrecy::{ExposeSecret, SecretString};
use zxcvbn::{Entropy, feedback::Suggestion, matching::patterns::MatchPattern, zxcvbn};

/// The work grows with the square of the length, so a longer password is judged by its ends: it takes at least as many
/// guesses as the stronger one of them.
const LONGEST_PART: usize = 24;

/// Characters so rarely substituted for letters that checking them is not worth the work, which doubles with each of them.
const RARE_SUBSTITUTES: [char; 6] = ['{', '[', '<', '|', '+', '%'];

/// Maximum number of digits and signs around a word that count as decoration. More of them may be a secret of their own.
const DECORATION: usize = 8;

/// Minimum guesses (as a power of ten) of all parts of a password together. For each part zxcvbn adds those of an attacker
/// who does not know its boundaries, but word, year and exclamation mark are tried first.
const FEWEST_GUESSES: f64 = 7.0;

/// The score from which on the two additional rules apply.
const STRICT: u8 = 3;

/// Maximum number of words about the user, and the maximum length of each.
const WORDS: (usize, usize) = (30, 64);

/// Rates passwords with zxcvbn, on threads of a pool. The lists are unpacked at first use.
pub struct ZxcvbnMeter {
    judge: Judge,
    pool: Arc<Pool>,
}

impl ZxcvbnMeter {
    /// Requires at least this score: 0 (anything) to 4 (10^10 guesses or more). The authors recommend 3.
    pub fn new(min_score: u8, pool: Arc<Pool>) -> Self {
        Self { judge: Judge { min_score: min_score.min(4) }, pool }
    }
}

impl Debug for ZxcvbnMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZxcvbnMeter").field("judge", &self.judge).finish_non_exhaustive()
    }
}

#[async_trait]
impl PasswordMeter for ZxcvbnMeter {
    async fn weakness(
        &self,
        password: &SecretString,
        about: &[&str],
    ) -> Result<Option<String>, IdentityError> {
        let judge = self.judge;
        if judge.min_score == 0 {
            return Ok(None);
        }
        let (password, words) = (password.clone(), words(about));
        let judged = self.pool.run(move || judge.weakness(password.expose_secret(), &words)).await;
        judged.map_err(|error| match error {
            PoolError::Overloaded => IdentityError::Overloaded,
            PoolError::Panicked => IdentityError::Internal(format!("strength of a password: {error}")),
        })
    }
}

/// The judgement, on the calling thread.
#[derive(Clone, Copy, Debug)]
struct Judge {
    min_score: u8,
}

impl Judge {
    fn weakness_of(&self, part: &str, words: &[&str]) -> Option<String> {
        let whole = zxcvbn(part, words);
        if u8::from(whole.score()) < self.min_score {
            return Some(explain(&whole));
        }
        if self.min_score < STRICT {
            return None;
        }
        let core = part.trim_matches(|c: char| !c.is_alphabetic());
        let decoration = part.chars().count() - core.chars().count();
        let decorated = (1..=DECORATION).contains(&decoration) && {
            let core = zxcvbn(core, words);
            let pattern = core.sequence().first().map(|part| &part.pattern);
            core.sequence().len() == 1 && !matches!(pattern, Some(MatchPattern::BruteForce))
        };
        let guesses = whole.sequence().iter().map(|part| part.guesses.unwrap_or(1).max(1));
        let together: f64 = guesses.map(|guesses| (guesses as f64).log10()).sum();
        (decorated || together < FEWEST_GUESSES).then(|| {
            "This is easy to guess. It is one common word or pattern with digits and signs around it. \
             Add another word or two. Uncommon words are better."
                .to_owned()
        })
    }

    fn weakness(&self, password: &str, words: &BTreeSet<String>) -> Option<String> {
        let password: Vec<char> = password.chars().map(without_rare_substitutes).collect();
        // Two repetitions are judged like any number of them.
        let period = period(&password);
        let password = &password[..password.len().min(2 * period)];
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let judge = |part: &[char]| self.weakness_of(&part.iter().collect::<String>(), &words);
        if password.len() <= LONGEST_PART {
            return judge(password);
        }
        let (head, tail) = (&password[..LONGEST_PART], &password[password.len() - LONGEST_PART..]);
        judge(head).and_then(|reason| judge(tail).map(|_| reason))
    }
}

/// Replaces a rare substitute by a character that zxcvbn does not take for a letter. Different ones stay different.
fn without_rare_substitutes(character: char) -> char {
    if RARE_SUBSTITUTES.contains(&character) {
        // In the private use area.
        char::from_u32(0xE000 + u32::from(character)).unwrap_or(character)
    } else {
        character
    }
}

/// The length of the repeated part if a text is a repetition; else its own length.
fn period(text: &[char]) -> usize {
    let repeats = |period: &usize| text.iter().zip(text.iter().skip(*period)).all(|(one, next)| one == next);
    (1..=text.len() / 2).find(repeats).unwrap_or(text.len())
}

/// Words that an attacker who knows these texts about the user would try: the texts, the words in them, and the name of the
/// product.
fn words(about: &[&str]) -> BTreeSet<String> {
    let whole = about.iter().copied();
    let parts = about.iter().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    whole
        .chain(["portico"])
        .chain(parts)
        .take(WORDS.0)
        .filter(|word| word.chars().count() >= 3)
        .map(|word| word.chars().take(WORDS.1).collect::<String>().to_lowercase())
        .collect()
}

/// The feedback of zxcvbn, without advice that contradicts the rule about classes of characters.
fn explain(entropy: &Entropy) -> String {
    let mut sentences = vec!["This is easy to guess.".to_owned()];
    if let Some(feedback) = entropy.feedback() {
        sentences.extend(feedback.warning().map(|warning| warning.to_string()));
        let suggestions = feedback.suggestions().iter();
        sentences.extend(
            suggestions
                .filter(|advice| **advice != Suggestion::NoNeedForSymbolsDigitsOrUppercaseLetters)
                .map(ToString::to_string),
        );
    }
    sentences.join(" ")
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        time::{Duration, Instant},
    };

    use futures_util::poll;
    use portico_compute::PoolSize;

    use super::*;

    fn weakness(password: &str, about: &[&str]) -> Option<String> {
        Judge { min_score: 3 }.weakness(password, &words(about))
    }

    #[tokio::test]
    async fn it_is_judged_on_the_pool_and_refused_where_too_much_waits() {
        let pool = Arc::new(Pool::new("test", PoolSize { threads: 1, waiting: 0 }));
        let meter = ZxcvbnMeter::new(3, pool.clone());
        let password: SecretString = "Password1!".into();
        assert!(meter.weakness(&password, &[]).await.unwrap().is_some());
        assert_eq!(meter.weakness(&"Corr3ct-horse".into(), &[]).await.unwrap(), None);
        let (free, held) = mpsc::channel::<()>();
        let mut busy = Box::pin(pool.run(move || held.recv().is_ok()));
        assert!(poll!(&mut busy).is_pending());
        assert!(matches!(meter.weakness(&password, &[]).await, Err(IdentityError::Overloaded)));
        let anything = ZxcvbnMeter::new(0, pool.clone());
        assert_eq!(anything.weakness(&password, &[]).await.unwrap(), None, "nothing to judge");
        free.send(()).unwrap();
        assert_eq!(busy.await, Ok(true));
    }

    /// All of them have eight characters and four classes, or nearly so, and are in lists of breached passwords or follow
    /// the patterns that are tried first.
    #[test]
    fn passwords_known_from_breaches_are_refused() {
        for password in [
            "Password1!",
            "P@ssw0rd",
            "P@ssw0rd1!",
            "P@$$w0rd2025!",
            "Pa$$w0rd123",
            "Qwerty123!",
            "Qwer1234!",
            "Welcome2024!",
            "Summer2025!",
            "Summer-2025!",
            "Spring2026!",
            "Monday2024#",
            "January2026!",
            "Company2026!",
            "Admin@123",
            "Letmein123!",
            "Iloveyou1!",
            "Abcd1234!",
            "Aa123456!",
            "1qaz!QAZ",
            "1qaz@WSX",
            "!QAZ2wsx",
            "Zaq12wsx!",
            "Changeme1!",
            "Michael1985!",
            "Barcelona10!",
            "Dragon2023!",
            "Password123456!",
            "Password1234567890!",
            "Aa1!aaaaaaaaaaaaaaaaaaaa",
            "Password1!Password1!Password1!Password1!",
        ] {
            assert!(weakness(password, &[]).is_some(), "{password}");
        }
    }

    #[test]
    fn what_takes_long_to_guess_is_taken() {
        for password in [
            "Correct-Horse-7",
            "Corr3ct-horse",
            "Another-Horse-8",
            "Battery-Staple-9",
            "N3w-horse-battery",
            "Fresh-Bread-1950",
            "Ñandú 2026 feliz",
            "7mJ!q-Zp4",
            "x7Q{[<|+%]k",
            "Password1!Password1!-kQ7 violet umbrella, cold soup",
            "kQ7 violet umbrella, cold soup, Password1!Password1!",
        ] {
            assert_eq!(weakness(password, &[]), None, "{password}");
        }
    }

    #[test]
    fn what_is_known_of_the_person_counts_as_known() {
        let password = "Zbigniewski-Krzysztof-1";
        assert_eq!(weakness(password, &[]), None);
        assert!(weakness(password, &["krzysztof@zbigniewski.example", "K. Zbigniewski"]).is_some());
        assert!(weakness("Portico-2026!", &[]).is_some());
    }

    #[test]
    fn the_reason_is_in_words_and_contradicts_no_rule() {
        let reason = weakness("P@ssw0rd", &[]).unwrap();
        assert!(reason.starts_with("This is easy to guess. "), "{reason}");
        assert!(reason.contains("commonly used") && reason.contains("Predictable substitutions"), "{reason}");
        assert!(!weakness("kQ7!", &[]).unwrap().contains("No need for symbols"));
        assert!(weakness("Spring2026!", &[]).unwrap().contains("common word"));
    }

    #[test]
    fn the_score_can_be_set() {
        let judge = |min_score: u8, password: &str| Judge { min_score }.weakness(password, &words(&[]));
        assert_eq!(judge(0, "Password1!"), None);
        assert!(judge(1, "P@ssw0rd").is_some() && judge(1, "Password1!").is_none());
        assert!(judge(4, "7mJ!q-Zp4").is_some());
    }

    /// Unmodified, zxcvbn takes most of a second for the first of these.
    #[test]
    fn nothing_takes_long() {
        weakness("unpacks the lists", &[]);
        let about = ["a".repeat(254), "word ".repeat(200)];
        let about: Vec<&str> = about.iter().map(String::as_str).collect();
        for pattern in
            ["4@8({[<369&1!|0$5+7%2", "al1|7!i+tz2%x$s5", "p4$$w0rd1!7@", "1234567890", "Aa1!", "ñ", "1.1.91"]
        {
            let password: String = pattern.chars().cycle().take(128).collect();
            let fastest = (0..5)
                .map(|_| {
                    let start = Instant::now();
                    weakness(&password, &about);
                    start.elapsed()
                })
                .min()
                .unwrap();
            eprintln!("{pattern}: {fastest:?}");
            // Ten times the duration of an optimised build, because this one may not be optimised.
            assert!(fastest < Duration::from_millis(100), "{pattern}: {fastest:?}");
        }
    }
}
