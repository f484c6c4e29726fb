//! The navigation of a site as a tree.

use std::collections::{HashMap, HashSet};

use portico_kernel::{NavItemId, PageId};
use portico_sites::{navigation::NavItem, ports::PageSnapshot};
use serde::Serialize;

use crate::links::Links;

/// Maximum depth shown.
const DEPTH: usize = 3;
/// Maximum number of pages listed on a site without its own navigation.
const AUTOMATIC: usize = 6;

/// An item with its children.
#[derive(Debug, Serialize)]
pub struct Entry {
    /// Its label.
    label: String,
    /// Its target; `None` for one that only groups.
    href: Option<String>,
    /// Whether it opens a new tab.
    new_tab: bool,
    /// Targets of this entry and those under it, to mark the branch of the current page.
    branch: Vec<String>,
    /// Its children.
    children: Vec<Entry>,
}

/// Builds the tree. Items whose parent was left out (because its page is not published) move to the top, so that no
/// published page becomes unreachable. A site without navigation lists its pages, if there are several.
pub fn tree(
    items: &[NavItem],
    pages: &[PageSnapshot],
    paths: &HashMap<PageId, String>,
    links: &Links,
) -> Vec<Entry> {
    if items.is_empty() {
        return automatic(pages, paths);
    }
    let known: HashSet<NavItemId> = items.iter().map(|item| item.id).collect();
    let mut children: HashMap<Option<NavItemId>, Vec<&NavItem>> = HashMap::new();
    for item in items {
        children.entry(item.parent_id.filter(|parent| known.contains(parent))).or_default().push(item);
    }
    for siblings in children.values_mut() {
        siblings.sort_by_key(|item| (item.position, item.id));
    }
    level(None, DEPTH, &children, paths, links)
}

fn level(
    parent: Option<NavItemId>,
    depth: usize,
    children: &HashMap<Option<NavItemId>, Vec<&NavItem>>,
    paths: &HashMap<PageId, String>,
    links: &Links,
) -> Vec<Entry> {
    if depth == 0 {
        return Vec::new();
    }
    let items = children.get(&parent).map_or(&[][..], Vec::as_slice);
    let entry = |item: &&NavItem| {
        let page = item.page_id.and_then(|page| paths.get(&page).cloned());
        let href = page.or_else(|| item.url.as_deref().and_then(|url| links.href(url)));
        let children = level(Some(item.id), depth - 1, children, paths, links);
        let below = children.iter().flat_map(|child| child.branch.iter().cloned());
        let branch = href.iter().cloned().chain(below).collect();
        let entry = Entry { label: item.label.clone(), href, new_tab: item.opens_new_tab, branch, children };
        // Without target and children it is left out.
        (entry.href.is_some() || !entry.children.is_empty()).then_some(entry)
    };
    items.iter().filter_map(entry).collect()
}

fn automatic(pages: &[PageSnapshot], paths: &HashMap<PageId, String>) -> Vec<Entry> {
    if pages.len() < 2 {
        return Vec::new();
    }
    let entry = |snapshot: &PageSnapshot| {
        let href = paths.get(&snapshot.page.id).cloned();
        let branch = href.iter().cloned().collect();
        Entry { label: snapshot.page.title.clone(), href, new_tab: false, branch, children: Vec::new() }
    };
    pages.iter().take(AUTOMATIC).map(entry).collect()
}
