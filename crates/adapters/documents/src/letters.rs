//! Text as the bytes of Windows-1252, which is what the built-in fonts are asked for (`WinAnsiEncoding`).

use deunicode::deunicode_char;

/// Most characters of a text that are looked at.
const LONGEST: usize = 300;

/// Bytes 0x80 to 0x9F of Windows-1252; those that it leaves out are spaces here, which no character below is.
const SPECIALS: [char; 32] = [
    '€', ' ', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', ' ', 'Ž', ' ', ' ', '‘', '’', '“', '”',
    '•', '–', '—', '˜', '™', 'š', '›', 'œ', ' ', 'ž', 'Ÿ',
];

/// A text on one line. A letter that the fonts do not have is written in Latin letters (`Łukasz` is `Lukasz`, `Иван` is `Ivan`, `北京` is
/// `Bei Jing`), or as a question mark where there is no way to do so. What cannot be seen is left out; line breaks are spaces. What is
/// longer than 300 characters is cut.
pub fn line(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len().min(LONGEST));
    let mut characters = text.chars();
    for character in characters.by_ref().take(LONGEST) {
        match encoded(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(transcribed(character).bytes().filter(|byte| (b' '..=b'~').contains(byte))),
        }
    }
    if characters.next().is_some() {
        bytes.extend(b"...");
    }
    bytes.trim_ascii().to_vec()
}

/// The byte of a character that the fonts have.
fn encoded(character: char) -> Option<u8> {
    match character {
        ' '..='~' | '\u{a0}'..='ÿ' => u8::try_from(u32::from(character)).ok(),
        '\n' | '\r' | '\t' => Some(b' '),
        _ => (0x80..=0x9f).zip(SPECIALS).find(|(_, special)| *special == character).map(|(byte, _)| byte),
    }
}

fn transcribed(character: char) -> &'static str {
    if character.is_control() { "" } else { deunicode_char(character).unwrap_or("?") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        line(text)
            .into_iter()
            .map(|byte| if (0x80..0xa0).contains(&byte) { '#' } else { char::from(byte) })
            .collect()
    }

    #[test]
    fn letters_of_western_europe_stay() {
        assert_eq!(read("¿Año ñandú, Ünïcödé? ¡Sí! £5 ¥6"), "¿Año ñandú, Ünïcödé? ¡Sí! £5 ¥6");
        assert_eq!(line("€ – Š"), [0x80, b' ', 0x96, b' ', 0x8a]);
    }

    #[test]
    fn others_are_written_in_latin_letters() {
        assert_eq!(read("Łukasz Żółć"), "Lukasz Zólc");
        assert_eq!(read("Иван Петров"), "Ivan Petrov");
        assert_eq!(read("北京"), "Bei Jing");
        assert_eq!(read("\u{e000}"), "?", "a letter that nobody has agreed on");
    }

    #[test]
    fn what_cannot_be_seen_or_is_too_long_is_left_out() {
        assert_eq!(read(" a\u{0}\u{1b}b\nc\u{202e}\u{200b} "), "ab c");
        let long = read(&"ñ".repeat(5000));
        assert_eq!((long.chars().count(), long.ends_with("ñ...")), (303, true));
    }
}
