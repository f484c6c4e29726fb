//! The website templates that come with Portico: one file each, in the shape of `POST /templates`.
//!
//! To add one, write `templates/<slug>.json` and name it in [`FILES`]. Pictures are `/library/<name>.svg`; the renderer has
//! them. ADR 25 tells why templates are data.

use portico_sites::template::{Template, library_id};
use serde_json::{Error, Value, json};

/// When this library was put together. Templates have a time in the store; these come without one.
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

/// The templates. What cannot be read is left out; the tests show that nothing is.
pub fn library() -> Vec<Template> {
    FILES.iter().filter_map(|text| read(text).ok()).collect()
}

/// A template of a file, with what the files do not say: an id, times, and that nobody used it so far.
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
