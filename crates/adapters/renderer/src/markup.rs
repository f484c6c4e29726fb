//! Operations on sanitised HTML, as an HTML serialiser wrote it: tags are well formed, and `<` in text is escaped.

use std::ops::Range;

/// The text of sanitised HTML: no tags, entities decoded, white space collapsed.
pub fn plain_text(html: &str) -> String {
    let mut text = String::new();
    let mut end = 0;
    for tag in Tags::new(html) {
        text.push_str(&html[end..tag.start]);
        // Block tags such as `</p><p>` end a word, phrasing tags such as `<b>` do not.
        if !is_phrasing(&html[tag.clone()]) {
            text.push(' ');
        }
        end = tag.end;
    }
    text.push_str(&html[end..]);
    let text = decode(&text);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text, cut at a word to at most `limit` characters, an ellipsis included.
pub fn excerpt(text: &str, limit: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= limit {
        return text;
    }
    let cut: String = text.chars().take(limit.saturating_sub(1)).collect();
    let whole_words = cut.rfind(' ').map_or(cut.as_str(), |space| &cut[..space]);
    format!("{}…", whole_words.trim_end_matches([',', ';', ':', '.', '–', '-', ' ']))
}

/// The same HTML with its headings renumbered to begin at `first` (2 to 6) and to skip no level, so that they continue the
/// outline of the page around them.
pub fn rebase_headings(html: &str, first: u8) -> String {
    let mut out = String::with_capacity(html.len());
    let mut open: Vec<u8> = Vec::new();
    let mut end = 0;
    for tag in Tags::new(html) {
        let source = &html[tag.clone()];
        let closing = source.starts_with("</");
        let digit = if closing { 3 } else { 2 };
        if let Some(level) = heading_level(source, digit) {
            if !closing {
                while open.last().is_some_and(|outer| *outer >= level) {
                    open.pop();
                }
                open.push(level);
            }
            let depth = u8::try_from(open.len()).unwrap_or(u8::MAX).max(1);
            let level = first.saturating_add(depth - 1).min(6);
            out.push_str(&html[end..tag.start + digit]);
            out.push(char::from(b'0' + level));
            end = tag.start + digit + 1;
        }
    }
    out.push_str(&html[end..]);
    out
}

/// The level of a heading tag whose digit is at `digit`.
fn heading_level(tag: &str, digit: usize) -> Option<u8> {
    let bytes = tag.as_bytes();
    let is_heading = bytes.get(digit - 1)?.eq_ignore_ascii_case(&b'h')
        && matches!(bytes.get(digit + 1)?, b'>' | b'/' | b' ' | b'\t' | b'\n');
    let level = bytes.get(digit)?.checked_sub(b'0')?;
    (is_heading && (1..=6).contains(&level)).then_some(level)
}

fn is_phrasing(tag: &str) -> bool {
    let name = tag.trim_start_matches(['<', '/']);
    let length = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
    matches!(
        &name[..length],
        "a" | "abbr"
            | "b"
            | "cite"
            | "code"
            | "em"
            | "i"
            | "mark"
            | "q"
            | "s"
            | "small"
            | "span"
            | "strong"
            | "sub"
            | "sup"
            | "u"
    )
}

/// Decodes the entities that a serialiser writes.
fn decode(text: &str) -> String {
    text.replace("&nbsp;", "\u{a0}")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

/// Iterates over the tags and comments.
struct Tags<'a> {
    html: &'a str,
    position: usize,
}

impl<'a> Tags<'a> {
    fn new(html: &'a str) -> Self {
        Self { html, position: 0 }
    }
}

impl Iterator for Tags<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let bytes = self.html.as_bytes();
        let start = self.position + self.html[self.position..].find('<')?;
        let mut quote = None;
        let mut end = start + 1;
        // A `>` in a quoted attribute does not end the tag.
        while end < bytes.len() {
            match (quote, bytes[end]) {
                (None, b'>') => break,
                (None, byte @ (b'"' | b'\'')) => quote = Some(byte),
                (Some(open), byte) if open == byte => quote = None,
                _ => {}
            }
            end += 1;
        }
        self.position = (end + 1).min(bytes.len());
        Some(start..self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_without_tags() {
        let html = "<h2>Bread</h2><p>Fresh &amp; <b>w</b>arm, <a title=\"a > b\" href=\"/x\">daily</a>&nbsp;&lt;3</p>";
        assert_eq!(plain_text(html), "Bread Fresh & warm, daily <3");
        assert_eq!(plain_text("&amp;lt;"), "&lt;");
        assert_eq!(plain_text("broken <b"), "broken");
    }

    #[test]
    fn excerpts_end_at_words() {
        assert_eq!(excerpt("short  text", 20), "short text");
        assert_eq!(excerpt("sourdough, rye and spelt", 12), "sourdough…");
        assert_eq!(excerpt("ääääääääää", 5), "ääää…");
    }

    #[test]
    fn headings_continue_the_outline() {
        let html = "<h1>A</h1><h4 class=\"x\">B</h4><hr><h4>C</h4><h2>D</h2><header>E</header>";
        let expected = "<h3>A</h3><h4 class=\"x\">B</h4><hr><h4>C</h4><h4>D</h4><header>E</header>";
        assert_eq!(rebase_headings(html, 3), expected);
        assert_eq!(rebase_headings("<h2>A</h2><h1>B</h1><h2>C</h2>", 2), "<h2>A</h2><h2>B</h2><h3>C</h3>");
        assert_eq!(rebase_headings("<p>no heading</p>", 2), "<p>no heading</p>");
    }
}
