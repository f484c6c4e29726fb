//! The texts of messages: `templates/<language>/*.txt`, compiled in, so that the binary needs no files beside it.
//!
//! A file is a list of sections. `# key` begins one; lines `Name: value` follow up to the first empty line, then paragraphs
//! with empty lines between them. A paragraph `[label]` is the button with the link of the message. Every line is a
//! separate template, so text by a user cannot become a paragraph, a button or a header.

use std::collections::BTreeMap;

/// Supported languages. The first one is used for all others.
pub const LANGUAGES: [&str; 2] = ["en", "es"];

const FILES: &[(&str, &str)] = &[
    ("en", include_str!("../templates/en/common.txt")),
    ("en", include_str!("../templates/en/account.txt")),
    ("en", include_str!("../templates/en/security.txt")),
    ("en", include_str!("../templates/en/tenant.txt")),
    ("en", include_str!("../templates/en/billing.txt")),
    ("en", include_str!("../templates/en/support.txt")),
    ("es", include_str!("../templates/es/common.txt")),
    ("es", include_str!("../templates/es/account.txt")),
    ("es", include_str!("../templates/es/security.txt")),
    ("es", include_str!("../templates/es/tenant.txt")),
    ("es", include_str!("../templates/es/billing.txt")),
    ("es", include_str!("../templates/es/support.txt")),
];

/// A part of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A paragraph, as lines. A line that is empty when rendered is left out.
    Paragraph(Vec<&'static str>),
    /// The button, with its label.
    Button(&'static str),
}

/// The texts of one message in one language.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Subject, preview, and other single lines, by name.
    pub lines: BTreeMap<&'static str, &'static str>,
    /// The body.
    pub parts: Vec<Part>,
}

impl Section {
    /// A single line by name.
    pub fn line(&self, name: &'static str) -> Result<&'static str, WordsError> {
        self.lines.get(name).copied().ok_or_else(|| WordsError::Missing(name.to_owned()))
    }
}

/// The texts cannot be parsed: a bug in this crate.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// No such section, or no such line in it.
    #[error("there are no words for {0}")]
    Missing(String),
    /// The section is there twice.
    #[error("there are words for {0} twice")]
    Twice(String),
    /// Not a line `Name: value`.
    #[error("cannot read {0:?}")]
    Unreadable(String),
}

/// All texts, by language and key.
#[derive(Debug)]
pub struct Words(BTreeMap<(&'static str, &'static str), Section>);

impl Words {
    /// Parses the files.
    pub fn read() -> Result<Self, WordsError> {
        let mut sections = BTreeMap::new();
        for (language, text) in FILES {
            for block in sections_of(text) {
                let (key, section) = read_section(block)?;
                if sections.insert((*language, key), section).is_some() {
                    return Err(WordsError::Twice(format!("{language} {key}")));
                }
            }
        }
        Ok(Self(sections))
    }

    /// The texts for a key in a language.
    pub fn get(&self, language: &'static str, key: &'static str) -> Result<&Section, WordsError> {
        self.0.get(&(language, key)).ok_or_else(|| WordsError::Missing(format!("{language} {key}")))
    }

    #[cfg(test)]
    pub fn keys(&self, language: &str) -> Vec<&'static str> {
        self.0.keys().filter(|(of, _)| *of == language).map(|(_, key)| *key).collect()
    }
}

/// The sections of a file, each beginning with its key.
fn sections_of(text: &'static str) -> impl Iterator<Item = &'static str> {
    let text = text.strip_prefix("# ").unwrap_or(text);
    text.split("\n# ").filter(|block| !block.trim().is_empty())
}

fn read_section(block: &'static str) -> Result<(&'static str, Section), WordsError> {
    let (head, body) = block.split_once("\n\n").unwrap_or((block, ""));
    let mut head = head.trim_end().lines();
    let key = head.next().unwrap_or_default();
    let mut section = Section::default();
    for line in head {
        let (name, value) =
            line.split_once(": ").ok_or_else(|| WordsError::Unreadable(format!("{key}: {line}")))?;
        section.lines.insert(name, value);
    }
    let paragraphs = body.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty());
    section.parts = paragraphs.map(read_part).collect();
    Ok((key, section))
}

fn read_part(paragraph: &'static str) -> Part {
    match paragraph.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(label) => Part::Button(label),
        None => Part::Paragraph(paragraph.lines().collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The placeholders in braces, sorted.
    fn placeholders(section: &Section) -> Vec<&str> {
        let body = section.parts.iter().flat_map(|part| match part {
            Part::Paragraph(lines) => lines.clone(),
            Part::Button(label) => vec![*label],
        });
        let mut found: Vec<_> = section.lines.values().copied().chain(body).collect();
        found = found
            .into_iter()
            .flat_map(|text| text.split("{{").skip(1))
            .filter_map(|rest| rest.split_once("}}"))
            .map(|(name, _)| name.trim())
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    #[test]
    fn every_language_says_the_same() {
        let words = Words::read().unwrap();
        let keys = words.keys(LANGUAGES[0]);
        assert!(keys.len() > 25, "{keys:?}");
        for language in LANGUAGES {
            assert_eq!(words.keys(language), keys, "{language}");
            for key in &keys {
                let (first, here) =
                    (words.get(LANGUAGES[0], key).unwrap(), words.get(language, key).unwrap());
                assert!(first.lines.keys().eq(here.lines.keys()), "{language} {key}: lines");
                assert_eq!(placeholders(first), placeholders(here), "{language} {key}: placeholders");
                let shape = |section: &Section| {
                    section.parts.iter().map(|part| matches!(part, Part::Button(_))).collect::<Vec<_>>()
                };
                assert_eq!(shape(first), shape(here), "{language} {key}: paragraphs and buttons");
            }
        }
    }

    #[test]
    fn a_section_is_read() {
        let (key, section) =
            read_section("hello\nSubject: Hi: you\nPreview: P\n\nOne.\nTwo.\n\n[Go]\n\nThree.\n").unwrap();
        assert_eq!(
            (key, section.line("Subject"), section.line("Preview")),
            ("hello", Ok("Hi: you"), Ok("P"))
        );
        let parts =
            [Part::Paragraph(vec!["One.", "Two."]), Part::Button("Go"), Part::Paragraph(vec!["Three."])];
        assert_eq!(section.parts, parts);
        assert_eq!(section.line("Other"), Err(WordsError::Missing("Other".into())));
        assert!(matches!(read_section("hello\nno colon"), Err(WordsError::Unreadable(_))));
    }
}
