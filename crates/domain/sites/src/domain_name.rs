//! Names of domains that customers connect.

use std::fmt;

use portico_kernel::{FieldError, RuleMessage, public_suffix};
use serde::Serialize;
use url::Host;

/// Prefix of a name, at which the text record is looked up that proves its ownership.
const CHALLENGE: &str = "_portico-challenge";

/// The most characters of a name: what DNS allows (RFC 1035 section 2.3.4), less the room for [`CHALLENGE`].
const MAX: usize = 253 - CHALLENGE.len() - 1;

/// The last labels of names that are not in the public DNS (RFC 6761, 6762, 7686, 8375, and `internal` by ICANN's resolution).
const NOT_PUBLIC: [&str; 6] = ["arpa", "internal", "invalid", "local", "localhost", "onion"];

/// The name of a host below a registrable domain, in the form of DNS: lower case, other letters than ASCII as `xn--…`.
///
/// Parsing is strict, because the name goes into questions to DNS, into certificates and into addresses of pages: one
/// spelling for each name, no port, no address of a machine, no dot at the end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct DomainName(String);

impl DomainName {
    /// Checks the name of a domain to connect. The error's field is `name`.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        if text.is_empty() {
            return refuse("required", "This field is required.");
        }
        // Before anything that takes time; a letter has four bytes at most.
        if text.len() > MAX * 4 {
            return refuse("too_long", RuleMessage::at_most_characters(MAX));
        }
        if text.chars().any(is_odd) {
            return refuse(
                "invalid_domain",
                "Use a bare name such as www.example.com: letters, digits, hyphens and dots, no https:// and no path.",
            );
        }
        if text.starts_with('.') || text.ends_with('.') || text.contains("..") {
            return refuse("invalid_domain", "Every dot needs a name on both sides.");
        }
        let name = match Host::parse(text) {
            Ok(Host::Domain(name)) => name,
            Ok(Host::Ipv4(_) | Host::Ipv6(_)) => {
                return refuse("invalid_domain", "Use the name of a domain, not the address of a machine.");
            }
            Err(_) => return refuse("invalid_domain", "This is not the name of a domain."),
        };
        if name.len() > MAX {
            return refuse("too_long", RuleMessage::at_most_characters(MAX));
        }
        let labels: Vec<&str> = name.split('.').collect();
        if !labels.iter().all(|label| is_label(label)) {
            return refuse(
                "invalid_domain",
                "Between two dots use 1 to 63 letters, digits and hyphens, with no hyphen first or last.",
            );
        }
        let last = labels.last().copied().unwrap_or_default();
        if labels.len() < 2 || last.bytes().all(|b| b.is_ascii_digit()) {
            return refuse("invalid_domain", "Use a full name such as www.example.com.");
        }
        if NOT_PUBLIC.contains(&last) {
            return refuse("invalid_domain", "This name is not in the public DNS.");
        }
        if public_suffix::registered(&name).is_none() {
            return refuse("public_suffix", "Everybody can register names under this one; use one of yours.");
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as an owned text.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Whether it is `other` or a name below it.
    pub fn is_at_or_below(&self, other: &str) -> bool {
        is_at_or_below(&self.0, other)
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of the text record that proves the ownership of a name.
pub fn challenge_name(name: &str) -> String {
    format!("{CHALLENGE}.{name}")
}

/// The value of the text record.
pub fn challenge_text(token: &str) -> String {
    format!("portico-verify={token}")
}

/// Whether the name is one that is registered, with nothing before it: there can be no alias (CNAME) at such a name (RFC 1034
/// section 3.6.2).
pub fn is_apex(name: &str) -> bool {
    public_suffix::registered(name) == Some(name)
}

/// Names that belong to the service itself, which no customer can connect.
#[derive(Clone, Debug, Default)]
pub struct OwnNames(Vec<String>);

impl OwnNames {
    /// These names, and all below them.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let bare = names.into_iter().map(|name| name.trim_matches('.').to_ascii_lowercase());
        Self(bare.filter(|name| !name.is_empty()).collect())
    }

    /// The name, unless it belongs to the service.
    pub fn spare(&self, name: DomainName) -> Result<DomainName, FieldError> {
        if self.0.iter().any(|own| name.is_at_or_below(own)) {
            return refuse(
                "reserved_domain",
                "This name belongs to the service. Change the site's subdomain instead.",
            );
        }
        Ok(name)
    }
}

fn is_at_or_below(name: &str, other: &str) -> bool {
    name.strip_suffix(other).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn refuse<T>(code: &'static str, message: impl Into<RuleMessage>) -> Result<T, FieldError> {
    Err(FieldError::new("name", code, message))
}

/// Characters that no name has in any spelling. What else is beyond ASCII is for IDNA to judge (UTS 46), besides the dots of
/// other scripts, which it would read as dots.
fn is_odd(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '.' => false,
        c if c.is_ascii() => true,
        // Dots of other scripts.
        '\u{3002}' | '\u{FF0E}' | '\u{FF61}' => true,
        // Characters that do not show, which UTS 46 leaves out without a word, and those that turn the direction around.
        '\u{AD}' | '\u{34F}' | '\u{180B}'..='\u{180F}' | '\u{200B}' | '\u{200E}' | '\u{200F}' => true,
        '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' => true,
        c => c.is_control() || c.is_whitespace(),
    }
}

/// A label of a host name (RFC 1123 section 2.1), which has two hyphens in the third place only as an internationalised one
/// (RFC 5891 section 4.2.3.1).
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
        && (label.get(2..4) != Some("--") || label.starts_with("xn--"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(text: &str) -> String {
        DomainName::parse(text).map_or_else(|error| error.code.into_owned(), |_| "ok".to_owned())
    }

    #[test]
    fn names_have_one_spelling() {
        for (text, name) in [
            ("example.com", "example.com"),
            ("WWW.Example.COM", "www.example.com"),
            ("münchen.example", "xn--mnchen-3ya.example"),
            ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
            ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
            ("XN--MNCHEN-3YA.example", "xn--mnchen-3ya.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("उदाहरण.example", "xn--p1b6ci4b4b3a.example"),
            ("例え.jp", "xn--r8jz45g.jp"),
            ("a.b.c.d.example", "a.b.c.d.example"),
            ("3com.com", "3com.com"),
            ("shop.co.uk", "shop.co.uk"),
        ] {
            assert_eq!(DomainName::parse(text).map(DomainName::into_string).as_deref(), Ok(name), "{text}");
        }
    }

    #[test]
    fn what_is_no_bare_name_is_refused() {
        let long_label = format!("{}.com", "a".repeat(64));
        for text in [
            "localhost",
            "com",
            "a",
            ".",
            "..",
            ".com",
            "example.",
            "example.com.",
            "a..b.com",
            "-a.com",
            "a-.com",
            "ab--c.com",
            "xn--a.com",
            "xn--.com",
            "xn--\u{e9}.com",
            "a_b.com",
            "_portico-challenge.example.com",
            "*.example.com",
            "a b.com",
            " example.com",
            "example.com ",
            "example.com\n",
            "example.com\0",
            "exa\tmple.com",
            "example.com:443",
            "https://example.com",
            "example.com/",
            "user@example.com",
            "example.com?x",
            "example.com#x",
            "%65xample.com",
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "1.2.3.4.5",
            "[::1]",
            "::1",
            "①②⑦.⓪.⓪.①",
            "example。com",
            "example．com",
            "exa\u{ad}mple.com",
            "exa\u{200b}mple.com",
            "exa\u{202e}mple.com",
            "a.123",
            "a.local",
            "db.internal",
            "x.onion",
            "4.3.2.1.in-addr.arpa",
            "my.localhost",
            "a.invalid",
            "\u{ff05}.com",
            long_label.as_str(),
        ] {
            assert_eq!(code(text), "invalid_domain", "{text:?}");
        }
        assert_eq!(code(""), "required");
        assert_eq!(code(&"a.".repeat(150).trim_end_matches('.').replace('.', "aaa.")), "too_long");
        assert_eq!(code(&"a".repeat(100_000)), "too_long");
    }

    #[test]
    fn what_everybody_registers_under_is_nobodys() {
        for text in ["co.uk", "com.gt", "github.io", "xn--55qx5d.cn", "公司.cn"] {
            assert_eq!(code(text), "public_suffix", "{text}");
        }
        for (name, apex) in
            [("example.com", true), ("www.example.com", false), ("shop.co.uk", true), ("a.shop.co.uk", false)]
        {
            assert_eq!(is_apex(name), apex, "{name}");
        }
    }

    #[test]
    fn names_of_the_service_are_not_for_customers() {
        let own = OwnNames::new(["Sites.Example.com", "api.example.com", ""]);
        for (name, free) in [
            ("sites.example.com", false),
            ("shop.sites.example.com", false),
            ("api.example.com", false),
            ("example.com", true),
            ("mysites.example.com", true),
            ("other.example", true),
        ] {
            let name = DomainName::parse(name).unwrap();
            assert_eq!(own.spare(name.clone()).is_ok(), free, "{name}");
        }
    }

    #[test]
    fn the_longest_name_leaves_room_for_the_challenge() {
        let label = "a".repeat(63);
        let name = format!("{label}.{label}.{label}.{}.com", "b".repeat(MAX - 3 * 64 - 4));
        let name = DomainName::parse(&name).unwrap();
        assert_eq!((name.as_str().len(), challenge_name(name.as_str()).len()), (MAX, 253));
        assert_eq!(code(&format!("c.{name}")), "too_long");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
        #[test]
        fn whatever_is_accepted_is_in_its_one_spelling(text in "[a-zA-Z0-9.\\-üßé例①\u{200d}_ ]{0,40}|\\PC{0,40}") {
            if let Ok(name) = DomainName::parse(&text) {
                prop_assert_eq!(DomainName::parse(name.as_str()).unwrap(), name.clone());
                prop_assert!(name.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b)));
                prop_assert!(name.as_str().contains('.') && name.as_str().parse::<std::net::IpAddr>().is_err());
            }
        }
    }
}
