//! Our own images for the templates of the library. Sections refer to them as `/library/<name>.svg`; a deployment contains
//! those that it shows, under names that change with their content.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use portico_embedded::{Packed, packed};
use portico_sites::{
    ports::{PageSnapshot, RenderedFile},
    section::STOCK_PREFIX,
};
use serde_json::Value;

/// Name and drawing of every image, in alphabetical order.
static PICTURES: [(&str, Packed); 68] = [
    ("azahar-color", packed!("azahar-color.svg")),
    ("azahar-corte", packed!("azahar-corte.svg")),
    ("azahar-espejo", packed!("azahar-espejo.svg")),
    ("azahar-hero", packed!("azahar-hero.svg")),
    ("azahar-manos", packed!("azahar-manos.svg")),
    ("bright-hero", packed!("bright-hero.svg")),
    ("clearwater-hero", packed!("clearwater-hero.svg")),
    ("clearwater-team", packed!("clearwater-team.svg")),
    ("fathom-hero", packed!("fathom-hero.svg")),
    ("forge-bar", packed!("forge-bar.svg")),
    ("forge-bell", packed!("forge-bell.svg")),
    ("forge-hero", packed!("forge-hero.svg")),
    ("forge-rope", packed!("forge-rope.svg")),
    ("harbor-hero", packed!("harbor-hero.svg")),
    ("hartwell-hero", packed!("hartwell-hero.svg")),
    ("jacaranda-concha", packed!("jacaranda-concha.svg")),
    ("jacaranda-finca", packed!("jacaranda-finca.svg")),
    ("jacaranda-flor", packed!("jacaranda-flor.svg")),
    ("jacaranda-hero", packed!("jacaranda-hero.svg")),
    ("jacaranda-taza", packed!("jacaranda-taza.svg")),
    ("keystone-extension", packed!("keystone-extension.svg")),
    ("keystone-frame", packed!("keystone-frame.svg")),
    ("keystone-hero", packed!("keystone-hero.svg")),
    ("keystone-roof", packed!("keystone-roof.svg")),
    ("luciernaga-boat", packed!("luciernaga-boat.svg")),
    ("luciernaga-hero", packed!("luciernaga-hero.svg")),
    ("luciernaga-room", packed!("luciernaga-room.svg")),
    ("luciernaga-terrace", packed!("luciernaga-terrace.svg")),
    ("luciernaga-tower", packed!("luciernaga-tower.svg")),
    ("millstone-cake", packed!("millstone-cake.svg")),
    ("millstone-croissant", packed!("millstone-croissant.svg")),
    ("millstone-hero", packed!("millstone-hero.svg")),
    ("millstone-loaf", packed!("millstone-loaf.svg")),
    ("millstone-mill", packed!("millstone-mill.svg")),
    ("northgate-cottage", packed!("northgate-cottage.svg")),
    ("northgate-hero", packed!("northgate-hero.svg")),
    ("northgate-loft", packed!("northgate-loft.svg")),
    ("northgate-row", packed!("northgate-row.svg")),
    ("northgate-tower", packed!("northgate-tower.svg")),
    ("northgate-villa", packed!("northgate-villa.svg")),
    ("olivo-fish", packed!("olivo-fish.svg")),
    ("olivo-grove", packed!("olivo-grove.svg")),
    ("olivo-hero", packed!("olivo-hero.svg")),
    ("olivo-pasta", packed!("olivo-pasta.svg")),
    ("olivo-peach", packed!("olivo-peach.svg")),
    ("relay-chart", packed!("relay-chart.svg")),
    ("relay-flow", packed!("relay-flow.svg")),
    ("relay-hero", packed!("relay-hero.svg")),
    ("relay-queue", packed!("relay-queue.svg")),
    ("stillwater-hero", packed!("stillwater-hero.svg")),
    ("tail-hero", packed!("tail-hero.svg")),
    ("tail-lola", packed!("tail-lola.svg")),
    ("tail-mog", packed!("tail-mog.svg")),
    ("tail-otto", packed!("tail-otto.svg")),
    ("tail-park", packed!("tail-park.svg")),
    ("vidal-dunes", packed!("vidal-dunes.svg")),
    ("vidal-face", packed!("vidal-face.svg")),
    ("vidal-hands", packed!("vidal-hands.svg")),
    ("vidal-hero", packed!("vidal-hero.svg")),
    ("vidal-stairs", packed!("vidal-stairs.svg")),
    ("vidal-tower", packed!("vidal-tower.svg")),
    ("wren-bowl", packed!("wren-bowl.svg")),
    ("wren-cup", packed!("wren-cup.svg")),
    ("wren-hero", packed!("wren-hero.svg")),
    ("wren-jug", packed!("wren-jug.svg")),
    ("wren-plate", packed!("wren-plate.svg")),
    ("wren-studio", packed!("wren-studio.svg")),
    ("wren-vase", packed!("wren-vase.svg")),
];

