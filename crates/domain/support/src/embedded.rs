//! Mails within mails, which are not opened.
//!
//! The parser nests a message in a message in memory as deep as the mail says, and takes them apart by recursion: some ten thousand levels,
//! which fit into a mail of a mebibyte, also encoded, would exhaust the stack and with it end the process. So it gets mails in which no
//! part is of a type that it opens: the first letter of each subtype is a control character meanwhile. What was read has its letters again.

/// The subtypes of parts that are mails (`message/rfc822`, `message/global`), or whose parts are (`multipart/digest`).
const SUBTYPES: [&str; 3] = ["rfc822", "global", "digest"];

/// In the place of a small first letter, and of a capital one. Neither has a meaning in a mail, and both are dropped from what is kept.
const SMALL: u8 = 1;
const CAPITAL: u8 = 2;

/// The mail with no part that is opened. Nothing else changes: it has as many bytes, and lines and boundaries are where they were.
pub(crate) fn closed(raw: &[u8]) -> Vec<u8> {
    let is_subtype = |rest: &[u8]| {
        let begins = |name: &&str| {
            rest.get(..name.len()).is_some_and(|word| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        SUBTYPES.iter().any(begins)
    };
    let close = |(place, byte): (usize, &u8)| match raw.get(place..).is_some_and(is_subtype) {
        true if byte.is_ascii_uppercase() => CAPITAL,
        true => SMALL,
        false => *byte,
    };
    raw.iter().enumerate().map(close).collect()
}

/// A text of a mail that was closed, as it was written.
pub(crate) fn opened(text: &str) -> String {
    let first_letter = |rest: &str| {
        let mut names = SUBTYPES.iter().map(|name| name.split_at(1));
        let ends = |tail: &str| rest.get(..tail.len()).is_some_and(|word| word.eq_ignore_ascii_case(tail));
        names.find(|(_, tail)| ends(tail)).and_then(|(first, _)| first.chars().next())
    };
    let open = |(place, symbol): (usize, char)| {
        let is_capital = symbol == char::from(CAPITAL);
        if !is_capital && symbol != char::from(SMALL) {
            return symbol;
        }
        match text.get(place + 1..).and_then(first_letter) {
            Some(letter) if is_capital => letter.to_ascii_uppercase(),
            Some(letter) => letter,
            None => symbol,
        }
    };
    text.char_indices().map(open).collect()
}
