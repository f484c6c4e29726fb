//! The texts of a brief: the only source that facts and addresses may come from.

use std::collections::BTreeSet;

use serde_json::Value;

use super::html::unescape;
use crate::{
    ports::{BusinessInfo, PageBrief, RewriteBrief, SeoBrief},
    section::SectionType,
};

/// The texts of a brief.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    addresses: BTreeSet<String>,
    /// Every text, in lower case with single spaces.
    text: String,
    /// Every text, letters and digits only.
    compact: String,
    /// Every digit, in the order of the texts.
    digits: String,
}

impl Sources {
    /// Those of a brief for a page.
    pub fn of_page(brief: &PageBrief) -> Self {
        let mut sources = Self::of_business(&brief.business);
        sources.add_text(&brief.title);
        sources.add_text(brief.purpose.as_deref().unwrap_or_default());
        for (_, content) in &brief.sections {
            sources.add_value(content);
        }
        sources
    }

    /// Those of a brief for a section.
    pub fn of_rewrite(brief: &RewriteBrief) -> Self {
        let mut sources = Self::of_business(&brief.business);
        sources.add_text(brief.instructions.as_deref().unwrap_or_default());
        sources.add_value(&brief.content);
        sources
    }

    /// Those of a brief for SEO metadata.
    pub fn of_seo(brief: &SeoBrief) -> Self {
        let mut sources = Self::of_business(&brief.business);
        sources.add_text(&brief.title);
        sources.add_text(&brief.text);
        sources
    }

    fn of_business(business: &BusinessInfo) -> Self {
        let mut sources = Self::default();
        let BusinessInfo { name, industry, description, location, services, audience, goals } = business;
        for text in
            [Some(name), industry.as_ref(), description.as_ref(), location.as_ref(), audience.as_ref()]
                .into_iter()
                .flatten()
                .chain(services)
                .chain(goals)
        {
            sources.add_text(text);
        }
        sources
    }

    fn add_value(&mut self, value: &Value) {
        match value {
            Value::String(text) => {
                self.addresses.insert(text.trim().to_owned());
                self.add_text(text);
            }
            Value::Array(values) => values.iter().for_each(|value| self.add_value(value)),
            Value::Object(fields) => fields.values().for_each(|value| self.add_value(value)),
            _ => {}
        }
    }

    fn add_text(&mut self, text: &str) {
        for quoted in text.split(['"', '\'', ' ', '\n', '\t', '<', '>', '(', ')', ',', ';']) {
            if is_address(quoted) || quoted.starts_with(['/', '#']) {
                self.addresses.insert(quoted.to_owned());
                self.addresses.insert(quoted.trim_end_matches(['.', ':', '!', '?']).to_owned());
                self.addresses.insert(unescape(quoted));
            }
        }
        // A separator that no text holds: two texts do not make a third one together.
        self.text.push('\u{1}');
        self.text.push_str(&spaced(text));
        self.compact.push('\u{1}');
        self.compact.push_str(&compact(text));
        self.digits.push(' ');
        self.digits.extend(text.chars().filter(char::is_ascii_digit));
    }

    /// Whether a link or a picture may lead to this address: it is in the brief, or stays on the page or is the site's home page.
    pub fn allow_address(&self, address: &str) -> bool {
        let address = address.trim();
        let own = address == "/"
            || address.strip_prefix('#').is_some_and(|anchor| {
                let name = anchor.split('-').next().unwrap_or_default();
                SectionType::parse(name).is_some()
            });
        own || self.addresses.contains(address)
    }

    /// Whether a text is in the brief, apart from case and spacing.
    pub fn has_text(&self, text: &str) -> bool {
        let wanted = spaced(text);
        wanted.is_empty() || self.text.contains(&wanted)
    }

    /// Whether a text is in the brief, apart from case, spacing and punctuation.
    pub fn has_loosely(&self, text: &str) -> bool {
        let wanted = compact(text);
        wanted.is_empty() || self.compact.contains(&wanted)
    }

    /// Whether a number is in the brief, however it was written.
    pub fn has_digits(&self, digits: &str) -> bool {
        self.digits.contains(digits)
    }
}

/// Whether a word is an address on the web or of mail.
pub(super) fn is_address(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    let mail = word.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'));
    mail || word.contains("://") || word.starts_with("www.")
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn compact(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
