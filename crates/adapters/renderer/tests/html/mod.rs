//! Parses rendered pages with a real tokenizer.

use std::{cell::RefCell, collections::BTreeMap};

use html5ever::tokenizer::{
    BufferQueue, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};

/// A start tag.
#[derive(Clone, Debug)]
pub struct Element {
    pub name: String,
    pub attributes: BTreeMap<String, String>,
}

impl Element {
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.attributes.get(attribute).map(String::as_str)
    }
}

/// The start tags of a document, in order, and all syntax errors.
#[derive(Default)]
pub struct Document {
    pub elements: Vec<Element>,
    pub errors: Vec<String>,
    open: Vec<String>,
}

const VOID: [&str; 7] = ["meta", "link", "img", "br", "hr", "input", "path"];

#[derive(Default)]
struct Reader(RefCell<Document>);

impl TokenSink for Reader {
    type Handle = ();

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<()> {
        let mut document = self.0.borrow_mut();
        match token {
            Token::ParseError(error) => document.errors.push(format!("line {line}: {error}")),
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => {
                let name = tag.name.to_string();
                if !VOID.contains(&name.as_str()) {
                    document.open.push(name.clone());
                }
                let attributes = tag.attrs.iter().map(|a| (a.name.local.to_string(), a.value.to_string()));
                document.elements.push(Element { name, attributes: attributes.collect() });
            }
            Token::TagToken(tag) => {
                let open = document.open.pop();
                if open.as_deref() != Some(&*tag.name) {
                    document.errors.push(format!("line {line}: </{}> closes {open:?}", tag.name));
                }
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }
}

impl Document {
    pub fn read(html: &str) -> Self {
        let tokenizer =
            Tokenizer::new(Reader::default(), TokenizerOpts { exact_errors: true, ..Default::default() });
        let queue = BufferQueue::default();
        queue.push_back(html.into());
        let _ = tokenizer.feed(&queue);
        tokenizer.end();
        let mut document = tokenizer.sink.0.into_inner();
        let open = std::mem::take(&mut document.open);
        document.errors.extend(open.into_iter().map(|name| format!("<{name}> is not closed")));
        document
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.elements.iter().filter(move |element| element.name == name)
    }

    /// Levels of the headings, in order.
    pub fn headings(&self) -> Vec<u8> {
        let level = |element: &Element| match element.name.as_bytes() {
            [b'h', digit @ b'1'..=b'6'] => Some(digit - b'0'),
            _ => None,
        };
        self.elements.iter().filter_map(level).collect()
    }
}
