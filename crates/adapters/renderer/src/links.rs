//! Sanitising of URLs entered by customers.

/// Knows the slug of the home page, so that links to it by its slug still work.
pub struct Links {
    home: String,
}

impl Links {
    /// For a site whose home page has this slug.
    pub fn new(home: &str) -> Self {
        Self { home: format!("/{home}/") }
    }

    /// The URL for `href`; `None` for a forbidden one, for instance `javascript:`.
    ///
    /// URLs on the same site become root-relative with a trailing slash, as pages are served.
    pub fn href(&self, address: &str) -> Option<String> {
        let address = address.trim();
        if address.is_empty() || address.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return None;
        }
        if address.starts_with('#') {
            return Some(address.to_owned());
        }
        if address.starts_with("//") {
            return None;
        }
        if let Some((scheme, _)) = scheme(address) {
            let allowed =
                ["http", "https", "mailto", "tel"].iter().any(|name| scheme.eq_ignore_ascii_case(name));
            return allowed.then(|| address.to_owned());
        }
        let path_end = address.find(['?', '#']).unwrap_or(address.len());
        let (path, rest) = address.split_at(path_end);
        let mut path = format!("/{}", path.trim_start_matches('/'));
        let is_file = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
        if !path.ends_with('/') && !is_file {
            path.push('/');
        }
        if path == self.home {
            path = "/".to_owned();
        }
        Some(path + rest)
    }
}

/// The URL of an image for `src`: on the same site, by HTTPS, or inline; our own drawings are files of the deployment.
/// Plain HTTP is changed to HTTPS, because the content security policy of published pages allows nothing less.
pub fn image(address: &str) -> Option<String> {
    let address = address.trim();
    if address.is_empty() || address.chars().any(char::is_control) || address.starts_with("//") {
        return None;
    }
    match scheme(address) {
        None => {
            crate::artwork::path(address).or_else(|| Some(format!("/{}", address.trim_start_matches('/'))))
        }
        Some((name, _)) if name.eq_ignore_ascii_case("https") => Some(address.to_owned()),
        Some((name, rest)) if name.eq_ignore_ascii_case("http") => Some(format!("https:{rest}")),
        Some((name, rest)) if name.eq_ignore_ascii_case("data") && rest.starts_with("image/") => {
            Some(address.to_owned())
        }
        Some(_) => None,
    }
}

/// `tel:` URL of a telephone number (RFC 3966); `None` if there are no digits in it.
pub fn telephone(number: &str) -> Option<String> {
    // "(0)" marks a zero that is left out from abroad.
    let number =
        if number.trim_start().starts_with('+') { number.replace("(0)", "") } else { number.to_owned() };
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let plus = if number.trim_start().starts_with('+') { "+" } else { "" };
    (!digits.is_empty()).then(|| format!("tel:{plus}{digits}"))
}

/// Where a map shows a postal address: a search, so that no place has to be known.
pub fn map(address: &str) -> String {
    let mut link = "https://www.openstreetmap.org/search?query=".to_owned();
    for byte in address.split_whitespace().collect::<Vec<_>>().join(" ").bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                link.push(char::from(byte))
            }
            byte => link.push_str(&format!("%{byte:02X}")),
        }
    }
    link
}

/// What to call a link to a social network: its name, or its host.
pub fn network(address: &str) -> String {
    const NAMES: [(&str, &str); 10] = [
        ("facebook.com", "Facebook"),
        ("instagram.com", "Instagram"),
        ("linkedin.com", "LinkedIn"),
        ("pinterest.com", "Pinterest"),
        ("threads.net", "Threads"),
        ("tiktok.com", "TikTok"),
        ("wa.me", "WhatsApp"),
        ("x.com", "X"),
        ("yelp.com", "Yelp"),
        ("youtube.com", "YouTube"),
    ];
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#', ':']).next().unwrap_or_default().to_lowercase();
    let is_it = |name: &str| host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    let known = NAMES.iter().find(|(name, _)| is_it(name)).map(|(_, name)| (*name).to_owned());
    known.unwrap_or_else(|| host.trim_start_matches("www.").to_owned())
}

/// `mailto:` URL (RFC 6068), without header fields; `None` for an invalid address.
pub fn mailto(address: &str) -> Option<String> {
    let address = address.trim();
    let plain = |c: char| c.is_alphanumeric() || "@.!#$*+-/=^_{|}~'".contains(c);
    (address.contains('@') && address.chars().all(plain)).then(|| format!("mailto:{address}"))
}

/// Splits `scheme:rest`, as browsers do.
fn scheme(address: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = address.split_once(':')?;
    (!scheme.contains(['/', '?', '#'])).then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_pages_and_other_sites_only() {
        let links = Links::new("welcome");
        for (address, expected) in [
            ("/about", Some("/about/")),
            ("/about/?a=b#c", Some("/about/?a=b#c")),
            ("about#team", Some("/about/#team")),
            ("/welcome", Some("/")),
            ("/menu.pdf", Some("/menu.pdf")),
            ("#contact", Some("#contact")),
            ("/", Some("/")),
            ("HTTPS://example.com/x", Some("HTTPS://example.com/x")),
            ("mailto:a@example.com", Some("mailto:a@example.com")),
            ("javascript:alert(1)", None),
            ("java\nscript:alert(1)", None),
            (" JaVaScRiPt:alert(1)", None),
            ("data:text/html,x", None),
            ("//evil.example", None),
            ("/\\evil.example", None),
            ("", None),
        ] {
            assert_eq!(links.href(address).as_deref(), expected, "{address}");
        }
    }

    #[test]
    fn pictures_come_from_safe_places() {
        assert_eq!(image("http://example.com/a.png").as_deref(), Some("https://example.com/a.png"));
        assert_eq!(image("media/a.png").as_deref(), Some("/media/a.png"));
        assert!(image("data:image/png;base64,AA==").is_some());
        assert_eq!(image("data:text/html,x"), None);
        assert_eq!(image("javascript:alert(1)"), None);
    }

    #[test]
    fn telephone_and_mail() {
        assert_eq!(telephone("+49 (40) 123-45").as_deref(), Some("tel:+494012345"));
        assert_eq!(telephone("+49 (0)40 123").as_deref(), Some("tel:+4940123"));
        assert_eq!(telephone("040 / 123").as_deref(), Some("tel:040123"));
        assert_eq!(telephone("none"), None);
        assert_eq!(
            map("5a Avenida 3\nAntigua & <b>"),
            "https://www.openstreetmap.org/search?query=5a%20Avenida%203%20Antigua%20%26%20%3Cb%3E"
        );
        for (address, name) in [
            ("https://www.instagram.com/luz", "Instagram"),
            ("https://x.com/luz", "X"),
            ("https://netflix.com/luz", "netflix.com"),
            ("https://www.luz.example/blog?x", "luz.example"),
        ] {
            assert_eq!(network(address), name);
        }
        assert_eq!(mailto("info@example.com").as_deref(), Some("mailto:info@example.com"));
        assert_eq!(mailto("a@b.example?bcc=c@d.example"), None);
    }
}
