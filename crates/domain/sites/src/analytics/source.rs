//! Where a visitor came from, and from which country.

use url::{Host, Url};

/// The most characters of a host that is kept.
const MAX_HOST: usize = 100;

/// The most characters of a campaign's source.
const MAX_CAMPAIGN: usize = 50;

/// The site that a visitor came from: its host name, without `www.`; never more of the address, which may reveal the person.
/// `None` for one's own host, and for what is no web address. `own` is the host of the request, without a port.
pub fn referrer(header: &str, own: &str) -> Option<String> {
    let url = Url::parse(header.trim()).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    // The parser has written the name in lower case, and international names in their ASCII form.
    let Host::Domain(host) = url.host()? else { return None };
    let host = plain(host);
    let is_own = host.eq_ignore_ascii_case(plain(own));
    (!is_own && !host.is_empty() && host.len() <= MAX_HOST).then(|| host.to_owned())
}

fn plain(host: &str) -> &str {
    let host = host.trim_end_matches('.');
    host.strip_prefix("www.").unwrap_or(host)
}

/// The source of a campaign (`utm_source`) in the query of an address, in lower case; `None` when it has none, or one that no
/// campaign would have.
pub fn campaign(query: &str) -> Option<String> {
    let (_, source) = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "utm_source")?;
    let source = source.trim().to_ascii_lowercase();
    let fits = (1..=MAX_CAMPAIGN).contains(&source.len())
        && source.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    fits.then_some(source)
}

/// A country as a proxy sends it: two letters (ISO 3166-1 alpha-2), in capitals. `None` for codes that proxies make up for what
/// they do not know.
pub fn country(header: &str) -> Option<String> {
    let code = header.trim().to_ascii_uppercase();
    let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
    (is_code && !matches!(code.as_str(), "XX" | "ZZ" | "AP" | "EU")).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_referrer_is_a_host() {
        let own = "luz.example.com";
        for (header, host) in [
            ("https://www.Google.com/search?q=secret+disease", Some("google.com")),
            ("https://news.example.org:8443/a/b#c", Some("news.example.org")),
            ("http://user:secret@blog.example/", Some("blog.example")),
            ("https://café.example/", Some("xn--caf-dma.example")),
            ("https://example.net./", Some("example.net")),
            ("https://luz.example.com/about/", None),
            ("https://WWW.LUZ.example.com/", None),
            ("android-app://com.google.android.gm/", None),
            ("https://192.0.2.7/", None),
            ("https://[2001:db8::1]/", None),
            ("javascript:alert(1)", None),
            ("about:blank", None),
            ("not an address", None),
            ("", None),
        ] {
            assert_eq!(referrer(header, own).as_deref(), host, "{header}");
        }
        let long = format!("https://{}.example/", "a".repeat(60) + "." + &"b".repeat(60));
        assert_eq!(referrer(&long, own), None);
        assert_eq!(referrer("https://www.luz.example/x", "luz.example"), None);
    }

    #[test]
    fn a_campaign_is_a_word() {
        assert_eq!(campaign("a=1&utm_source=News-Letter&utm_medium=x").as_deref(), Some("news-letter"));
        for none in ["", "utm_source=", "utm_source=%3Cscript%3E", "utm_sources=x", "utm_source=a%20b"] {
            assert_eq!(campaign(none), None, "{none}");
        }
        assert_eq!(campaign(&format!("utm_source={}", "a".repeat(51))), None);
    }

    #[test]
    fn a_country_is_two_letters() {
        assert_eq!(country("gt").as_deref(), Some("GT"));
        for none in ["", "G", "GTM", "XX", "T1", "..", "é"] {
            assert_eq!(country(none), None, "{none}");
        }
    }
}
