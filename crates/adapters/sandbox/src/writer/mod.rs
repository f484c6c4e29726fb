//! A text generator that works offline: it fills phrases for the kind of business, the tone and the purpose with the
//! owner's facts, in English and Spanish. Deterministic. Unknown facts are left out.

mod english;
mod facts;
mod phrases;
mod sections;
mod spanish;
mod template;
mod trade;

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_kernel::FieldError;
use portico_sites::{
    generation::{
        MAX_KEYWORDS, MAX_SEO_DESCRIPTION, MAX_SEO_TITLE, Sources, can_be_written, read_page, read_rewrite,
        read_seo, shortened,
    },
    ports::{
        ContentGenerator, GeneratorError, PageBrief, PageDraft, RewriteBrief, SectionDraft, SeoBrief,
        SeoDraft, Tokens, Tone,
    },
    section::SectionType,
};

use facts::{Facts, finished};
use sections::Place;

/// Generates texts without any provider. See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct SandboxWriter;

#[async_trait]
impl ContentGenerator for SandboxWriter {
    async fn page(&self, brief: &PageBrief) -> Result<PageDraft, GeneratorError> {
        let purpose = brief.purpose.as_deref().unwrap_or_default();
        let mut business = brief.business.clone();
        // Without a description, the purpose of the page serves as one.
        if business.description.as_deref().is_none_or(|text| text.trim().is_empty()) && !purpose.is_empty() {
            business.description = Some(purpose.to_owned());
        }
        let facts = Facts::new(&business, &brief.language, brief.tone, &[&brief.title, purpose]);
        let has_contact = brief.sections.iter().any(|(kind, _)| *kind == SectionType::Contact);
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut written = Vec::with_capacity(brief.sections.len());
        for (index, (kind, content)) in brief.sections.iter().enumerate() {
            if !can_be_written(*kind, content) {
                let reason = format!("section {index} ({}) needs facts that nobody told", kind.as_str());
                return Err(GeneratorError::Unusable(reason));
            }
            let number = seen.entry(kind.as_str()).or_default();
            let place = Place {
                kind: *kind,
                number: *number,
                content,
                keep_words: false,
                target: if has_contact { "#contact" } else { "/" },
                topic: Some(brief.title.as_str()).filter(|title| index == 0 && !is_home(title)),
                shorter: false,
            };
            *number += 1;
            written.push(sections::write(&facts, &place));
        }
        let sections = read_page(brief, written).map_err(unusable)?;
        Ok(PageDraft { sections, tokens: Tokens::default() })
    }

    async fn rewrite(&self, brief: &RewriteBrief) -> Result<SectionDraft, GeneratorError> {
        if !can_be_written(brief.kind, &brief.content) {
            return Err(GeneratorError::Unusable("the section needs facts that nobody told".to_owned()));
        }
        let instructions = brief.instructions.as_deref().unwrap_or_default();
        let facts =
            Facts::new(&brief.business, &brief.language, brief.tone, &[instructions, brief.kind.as_str()]);
        let asks = trade::words(instructions);
        let place = Place {
            kind: brief.kind,
            number: 0,
            content: &brief.content,
            keep_words: brief.content.is_object(),
            target: "/",
            topic: None,
            shorter: asks.iter().any(|word| {
                matches!(word.as_str(), "short" | "shorter" | "brief" | "corto" | "breve" | "menos")
            }),
        };
        let written = sections::write(&facts, &place);
        let content = read_rewrite(brief, written, "content").map_err(unusable)?;
        Ok(SectionDraft { content, tokens: Tokens::default() })
    }

    async fn seo(&self, brief: &SeoBrief) -> Result<SeoDraft, GeneratorError> {
        let facts = Facts::new(&brief.business, &brief.language, Tone::Friendly, &[&brief.title]);
        let (title, description, keywords) = seo(&facts, brief);
        let sources = Sources::of_seo(brief);
        let (title, description, keywords) =
            read_seo(&title, &description, &keywords, &sources).map_err(unusable)?;
        Ok(SeoDraft { title, description, keywords, tokens: Tokens::default() })
    }
}

/// Whether a title is generic, such as that of a home page.
fn is_home(title: &str) -> bool {
    let words = trade::words(title);
    matches!(
        words.iter().map(String::as_str).collect::<Vec<_>>().as_slice(),
        ["home"]
            | ["home", "page"]
            | ["homepage"]
            | ["inicio"]
            | ["pagina", "principal"]
            | ["welcome"]
            | ["bienvenida"]
    )
}

fn unusable(errors: Vec<FieldError>) -> GeneratorError {
    let errors: Vec<String> =
        errors.into_iter().map(|error| format!("{}: {}", error.field, error.code)).collect();
    GeneratorError::Unusable(errors.join(", "))
}

/// Title, description and keywords of a page.
fn seo(facts: &Facts<'_>, brief: &SeoBrief) -> (String, String, Vec<String>) {
    let phrases = facts.language.facts();
    let topic =
        if is_home(&brief.title) { facts.industry().unwrap_or(&facts.name) } else { brief.title.trim() };
    // The longest title that fits.
    let gaps = facts.gaps(Some(topic));
    let filled = phrases.titles.iter().filter_map(|phrase| template::fill(phrase, &gaps));
    let title = filled
        .filter(|title| title.chars().count() <= MAX_SEO_TITLE && !says_twice(title))
        .chain([shortened(topic, MAX_SEO_TITLE), facts.name.clone(), brief.title.clone()])
        .find(|title| !title.trim().is_empty())
        .unwrap_or_default();

    let own = facts.description.first().cloned();
    let of_page = brief.text.lines().map(str::trim).find(|line| line.chars().count() >= 50).map(finished);
    let fallback = facts.phrase("lead", facts.language.group(facts.group).leads);
    let mut description = match is_home(&brief.title) {
        true => own.or(of_page),
        false => of_page.or(own),
    }
    .or(fallback)
    .unwrap_or_default();
    let more = [
        facts.place().and_then(|_| facts.phrase("place", phrases.place)),
        facts.phrase("invitation", phrases.invitations),
    ];
    for sentence in more.into_iter().flatten() {
        let longer = format!("{description} {sentence}");
        if longer.chars().count() <= MAX_SEO_DESCRIPTION {
            description = longer;
        }
    }
    let description = whole_sentences(&description);

    let mut keywords: Vec<String> = Vec::new();
    let place = facts.place().unwrap_or_default();
    let in_place = |word: &str| if place.is_empty() { word.to_owned() } else { format!("{word} {place}") };
    keywords.extend(facts.industry().map(in_place));
    keywords.extend(facts.services.iter().take(5).cloned());
    keywords.extend(Some(facts.name.clone()).filter(|name| !name.is_empty()));
    keywords.extend(facts.language.group(facts.group).keywords.iter().map(|word| (*word).to_owned()));
    keywords.truncate(MAX_KEYWORDS);
    (title, description, keywords)
}

/// `Luz | Luz` is redundant.
fn says_twice(title: &str) -> bool {
    title
        .split_once(" | ")
        .is_some_and(|(topic, name)| name.to_lowercase().starts_with(&topic.to_lowercase()))
}

/// As many whole sentences as fit; else a part of the first one.
fn whole_sentences(text: &str) -> String {
    if text.chars().count() <= MAX_SEO_DESCRIPTION {
        return text.to_owned();
    }
    let cut = shortened(text, MAX_SEO_DESCRIPTION - 1);
    match cut.rfind(['.', '!', '?']) {
        Some(end) if end >= 60 => cut[..=end].to_owned(),
        _ => cut + "…",
    }
}

#[cfg(test)]
mod tests;
