//! What a deployment shows: the published part of a site, read at one moment.

use std::collections::BTreeMap;

use portico_kernel::{AssetId, PageId};

use crate::{
    navigation::{NavItem, reachable},
    page::{Page, PageStatus},
    ports::{PageSnapshot, SitePicture, SiteSnapshot, Theme},
    section::Section,
    seo::Seo,
    site::Site,
};

/// The parts of a snapshot that sites know of. The application adds what comes from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotParts {
    /// The site.
    pub site: Site,
    /// Pages with their visible sections, home first, then oldest first.
    pub pages: Vec<PageSnapshot>,
    /// Navigation by parent and position, without what does not lead anywhere.
    pub navigation: Vec<NavItem>,
}

/// The parts of a snapshot that come from other domains and the file store.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotContext {
    /// Where the site answers, without a trailing slash.
    pub base_url: String,
    /// How it looks.
    pub theme: Theme,
    /// The pictures that pages refer to.
    pub assets: BTreeMap<AssetId, SitePicture>,
}

impl SnapshotParts {
    /// Puts the parts together. `sections` are those of all pages, each page's by position. Archived pages are left out.
    pub(crate) fn assemble(
        site: Site,
        pages: Vec<Page>,
        sections: Vec<Section>,
        seo: Vec<Seo>,
        navigation: Vec<NavItem>,
    ) -> Self {
        let mut pages: Vec<Page> =
            pages.into_iter().filter(|page| page.status != PageStatus::Archived).collect();
        pages.sort_by_key(|page| (page.created_at, page.id));
        if let Some(home) = home(&pages) {
            pages[..=home].rotate_right(1);
        }
        let ids: Vec<PageId> = pages.iter().map(|page| page.id).collect();
        let mut snapshots: Vec<PageSnapshot> =
            pages.into_iter().map(|page| PageSnapshot { page, sections: Vec::new(), seo: None }).collect();
        for section in sections.into_iter().filter(|section| section.visible) {
            if let Some(index) = ids.iter().position(|id| *id == section.page_id) {
                snapshots[index].sections.push(section);
            }
        }
        for seo in seo {
            if let Some(index) = ids.iter().position(|id| *id == seo.page_id) {
                snapshots[index].seo = Some(seo);
            }
        }
        for snapshot in &mut snapshots {
            snapshot.sections.sort_by_key(|section| section.position);
        }
        Self { site, pages: snapshots, navigation: reachable(navigation, &ids) }
    }

    /// The whole snapshot.
    pub fn into_snapshot(self, surroundings: SnapshotContext) -> SiteSnapshot {
        let Self { site, pages, navigation, .. } = self;
        let SnapshotContext { base_url, theme, assets } = surroundings;
        SiteSnapshot { language: site.language.clone(), site, base_url, theme, pages, navigation, assets }
    }
}

/// Which of the pages, oldest first, answers at `/`: the home page, else the one with the slug `home` or `index`, else the
/// oldest.
fn home(pages: &[Page]) -> Option<usize> {
    let at = |slug: &str| pages.iter().position(|page| page.slug == *slug);
    let marked = pages.iter().position(|page| page.is_home);
    marked.or_else(|| at("home")).or_else(|| at("index")).or((!pages.is_empty()).then_some(0))
}
