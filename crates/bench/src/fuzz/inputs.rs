//! Inputs: pieces of known hostile cases, combined and mutated.

/// The most characters of most inputs; some are much longer.
const USUAL: usize = 400;

/// The most bytes of an input.
const MOST: usize = 60_000;

/// Characters that parsers trip over.
const PALETTE: &[char] = &[
    '<',
    '>',
    '"',
    '\'',
    '`',
    '&',
    ';',
    '/',
    '\\',
    '=',
    ':',
    '#',
    '?',
    '%',
    '@',
    '.',
    '-',
    '_',
    '!',
    '[',
    ']',
    '(',
    ')',
    ' ',
    '\t',
    '\n',
    '\r',
    '\0',
    '\u{1}',
    '\u{b}',
    '\u{c}',
    '\u{7f}',
    '\u{80}',
    '\u{a0}',
    '\u{ad}',
    '\u{200b}',
    '\u{200d}',
    '\u{202e}',
    '\u{2028}',
    '\u{3002}',
    '\u{ff0e}',
    '\u{feff}',
    '\u{fffd}',
    '\u{fffe}',
    '\u{10ffff}',
    'a',
    'A',
    'z',
    '0',
    '1',
    'é',
    'ß',
    'ſ',
    'K',
    'İ',
    'ı',
    '例',
    '①',
    '𝕏',
    '😀',
    '\u{301}',
    '\u{115f}',
];

/// Random numbers that repeat (SplitMix64, Steele, Lea and Flood 2014).
pub struct Numbers(u64);

impl Numbers {
    /// The numbers of this seed.
    pub const fn from_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// One of them; `None` of an empty slice.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }
}

/// Makes inputs from a corpus.
pub struct Inputs {
    numbers: Numbers,
    corpus: &'static [&'static str],
}

impl Inputs {
    /// The inputs of this seed.
    pub fn new(seed: u64, corpus: &'static [&'static str]) -> Self {
        Self { numbers: Numbers::from_seed(seed), corpus }
    }

    /// The next input.
    pub fn next(&mut self) -> String {
        let mut text = String::new();
        match self.numbers.below(8) {
            // Random characters only.
            0 => self.noise(&mut text),
            // A known case unchanged.
            1 => text.push_str(self.piece()),
            // One piece repeated very often: finds quadratic time.
            2 if self.numbers.below(16) == 0 => {
                let piece = self.piece();
                let times = 1 + self.numbers.below(2_000);
                text = piece.repeat(times.min(MOST / piece.len().max(1)));
            }
            _ => {
                for _ in 0..=self.numbers.below(6) {
                    text.push_str(self.piece());
                    if self.numbers.below(3) == 0 {
                        self.noise(&mut text);
                    }
                }
            }
        }
        for _ in 0..self.numbers.below(5) {
            text = self.damage(&text);
        }
        cut(&mut text, MOST);
        text
    }

    fn piece(&mut self) -> &'static str {
        self.numbers.pick(self.corpus).copied().unwrap_or_default()
    }

    fn character(&mut self) -> char {
        match self.numbers.below(4) {
            0 => char::from_u32(self.numbers.below(0x11_0000) as u32).unwrap_or('\u{fffd}'),
            1 => char::from(self.numbers.below(128) as u8),
            _ => self.numbers.pick(PALETTE).copied().unwrap_or('<'),
        }
    }

    fn noise(&mut self, text: &mut String) {
        let most = if self.numbers.below(64) == 0 { USUAL * 20 } else { USUAL / 8 };
        for _ in 0..self.numbers.below(most) {
            let character = self.character();
            text.push(character);
        }
    }

    /// Inserts, removes, doubles, or changes capitals, anywhere.
    fn damage(&mut self, text: &str) -> String {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let one = self.numbers.pick(&places).copied().unwrap_or(0);
        let other = self.numbers.pick(&places).copied().unwrap_or(0);
        let (from, to) = (one.min(other), one.max(other));
        // Mostly small pieces.
        let to = if self.numbers.below(4) == 0 { to } else { next_place(text, from) };
        let (before, middle, after) = (&text[..from], &text[from..to], &text[to..]);
        match self.numbers.below(5) {
            0 => format!("{before}{after}"),
            1 => format!("{before}{middle}{middle}{after}"),
            2 => format!("{before}{}{middle}{after}", self.character()),
            3 => format!("{before}{}{after}", self.piece()),
            _ => {
                let swapped: String =
                    middle
                        .chars()
                        .map(|c| {
                            if c.is_ascii_lowercase() {
                                c.to_ascii_uppercase()
                            } else {
                                c.to_ascii_lowercase()
                            }
                        })
                        .collect();
                format!("{before}{swapped}{after}")
            }
        }
    }
}

fn next_place(text: &str, from: usize) -> usize {
    text[from..].chars().next().map_or(from, |c| from + c.len_utf8())
}

fn cut(text: &mut String, most: usize) {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
    }
}
