//! What is left to be looked at on pages.

use super::Page;
use crate::section::{ContentReview, SamplePlace, Section, StockPicture, stock_fields};

/// The sections of these pages with content that nobody wrote or confirmed, in the order of the pages.
pub(crate) fn sample_places(pages: &[Page], sections: &[Section]) -> Vec<SamplePlace> {
    let on = |page: &Page| {
        let title = page.title.clone();
        let id = page.id;
        let unconfirmed = sections.iter().filter(move |s| s.page_id == id && !s.provenance.is_own());
        unconfirmed.map(move |section| SamplePlace {
            page_id: id,
            page_title: title.clone(),
            section_id: section.id,
            kind: section.kind,
            position: section.position,
            provenance: section.provenance,
        })
    };
    pages.iter().flat_map(on).collect()
}

/// What is left to be looked at on these pages, in their order.
pub(crate) fn review(pages: &[Page], sections: &[Section]) -> ContentReview {
    let on = |page: &Page| -> Vec<StockPicture> {
        let shown = sections.iter().filter(|section| section.page_id == page.id);
        shown.flat_map(|section| stock_pictures(page, section)).collect()
    };
    ContentReview {
        sample_content: sample_places(pages, sections),
        stock_pictures: pages.iter().flat_map(on).collect(),
    }
}

fn stock_pictures(page: &Page, section: &Section) -> Vec<StockPicture> {
    let place = |field| StockPicture {
        page_id: page.id,
        page_title: page.title.clone(),
        page_slug: page.slug.clone(),
        section_id: section.id,
        kind: section.kind,
        position: section.position,
        field,
    };
    stock_fields(section.kind, &section.content).into_iter().map(place).collect()
}
