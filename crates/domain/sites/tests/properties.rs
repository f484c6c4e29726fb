//! Properties that hold for any input of strangers. `portico-bench fuzz` checks the same with a million inputs.

use portico_kernel::name::{Slug, Subdomain};
use portico_sites::{
    link::{image_source, link_target},
    rich_text::{MAX_RICH_TEXT, sanitise},
    section::{SectionType, content::SectionContent},
};
use proptest::prelude::*;
use serde_json::json;

/// Pieces of HTML, well and badly formed, in any order.
fn html() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "\\PC{0,12}",
        "</?(a|b|p|table|td|li|svg|math|style|script|img|title|div)( (href|src|onload|title)=\"?[a-z:/#&;]{0,12}\"?){0,2}>?",
        Just("<a href=\"java\tscript:alert(1)\">".to_owned()),
        Just("<!--".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("&#x6A;avascript:".to_owned()),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn clean_html_stays_as_it_is(html in html()) {
        if let Ok(clean) = sanitise(&html, MAX_RICH_TEXT) {
            prop_assert_eq!(sanitise(&clean, MAX_RICH_TEXT * 8), Ok(clean.clone()));
            let lower = clean.to_ascii_lowercase();
            for harm in ["<script", "<style", "<svg", "<math", "<iframe", "<!--", "href=\"javascript", "src=\"data"] {
                prop_assert!(!lower.contains(harm), "{}", clean);
            }
        }
    }

    #[test]
    fn stored_sections_are_accepted_again(html in html(), heading in "\\PC{0,40}") {
        let content = json!({"heading": heading, "html": html});
        if let Ok(read) = SectionContent::read(SectionType::Text, content, "content") {
            let stored = read.into_json();
            let again = SectionContent::read(SectionType::Text, stored.clone(), "content");
            prop_assert_eq!(again.map(SectionContent::into_json), Ok(stored));
        }
    }

    #[test]
    fn accepted_addresses_stay_and_run_nothing(text in "(https?:|mailto:|tel:|javascript:|//|/|#|\\\\|\t){0,3}\\PC{0,30}") {
        for read in [link_target, image_source] {
            if let Ok(address) = read(&text) {
                prop_assert_eq!(read(&address), Ok(address.clone()));
                let lower = address.to_ascii_lowercase();
                prop_assert!(!lower.starts_with("javascript:") && !lower.starts_with("data:") && !lower.starts_with("//"));
            }
        }
    }

    #[test]
    fn names_from_any_title_are_names(title in "\\PC{0,200}", number in any::<u64>()) {
        let slug = Slug::from_title(&title);
        prop_assert!(Slug::parse(slug.as_str()).is_ok());
        prop_assert!(Slug::parse(slug.with_suffix(number).as_str()).is_ok());
        if let Ok(name) = Subdomain::parse(&title) {
            prop_assert_eq!(name.as_str(), title.as_str());
        }
    }
}
