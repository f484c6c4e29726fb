use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use portico_kernel::{Clock, Env, Random, Timestamp};
use portico_sites::{industry::Industry, look::Style, section::SectionType, template::Library};

use super::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_seconds(1_790_000_000).unwrap()
    }
}

impl Random for Still {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

/// The texts in a value, each with the name of the field that it is in.
fn texts<'v>(name: &'v str, value: &'v Value, found: &mut Vec<(&'v str, &'v str)>) {
    match value {
        Value::String(text) => found.push((name, text)),
        Value::Array(items) => items.iter().for_each(|item| texts(name, item, found)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| texts(name, value, found)),
        _ => {}
    }
}

fn texts_of(template: &Template) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for section in template.pages.iter().flat_map(|page| &page.sections) {
        texts("", &section.content, &mut found);
    }
    found
}

#[test]
fn every_file_is_read_and_keeps_to_the_rules_of_templates() {
    let templates: Vec<Template> = FILES.iter().map(|file| read(&file.text().unwrap()).unwrap()).collect();
    assert_eq!(library(), templates);
    let env = Env::new(Arc::new(Still), Arc::new(Still));
    let prepared = Library::prepare(&env, &templates);
    assert_eq!(prepared.refused, []);
    assert_eq!(prepared.templates.len(), FILES.len());
    for (file, prepared) in templates.iter().zip(&prepared.templates) {
        assert_eq!(file.id, prepared.template.id);
        assert_eq!(file.look, prepared.template.look, "{}", file.slug);
        // The validation cleans texts; here there is nothing to clean, so customers get the texts of the files.
        let cleaned: BTreeSet<_> = texts_of(&prepared.template).into_iter().collect();
        let written: BTreeSet<_> = texts_of(file).into_iter().collect();
        assert_eq!(written, cleaned, "{}", file.slug);
    }
}

#[test]
fn the_editions_are_those_of_the_files() {
    let env = Env::new(Arc::new(Still), Arc::new(Still));
    let library = Library::prepare(&env, &library());
    let lines = library
        .templates
        .iter()
        .map(|one| format!("    (\"{}\", \"{}\"),\n", one.template.slug, one.fingerprint));
    let listed =
        EDITIONS.map(|(slug, fingerprint)| format!("    (\"{slug}\", \"{fingerprint}\"),\n")).concat();
    let made = lines.collect::<String>();
    assert_eq!(listed, made, "EDITIONS in src/editions.rs is to be\n{made}");
}

#[test]
fn there_is_a_choice() {
    let templates = library();
    assert!(templates.len() >= 14, "{}", templates.len());
    let distinct = |word: fn(&Template) -> &str| templates.iter().map(word).collect::<BTreeSet<_>>().len();
    assert_eq!(distinct(|template| &template.slug), templates.len());
    assert_eq!(distinct(|template| &template.name), templates.len());
    assert_eq!(distinct(|template| &template.description), templates.len());
    assert!(distinct(|template| &template.industry) >= 8);
    assert!(distinct(|template| &template.category) >= 6);
    assert!(templates.iter().all(|template| Industry::find(&template.industry).is_some()));
    for style in Style::ALL {
        let wearing = templates.iter().filter(|template| template.look.style == style).count();
        assert!(wearing >= 2, "{style:?}: {wearing}");
    }
    let premium = templates.iter().filter(|template| template.is_premium).count();
    assert!((templates.len() / 4..=templates.len() / 2).contains(&premium), "{premium} premium templates");
    let featured = templates.iter().filter(|template| template.is_featured).count();
    assert!((3..=8).contains(&featured), "{featured} featured templates");
    assert!(templates.iter().filter(|template| template.language == "es").count() >= 2);
}

#[test]
fn no_two_templates_look_or_read_alike() {
    let templates = library();
    let looks: BTreeSet<String> = templates.iter().map(|template| json!(template.look).to_string()).collect();
    assert_eq!(looks.len(), templates.len());
    let mut sentences: BTreeMap<&str, &str> = BTreeMap::new();
    for template in &templates {
        for (_, text) in texts_of(template).into_iter().filter(|(_, text)| text.chars().count() > 60) {
            if let Some(other) = sentences.insert(text, &template.slug) {
                assert_eq!(template.slug, other, "{text}");
            }
        }
    }
    assert!(sentences.len() > 200, "{}", sentences.len());
}

#[test]
fn every_template_is_a_whole_site() {
    for template in library() {
        let name = &template.slug;
        assert!((3..=6).contains(&template.pages.len()), "{name}");
        let homes: Vec<bool> = template.pages.iter().map(|page| page.is_home).collect();
        assert!(
            homes[0] && !homes[1..].contains(&true),
            "{name}: the first page is the home page, and only that"
        );
        let kinds: BTreeSet<&str> = template
            .pages
            .iter()
            .flat_map(|page| &page.sections)
            .map(|section| section.kind.as_str())
            .collect();
        assert!(kinds.len() >= 5, "{name}: {kinds:?}");
        let has = |kind: SectionType| {
            template.pages.iter().flat_map(|page| &page.sections).any(|section| section.kind == kind)
        };
        assert!(has(SectionType::Contact), "{name}: nobody can be reached");
        assert_eq!(template.pages[0].sections[0].kind, SectionType::Hero, "{name}");
        for page in &template.pages {
            let description = page.seo_description.as_deref().unwrap_or_default();
            assert!((15..=160).contains(&description.chars().count()), "{name} {}: {description}", page.key);
        }
        for (field, text) in texts_of(&template) {
            assert!(!text.to_lowercase().contains("lorem") && !text.contains("TODO"), "{name}: {text}");
            // Reserved domains (RFC 2606) and fictitious telephone numbers.
            if field == "email" {
                assert!(text.ends_with(".example"), "{name}: {text}");
            }
            if field == "phone" {
                assert!(text.contains("555"), "{name}: {text}");
            }
        }
    }
}

#[test]
fn links_lead_to_pages_of_the_same_template_and_pictures_to_ours() {
    let mut links = 0;
    for template in library() {
        let slugs: BTreeSet<&str> = template.pages.iter().map(|page| page.slug.as_str()).collect();
        for (field, text) in texts_of(&template) {
            match field {
                "imageUrl" | "url" if text.starts_with("/library/") => {
                    assert!(text.ends_with(".svg"), "{}: {text}", template.slug);
                }
                "imageUrl" => panic!("{}: {text} is not ours", template.slug),
                "url" | "ctaUrl" if text.starts_with('/') => {
                    let slug = text[1..].split('#').next().unwrap_or_default();
                    assert!(slugs.contains(slug), "{}: {text}", template.slug);
                    links += 1;
                }
                "url" | "ctaUrl" => {
                    let scheme = ["#", "mailto:", "tel:"].into_iter().any(|start| text.starts_with(start));
                    assert!(scheme, "{}: {text}", template.slug);
                }
                _ => assert!(!text.contains("http") && !text.contains("src="), "{}: {text}", template.slug),
            }
        }
    }
    assert!(links > 50, "{links}");
}
