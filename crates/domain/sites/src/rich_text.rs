//! HTML that customers write, made harmless.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use ammonia::Builder;
use portico_kernel::{FieldError, RuleMessage};

use crate::link::{image_source, link_target};

/// The most characters of one rich text.
pub const MAX_RICH_TEXT: usize = 50_000;

/// The most tags in one rich text.
const MAX_TAGS: usize = 5_000;

/// The most elements that a parser may have to make out of one rich text.
const MAX_ELEMENTS: usize = 200_000;

/// The most elements inside each other. A parser looks through all that are open at many a tag, so that the time grows with
/// the square of the depth.
const MAX_DEPTH: usize = 400;

/// Elements that are closed implicitly, or hold nothing: people leave hundreds of them open in one text.
const CLOSED_SILENTLY: [&str; 16] = [
    "br", "caption", "col", "dd", "dt", "hr", "img", "li", "option", "p", "tbody", "td", "tfoot", "th",
    "thead", "tr",
];

/// How often HTML is cleaned until nothing changes any more. A parser may read its own output for odd nesting (a link within a
/// table within a link) differently; the result of a sanitiser is safe only once it is stable.
const MOST_ROUNDS: usize = 8;

/// Elements that HTML parsers open again in every following block when they are not closed ("formatting elements",
/// HTML standard section 13.2.4.3), without `a`, of which only one can be open.
const FORMATTING: [&str; 13] =
    ["b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"];

/// What stays; everything else loses its tags, and scripts and styles their content too.
static SANITISER: LazyLock<Builder<'static>> = LazyLock::new(|| {
    let tags = [
        "a",
        "abbr",
        "b",
        "blockquote",
        "br",
        "caption",
        "cite",
        "code",
        "dd",
        "del",
        "div",
        "dl",
        "dt",
        "em",
        "figcaption",
        "figure",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "i",
        "img",
        "ins",
        "kbd",
        "li",
        "mark",
        "ol",
        "p",
        "pre",
        "q",
        "s",
        "small",
        "span",
        "strong",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "u",
        "ul",
    ];
    let attributes: [(&str, &[&str]); 6] = [
        ("a", &["href", "title"]),
        ("abbr", &["title"]),
        ("img", &["src", "alt", "width", "height"]),
        ("ol", &["start"]),
        ("td", &["colspan", "rowspan"]),
        ("th", &["colspan", "rowspan", "scope"]),
    ];
    let dropped_with_content = [
        "script",
        "style",
        "iframe",
        "object",
        "embed",
        "noscript",
        "template",
        "svg",
        "math",
        "title",
        "textarea",
        "select",
        "noembed",
        "noframes",
        "xmp",
        "plaintext",
    ];
    let mut builder = Builder::empty();
    builder
        .tags(HashSet::from(tags))
        .tag_attributes(
            attributes
                .iter()
                .map(|(tag, names)| (*tag, names.iter().copied().collect()))
                .collect::<HashMap<_, _>>(),
        )
        .clean_content_tags(HashSet::from(dropped_with_content))
        .url_schemes(HashSet::from(["http", "https", "mailto", "tel"]))
        .link_rel(Some("noopener nofollow ugc"))
        .strip_comments(true)
        .attribute_filter(attribute);
    builder
});

/// Removes invalid addresses and numbers from attributes.
fn attribute<'u>(element: &str, attribute: &str, value: &'u str) -> Option<Cow<'u, str>> {
    match (element, attribute) {
        ("a", "href") => link_target(value).ok().map(Cow::Owned),
        ("img", "src") => image_source(value).ok().map(Cow::Owned),
        (_, "width" | "height" | "colspan" | "rowspan" | "start") => {
            value.parse::<u16>().is_ok_and(|number| number <= 4096).then_some(Cow::Borrowed(value))
        }
        _ => Some(Cow::Borrowed(value)),
    }
}

