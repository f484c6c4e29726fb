//! Directives for robots, as `<meta name="robots">` has them.

/// Directives that search engines know: those of the HTML 4 recommendation, and those that Google documents
/// (<https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag>).
const WORDS: [&str; 11] = [
    "all",
    "index",
    "noindex",
    "follow",
    "nofollow",
    "none",
    "noarchive",
    "nosnippet",
    "noimageindex",
    "notranslate",
    "indexifembedded",
];

/// The directives in lower case, divided by commas; `None` when one of them is unknown.
pub(super) fn directives(text: &str) -> Option<String> {
    let words: Vec<String> = text.split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
    words.iter().all(|word| is_directive(word)).then(|| words.join(", "))
}

fn is_directive(word: &str) -> bool {
    let number = |text: &str| text == "-1" || (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    match word.split_once(':') {
        None => WORDS.contains(&word),
        Some(("max-snippet" | "max-video-preview", limit)) => number(limit.trim()),
        Some(("max-image-preview", size)) => matches!(size.trim(), "none" | "standard" | "large"),
        Some(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_directives_are_accepted() {
        for (text, normal) in [
            ("noindex", "noindex"),
            (" NOINDEX ,nofollow", "noindex, nofollow"),
            ("max-snippet:-1, max-image-preview:large", "max-snippet:-1, max-image-preview:large"),
        ] {
            assert_eq!(directives(text).as_deref(), Some(normal));
        }
        for text in ["", "noindex,", "no-index", "max-snippet:many", "unavailable_after: never", "<script>"] {
            assert_eq!(directives(text), None, "{text}");
        }
    }
}
