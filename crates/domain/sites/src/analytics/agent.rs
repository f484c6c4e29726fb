//! What a `User-Agent` reveals: whether a person reads, and on what device.

use serde::{Deserialize, Serialize};

/// Words in the `User-Agent` of programs that pass for browsers, in lower case. Programs that do not even do that are detected by
/// [`is_bot`] without a list. Most say `bot`, `crawler` or `spider`; the rest are the ones that visit small sites often.
const PROGRAMS: [&str; 33] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "scrap",
    "headless",
    "phantomjs",
    "lighthouse",
    "pagespeed",
    "gtmetrix",
    "pingdom",
    "uptime",
    "monitor",
    "statuscake",
    "site24x7",
    "checker",
    "validator",
    "scanner",
    "censys",
    "expanse",
    "facebookexternalhit",
    "meta-externalagent",
    "mediapartners-google",
    "google-",
    "googleother",
    "bingpreview",
    "preview",
    "chatgpt-user",
    "perplexity-user",
    "claude-user",
    "archive",
    "feed",
    "fetch",
];

/// Makers and phones whose names contain one of the words.
const PHONES: [&str; 1] = ["cubot"];

/// Whether the client is a program, and not a browser on behalf of a person.
///
/// Every browser in use begins with `Mozilla/` (RFC 9110 section 10.1.5 deplores it), or once did with `Opera/`. So whatever
/// begins otherwise, or is empty, is a program; what passes for a browser is detected by its words.
pub fn is_bot(user_agent: &str) -> bool {
    if !(user_agent.starts_with("Mozilla/") || user_agent.starts_with("Opera/")) {
        return true;
    }
    let mut lower = user_agent.to_ascii_lowercase();
    for phone in PHONES {
        lower = lower.replace(phone, "");
    }
    // `Mozilla/5.0` alone names no browser either.
    lower.len() < 20 || PROGRAMS.iter().any(|word| lower.contains(word))
}

/// The kind of device of a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Device {
    /// A computer, or what passes for one (an iPad does).
    Desktop,
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
}

impl Device {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Desktop, Self::Mobile, Self::Tablet];

    /// Name in JSON and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::Mobile => "mobile",
            Self::Tablet => "tablet",
        }
    }

    /// The kind of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.as_str() == text)
    }

    /// The kind that a browser says it runs on. `mobile` is the client hint `Sec-CH-UA-Mobile`, where it was sent.
    pub fn from_user_agent(user_agent: &str, mobile: Option<bool>) -> Self {
        let has = |word: &str| user_agent.contains(word);
        // Android says `Mobile` on phones, and nothing on tablets.
        if has("iPad") || has("Tablet") || has("Silk/") || (has("Android") && !has("Mobi")) {
            // The hint is true on phones only.
            return if mobile == Some(true) { Self::Mobile } else { Self::Tablet };
        }
        if mobile == Some(true) || has("Mobi") || has("iPhone") || has("iPod") || has("Opera Mini") {
            return Self::Mobile;
        }
        Self::Desktop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
    const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1";

    #[test]
    fn browsers_are_told_from_programs() {
        for browser in [
            CHROME,
            IPHONE,
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
            "Mozilla/5.0 (Linux; Android 14; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            "Opera/9.80 (Android; Opera Mini/36.2/191.256; U; es) Presto/2.12.423 Version/12.16",
        ] {
            assert!(!is_bot(browser), "{browser}");
        }
        for program in [
            "",
            "curl/8.5.0",
            "python-requests/2.32",
            "Go-http-client/2.0",
            "Mozilla/5.0",
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36",
            "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "WhatsApp/2.23.20.0",
            "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
            "Mozilla/5.0 (Linux; Android 11; moto g power) AppleWebKit/537.36 Chrome/119 Mobile Safari/537.36 Chrome-Lighthouse",
        ] {
            assert!(is_bot(program), "{program}");
        }
    }

    #[test]
    fn devices_are_told_apart() {
        let galaxy_tab = "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
        let pixel = "Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36";
        let ipad = "Mozilla/5.0 (iPad; CPU OS 12_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/12.1 Mobile/15E148 Safari/604.1";
        for (agent, hint, device) in [
            (CHROME, None, Device::Desktop),
            (CHROME, Some(false), Device::Desktop),
            // Chrome on a phone may be frozen to look like anything; the hint is not.
            (CHROME, Some(true), Device::Mobile),
            (IPHONE, None, Device::Mobile),
            (pixel, Some(true), Device::Mobile),
            (pixel, None, Device::Mobile),
            (galaxy_tab, Some(false), Device::Tablet),
            (galaxy_tab, None, Device::Tablet),
            (ipad, None, Device::Tablet),
        ] {
            assert_eq!(Device::from_user_agent(agent, hint), device, "{agent} {hint:?}");
        }
    }

    #[test]
    fn every_kind_has_a_word() {
        for device in Device::ALL {
            assert_eq!(Device::parse(device.as_str()), Some(device));
        }
        assert_eq!(Device::parse("watch"), None);
    }
}