/// The harmless part of an HTML fragment: headings, paragraphs, lists, tables, links and pictures, without script,
/// style, frames, event handlers and addresses that [`link_target`] refuses. Cleaning once more changes nothing: what is
/// answered is what a parser makes of itself.
///
/// Refuses what is longer than `max` characters, and what would make a parser build far more elements than are written
/// down. The error's field is empty: the caller names it.
pub fn sanitise(html: &str, max: usize) -> Result<String, FieldError> {
    if html.chars().count() > max {
        return Err(FieldError::new("", "too_long", RuleMessage::at_most_characters(max)));
    }
    if !is_affordable(html) {
        return Err(FieldError::new(
            "",
            "too_complex",
            "This HTML has too many tags, or too much nested formatting.",
        ));
    }
    let mut clean = html.trim().to_owned();
    for _ in 0..MOST_ROUNDS {
        let cleaner = SANITISER.clean(&clean).to_string();
        let cleaner = cleaner.trim();
        if cleaner == clean {
            return Ok(clean);
        }
        if cleaner.len() > max.saturating_mul(8) {
            return Err(FieldError::new(
                "",
                "too_complex",
                "This HTML grows too large when it is put in order.",
            ));
        }
        clean = cleaner.to_owned();
    }
    Err(FieldError::new(
        "",
        "too_complex",
        "This HTML cannot be put in order: its elements are in each other's way.",
    ))
}

/// Whether parsing stays cheap. Formatting elements that are left open come back in every later block; elements with equal
/// names and attributes at most three times, others without a limit. So 2,000 different `<b>` before 2,000 `<p>` make four
/// million elements. The product is an upper bound for that; closing tags are not counted against it, because only a
/// parser knows which of them count.
fn is_affordable(html: &str) -> bool {
    let count = |wanted: u8| html.bytes().filter(|b| *b == wanted).count();
    let tags = count(b'<');
    // An `&` ends a piece of text for the parser, and joining pieces takes time that grows with the square of their number.
    if tags > MAX_TAGS || count(b'&') > MAX_TAGS || depth(html) > MAX_DEPTH {
        return false;
    }
    let with_attributes = html.split('<').skip(1).filter(|tag| {
        let end = tag.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tag.len());
        let (name, rest) = tag.split_at(end);
        !rest.starts_with('>') && FORMATTING.iter().any(|known| known.eq_ignore_ascii_case(name))
    });
    // Three of each name without attributes, and one link.
    let reopened = with_attributes.count() + 3 * FORMATTING.len() + 1;
    reopened.saturating_mul(tags) <= MAX_ELEMENTS
}

