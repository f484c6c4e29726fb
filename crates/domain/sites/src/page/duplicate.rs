//! Copies of a page.

use portico_kernel::{PageId, Permission, SectionId, name::Slug};

use super::{MAX_TITLE, Page, PageStatus, Pages, refused};
use crate::{
    SitesError, events,
    section::{Section, copy_origins},
};

impl Pages<'_> {
    /// Copies a page with its sections: a draft with the next free slug `x-copy`, `x-copy-2` …, never home.
    ///
    /// # Errors
    /// `NotFound`; `SlugTaken` when another request takes the free slug at the same moment.
    pub async fn duplicate(&mut self, id: PageId) -> Result<Page, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        // Two copies of one page at the same moment are made one after the other, and get different slugs.
        let original =
            self.repositories.pages().lock(tenant, id).await?.ok_or(SitesError::NotFound("page"))?;
        let base = Slug::from_title(&format!("{}-copy", cut(original.slug.as_str(), 80)));
        let taken = self.repositories.pages().slugs_like(tenant, original.site_id, base.as_str()).await?;
        let now = self.env.now();
        let copy = Page {
            id: self.env.new_id(),
            title: format!("{} (copy)", cut(&original.title, MAX_TITLE - " (copy)".len())),
            slug: free_slug(&base, &taken),
            status: PageStatus::Draft,
            is_home: false,
            publish_at: None,
            published_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
            ..original
        };
        self.repositories.pages().insert(&copy).await.map_err(|error| refused(error, None))?;
        let originals = self.repositories.sections().list(tenant, id).await?;
        let ids: Vec<SectionId> = originals.iter().map(|section| section.id).collect();
        let sections: Vec<Section> = (0..)
            .zip(originals)
            .map(|(position, section)| Section {
                id: self.env.new_id(),
                page_id: copy.id,
                position,
                created_at: now,
                updated_at: now,
                version: 1,
                ..section
            })
            .collect();
        if !sections.is_empty() {
            self.repositories.sections().insert(&sections).await?;
        }
        copy_origins(self.repositories, tenant, id, &ids, &sections).await?;
        self.append(self.event(&events::PAGE_CREATED, &copy).after(&copy)).await?;
        Ok(copy)
    }
}

/// The first of `base`, `base-2`, `base-3` … that is not taken.
pub(super) fn free_slug(base: &Slug, taken: &[String]) -> Slug {
    let is_free = |slug: &Slug| !taken.iter().any(|other| other == slug.as_str());
    // One more candidate than there are taken slugs, so one of them is free.
    let numbered = (2..).map(|number| base.with_suffix(number)).take(taken.len() + 1);
    std::iter::once(base.clone()).chain(numbered).find(is_free).unwrap_or_else(|| base.clone())
}

/// At most the first `max` characters.
pub(super) fn cut(text: &str, max: usize) -> &str {
    text.char_indices().nth(max).map_or(text, |(end, _)| &text[..end])
}
