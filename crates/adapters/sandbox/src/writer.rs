//! A text generator that works offline: it puts the owner's answers between words that claim nothing ([`Neutral`]), in English and
//! Spanish. It makes no phrases up, and rewrites no more than headings: for more there is a language model.

use async_trait::async_trait;
use portico_kernel::FieldError;
use portico_sites::{
    generation::{
        MAX_KEYWORDS, MAX_SEO_DESCRIPTION, MAX_SEO_TITLE, Sources, can_be_written, read_page, read_rewrite,
        read_seo, shortened,
    },
    neutral::Neutral,
    ports::{
        ContentGenerator, GeneratorError, PageBrief, PageDraft, RewriteBrief, SectionDraft, SeoBrief,
        SeoDraft, Tokens,
    },
    section::{Provenance, SectionType},
};
use serde_json::Value;

/// Titles of pages that are about the whole business.
const HOME_TITLES: [&str; 5] = ["home", "home page", "inicio", "página principal", "welcome"];

/// Generates texts without any provider. See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct SandboxWriter;

#[async_trait]
impl ContentGenerator for SandboxWriter {
    async fn page(&self, brief: &PageBrief) -> Result<PageDraft, GeneratorError> {
        let has_contact = brief.sections.iter().any(|(kind, _)| *kind == SectionType::Contact);
        let contact = if has_contact { "#contact" } else { "/" };
        let neutral = Neutral::new(&brief.business, &brief.language, topic(&brief.title), Some(contact));
        let mut written = Vec::with_capacity(brief.sections.len());
        for (index, (kind, before)) in brief.sections.iter().enumerate() {
            check_facts(*kind, before)?;
            let is_told = brief.sections[..index].iter().any(|(earlier, _)| earlier == kind);
            written.push(match neutral.content(*kind, before) {
                content if !content.is_null() && !is_told => with_place(*kind, before, content, brief),
                _ if before.is_object() => before.clone(),
                _ => neutral.least(*kind),
            });
        }
        let sections = read_page(brief, written).map_err(unusable)?;
        Ok(PageDraft { sections, provenance: Provenance::Own, tokens: Tokens::default() })
    }

    async fn rewrite(&self, brief: &RewriteBrief) -> Result<SectionDraft, GeneratorError> {
        check_facts(brief.kind, &brief.content)?;
        let neutral = Neutral::new(&brief.business, &brief.language, None, Some("/"));
        let content = neutral.content(brief.kind, &brief.content);
        let written = match (brief.content.clone(), content) {
            (Value::Object(mut fields), content) => {
                let blank = |value: Option<&Value>| value.and_then(Value::as_str).is_none_or(str::is_empty);
                for name in ["heading", "subheading", "label"] {
                    if let Some(text) =
                        content.get(name).filter(|_| name == "heading" || blank(fields.get(name)))
                    {
                        fields.insert(name.to_owned(), text.clone());
                    }
                }
                Value::Object(fields)
            }
            (_, Value::Null) => neutral.least(brief.kind),
            (_, mut content) => {
                if brief.kind == SectionType::Contact {
                    content["address"] = brief.business.location.clone().into();
                }
                content
            }
        };
        let content = read_rewrite(brief, written, "content").map_err(unusable)?;
        Ok(SectionDraft { content, provenance: Provenance::Own, tokens: Tokens::default() })
    }

    async fn seo(&self, brief: &SeoBrief) -> Result<SeoDraft, GeneratorError> {
        let neutral = Neutral::new(&brief.business, &brief.language, None, None);
        let (name, line) = (brief.business.name.trim(), neutral.line());
        let about =
            [Some(name.to_owned()), line.clone()].into_iter().flatten().filter(|text| !text.is_empty());
        let about = about.collect::<Vec<_>>().join(", ");
        let topic = topic(&brief.title);
        let titles = topic.map(|topic| [format!("{topic} | {about}"), format!("{topic} | {name}")]);
        let title = titles
            .into_iter()
            .flatten()
            .chain([about.clone(), name.to_owned(), brief.title.trim().to_owned()])
            .map(|title| title.trim_matches([' ', '|']).to_owned())
            .find(|title| (1..=MAX_SEO_TITLE).contains(&title.chars().count()))
            .unwrap_or_else(|| shortened(&brief.title, MAX_SEO_TITLE));

        let of_page = brief.text.lines().map(str::trim).find(|line| line.chars().count() >= 50);
        let of_page = of_page.map(str::to_owned);
        let own = neutral.description();
        let described = if topic.is_some() { of_page.or(own) } else { own.or(of_page) };
        let named = format!("{}: {about}", brief.title.trim());
        let description = shortened(&described.unwrap_or(named), MAX_SEO_DESCRIPTION);

        let business = &brief.business;
        let keywords = line.into_iter().chain(business.services.iter().take(5).cloned());
        let name = Some(name.to_owned()).filter(|name| !name.is_empty());
        let mut keywords: Vec<String> = keywords.chain(name).collect();
        keywords.truncate(MAX_KEYWORDS);
        let (title, description, keywords) =
            read_seo(&title, &description, &keywords, &Sources::of_seo(brief)).map_err(unusable)?;
        Ok(SeoDraft { title, description, keywords, tokens: Tokens::default() })
    }
}

/// What a page of this title is about; `None` for the whole business.
fn topic(title: &str) -> Option<&str> {
    let title = title.trim();
    (!HOME_TITLES.contains(&title.to_lowercase().as_str())).then_some(title)
}

/// A contact section that names no other way tells the place.
fn with_place(kind: SectionType, before: &Value, mut content: Value, brief: &PageBrief) -> Value {
    if kind == SectionType::Contact && before.is_null() {
        content["address"] = brief.business.location.clone().into();
    }
    content
}

fn check_facts(kind: SectionType, content: &Value) -> Result<(), GeneratorError> {
    let reason =
        || GeneratorError::Unusable(format!("a {} section needs facts that nobody told", kind.as_str()));
    can_be_written(kind, content).then_some(()).ok_or_else(reason)
}

fn unusable(errors: Vec<FieldError>) -> GeneratorError {
    let errors: Vec<String> =
        errors.into_iter().map(|error| format!("{}: {}", error.field, error.code)).collect();
    GeneratorError::Unusable(errors.join(", "))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
