//! The website templates that come with Portico: one file each, in the format of `POST /templates`.
//!
//! To add one, write `templates/<slug>.json`, and name it in [`FILES`] and in [`EDITIONS`]. Images are `/library/<name>.svg`; they are part
//! of the renderer. ADR 25 explains why templates are data.

mod editions;

use portico_sites::template::{Template, library_id};
use serde_json::{Error, Value, json};

pub use editions::EDITIONS;

/// Creation time of all templates of the library; the files contain none.
const MADE: &str = "2026-11-21T00:00:00Z";

/// Every template, in the alphabetical order of the slugs.
const FILES: [&str; 18] = [
    include_str!("../templates/bright-corner.json"),
    include_str!("../templates/cafe-jacaranda.json"),
    include_str!("../templates/casa-luciernaga.json"),
    include_str!("../templates/clearwater-dental.json"),
    include_str!("../templates/fathom-partners.json"),
    include_str!("../templates/forge-gym.json"),
    include_str!("../templates/harbor-light.json"),
    include_str!("../templates/hartwell-law.json"),
    include_str!("../templates/keystone-builders.json"),
    include_str!("../templates/millstone-bakery.json"),
    include_str!("../templates/northgate-homes.json"),
    include_str!("../templates/relay-software.json"),
    include_str!("../templates/salon-azahar.json"),
    include_str!("../templates/stillwater-yoga.json"),
    include_str!("../templates/tail-and-whisker.json"),
    include_str!("../templates/trattoria-olivo.json"),
    include_str!("../templates/vidal-photography.json"),
    include_str!("../templates/wren-and-clay.json"),
];

/// The templates. Unreadable files are left out; the tests verify that there are none.
pub fn library() -> Vec<Template> {
    FILES.iter().filter_map(|text| read(text).ok()).collect()
}

/// Parses a template, and adds what the files do not contain: an id, times, and a use count of zero.
fn read(text: &str) -> Result<Template, Error> {
    let mut template: Value = serde_json::from_str(text)?;
    let slug = template["slug"].as_str().unwrap_or_default();
    let unsaid = [
        ("id", json!(library_id(slug))),
        ("popularity", json!(0)),
        ("createdAt", json!(MADE)),
        ("updatedAt", json!(MADE)),
    ];
    for (name, value) in unsaid {
        template[name] = value;
    }
    serde_json::from_value(template)
}

#[cfg(test)]
mod tests;
