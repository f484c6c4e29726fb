//! Writes sites into directories, to view in a browser: one from every template of the library, and in every style the
//! sample site and one with all fields filled to their limits: `cargo run -p portico-renderer --example library_sites --
//! DIRECTORY`. `scripts/check-sites` opens them all.

#[path = "../tests/sample/mod.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with the tests")]
mod sample;
#[path = "../tests/templates/mod.rs"]
#[allow(clippy::unwrap_used, reason = "shared with the tests")]
mod templates;

use std::{error::Error, fs, path::Path};

use portico_renderer::HtmlRenderer;
use portico_sites::{
    look::Style,
    ports::{SiteRenderer, SiteSnapshot},
    section::SectionType,
};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().nth(1).ok_or("name a directory")?;
    let renderer = HtmlRenderer::new()?;
    for (slug, site) in templates::sites() {
        write(&renderer, &site, &Path::new(&directory).join(slug))?;
    }
    for style in Style::ALL {
        let mut site = sample::bakery();
        site.theme.style = style;
        let folder = Path::new(&directory).join(format!("sample-{}", style.as_str()));
        write(&renderer, &site, &folder)?;
        for (path, text) in sample::PICTURES {
            put(&folder.join(path), text.as_bytes())?;
        }
        write(&renderer, &full(style), &Path::new(&directory).join(format!("full-{}", style.as_str())))?;
    }
    Ok(())
}

/// A site that stresses a layout: endless words, long lists, missing optional fields, a deep navigation.
fn full(style: Style) -> SiteSnapshot {
    let word = "Donaudampfschifffahrtsgesellschaftskapitänsmütze".repeat(4);
    let long =
        |length: usize| format!("{word} and more ").repeat(20).chars().take(length).collect::<String>();
    let many = |count: usize, item: &dyn Fn(usize) -> Value| (0..count).map(item).collect::<Vec<_>>();
    let (picture, icons) = ("/library/wren-cup.svg", ["star", "🥐", "none"]);
    let sections = vec![
        (
            SectionType::Hero,
            json!({"heading": long(200), "subheading": long(600), "imageUrl": picture,
            "imageAlt": "A cup", "ctaLabel": long(80), "ctaUrl": "/second"}),
        ),
        (
            SectionType::Hero,
            json!({"heading": "A second one, without a picture", "ctaLabel": "Go", "ctaUrl": "/second"}),
        ),
        (
            SectionType::Text,
            json!({"heading": long(200), "html": format!(
            "<p>{word}</p><h2>{word}</h2><ul><li>{word}</li></ul><blockquote><p>{word}</p></blockquote><pre>{word}</pre>\
             <table><thead><tr><th>A</th><th>B</th></tr></thead><tbody><tr><td>1</td><td>Two words</td></tr></tbody></table>")}),
        ),
        (
            SectionType::Features,
            json!({"heading": long(200), "intro": long(600), "items": many(11, &|index| {
                json!({"title": if index % 2 == 0 { long(200) } else { "Short".to_owned() }, "text": long(400),
                    "icon": icons[index % icons.len()]})
            })}),
        ),
        (
            SectionType::Gallery,
            json!({"heading": long(120), "images": many(7, &|_| {
                json!({"url": picture, "alt": "A cup", "caption": long(300)})
            })}),
        ),
        (
            SectionType::Testimonials,
            json!({"heading": long(120), "items": many(5, &|_| {
                json!({"quote": long(1000), "author": long(120), "role": long(120)})
            })}),
        ),
        (
            SectionType::Pricing,
            json!({"heading": long(120), "intro": long(600), "plans": many(8, &|index| {
                json!({"name": long(80), "price": long(40), "period": long(40), "features": [long(200), "Short"],
                    "highlighted": index == 1, "ctaLabel": long(80), "ctaUrl": "#contact"})
            })}),
        ),
        (
            SectionType::Faq,
            json!({"heading": long(120), "items": many(4, &|_| {
                json!({"question": long(300), "answer": format!("<p>{word}</p>")})
            })}),
        ),
        (
            SectionType::Contact,
            json!({"heading": long(200), "text": long(600), "form": true,
            "email": format!("{}@{}.example", "a".repeat(60), "b".repeat(60)), "phone": "+1 555 0100 0100 0100",
            "address": long(300), "hours": format!("{}: {}\nclosed", long(100), long(100))}),
        ),
        (
            SectionType::Cta,
            json!({"heading": long(200), "text": long(600), "label": long(80), "url": "/second"}),
        ),
        (SectionType::Html, json!({"html": format!("<p>{word}</p>")})),
    ];
    let mut site = sample::site(&long(100), "de");
    site.theme.style = style;
    let home = sample::add_page(&mut site, "Home", "home", sections);
    let plain = vec![(SectionType::Text, json!({"html": "<p>Short.</p>"}))];
    sample::add_page(&mut site, &long(200), "second", plain);
    for index in 0..9 {
        let parent = sample::add_item(&mut site, &format!("Entry number {index}"), Some(home), None, None);
        let child = sample::add_item(&mut site, &long(60), None, Some("/second"), Some(parent));
        sample::add_item(&mut site, "Third level", None, Some("/second"), Some(child));
    }
    site
}

fn write(renderer: &HtmlRenderer, site: &SiteSnapshot, folder: &Path) -> Result<(), Box<dyn Error>> {
    for file in renderer.render(site)? {
        put(&folder.join(file.path), &file.bytes)?;
    }
    Ok(())
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(path.parent().ok_or("no parent")?)?;
    Ok(fs::write(path, bytes)?)
}
