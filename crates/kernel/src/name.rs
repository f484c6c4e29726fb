//! Names that appear in addresses: the subdomain a site answers at, the slug of a page.

mod reserved;

use std::{fmt, ops::Deref};

use serde::{Deserialize, Serialize};

use self::reserved::{is_reserved, resembles};
use crate::{Env, FieldError, RuleMessage};

/// A DNS label (RFC 1035 section 2.3.1, RFC 1123) that a tenant or a site may answer at: 3 to 63 lower-case letters,
/// digits and hyphens, and not a name of the service itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Subdomain(String);

impl Subdomain {
    const MIN: usize = 3;
    const MAX: usize = 63;

    /// Checks a requested name. The error's field is `subdomain`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        let refuse =
            |code: &'static str, message: RuleMessage| Err(FieldError::new("subdomain", code, message));
        if text.is_empty() {
            return refuse("required", "This field is required.".into());
        }
        if !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
            return refuse("invalid_subdomain", "Use lower-case letters a to z, digits and hyphens.".into());
        }
        if text.len() < Self::MIN {
            return refuse("too_short", RuleMessage::at_least_characters(Self::MIN));
        }
        if text.len() > Self::MAX {
            return refuse("too_long", RuleMessage::at_most_characters(Self::MAX));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return refuse("invalid_subdomain", "A hyphen may not come first or last.".into());
        }
        // RFC 5891 section 4.2.3.1: such labels (`xn--…`) are kept for internationalised names, which can look like others.
        if text.get(2..4) == Some("--") {
            return refuse(
                "invalid_subdomain",
                "Two hyphens may not be the third and fourth character.".into(),
            );
        }
        if is_reserved(text) {
            return refuse("reserved_subdomain", "This subdomain is reserved.".into());
        }
        Ok(Self(text.to_owned()))
    }

    /// Checks a requested name, also against those that the operator reserves.
    pub fn wish(text: &str, env: &Env) -> Result<Self, FieldError> {
        let name = Self::parse(text)?;
        if env.reserved().iter().any(|brand| resembles(text, &brand.to_ascii_lowercase())) {
            return Err(FieldError::new("subdomain", "reserved_subdomain", "This subdomain is reserved."));
        }
        Ok(name)
    }

    /// A valid subdomain that resembles `name` and ends in `suffix` (which may be empty). Falls back to `site`.
    pub fn suggest(name: &str, suffix: &str, env: &Env) -> Self {
        let suffix = ascii_words(suffix, 32);
        let room = Self::MAX - if suffix.is_empty() { 0 } else { suffix.len() + 1 };
        let words = ascii_words(name, room);
        let joined = |stem: &str| match (stem, suffix.as_str()) {
            (stem, "") => stem.to_owned(),
            (stem, suffix) => format!("{stem}-{suffix}"),
        };
        let prefixed = ascii_words(&format!("site {words}"), room);
        [joined(&words), joined(&prefixed), joined("site")]
            .iter()
            .find_map(|candidate| Self::wish(candidate, env).ok())
            .unwrap_or_else(|| Self("site".to_owned()))
    }

    /// Six random letters and digits that distinguish subdomains made from the same name.
    pub fn random_suffix(env: &Env) -> String {
        // 32 characters, so that every byte maps evenly; without l and o, 0 and 1, which read alike.
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        env.random_bytes::<6>().iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
    }

    /// From the store, where only checked ones are (by the rules of the day when they were chosen).
    pub fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label as an owned text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl Deref for Subdomain {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Subdomain {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<str> for Subdomain {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl fmt::Display for Subdomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The last part of a page's address: 1 to 100 lower-case letters and digits, words divided by single hyphens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Slug(String);

impl Slug {
    const MAX: usize = 100;

    /// Checks a requested slug. The error's field is `slug`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        if text.is_empty() {
            return Err(FieldError::new("slug", "required", "This field is required."));
        }
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if !text.split('-').all(word) {
            let message = "Use lower-case letters a to z and digits, with single hyphens between words.";
            return Err(FieldError::new("slug", "invalid_slug", message));
        }
        if text.len() > Self::MAX {
            return Err(FieldError::new("slug", "too_long", RuleMessage::at_most_characters(Self::MAX)));
        }
        Ok(Self(text.to_owned()))
    }

    /// The slug that resembles a title; `page` when nothing of the title can be written in ASCII.
    pub fn from_title(title: &str) -> Self {
        let words = ascii_words(title, Self::MAX);
        Self(if words.is_empty() { "page".to_owned() } else { words })
    }

    /// The slug with a number behind it, shortened where needed: `about` becomes `about-2`.
    #[must_use]
    pub fn with_suffix(&self, number: u64) -> Self {
        let suffix = format!("-{number}");
        let stem = &self.0[..self.0.len().min(Self::MAX - suffix.len())];
        Self(format!("{}{suffix}", stem.trim_end_matches('-')))
    }

    /// From the store, where only checked ones are.
    pub fn trusted(text: String) -> Self {
        Self(text)
    }

    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The slug as an owned text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Slug {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        Self::parse(&text).map_err(|_| "not a slug")
    }
}

impl Deref for Slug {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Slug {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl PartialEq<str> for Slug {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The words of a text in lower-case ASCII, divided by single hyphens, at most `max` bytes, cut at a word where the first
/// word leaves room for that.
fn ascii_words(text: &str, max: usize) -> String {
    let mut words = String::new();
    let mut pending_hyphen = false;
    // One more than `max` is enough to decide whether the last word is whole; the text may be of any length.
    for letter in text.chars() {
        if words.len() > max {
            break;
        }
        let mut buffer = [0; 4];
        let ascii: &str = match transliterate(letter) {
            Some(ascii) => ascii,
            None if letter.is_ascii_alphanumeric() => letter.to_ascii_lowercase().encode_utf8(&mut buffer),
            None => {
                pending_hyphen = true;
                continue;
            }
        };
        if ascii.is_empty() {
            continue;
        }
        if pending_hyphen && !words.is_empty() {
            words.push('-');
        }
        pending_hyphen = false;
        words.push_str(ascii);
    }
    if words.len() > max {
        let cut = words[..=max].rfind('-').filter(|position| *position > 0).unwrap_or(max);
        words.truncate(cut);
    }
    words
}

/// How a letter of the Latin-1 or Latin Extended-A block, or a mark that leaves no trace, is written in ASCII.
fn transliterate(letter: char) -> Option<&'static str> {
    Some(match letter {
        // Apostrophes join ("Ana's" is "anas"), combining accents stand behind their letter.
        '\'' | '’' | '‘' | 'ʼ' | '\u{ad}' | '\u{300}'..='\u{36f}' => "",
        'À'..='Å' | 'à'..='å' | 'Ā'..='ą' => "a",
        'Æ' | 'æ' => "ae",
        'Ç' | 'ç' | 'Ć'..='č' => "c",
        'Ð' | 'ð' | 'Ď'..='đ' => "d",
        'È'..='Ë' | 'è'..='ë' | 'Ē'..='ě' => "e",
        'Ĝ'..='ģ' => "g",
        'Ĥ'..='ħ' => "h",
        'Ì'..='Ï' | 'ì'..='ï' | 'Ĩ'..='ı' => "i",
        'Ĳ' | 'ĳ' => "ij",
        'Ĵ' | 'ĵ' => "j",
        'Ķ'..='ĸ' => "k",
        'Ĺ'..='ł' => "l",
        'Ñ' | 'ñ' | 'Ń'..='ŋ' => "n",
        'Ò'..='Ö' | 'Ø' | 'ò'..='ö' | 'ø' | 'Ō'..='ő' => "o",
        'Œ' | 'œ' => "oe",
        'Ŕ'..='ř' => "r",
        'Ś'..='š' | 'Ș' | 'ș' => "s",
        'ß' | 'ẞ' => "ss",
        'Ţ'..='ŧ' | 'Ț' | 'ț' => "t",
        'Þ' | 'þ' => "th",
        'Ù'..='Ü' | 'ù'..='ü' | 'Ũ'..='ų' => "u",
        'Ŵ' | 'ŵ' => "w",
        'Ý' | 'ý' | 'ÿ' | 'Ŷ'..='Ÿ' => "y",
        'Ź'..='ž' => "z",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Subdomain::parse(text).map_or_else(|error| error.code.into_owned(), |_| "ok".to_owned())
    }

    #[test]
    fn subdomains_are_dns_labels_that_are_not_ours() {
        let longest = "a".repeat(63);
        for good in ["acme", "a-b", "3com", "shop--one", "administrators-of-x", "nsa", longest.as_str()] {
            assert_eq!(code(good), "ok", "{good}");
        }
        assert_eq!(code(""), "required");
        assert_eq!(code("ab"), "too_short");
        assert_eq!(code(&"a".repeat(64)), "too_long");
        for bad in
            ["Acme", "ac me", "acmé", "a.b.c", "-acme", "acme-", "xn--acme", "ab--c", "a_b_c", "acme\n"]
        {
            assert_eq!(code(bad), "invalid_subdomain", "{bad:?}");
        }
        for ours in [
            "www",
            "api",
            "admin",
            "localhost",
            "ns1",
            "mx10",
            "www2",
            "portico",
            "portico-login",
            "my-portico",
            "app",
            "mail",
            "support",
            "login",
            "billing",
            "status",
        ] {
            assert_ne!(code(ours), "ok", "{ours}");
        }
    }

    #[test]
    fn names_that_look_like_ours_are_ours() {
        for posing in [
            "p0rtico",
            "port1co",
            "portlco",
            "p0rt1c0",
            "portico2",
            "portic0",
            "por-tico",
            "p-o-r-t-i-c-o",
            "porticologin",
            "loginportico",
            "myportico",
            "portico-support",
            "p0rtico-pay",
            "api-portico1",
            "adm1n",
            "l0gin",
            "1ogin",
            "mai1",
            "b1lling",
            "supp0rt",
            "5tatus",
            "api2",
            "web-3",
        ] {
            assert_eq!(code(posing), "reserved_subdomain", "{posing}");
        }
        for other in [
            "elportico",
            "porticoes",
            "portica",
            "port-of-cork",
            "adminton",
            "statuesque",
            "5guys",
            "7eleven",
            "24hours",
            "shop",
            "store",
            "rnb-club",
            "corner",
            "clinic",
            "loginov",
        ] {
            assert_eq!(code(other), "ok", "{other}");
        }
    }

    #[test]
    fn operators_keep_their_own_brands() {
        let env = env().reserving(["Acme".to_owned(), "modern".to_owned()]);
        let wish = |text: &str| Subdomain::wish(text, &env).is_ok();
        for brand in ["acme", "acrne", "4cme", "acme-login", "acme2", "ac-me", "rnodern", "modem", "acmepay"]
        {
            assert!(!wish(brand), "{brand}");
        }
        for other in ["acmeology", "macme", "bakery"] {
            assert!(wish(other), "{other}");
        }
        assert!(!wish("admin") && Subdomain::wish("acme", &self::env()).is_ok());
        assert_eq!(Subdomain::suggest("Acme", "", &env).as_str(), "site");
    }

    fn env() -> Env {
        struct Nothing;
        impl crate::Clock for Nothing {
            fn now(&self) -> crate::Timestamp {
                crate::Timestamp::from_unix_seconds(0).unwrap()
            }
        }
        impl crate::Random for Nothing {
            fn fill(&self, buffer: &mut [u8]) {
                buffer.fill(0);
            }
        }
        Env::new(std::sync::Arc::new(Nothing), std::sync::Arc::new(Nothing))
    }

    #[test]
    fn suggestions_are_always_valid() {
        let long = "wort ".repeat(100);
        for (name, suffix, expected) in [
            ("Café Müller & Söhne", "", "cafe-muller-sohne"),
            ("Ana's Bakery", "x7k2m9", "anas-bakery-x7k2m9"),
            ("admin", "", "site-admin"),
            ("Portico", "", "site"),
            ("寿司", "", "site"),
            ("寿司", "abc234", "site-abc234"),
            ("a", "", "site-a"),
            ("xn--evil", "", "xn-evil"),
            ("", "-", "site"),
        ] {
            assert_eq!(Subdomain::suggest(name, suffix, &env()).as_str(), expected, "{name}");
        }
        let label = Subdomain::suggest(&long, "abc234", &env());
        assert!(Subdomain::parse(label.as_str()).is_ok() && label.as_str().ends_with("wort-abc234"));
    }

    #[test]
    fn slugs_have_words_and_single_hyphens() {
        let longest = "a".repeat(100);
        for good in ["a", "about-us", "2026", longest.as_str()] {
            assert!(Slug::parse(good).is_ok(), "{good}");
        }
        let too_long = "a".repeat(101);
        for bad in ["", "-a", "a-", "a--b", "A", "a/b", "..", "ä", "a b", too_long.as_str()] {
            assert!(Slug::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn titles_become_slugs() {
        for (title, slug) in [
            ("Über uns", "uber-uns"),
            ("  ¿Qué   hacemos?  ", "que-hacemos"),
            ("Straße & Łódź", "strasse-lodz"),
            ("Señor Œuvre", "senor-oeuvre"),
            ("E\u{301}te\u{301}", "ete"),
            ("!!!", "page"),
            ("日本", "page"),
        ] {
            assert_eq!(Slug::from_title(title).as_str(), slug);
        }
        let long = Slug::from_title(&"word ".repeat(1000));
        assert_eq!(long.as_str().len(), 99);
        assert!(Slug::parse(long.as_str()).is_ok());
        assert_eq!(Slug::from_title(&"a".repeat(5000)).as_str().len(), 100);
    }

    #[test]
    fn a_suffix_keeps_a_slug_valid() {
        assert_eq!(Slug::from_title("about").with_suffix(2).as_str(), "about-2");
        for length in 90..=100 {
            let slug = Slug::from_title(&format!("{}-b", "a".repeat(length - 2))).with_suffix(u64::MAX);
            assert!(Slug::parse(slug.as_str()).is_ok(), "{slug}");
        }
    }
}
