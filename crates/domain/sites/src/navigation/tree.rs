//! The shape of a site's navigation: a forest of little depth, positions 0, 1, 2 … under each parent.

use portico_kernel::{NavItemId, PageId};

use super::{MAX_DEPTH, NavItem};

/// What is wrong with a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TreeError {
    /// An item is under itself.
    Cycle,
    /// An item has more than [`MAX_DEPTH`] levels.
    TooDeep,
    /// The parent is not an item of the site.
    NoParent,
}

impl TreeError {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Cycle => "cycle",
            Self::TooDeep => "too_deep",
            Self::NoParent => "not_found",
        }
    }

    pub(super) fn message(self) -> String {
        match self {
            Self::Cycle => "An item cannot be under itself.".to_owned(),
            Self::TooDeep => format!("Items can be nested {MAX_DEPTH} levels deep."),
            Self::NoParent => "The site has no such navigation item.".to_owned(),
        }
    }
}

/// What is wrong with the position of this item, given the parents of all items.
pub(super) fn misfit(id: NavItemId, parents: &[(NavItemId, Option<NavItemId>)]) -> Option<TreeError> {
    let parent_of = |id: NavItemId| parents.iter().find(|(item, _)| *item == id).map(|(_, parent)| *parent);
    let mut current = id;
    for level in 1..=parents.len().saturating_add(1) {
        match parent_of(current) {
            None => return Some(TreeError::NoParent),
            Some(None) if level > MAX_DEPTH => return Some(TreeError::TooDeep),
            Some(None) => return None,
            Some(Some(parent)) if parent == id => return Some(TreeError::Cycle),
            Some(Some(parent)) => current = parent,
        }
    }
    // More steps than there are items: the chain of parents ends in a cycle.
    Some(TreeError::Cycle)
}

/// The items as pairs of id and parent.
pub(super) fn parents(items: &[NavItem]) -> Vec<(NavItemId, Option<NavItemId>)> {
    items.iter().map(|item| (item.id, item.parent_id)).collect()
}

/// The item and everything under it.
pub(super) fn subtree(items: &[NavItem], root: NavItemId) -> Vec<NavItemId> {
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        let parent = found[next];
        let children = items.iter().filter(|item| item.parent_id == Some(parent)).map(|item| item.id);
        let new: Vec<NavItemId> = children.filter(|id| !found.contains(id)).collect();
        found.extend(new);
        next += 1;
    }
    found
}

/// Renumbers the items under a parent 0, 1, 2 … in the order of their positions. With `moved`, that item gets the given position,
/// or the last one when that is past it or absent.
pub(super) fn settle(
    items: &mut [NavItem],
    parent: Option<NavItemId>,
    moved: Option<(NavItemId, Option<u32>)>,
) {
    let mut siblings: Vec<(i32, NavItemId)> =
        items.iter().filter(|item| item.parent_id == parent).map(|item| (item.position, item.id)).collect();
    siblings.sort_by_key(|(position, _)| *position);
    let mut order: Vec<NavItemId> = siblings.into_iter().map(|(_, id)| id).collect();
    if let Some((id, position)) = moved {
        order.retain(|other| *other != id);
        let end = order.len();
        order.insert(position.map_or(end, |position| usize::try_from(position).unwrap_or(end).min(end)), id);
    }
    for (position, id) in (0..).zip(order) {
        if let Some(item) = items.iter_mut().find(|item| item.id == id) {
            item.position = position;
        }
    }
}

/// The navigation as visitors see it: without items that lead to other pages than these, and without what is under those.
pub(crate) fn reachable(items: Vec<NavItem>, pages: &[PageId]) -> Vec<NavItem> {
    let dead = items.iter().filter(|item| item.page_id.is_some_and(|page| !pages.contains(&page)));
    let hidden: Vec<NavItemId> = dead.flat_map(|item| subtree(&items, item.id)).collect();
    items.into_iter().filter(|item| !hidden.contains(&item.id)).collect()
}
