//! What the owner gave, put into its places on the pages: pictures, texts and contact details.

use portico_kernel::Violations;
use serde_json::{Map, Value, json};

use super::Photo;
use crate::{
    section::{SectionType, content::SectionContent},
    template::{Template, TemplatePage, TemplateSection},
    wizard::{ContentChoice, OwnSection, Presence},
};

/// Puts the owner's pictures into their places: the first one opens the home page, the others are the first gallery, home page
/// first. Where the customer's own texts name the picture of the opening section or those of a gallery, theirs stay, and the
/// pictures take the next place. Without a gallery, the home page gets one.
pub(super) fn apply_photos(pages: &mut [TemplatePage], content: &ContentChoice, photos: &[Photo]) {
    // Whether the customer's own texts name one of these fields of a section.
    let is_own = |page: &str, section: &str, names: &[&str]| {
        let of_section = |own: &&OwnSection| own.page == page && own.section.as_deref() == Some(section);
        content
            .sections
            .iter()
            .filter(of_section)
            .any(|own| names.iter().any(|name| own.content.get(name).is_some()))
    };
    let Some(home) = pages.iter().position(|page| page.is_home) else { return };
    let mut rest = photos;
    let key = pages[home].key.clone();
    let is_free = |section: &&mut TemplateSection| {
        section.kind == SectionType::Hero && !is_own(&key, &section.key, &["imageUrl", "imageAssetId"])
    };
    let hero = pages[home].sections.iter_mut().find(|section| section.kind == SectionType::Hero);
    if let (Some(hero), Some((first, others))) = (hero.filter(is_free), photos.split_first()) {
        if let Some(fields) = hero.content.as_object_mut() {
            fields.remove("imageUrl");
        }
        set(&mut hero.content, "imageAssetId", json!(first.id));
        set(&mut hero.content, "imageAlt", json!(first.alt));
        rest = others;
    }
    if rest.is_empty() {
        return;
    }
    let images = rest.iter().map(|photo| json!({"imageAssetId": photo.id, "alt": photo.alt}));
    let gallery = json!({"images": images.collect::<Vec<_>>()});
    let order = std::iter::once(home).chain((0..pages.len()).filter(|index| *index != home));
    let place = order.into_iter().find_map(|index| {
        let page = &pages[index];
        let is_free = |section: &TemplateSection| {
            section.kind == SectionType::Gallery && !is_own(&page.key, &section.key, &["images"])
        };
        page.sections.iter().position(is_free).map(|section| (index, section))
    });
    if let Some((page, section)) = place {
        pages[page].sections[section].content = gallery;
        return;
    }
    let sections = &mut pages[home].sections;
    let is_content =
        |section: &TemplateSection| !matches!(section.kind, SectionType::Contact | SectionType::Cta);
    let end = sections.iter().rposition(is_content).map_or(0, |last| last + 1);
    let key = "own-photos".to_owned();
    sections.insert(end, TemplateSection { key, kind: SectionType::Gallery, content: gallery });
}

pub(super) fn apply_own(
    pages: &mut [TemplatePage],
    template: &Template,
    content: &ContentChoice,
    presence: &Presence,
    violations: &mut Violations,
) {
    for (index, own) in content.sections.iter().enumerate() {
        let path = format!("content.sections[{index}]");
        let Some(page) = pages.iter_mut().find(|page| page.key == own.page) else {
            // Texts of a page that was left out again wait until it is chosen again.
            let is_known = template.pages.iter().any(|page| page.key == own.page);
            violations.check(is_known, format!("{path}.page"), "unknown_page", "There is no such page.");
            continue;
        };
        let Some(key) = &own.section else {
            page.sections.extend(own.kind.map(|kind| TemplateSection {
                key: format!("own-{index}"),
                kind,
                content: own.content.clone(),
            }));
            continue;
        };
        let Some(section) = page.sections.iter_mut().find(|section| section.key == *key) else {
            let message = "The page has no such section.";
            violations.add(format!("{path}.section"), "unknown_section", message);
            continue;
        };
        let mut merged = section.content.clone();
        for (name, value) in own.content.as_object().into_iter().flatten() {
            set(&mut merged, name, value.clone());
        }
        if section.kind == SectionType::Contact {
            fill_contact(&mut merged, presence);
        }
        match SectionContent::read(section.kind, merged, &format!("{path}.content")) {
            Ok(content) => section.content = content.into_json(),
            Err(errors) => violations.extend(errors),
        }
    }
}

/// Puts contact details into every contact section. A section that has none to show is removed; where there is no section for
/// them, one is added.
pub(super) fn apply_contact(pages: &mut [TemplatePage], presence: &Presence) {
    let mut shown = false;
    for page in pages.iter_mut() {
        page.sections.retain_mut(|section| {
            if section.kind != SectionType::Contact {
                return true;
            }
            fill_contact(&mut section.content, presence);
            match SectionContent::read(section.kind, section.content.take(), "") {
                Ok(content) => {
                    section.content = content.into_json();
                    shown = true;
                    true
                }
                Err(_) => false,
            }
        });
    }
    if shown || !presence.is_reachable() {
        return;
    }
    let mut content = Value::Object(Map::new());
    fill_contact(&mut content, presence);
    let place = pages.iter().position(|page| page.key == "contact");
    let place = place.or_else(|| pages.iter().position(|page| page.is_home));
    if let Some(page) = place.and_then(|place| pages.get_mut(place)) {
        let key = "contact-details".to_owned();
        page.sections.push(TemplateSection { key, kind: SectionType::Contact, content });
    }
}

fn fill_contact(content: &mut Value, presence: &Presence) {
    for (name, value) in presence.contact() {
        if let Some(value) = value {
            set(content, name, json!(value));
        }
    }
}

/// Sets a field of an object; of anything else it makes one.
fn set(content: &mut Value, name: &str, value: Value) {
    match content {
        Value::Object(fields) => drop(fields.insert(name.to_owned(), value)),
        other => *other = json!({ name: value }),
    }
}
