//! The order of the sections of a page: positions are 0, 1, 2 … without gaps.

use portico_kernel::{SectionId, Violations};

use super::Section;

/// Puts `id` at `position`, or at the end when that is past it or absent.
pub(super) fn place(order: &mut Vec<SectionId>, id: SectionId, position: Option<u32>) {
    order.retain(|other| *other != id);
    let end = order.len();
    let position = position.map_or(end, |position| usize::try_from(position).unwrap_or(end).min(end));
    order.insert(position, id);
}

/// Whether the stored positions already are 0, 1, 2 … in this order.
pub(super) fn is_settled(sections: &[Section], order: &[SectionId]) -> bool {
    sections.len() == order.len()
        && (0..).zip(order).all(|(position, id)| {
            sections.iter().any(|section| section.id == *id && section.position == position)
        })
}

/// Gives the sections the positions they have in `order`, and sorts them by it.
pub(super) fn settle(sections: &mut [Section], order: &[SectionId]) {
    for section in sections.iter_mut() {
        let position = order.iter().position(|id| *id == section.id);
        section.position = position.and_then(|position| i32::try_from(position).ok()).unwrap_or(i32::MAX);
    }
    sections.sort_by_key(|section| section.position);
}

/// Where a new section is stored before the final order is known: behind all that are there.
pub(super) fn behind(sections: &[Section]) -> i32 {
    sections.iter().map(|section| section.position).max().map_or(0, |last| last.saturating_add(1))
}

/// Checks that `ids` names each of the sections once.
pub(super) fn check_complete(sections: &[Section], ids: &[SectionId], violations: &mut Violations) {
    if ids.len() > sections.len().max(super::MAX_SECTIONS) {
        violations.add("ids", "too_many", "There are more ids here than the page has sections.");
        return;
    }
    for (index, id) in ids.iter().enumerate() {
        if !sections.iter().any(|section| section.id == *id) {
            violations.add(format!("ids[{index}]"), "not_found", "The page has no such section.");
        } else if ids[..index].contains(id) {
            violations.add(format!("ids[{index}]"), "duplicate", "This section is named twice.");
        }
    }
    if violations.is_empty() && ids.len() < sections.len() {
        violations.add("ids", "incomplete", "Name every section of the page.");
    }
}
