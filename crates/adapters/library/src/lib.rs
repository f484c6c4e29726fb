//! The website templates that come with Portico: one file each, in the format of `POST /templates`.
//!
//! To add one, write `templates/<slug>.json`, and name it in [`FILES`] and in [`EDITIONS`]. Images are `/library/<name>.svg`; they are part
//! of the renderer. ADR 25 explains why templates are data.

mod editions;

use portico_embedded::{Packed, packed};
use portico_sites::template::{Template, library_id};
use serde_json::{Error, Value, json};

pub use editions::EDITIONS;

/// Creation time of all templates of the library; the files contain none.
const MADE: &str = "2026-11-21T00:00:00Z";

/// Every template, in the alphabetical order of the slugs.
static FILES: [Packed; 18] = [
    packed!("bright-corner.json"),
    packed!("cafe-jacaranda.json"),
    packed!("casa-luciernaga.json"),
    packed!("clearwater-dental.json"),
    packed!("fathom-partners.json"),
    packed!("forge-gym.json"),
    packed!("harbor-light.json"),
    packed!("hartwell-law.json"),
    packed!("keystone-builders.json"),
    packed!("millstone-bakery.json"),
    packed!("northgate-homes.json"),
    packed!("relay-software.json"),
    packed!("salon-azahar.json"),
    packed!("stillwater-yoga.json"),
    packed!("tail-and-whisker.json"),
    packed!("trattoria-olivo.json"),
    packed!("vidal-photography.json"),
    packed!("wren-and-clay.json"),
];

/// The templates. Unreadable files are left out; the tests verify that there are none.
pub fn library() -> Vec<Template> {
    FILES.iter().filter_map(|file| read(&file.text().ok()?).ok()).collect()
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
