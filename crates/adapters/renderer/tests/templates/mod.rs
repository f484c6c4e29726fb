//! Sites made from the templates of the library, as customers get them. The files are read, not linked: adapters do not
//! depend on each other.

use std::{fs, path::Path};

use portico_kernel::look::font_stack;
use portico_sites::{look::Look, ports::SiteSnapshot, section::SectionType};
use serde_json::Value;

use crate::sample;

/// Slug and site of every template, in alphabetical order.
pub fn sites() -> Vec<(String, SiteSnapshot)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../library/templates");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| site(&serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()))
        .collect()
}

fn site(template: &Value) -> (String, SiteSnapshot) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut site = sample::site(&text(&template["name"]), &text(&template["language"]));
    site.site.industry = Some(text(&template["industry"]));
    let look: Look = serde_json::from_value(template["look"].clone()).unwrap();
    let (colors, fonts) = (look.colors.clone().unwrap(), look.fonts.clone().unwrap());
    site.theme.style = look.style;
    site.theme.primary = colors.primary;
    site.theme.secondary = colors.secondary;
    site.theme.accent = colors.accent;
    site.theme.background = colors.background;
    site.theme.text = colors.text;
    site.theme.heading_font = font_stack(&fonts.heading).unwrap().to_owned();
    site.theme.body_font = font_stack(&fonts.body).unwrap().to_owned();
    site.site.look = Some(look);
    for page in template["pages"].as_array().unwrap() {
        let sections = page["sections"].as_array().unwrap().iter().map(|section| {
            let kind: SectionType = serde_json::from_value(section["type"].clone()).unwrap();
            (kind, section["content"].clone())
        });
        sample::add_page(&mut site, &text(&page["title"]), &text(&page["slug"]), sections.collect());
    }
    (text(&template["slug"]), site)
}
