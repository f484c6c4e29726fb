//! The uploaded images that a site shows, as files of its own: deleting the upload later does not change what is published.

use std::collections::{BTreeMap, BTreeSet};

use portico_kernel::{AssetId, StoreError};
use portico_sites::{
    asset::{Asset, VARIANT_CONTENT_TYPE, Variant},
    deployment::SnapshotParts,
    ports::{PictureSource, SitePicture},
    section::{content::SectionContent, pictures_in},
};
use portico_tenancy::branding::Branding;

use super::StoredFile;
use crate::state::App;

/// Ids looked up in one query.
const CHUNK: usize = 500;

/// A favicon up to this size is used unchanged, because not every browser accepts WebP there.
const MAX_ICON: u64 = 64 << 10;

/// Hexadecimal digits of the hash in the name of a file.
const DIGITS: usize = 32;

/// The images of a site.
#[derive(Default)]
pub struct Pictures {
    /// Those that pages refer to.
    pub assets: BTreeMap<AssetId, SitePicture>,
    /// The logo of the branding.
    pub logo: Option<SitePicture>,
    /// The favicon of the branding.
    pub favicon: Option<SitePicture>,
    /// The files of all of them.
    pub stored: Vec<StoredFile>,
}

/// Looks up the images that pages and branding refer to. Missing ones are left out.
pub async fn load(app: &App, parts: &SnapshotParts, branding: &Branding) -> Result<Pictures, StoreError> {
    let tenant = parts.site.tenant_id;
    let on_pages = on_pages(parts);
    let of_branding = branding.logo_asset_id.into_iter().chain(branding.favicon_asset_id);
    let ids: Vec<AssetId> = on_pages.iter().copied().chain(of_branding).collect();
    let mut found: BTreeMap<AssetId, Asset> = BTreeMap::new();
    let mut repositories = app.core.reader();
    for chunk in ids.chunks(CHUNK) {
        let assets = repositories.assets().find_many(tenant, chunk).await?;
        found.extend(assets.into_iter().filter(Asset::is_picture).map(|asset| (asset.id, asset)));
    }
    let mut stored = BTreeMap::new();
    let assets = on_pages
        .into_iter()
        .filter_map(|id| found.get(&id))
        .map(|asset| (asset.id, picture(asset, &mut stored)))
        .collect();
    let logo = branding.logo_asset_id.and_then(|id| found.get(&id));
    let logo = logo.map(|asset| picture(asset, &mut stored));
    let favicon = branding.favicon_asset_id.and_then(|id| found.get(&id));
    let favicon = favicon.map(|asset| icon(asset, &mut stored));
    let stored = stored.into_iter().map(|(path, key)| StoredFile { path, key }).collect();
    Ok(Pictures { assets, logo, favicon, stored })
}

/// The images that sections refer to, and those for social networks.
fn on_pages(parts: &SnapshotParts) -> BTreeSet<AssetId> {
    let sections = parts.pages.iter().flat_map(|page| &page.sections);
    let contents =
        sections.filter_map(|section| SectionContent::from_stored(section.kind, &section.content).ok());
    let shown = contents.flat_map(|content| pictures_in(&content)).map(|(_, id)| id);
    let shared = parts.pages.iter().filter_map(|page| page.seo.as_ref()?.open_graph.image_asset_id);
    shown.chain(shared).collect()
}

/// The smaller copies of an image; the image itself where there are none. Adds the keys of the files to `stored`, by path.
fn picture(asset: &Asset, stored: &mut BTreeMap<String, String>) -> SitePicture {
    let mut sources: Vec<PictureSource> =
        asset.variants.iter().map(|variant| smaller(asset, variant, stored)).collect();
    if sources.is_empty() {
        sources.push(original(asset, stored));
    }
    shaped(asset, sources)
}

/// One file that browsers accept as a favicon.
fn icon(asset: &Asset, stored: &mut BTreeMap<String, String>) -> SitePicture {
    let source = match asset.variants.first().filter(|_| asset.size > MAX_ICON) {
        Some(variant) => smaller(asset, variant, stored),
        None => original(asset, stored),
    };
    shaped(asset, vec![source])
}

fn shaped(asset: &Asset, sources: Vec<PictureSource>) -> SitePicture {
    let (width, height) = (asset.width.unwrap_or(1), asset.height.unwrap_or(1));
    SitePicture { width, height, alt: asset.alt_text.clone(), sources }
}

fn smaller(asset: &Asset, variant: &Variant, stored: &mut BTreeMap<String, String>) -> PictureSource {
    let path = path(&variant.hash, "webp");
    stored.insert(path.clone(), Asset::variant_key(asset.tenant, asset.id, variant.width));
    PictureSource { width: variant.width, path, content_type: VARIANT_CONTENT_TYPE.to_owned() }
}

fn original(asset: &Asset, stored: &mut BTreeMap<String, String>) -> PictureSource {
    let path = path(&asset.hash, asset.content_type.extensions()[0]);
    stored.insert(path.clone(), Asset::original_key(asset.tenant, asset.id));
    let content_type = asset.content_type.content_type().to_owned();
    PictureSource { width: asset.width.unwrap_or(1), path, content_type }
}

/// Changes with the content, so that browsers may cache it forever.
fn path(hash: &str, extension: &str) -> String {
    format!("assets/{}.{extension}", hash.get(..DIGITS).unwrap_or(hash))
}
