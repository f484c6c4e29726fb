//! Our own images for the templates of the library. Sections refer to them as `/library/<name>.svg`; a deployment contains
//! those that it shows, under names that change with their content.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use portico_sites::{
    ports::{PageSnapshot, RenderedFile},
    section::STOCK_PREFIX,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Name and drawing of every image, in alphabetical order.
const PICTURES: [(&str, &str); 68] = [
    ("azahar-color", include_str!("../artwork/azahar-color.svg")),
    ("azahar-corte", include_str!("../artwork/azahar-corte.svg")),
    ("azahar-espejo", include_str!("../artwork/azahar-espejo.svg")),
    ("azahar-hero", include_str!("../artwork/azahar-hero.svg")),
    ("azahar-manos", include_str!("../artwork/azahar-manos.svg")),
    ("bright-hero", include_str!("../artwork/bright-hero.svg")),
    ("clearwater-hero", include_str!("../artwork/clearwater-hero.svg")),
    ("clearwater-team", include_str!("../artwork/clearwater-team.svg")),
    ("fathom-hero", include_str!("../artwork/fathom-hero.svg")),
    ("forge-bar", include_str!("../artwork/forge-bar.svg")),
    ("forge-bell", include_str!("../artwork/forge-bell.svg")),
    ("forge-hero", include_str!("../artwork/forge-hero.svg")),
    ("forge-rope", include_str!("../artwork/forge-rope.svg")),
    ("harbor-hero", include_str!("../artwork/harbor-hero.svg")),
    ("hartwell-hero", include_str!("../artwork/hartwell-hero.svg")),
    ("jacaranda-concha", include_str!("../artwork/jacaranda-concha.svg")),
    ("jacaranda-finca", include_str!("../artwork/jacaranda-finca.svg")),
    ("jacaranda-flor", include_str!("../artwork/jacaranda-flor.svg")),
    ("jacaranda-hero", include_str!("../artwork/jacaranda-hero.svg")),
    ("jacaranda-taza", include_str!("../artwork/jacaranda-taza.svg")),
    ("keystone-extension", include_str!("../artwork/keystone-extension.svg")),
    ("keystone-frame", include_str!("../artwork/keystone-frame.svg")),
    ("keystone-hero", include_str!("../artwork/keystone-hero.svg")),
    ("keystone-roof", include_str!("../artwork/keystone-roof.svg")),
    ("luciernaga-boat", include_str!("../artwork/luciernaga-boat.svg")),
    ("luciernaga-hero", include_str!("../artwork/luciernaga-hero.svg")),
    ("luciernaga-room", include_str!("../artwork/luciernaga-room.svg")),
    ("luciernaga-terrace", include_str!("../artwork/luciernaga-terrace.svg")),
    ("luciernaga-tower", include_str!("../artwork/luciernaga-tower.svg")),
    ("millstone-cake", include_str!("../artwork/millstone-cake.svg")),
    ("millstone-croissant", include_str!("../artwork/millstone-croissant.svg")),
    ("millstone-hero", include_str!("../artwork/millstone-hero.svg")),
    ("millstone-loaf", include_str!("../artwork/millstone-loaf.svg")),
    ("millstone-mill", include_str!("../artwork/millstone-mill.svg")),
    ("northgate-cottage", include_str!("../artwork/northgate-cottage.svg")),
    ("northgate-hero", include_str!("../artwork/northgate-hero.svg")),
    ("northgate-loft", include_str!("../artwork/northgate-loft.svg")),
    ("northgate-row", include_str!("../artwork/northgate-row.svg")),
    ("northgate-tower", include_str!("../artwork/northgate-tower.svg")),
    ("northgate-villa", include_str!("../artwork/northgate-villa.svg")),
    ("olivo-fish", include_str!("../artwork/olivo-fish.svg")),
    ("olivo-grove", include_str!("../artwork/olivo-grove.svg")),
    ("olivo-hero", include_str!("../artwork/olivo-hero.svg")),
    ("olivo-pasta", include_str!("../artwork/olivo-pasta.svg")),
    ("olivo-peach", include_str!("../artwork/olivo-peach.svg")),
    ("relay-chart", include_str!("../artwork/relay-chart.svg")),
    ("relay-flow", include_str!("../artwork/relay-flow.svg")),
    ("relay-hero", include_str!("../artwork/relay-hero.svg")),
    ("relay-queue", include_str!("../artwork/relay-queue.svg")),
    ("stillwater-hero", include_str!("../artwork/stillwater-hero.svg")),
    ("tail-hero", include_str!("../artwork/tail-hero.svg")),
    ("tail-lola", include_str!("../artwork/tail-lola.svg")),
    ("tail-mog", include_str!("../artwork/tail-mog.svg")),
    ("tail-otto", include_str!("../artwork/tail-otto.svg")),
    ("tail-park", include_str!("../artwork/tail-park.svg")),
    ("vidal-dunes", include_str!("../artwork/vidal-dunes.svg")),
    ("vidal-face", include_str!("../artwork/vidal-face.svg")),
    ("vidal-hands", include_str!("../artwork/vidal-hands.svg")),
    ("vidal-hero", include_str!("../artwork/vidal-hero.svg")),
    ("vidal-stairs", include_str!("../artwork/vidal-stairs.svg")),
    ("vidal-tower", include_str!("../artwork/vidal-tower.svg")),
    ("wren-bowl", include_str!("../artwork/wren-bowl.svg")),
    ("wren-cup", include_str!("../artwork/wren-cup.svg")),
    ("wren-hero", include_str!("../artwork/wren-hero.svg")),
    ("wren-jug", include_str!("../artwork/wren-jug.svg")),
    ("wren-plate", include_str!("../artwork/wren-plate.svg")),
    ("wren-studio", include_str!("../artwork/wren-studio.svg")),
    ("wren-vase", include_str!("../artwork/wren-vase.svg")),
];

/// An image, ready to be part of a deployment.
struct Artwork {
    /// Path in the deployment without a leading slash.
    path: String,
    svg: &'static str,
}

static ARTWORK: LazyLock<BTreeMap<String, Artwork>> = LazyLock::new(|| {
    let artwork = |(name, svg): &(&str, &'static str)| {
        let hash: String = Sha256::digest(svg).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        (format!("{STOCK_PREFIX}{name}.svg"), Artwork { path: format!("assets/{name}.{hash}.svg"), svg })
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
    let file = |artwork: &Artwork| RenderedFile {
        path: artwork.path.clone(),
        bytes: artwork.svg.as_bytes().to_vec(),
    };
    named.into_iter().filter_map(|address| ARTWORK.get(address).map(file)).collect()
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
        for (name, svg) in PICTURES {
            assert!(svg.len() < 20_000, "{name}: {} bytes", svg.len());
            let document = roxmltree::Document::parse(svg).unwrap();
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
