//! From the input of the wizard to pages: the template's pages as chosen, with their texts.
//!
//! Nothing of the template's example gets into the site but its pictures and links: its texts give way to [`Neutral`] ones, or to
//! nothing. Later texts take precedence over earlier ones: neutral ones, what was generated, what the customer wrote, and last of
//! all the contact details. The owner's pictures take the place of those of the example, unless the customer's own texts name others.

mod own;

use std::collections::BTreeMap;

use portico_kernel::{AssetId, Violations, name::Slug};
use serde_json::{Value, json};

use self::own::{apply_contact, apply_own, apply_photos};
use super::{ContentChoice, ContentMode, Generation, PageChoice, Presence, Wizard};
use crate::{
    neutral::Neutral,
    ports::{BusinessInfo, PageBrief},
    section::{Provenance, SectionType, content::SectionContent},
    template::{PagePlan, SectionPlan, Template, TemplatePage, TemplateSection},
};

/// Fields with the target of a link or with a picture. Generated texts do not change these.
const ADDRESSES: [&str; 5] = ["imageUrl", "imageAssetId", "imageAlt", "ctaUrl", "url"];

/// A picture of the owner's.
#[derive(Debug)]
pub(super) struct Photo {
    /// The picture.
    pub id: AssetId,
    /// What it shows, where the owner said so, else whose it is.
    pub alt: Option<String>,
}

/// The chosen pages of a template and the extra ones, with neutral texts; all of the template's pages where none were chosen.
/// One of them is home. What does not fit the template is recorded.
pub(super) fn pages(wizard: &Wizard, template: &Template, violations: &mut Violations) -> Vec<TemplatePage> {
    let mut pages: Vec<TemplatePage> = match &wizard.pages {
        None => template.pages.clone(),
        Some(choices) => (0..)
            .zip(choices)
            .filter_map(|(index, choice): (usize, _)| chosen(choice, index, template, violations))
            .collect(),
    };
    for index in 0..pages.len() {
        violations.check(
            !pages[..index].iter().any(|earlier| earlier.slug == pages[index].slug),
            format!("pages[{index}].slug"),
            "duplicate",
            "Another page of the list has this slug.",
        );
    }
    let home = pages.iter().position(|page| page.is_home).unwrap_or(0);
    for (index, page) in pages.iter_mut().enumerate() {
        page.is_home = index == home;
    }
    relink(&mut pages, template);
    neutralise(&mut pages, wizard, template);
    pages
}

/// Replaces the texts of the example by what the owner answered. Each answer is told once; sections with nothing to tell are null.
fn neutralise(pages: &mut [TemplatePage], wizard: &Wizard, template: &Template) {
    let (business, language) = (business(wizard), wizard.language(template));
    let contact = contact_page(pages).map(|page| format!("/{}", page.slug));
    let mut told: Vec<SectionType> = Vec::new();
    for page in pages {
        let title = (!page.is_home).then_some(page.title.as_str());
        let neutral = Neutral::new(&business, &language, title, contact.as_deref());
        for section in &mut page.sections {
            let tells = matches!(section.kind, SectionType::Text | SectionType::Features | SectionType::Faq);
            let is_told = (tells && told.contains(&section.kind)) || section.kind == SectionType::Html;
            let before = section.content.take();
            if !is_told {
                section.content = neutral.content(section.kind, &before);
            }
            if !section.content.is_null() {
                told.push(section.kind);
            }
        }
    }
}

/// The page on which visitors get in touch, unless that is the home page.
fn contact_page(pages: &[TemplatePage]) -> Option<&TemplatePage> {
    let is_it = |page: &&TemplatePage| {
        !page.is_home && page.sections.iter().any(|section| section.kind == SectionType::Contact)
    };
    pages.iter().find(is_it)
}

/// What the first two steps tell of the business.
fn business(wizard: &Wizard) -> BusinessInfo {
    let business = wizard.business_info.clone().unwrap_or_default();
    let goals = wizard.goals.clone().unwrap_or_default();
    BusinessInfo {
        name: business.name,
        industry: Some(business.industry),
        description: business.description,
        location: business.location,
        services: business.services,
        audience: goals.audience,
        goals: goals.goals,
    }
}

fn chosen(
    choice: &PageChoice,
    index: usize,
    template: &Template,
    violations: &mut Violations,
) -> Option<TemplatePage> {
    let Some(key) = &choice.key else { return Some(extra(choice)) };
    let Some(page) = template.pages.iter().find(|page| page.key == *key) else {
        let keys = template.pages.iter().map(|page| page.key.as_str()).collect::<Vec<_>>().join(", ");
        let message = format!("The template has no such page. It has: {keys}.");
        violations.add(format!("pages[{index}].key"), "unknown_page", message);
        return None;
    };
    let mut page = page.clone();
    if let Some(title) = &choice.title {
        page.title.clone_from(title);
    }
    if let Some(slug) = &choice.slug
        && let Some(slug) = violations.take(format!("pages[{index}].slug"), Slug::parse(slug))
    {
        page.slug = slug;
    }
    Some(page)
}

