//! Whether HTML could do harm, judged apart from the sanitiser: by the tokens that a browser's parser would produce.
//!
//! None of the allowed elements switches the state of the tokenizer, so the tokens are the same wherever the HTML is
//! inserted.

use std::cell::RefCell;

use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// The elements of rich text. A copy of the sanitiser's list, so that a mistake there is found.
const ELEMENTS: &[&str] = &[
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

/// The attributes that are harmless.
const ATTRIBUTES: &[&str] =
    &["alt", "colspan", "height", "rel", "rowspan", "scope", "start", "title", "width"];

#[derive(Default)]
struct Judge(RefCell<Option<String>>);

impl Judge {
    fn object(&self, reason: String) {
        self.0.borrow_mut().get_or_insert(reason);
    }
}

impl TokenSink for Judge {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        match token {
            Token::TagToken(tag) => {
                if !ELEMENTS.contains(&&*tag.name) {
                    self.object(format!("<{}> is left", tag.name));
                }
                for attribute in &tag.attrs {
                    let (name, value) = (&*attribute.name.local, &*attribute.value);
                    if tag.kind == TagKind::EndTag {
                        self.object(format!("</{}> has attributes", tag.name));
                    } else if matches!(name, "href" | "src") {
                        if let Some(reason) = address(value) {
                            self.object(reason);
                        }
                    } else if !ATTRIBUTES.contains(&name) {
                        self.object(format!("{name}= is left"));
                    }
                }
            }
            Token::CommentToken(_) => self.object("a comment is left".to_owned()),
            Token::DoctypeToken(_) => self.object("a doctype is left".to_owned()),
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

/// What could do harm in HTML.
pub fn in_html(html: &str) -> Option<String> {
    let tokenizer = Tokenizer::new(Judge::default(), TokenizerOpts::default());
    let queue = BufferQueue::default();
    queue.push_back(html.into());
    let _ = tokenizer.feed(&queue);
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}

/// What could do harm in the address of a link or a picture: where a browser on a page of a site would go.
pub fn address(text: &str) -> Option<String> {
    // Browsers drop these before they look at the scheme (WHATWG URL, "basic URL parser").
    let seen: String = text.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
    let seen = seen.trim_matches(|c: char| c <= ' ').to_ascii_lowercase();
    if ["javascript:", "data:", "vbscript:", "file:", "blob:"].iter().any(|scheme| seen.starts_with(scheme)) {
        return Some(format!("an address runs or hides something: {text:?}"));
    }
    let page = url::Url::parse("https://site.example/about/").ok()?;
    let Ok(target) = page.join(text) else { return Some(format!("an address is none: {text:?}")) };
    if !["http", "https", "mailto", "tel"].contains(&target.scheme()) {
        return Some(format!("an address has the scheme {}: {text:?}", target.scheme()));
    }
    if !target.username().is_empty() || target.password().is_some() {
        return Some(format!("an address holds a password: {text:?}"));
    }
    let names_host = seen.starts_with("http://") || seen.starts_with("https://");
    let leaves = target.host_str() != page.host_str() && matches!(target.scheme(), "http" | "https");
    (leaves && !names_host).then(|| format!("an address leads elsewhere in disguise: {text:?}"))
}
