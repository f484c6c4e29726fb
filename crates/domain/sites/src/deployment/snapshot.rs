//! What a deployment shows: the published part of a site, read at one moment.

use portico_kernel::PageId;

use super::Deployment;
use crate::{
    navigation::{NavItem, reachable},
    page::{Page, PageStatus},
    ports::{PageSnapshot, SiteSnapshot, Theme},
    section::Section,
    site::Site,
};

/// The parts of a snapshot that sites know of. The application adds what comes from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotParts {
    /// The site.
    pub site: Site,
    /// The deployment that is being built.
    pub deployment: Deployment,
    /// Published pages with their visible sections, home first, then oldest first.
    pub pages: Vec<PageSnapshot>,
    /// Navigation by parent and position, without what does not lead anywhere.
    pub navigation: Vec<NavItem>,
}

impl SnapshotParts {
    /// Puts the parts together. `sections` are those of all pages, each page's by position.
    pub(super) fn assemble(
        site: Site,
        deployment: Deployment,
        pages: Vec<Page>,
        sections: Vec<Section>,
        navigation: Vec<NavItem>,
    ) -> Self {
        let mut pages: Vec<Page> =
            pages.into_iter().filter(|page| page.status == PageStatus::Published).collect();
        pages.sort_by_key(|page| (page.created_at, page.id));
        if let Some(home) = home(&pages) {
            pages[..=home].rotate_right(1);
        }
        let ids: Vec<PageId> = pages.iter().map(|page| page.id).collect();
        let mut snapshots: Vec<PageSnapshot> =
            pages.into_iter().map(|page| PageSnapshot { page, sections: Vec::new() }).collect();
        for section in sections.into_iter().filter(|section| section.visible) {
            if let Some(index) = ids.iter().position(|id| *id == section.page_id) {
                snapshots[index].sections.push(section);
            }
        }
        for snapshot in &mut snapshots {
            snapshot.sections.sort_by_key(|section| section.position);
        }
        Self { site, deployment, pages: snapshots, navigation: reachable(navigation, &ids) }
    }

    /// The whole snapshot. `base_url` is where the site answers, without a trailing slash.
    pub fn into_snapshot(self, base_url: String, language: String, theme: Theme) -> SiteSnapshot {
        let Self { site, pages, navigation, .. } = self;
        SiteSnapshot { site, base_url, language, theme, pages, navigation }
    }
}

/// Which of the pages, oldest first, answers at `/`: the home page, else the one with the slug `home` or `index`, else the
/// oldest.
fn home(pages: &[Page]) -> Option<usize> {
    let at = |slug: &str| pages.iter().position(|page| page.slug == slug);
    let marked = pages.iter().position(|page| page.is_home);
    marked.or_else(|| at("home")).or_else(|| at("index")).or((!pages.is_empty()).then_some(0))
}
