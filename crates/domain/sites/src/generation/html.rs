//! Generated HTML.

use portico_kernel::FieldError;

use super::{check::without_addresses, sources::Sources};
use crate::rich_text::{MAX_RICH_TEXT, sanitise};

/// Sanitised, without links and pictures whose addresses are not in the brief.
pub(super) fn restrict(html: &str, sources: &Sources) -> Result<String, FieldError> {
    let clean = sanitise(html, MAX_RICH_TEXT)?;
    let mut result = String::with_capacity(clean.len());
    let mut inside_foreign_link = false;
    let mut rest = clean.as_str();
    while let Some(start) = rest.find('<') {
        let (text, from) = rest.split_at(start);
        push_text(&mut result, text, sources);
        let Some(end) = end_of_tag(from) else {
            rest = "";
            break;
        };
        let (tag, after) = from.split_at(end);
        rest = after;
        let allowed = |name: &str| {
            let value = tag.split_once(name).and_then(|(_, value)| value.split('"').next());
            value.is_some_and(|value| sources.allow_address(&unescape(value)))
        };
        match tag {
            _ if tag.starts_with("<img") => {
                if allowed(" src=\"") {
                    result.push_str(tag);
                }
            }
            _ if tag.starts_with("<a ") || tag == "<a>" => {
                inside_foreign_link = !allowed(" href=\"");
                if !inside_foreign_link {
                    result.push_str(tag);
                }
            }
            // One link cannot be inside another.
            "</a>" if inside_foreign_link => inside_foreign_link = false,
            _ => result.push_str(tag),
        }
    }
    push_text(&mut result, rest, sources);
    Ok(result)
}

/// Where the tag ends that this begins with: the sanitiser writes attributes in double quotes.
fn end_of_tag(from: &str) -> Option<usize> {
    let mut quoted = false;
    for (at, byte) in from.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// The text between tags, without addresses that are not in the brief.
fn push_text(result: &mut String, text: &str, sources: &Sources) {
    let clean = without_addresses(text, sources);
    if clean.len() == text.len() {
        result.push_str(text);
        return;
    }
    // White space at the ends keeps words apart from their neighbours.
    if text.starts_with(char::is_whitespace) {
        result.push(' ');
    }
    result.push_str(clean.trim());
    if text.ends_with(char::is_whitespace) && !clean.trim().is_empty() {
        result.push(' ');
    }
}

/// The text of sanitised HTML, with a space for each tag.
pub fn text_of(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    for (index, part) in html.split('<').enumerate() {
        let visible = if index == 0 { part } else { part.split_once('>').map_or("", |(_, text)| text) };
        text.push(' ');
        text.push_str(visible);
    }
    let text = unescape(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The characters that the sanitiser escapes.
pub(super) fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&")
}