/// How many elements are open at once, at most, by what is written down.
fn depth(html: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0_usize);
    for tag in html.split('<').skip(1) {
        let end = tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len());
        let name = tag.get(..end).unwrap_or_default();
        if tag.starts_with('/') {
            open = open.saturating_sub(1);
        } else if !name.is_empty() && !CLOSED_SILENTLY.iter().any(|silent| name.eq_ignore_ascii_case(silent))
        {
            open += 1;
            most = most.max(open);
        }
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clean(html: &str) -> String {
        sanitise(html, MAX_RICH_TEXT).unwrap()
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let nested = |depth: usize, tag: &str| {
            format!("<{tag}>").repeat(depth) + "x" + &format!("</{tag}>").repeat(depth)
        };
        assert!(sanitise(&nested(400, "div"), MAX_RICH_TEXT).is_ok());
        for tag in ["div", "DIV", "span", "blockquote", "table", "unknown1"] {
            let error = sanitise(&nested(401, tag), MAX_RICH_TEXT).unwrap_err();
            assert_eq!(error.code, "too_complex", "{tag}");
        }
        // Not deep, however many.
        for text in ["<p>x".repeat(2000), "<ul><li>x</ul>".repeat(900), "a<br>".repeat(4000)] {
            assert!(sanitise(&text, MAX_RICH_TEXT).is_ok());
        }
    }

    #[test]
    fn cleaning_once_more_changes_nothing() {
        for html in [
            "<a><table><a>",
            "<a href=/x><li><table><a><table>",
            "<script></script> text",
            "<a HREF=\"HTTPS:/example.com\" title=x>link</a>",
        ] {
            let once = clean(html);
            assert_eq!(clean(&once), once, "{html}");
        }
    }

    #[test]
    fn keeps_what_a_text_is_made_of() {
        let html = "<h2>Hello</h2><p>We <strong>bake</strong> <em>bread</em>.</p><ul><li>Rye</li></ul>\
                    <img src=\"/a.png\" alt=\"Bread\" width=\"300\">";
        assert_eq!(clean(html), html);
    }

    #[test]
    fn links_get_a_rel_and_lose_what_is_not_a_link() {
        assert_eq!(
            clean("<a href=\"https://example.com\" target=\"_blank\" rel=\"opener\" onclick=\"x()\">a</a>"),
            "<a href=\"https://example.com\" rel=\"noopener nofollow ugc\">a</a>"
        );
        for href in [
            "javascript:alert(1)",
            "JAVASCRIPT:alert(1)",
            "java&#9;script:alert(1)",
            "java&Tab;script:alert(1)",
            "&#106;avascript:alert(1)",
            "&#x01;javascript:alert(1)",
            "data:text/html,x",
            "//evil.example",
            "/\\evil.example",
            "vbscript:x",
        ] {
            let html = clean(&format!("<a href=\"{href}\">a</a>"));
            assert_eq!(html, "<a rel=\"noopener nofollow ugc\">a</a>", "{href}");
        }
        assert_eq!(clean("<img src=javascript:alert(1) alt=x>"), "<img alt=\"x\">");
    }

    #[test]
    fn drops_everything_that_acts() {
        for html in [
            "<script>alert(1)</script>",
            "<SCRIPT SRC=https://evil.example/x.js></SCRIPT>",
            "<scr<script>ipt>alert(1)</scr</script>ipt>",
            "<style>@import 'https://evil.example'</style>",
            "<iframe src=https://evil.example></iframe>",
            "<object data=x></object><embed src=x>",
            "<svg onload=alert(1)><script>alert(1)</script></svg>",
            "<svg><a xlink:href=\"javascript:alert(1)\"><text>x</text></a></svg>",
            "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
            "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
            "<math><mi><table><mi><mglyph><mi><style></math><img src onerror=alert(1)>",
            "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
            "<template><img src=x onerror=alert(1)></template>",
            "<img src=x onerror=alert(1)>",
            "<img src=\"x\" onerror\n=\nalert(1)>",
            "<p style=\"background:url(javascript:alert(1))\" onmouseover=alert(1)>x</p>",
            "<form action=javascript:alert(1)><input onfocus=alert(1) autofocus><button formaction=x>",
            "<base href=https://evil.example><meta http-equiv=refresh content=0><link rel=stylesheet href=x>",
            "<!--[if IE]><script>alert(1)</script><![endif]-->",
            "<body onload=alert(1)>",
            "<details open ontoggle=alert(1)>",
            "<video><source onerror=alert(1)></video>",
            "<p id=location name=cookie class=portico-nav>x</p>",
            "<xmp><img src=x onerror=alert(1)></xmp>",
            "<textarea><img src=x onerror=alert(1)></textarea>",
        ] {
            let result = clean(html).to_lowercase();
            // Text may say anything; what counts are tags and attributes.
            let tags: Vec<&str> =
                result.split('<').skip(1).map(|tag| tag.split('>').next().unwrap_or("")).collect();
            for tag in &tags {
                for bad in [
                    "script",
                    "style",
                    "iframe",
                    "object",
                    "embed",
                    "svg",
                    "math",
                    " on",
                    "javascript:",
                    "form",
                    "input",
                    "base",
                    "meta",
                    "link",
                    "template",
                    "body",
                    "details",
                    "video",
                    "!--",
                    "xlink",
                    "class",
                    " id",
                    " name",
                ] {
                    assert!(!tag.contains(bad), "{html} became {result}");
                }
            }
            assert_eq!(clean(&result), result, "cleaning twice changes nothing");
        }
    }

    #[test]
    fn bounds_time_and_memory() {
        assert_eq!(sanitise("ab", 1).unwrap_err().code, "too_long");
        let bomb: String = (0..2000).map(|n| format!("<b x={n}>")).collect::<String>() + &"<p>x".repeat(2000);
        assert_eq!(sanitise(&bomb, MAX_RICH_TEXT).unwrap_err().code, "too_complex");
        let many = "<p>".repeat(MAX_TAGS);
        assert!(sanitise(&many, MAX_RICH_TEXT).is_ok());
        assert_eq!(sanitise(&"<b>".repeat(MAX_TAGS + 1), MAX_RICH_TEXT).unwrap_err().code, "too_complex");
        assert_eq!(sanitise(&"&".repeat(MAX_TAGS + 1), MAX_RICH_TEXT).unwrap_err().code, "too_complex");
        let ordinary = "<p><b class=x>a</b> and <a href=\"/b\">b</a></p>".repeat(60);
        assert!(sanitise(&ordinary, MAX_RICH_TEXT).is_ok());
    }
}