/// A page that the template does not have: its title, and a text that is yet to be written.
fn extra(choice: &PageChoice) -> TemplatePage {
    let title = choice.title.clone().unwrap_or_default();
    let section = |key: &str, kind, content| TemplateSection { key: key.to_owned(), kind, content };
    TemplatePage {
        key: choice.name(),
        slug: choice.extra_slug(),
        is_home: false,
        seo_title: None,
        seo_description: None,
        sections: vec![
            section("hero", SectionType::Hero, json!({"heading": title})),
            section("text", SectionType::Text, Value::Null),
        ],
        title,
    }
}

/// Changes links to pages of the template to the present addresses of those; to the home page where they were left out.
fn relink(pages: &mut [TemplatePage], template: &Template) {
    let now: BTreeMap<String, String> = template
        .pages
        .iter()
        .map(|old| {
            let page = pages.iter().find(|page| page.key == old.key && !page.is_home);
            (old.slug.to_string(), page.map_or("/".to_owned(), |page| format!("/{}", page.slug)))
        })
        .collect();
    let sections = pages.iter_mut().flat_map(|page| &mut page.sections);
    sections.for_each(|section| change_links(&mut section.content, &|address| target(address, &now)));
}

/// The present target of a link to a page of the template; `None` for any other link.
fn target(address: &str, now: &BTreeMap<String, String>) -> Option<String> {
    let path_end = address.find(['?', '#']).unwrap_or(address.len());
    let (path, rest) = address.split_at(path_end);
    let slug = path.strip_prefix('/')?.trim_end_matches('/');
    now.get(slug).map(|target| format!("{target}{rest}"))
}

/// Changes links that write to or call the business of the example to the one that the site is about; where it names neither
/// address nor number, they lead to the contact page.
fn redirect(pages: &mut [TemplatePage], presence: &Presence) {
    let elsewhere = contact_page(pages).map_or("/".to_owned(), |page| format!("/{}", page.slug));
    let mail = presence.email.as_ref().map(|email| format!("mailto:{email}"));
    let call = presence.phone.as_ref().map(|phone| {
        let dialled = phone.chars().filter(|c| c.is_ascii_digit() || *c == '+');
        format!("tel:{}", dialled.collect::<String>())
    });
    let change = |address: &str| match address.split_once(':')?.0 {
        "mailto" => mail.clone().or_else(|| call.clone()).or_else(|| Some(elsewhere.clone())),
        "tel" => call.clone().or_else(|| mail.clone()).or_else(|| Some(elsewhere.clone())),
        _ => None,
    };
    let sections = pages.iter_mut().flat_map(|page| &mut page.sections);
    sections.for_each(|section| change_links(&mut section.content, &change));
}

/// Changes the links of a content for which there is another address. Rich text is not the example's any more.
fn change_links(content: &mut Value, change: &impl Fn(&str) -> Option<String>) {
    match content {
        Value::Array(items) => items.iter_mut().for_each(|item| change_links(item, change)),
        Value::Object(fields) => {
            for (name, value) in fields.iter_mut() {
                match (name.as_str(), value) {
                    ("ctaUrl" | "url", Value::String(address)) => {
                        if let Some(changed) = change(address) {
                            *address = changed;
                        }
                    }
                    (_, nested) => change_links(nested, change),
                }
            }
        }
        _ => {}
    }
}

/// Whether such a section may be generated: not one with facts (contact details, prices, quotes of customers), pictures, or HTML
/// of the customer's own.
pub(super) fn is_writable(kind: SectionType) -> bool {
    matches!(
        kind,
        SectionType::Hero | SectionType::Text | SectionType::Features | SectionType::Faq | SectionType::Cta
    )
}

/// The brief for a page.
pub(super) fn brief(wizard: &Wizard, template: &Template, page: &TemplatePage) -> PageBrief {
    let choices = wizard.pages.iter().flatten();
    let purpose =
        choices.filter(|choice| choice.name() == page.key).find_map(|choice| choice.purpose.clone());
    let writable = page.sections.iter().filter(|section| is_writable(section.kind));
    PageBrief {
        business: business(wizard),
        language: wizard.language(template),
        tone: wizard.goals.as_ref().and_then(|goals| goals.tone).unwrap_or_default(),
        title: page.title.clone(),
        purpose,
        sections: writable.map(|section| (section.kind, section.content.clone())).collect(),
    }
}

/// What was written for a section, with the links and pictures that were there; `None` when that cannot be shown.
pub(super) fn merge_generated(kind: SectionType, before: &Value, mut written: Value) -> Option<Value> {
    keep_addresses(before, &mut written);
    SectionContent::read(kind, written, "").ok().map(SectionContent::into_json)
}

