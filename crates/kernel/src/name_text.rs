//! Rules for texts that name people and objects.
//!
//! Names appear in the subjects of mails, in titles of pages and in lists that others read. There a line separator starts a line
//! of its own, a bidirectional control turns what follows around, and an address of the web becomes a link.

/// Whether a character cannot be seen and changes how others are shown: control characters, line and paragraph separators,
/// bidirectional controls (Unicode Standard Annex 9, section 2), characters without width and fillers.
///
/// The joiners U+200C and U+200D are not among them: Persian, the scripts of India and emoji need them. See [`is_one_line`].
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{2028}' | '\u{2029}'
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{ad}' | '\u{34f}' | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a text is one line of characters that can be seen. A joiner may only follow a character of a script that needs it.
pub fn is_one_line(text: &str) -> bool {
    let mut before = ' ';
    text.chars().all(|c| {
        let joins = matches!(c, '\u{200c}' | '\u{200d}');
        let holds = !is_invisible(c) && (!joins || before >= '\u{600}');
        before = c;
        holds
    })
}

/// The text as one line of visible characters: every other character is replaced by a space.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_invisible(c) { ' ' } else { c }).collect()
}

/// What counts as a web address in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addresses {
    /// Only what is one beyond doubt: a scheme, `www.`, a host with a path or a port, an address of mail. A company may be called
    /// `Booking.com`.
    Plain,
    /// Also a domain by itself, as the Public Suffix List knows them: no person is called so.
    Domains,
}

/// Whether a text contains a web address, as mail programs find them to make links.
pub fn has_address(text: &str, addresses: Addresses) -> bool {
    let text: String = text.chars().flat_map(plain).collect();
    if text.contains("://") {
        return true;
    }
    let in_host = |c: char| c.is_alphanumeric() || c == '.' || c == '-';
    let mut rest = text.as_str();
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let end = rest.find(|c| !in_host(c)).unwrap_or(rest.len());
        if end == 0 {
            (before, rest) = (Some(c), &rest[c.len_utf8()..]);
            continue;
        }
        let (word, after) = rest.split_at(end);
        if word.starts_with("www.") && word.len() > 4 {
            return true;
        }
        let is_used = before == Some('@') || leads_on(after);
        if is_host(word) && is_used || addresses == Addresses::Domains && is_domain(word) {
            return true;
        }
        (before, rest) = (word.chars().last(), after);
    }
    false
}

/// In lower case, and with the signs that browsers read as a dot, a slash or a colon in their place.
fn plain(c: char) -> impl Iterator<Item = char> {
    let sign = match c {
        '\u{3002}' | '\u{ff0e}' | '\u{ff61}' | '\u{2024}' => '.',
        '\u{ff0f}' | '\u{2044}' | '\u{2215}' | '\u{29f8}' => '/',
        '\u{ff1a}' | '\u{a789}' => ':',
        '\u{ff20}' => '@',
        c => c,
    };
    sign.to_lowercase()
}

/// Whether a path or a port follows.
fn leads_on(after: &str) -> bool {
    let mut after = after.chars();
    match after.next() {
        Some('/') => true,
        Some(':') => after.next().is_some_and(|c| c.is_ascii_digit()),
        _ => false,
    }
}

/// Whether a word has the form of a host: labels with dots between them, the last one of letters (`S.A.` is none), or an IPv4
/// address.
fn is_host(word: &str) -> bool {
    let labels: Vec<&str> = word.trim_matches(['.', '-']).split('.').collect();
    let (Some(last), true) = (labels.last(), labels.len() > 1 && labels.iter().all(|l| !l.is_empty())) else {
        return false;
    };
    let named =
        last.chars().count() > 1 && last.chars().all(|c| c.is_alphabetic()) || last.starts_with("xn--");
    let numbered = labels.len() == 4 && labels.iter().all(|label| label.bytes().all(|b| b.is_ascii_digit()));
    named || numbered
}

/// Whether a word is a domain below a known public suffix.
fn is_domain(word: &str) -> bool {
    let host = word.trim_matches(['.', '-']);
    is_host(word) && crate::public_suffix::is_known(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_pass() {
        for name in [
            "J. R. Smith",
            "J.R.R. Tolkien",
            "Dr.Ana",
            "Dr. Li",
            "O'Brien",
            "O’Brien-Müller",
            "Nguyễn Thị Ánh",
            "Ștefan",
            "Łukasz Żółć",
            "José Mª García",
            "山田 太郎",
            "محمد عبد الله",
            "علی\u{200c}رضا",
            "क्\u{200d}ष",
            "Ada\u{a0}Lovelace",
            "Anne-Marie d’Aubigné",
            "Martin Luther King, Jr.",
            "X Æ A-12",
            "Sammy Davis Jr",
            "Ama Ata Aidoo (Ms.)",
        ] {
            assert!(is_one_line(name), "{name}");
            assert!(!has_address(name, Addresses::Domains), "{name}");
        }
    }

    #[test]
    fn names_of_companies_pass() {
        for name in [
            "Acme S.A.",
            "Acme S.A./N.V.",
            "Portico.io",
            "Booking.com",
            "Yahoo!",
            "24/7 Fitness",
            "AT&T Inc.",
            "Müller GmbH & Co. KG",
            "Ben & Jerry's",
            "3.14 Bakery",
            "Route 66: Diner",
            "C/O Smith",
            "Nr.12/14",
            "Café «Luz»",
            "Who is Booking.com?",
        ] {
            assert!(is_one_line(name), "{name}");
            assert!(!has_address(name, Addresses::Plain), "{name}");
        }
    }

    #[test]
    fn addresses_are_found() {
        for name in [
            "http://evil.example",
            "see HTTPS://x",
            "ftp://a",
            "www.evil.example",
            "go to WWW.evil.example now",
            "evil.example/pay",
            "Ada evil.com/x",
            "evil.com:8080",
            "192.0.2.1/pay",
            "192.0.2.1:80",
            "Pay at evil\u{3002}com/x",
            "evil\u{ff0e}com\u{ff0f}x",
            "me@evil.com",
            "evil.xn--p1ai/x",
            "(evil.example/)",
            "https:\u{2215}\u{2215}x",
        ] {
            assert!(has_address(name, Addresses::Plain), "{name}");
            assert!(has_address(name, Addresses::Domains), "{name}");
        }
        for name in [
            "evil.com",
            "Call evil.co.uk",
            "You won, evil.io!",
            "EVIL.COM",
            "пример.рф",
            "«evil.org»",
            "evil.com.",
        ] {
            assert!(has_address(name, Addresses::Domains), "{name}");
            assert!(!has_address(name, Addresses::Plain), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_seen_is_found() {
        for code in [
            0x00, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x1b, 0x7f, 0x85, 0xad, 0x61c, 0x180e, 0x200b, 0x200e,
            0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0x3164, 0xfeff, 0xe0041,
        ] {
            let c = char::from_u32(code).unwrap();
            let name = format!("Ada{c}Lovelace");
            assert!(!is_one_line(&name), "U+{code:04X}");
            assert_eq!(one_line(&name), "Ada Lovelace", "U+{code:04X}");
        }
        assert!(!is_one_line("Ada\u{200d}Lovelace"), "a joiner between Latin letters only hides");
    }
}