/// An image, ready to be part of a deployment.
struct Artwork {
    /// Path in the deployment without a leading slash.
    path: String,
    svg: Packed,
}

static ARTWORK: LazyLock<BTreeMap<String, Artwork>> = LazyLock::new(|| {
    let artwork = |&(name, svg): &(&str, Packed)| {
        let path = format!("assets/{name}.{:016x}.svg", svg.fingerprint());
        (format!("{STOCK_PREFIX}{name}.svg"), Artwork { path, svg })
    };
    PICTURES.iter().map(artwork).collect()
});

/// The path of an image in a deployment, with a leading slash; `None` if the URL is not one of ours.
pub fn path(address: &str) -> Option<String> {
    ARTWORK.get(address).map(|artwork| format!("/{}", artwork.path))
}

/// The files of all our images that visible sections refer to.
pub fn files(pages: &[PageSnapshot]) -> Vec<RenderedFile> {
    let mut named = BTreeSet::new();
    for section in pages.iter().flat_map(|page| &page.sections).filter(|section| section.visible) {
        collect(&section.content, &mut named);
    }
    let file = |address: &str| {
        let artwork = ARTWORK.get(address)?;
        Some(RenderedFile { path: artwork.path.clone(), bytes: artwork.svg.unpack().ok()? })
    };
    named.into_iter().filter_map(file).collect()
}

/// Collects every text in the value that could be a reference.
fn collect<'v>(value: &'v Value, named: &mut BTreeSet<&'v str>) {
    match value {
        Value::String(text) if text.trim().starts_with(STOCK_PREFIX) => {
            named.insert(text.trim());
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, named)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, named)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_plain_drawings_of_a_modest_size() {
        for (name, svg) in &PICTURES {
            let svg = svg.text().unwrap();
            assert!(svg.len() < 20_000, "{name}: {} bytes", svg.len());
            let document = roxmltree::Document::parse(&svg).unwrap();
            let root = document.root_element();
            assert!(root.attribute("width").is_some() && root.attribute("viewBox").is_some(), "{name}");
            for node in document.descendants().filter(roxmltree::Node::is_element) {
                let known = [
                    "svg",
                    "g",
                    "path",
                    "rect",
                    "circle",
                    "ellipse",
                    "defs",
                    "linearGradient",
                    "radialGradient",
                    "stop",
                    "clipPath",
                ];
                assert!(known.contains(&node.tag_name().name()), "{name}: {}", node.tag_name().name());
                for attribute in node.attributes() {
                    // No external resources, and no scripts.
                    let is_inside =
                        !attribute.value().contains("url(") || attribute.value().starts_with("url(#");
                    let is_plain = attribute.name() != "style" && !attribute.name().starts_with("on");
                    assert!(is_inside && is_plain && attribute.name() != "href", "{name}: {attribute:?}");
                }
            }
        }
    }

    #[test]
    fn an_address_leads_to_a_file_whose_name_follows_its_content() {
        let path = path("/library/millstone-hero.svg").unwrap();
        assert!(path.starts_with("/assets/millstone-hero.") && path.ends_with(".svg"));
        let paths: BTreeSet<_> = ARTWORK.values().map(|artwork| &artwork.path).collect();
        assert_eq!(paths.len(), PICTURES.len());
        for other in ["/library/", "/library/none.svg", "/media/millstone-hero.svg", "/library/../site.css"] {
            assert_eq!(super::path(other), None, "{other}");
        }
    }
}