fn keep_addresses(before: &Value, written: &mut Value) {
    match written {
        Value::Object(fields) => {
            for name in ADDRESSES {
                match before.get(name) {
                    Some(address) => drop(fields.insert(name.to_owned(), address.clone())),
                    None => drop(fields.remove(name)),
                }
            }
            // The icon beside the text stays the same.
            if let Some(icon) = before.get("icon").filter(|icon| icon.is_string()) {
                fields.insert("icon".to_owned(), icon.clone());
            }
            // A button without a target is removed, and one with a target keeps a label.
            if fields.get("ctaUrl").is_none_or(Value::is_null) {
                fields.remove("ctaLabel");
            } else if fields
                .get("ctaLabel")
                .and_then(Value::as_str)
                .is_none_or(|label| label.trim().is_empty())
                && let Some(label) = before.get("ctaLabel")
            {
                fields.insert("ctaLabel".to_owned(), label.clone());
            }
            for (name, value) in fields.iter_mut().filter(|(name, _)| !ADDRESSES.contains(&name.as_str())) {
                keep_addresses(before.get(name).unwrap_or(&Value::Null), value);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                keep_addresses(before.get(index).unwrap_or(&Value::Null), item);
            }
        }
        _ => {}
    }
}

/// The pages with every text in its place, ready to be made. What does not fit is recorded.
pub(super) fn written(
    wizard: &Wizard,
    template: &Template,
    generation: &Generation,
    photos: &[Photo],
    violations: &mut Violations,
) -> Vec<PagePlan> {
    let nothing = (ContentChoice::default(), Presence::default());
    let content = wizard.content.as_ref().unwrap_or(&nothing.0);
    let presence = wizard.seo.as_ref().unwrap_or(&nothing.1);
    let mut pages = pages(wizard, template, violations);
    redirect(&mut pages, presence);
    let mut generated = Vec::new();
    if content.mode() == ContentMode::Ai {
        for page in &mut pages {
            apply_generated(page, generation, &mut generated);
        }
    }
    apply_photos(&mut pages, content, photos);
    apply_own(&mut pages, template, content, presence, violations);
    // What the customer has put something into is theirs.
    let is_own = |(page, key): &(String, String)| {
        content.sections.iter().any(|own| own.page == *page && own.section.as_ref() == Some(key))
    };
    generated.retain(|place| !is_own(place));
    apply_contact(&mut pages, presence);
    for page in &mut pages {
        page.sections.retain(|section| !section.content.is_null());
        if page.sections.is_empty() {
            let content = json!({"heading": page.title});
            page.sections.push(TemplateSection { key: "title".to_owned(), kind: SectionType::Hero, content });
        }
    }
    apply_seo(&mut pages, wizard, presence);
    pages.into_iter().map(|page| page_plan(page, template, presence, &generated)).collect()
}

/// The page as it is to be made. What is from the template keeps what the template has, for a reset.
fn page_plan(
    page: TemplatePage,
    template: &Template,
    presence: &Presence,
    generated: &[(String, String)],
) -> PagePlan {
    let source = template.pages.iter().find(|source| source.key == page.key);
    let section_plan = |section: TemplateSection| {
        let source = source.and_then(|source| source.sections.iter().find(|other| other.key == section.key));
        let is_generated = generated.iter().any(|(on, key)| (on, key) == (&page.key, &section.key));
        SectionPlan {
            provenance: if is_generated { Provenance::Generated } else { Provenance::Own },
            key: source.map(|_| section.key),
            kind: section.kind,
            content: section.content,
            original: source.map(|source| source.content.clone()),
        }
    };
    PagePlan {
        key: source.map(|source| source.key.clone()),
        title: page.title,
        slug: page.slug,
        is_home: page.is_home,
        in_navigation: true,
        seo_title: page.seo_title,
        seo_description: page.seo_description,
        seo_keywords: presence.keywords.clone(),
        sections: page.sections.into_iter().map(section_plan).collect(),
    }
}

/// Puts generated texts into their places, and notes those places where a model wrote them.
fn apply_generated(page: &mut TemplatePage, generation: &Generation, generated: &mut Vec<(String, String)>) {
    let written = generation.pages.iter().find(|written| written.page == page.key);
    for text in written.into_iter().flat_map(|page| &page.sections) {
        let place = page.sections.iter_mut().find(|place| place.key == text.key && place.kind == text.kind);
        if let Some(section) = place {
            // Links may have moved since it was generated.
            if let Some(content) = merge_generated(text.kind, &section.content, text.content.clone()) {
                section.content = content;
                if !text.provenance.is_own() {
                    generated.push((page.key.clone(), text.key.clone()));
                }
            }
        }
    }
}

/// The home page gets the SEO metadata of the business. The others get theirs from their own titles and texts: what the template
/// has for them is about the business of its example.
fn apply_seo(pages: &mut [TemplatePage], wizard: &Wizard, presence: &Presence) {
    let business = wizard.business_info.clone().unwrap_or_default();
    for page in pages {
        (page.seo_title, page.seo_description) = (None, None);
        if page.is_home {
            page.seo_title = presence.title.clone().or_else(|| Some(business.name.clone()));
            let described = presence.description.clone().or_else(|| business.description.clone());
            page.seo_description = described.map(|text| shortened(&text, 300));
        }
    }
}

/// At most `max` characters, cut at a word.
fn shortened(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some((end, _)) => {
            let cut = &text[..end];
            let cut = cut.rsplit_once(char::is_whitespace).map_or(cut, |(words, _)| words);
            format!("{}…", cut.trim_end_matches([',', ';', ':', ' ']))
        }
    }
}
