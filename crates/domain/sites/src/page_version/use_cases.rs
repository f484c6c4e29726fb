//! Seeing, comparing and restoring versions.

use portico_kernel::{
    CursorPage, CursorRequest, Env, Event, FieldError, PageId, PageVersionId, Permission, Scope, SectionId,
    TenantId, Violations, name::Slug,
};
use serde_json::json;

use super::{Comparison, FullPageVersion, KeptSection, KeptSeo, PageContent};
use crate::{
    SitesError, events,
    page::{self, Page},
    page_version::PageVersion,
    ports::SiteRepositories,
    section::{Section, content::SectionContent},
    version,
};

/// The use cases of versions, inside one unit of work.
pub struct PageVersions<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> PageVersions<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The versions of a page, newest first.
    ///
    /// # Errors
    /// `NotFound` (page); `Invalid` (cursor).
    pub async fn list(
        &mut self,
        page: PageId,
        request: CursorRequest,
    ) -> Result<CursorPage<PageVersion>, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        let before = request.cursor.as_deref().map(cursor).transpose()?;
        // One more than requested shows whether there is a next piece.
        let mut items =
            self.repositories.versions().list(tenant, page, before, request.limit.saturating_add(1)).await?;
        if items.is_empty() {
            self.page(tenant, page).await?;
        }
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = items.len() > limit;
        items.truncate(limit);
        let next_cursor = items.last().filter(|_| more).map(|version| cursor_behind(version.number));
        Ok(CursorPage { items, next_cursor })
    }

    /// A version with its content.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&mut self, page: PageId, id: PageVersionId) -> Result<FullPageVersion, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        self.find(tenant, page, id).await
    }

    /// What is different between two versions. Where the later one is not named it is the page as it is now; where the
    /// earlier one is not, it is the one just before (for the first version, that itself).
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn compare(
        &mut self,
        page: PageId,
        from: Option<PageVersionId>,
        to: Option<PageVersionId>,
    ) -> Result<Comparison, SitesError> {
        let tenant = self.scope.require(Permission::PagesRead)?;
        let to = match to {
            Some(to) => to,
            None => {
                let newest = self.repositories.versions().list(tenant, page, None, 1).await?;
                newest.first().ok_or(SitesError::NotFound("page"))?.id
            }
        };
        let to = self.find(tenant, page, to).await?;
        let from = match from {
            Some(from) => from,
            None => {
                let number = to.version.number;
                let before = self.repositories.versions().list(tenant, page, Some(number), 1).await?;
                before.first().map_or(to.version.id, |version| version.id)
            }
        };
        let from = self.find(tenant, page, from).await?;
        Ok(Comparison::new((from.version, &from.content), (to.version, &to.content)))
    }

    /// Makes page, sections and SEO metadata what they were. Status, home mark and time of publication stay as they are:
    /// restoring never publishes. Sections that were deleted come back under their old ids. `expected` is the version of the page
    /// that the client saw, if it says.
    ///
    /// # Errors
    /// `NotFound`; `SlugTaken` when another page has the slug by now; `PreconditionFailed`; `Invalid` when the content would
    /// not be accepted any more.
    pub async fn restore(
        &mut self,
        page: PageId,
        id: PageVersionId,
        expected: Option<i64>,
    ) -> Result<Page, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        let stored = self.repositories.pages().lock(tenant, page).await?;
        let before = stored.ok_or(SitesError::NotFound("page"))?;
        version::check(before.version, expected)?;
        let FullPageVersion { version, content } = self.find(tenant, page, id).await?;
        let PageContent { page: kept, sections, seo } = content;
        let sections = accepted(sections)?;
        let content_before = self.content(&before).await?;

        let mut after = Page {
            title: kept.title,
            slug: Slug::trusted(kept.slug),
            language: kept.language,
            translation_of: kept.translation_of,
            updated_at: self.env.now(),
            ..before.clone()
        };
        self.repositories.pages().update(&after).await.map_err(|error| page::refused(error, expected))?;
        after.version += 1;
        self.restore_sections(&after, sections).await?;
        self.restore_seo(&after, seo).await?;

        let mut recorded = json!(self.content(&after).await?);
        recorded["restoredFrom"] = json!(version.number);
        let event = Event::new(self.env, self.scope, &events::PAGE_RESTORED, page.uuid());
        let event = event.before(&content_before).after(&recorded);
        self.repositories.events().append(event).await?;
        Ok(after)
    }

    async fn restore_sections(&mut self, page: &Page, kept: Vec<KeptSection>) -> Result<(), SitesError> {
        let (tenant, now) = (page.tenant, page.updated_at);
        let current = self.repositories.sections().list(tenant, page.id).await?;
        let order: Vec<SectionId> = kept.iter().map(|section| section.id).collect();
        let surplus: Vec<SectionId> =
            current.iter().map(|section| section.id).filter(|id| !order.contains(id)).collect();
        if !surplus.is_empty() {
            self.repositories.sections().delete(tenant, page.id, &surplus).await?;
        }
        let mut behind = current.iter().map(|section| section.position + 1).max().unwrap_or(0);
        let mut missing = Vec::new();
        for KeptSection { id, kind, content, visible, provenance } in kept {
            match current.iter().find(|section| section.id == id) {
                Some(same) if (same.kind, &same.content, same.visible) == (kind, &content, visible) => {}
                Some(other) => {
                    // What was confirmed since stays so.
                    let is_same = (other.kind, &other.content) == (kind, &content);
                    let provenance = if is_same { other.provenance } else { provenance };
                    let section =
                        Section { kind, content, visible, provenance, updated_at: now, ..other.clone() };
                    self.repositories.sections().update(&section).await?;
                }
                None => {
                    missing.push(Section {
                        id,
                        tenant,
                        page_id: page.id,
                        kind,
                        content,
                        position: behind,
                        visible,
                        provenance,
                        created_at: now,
                        updated_at: now,
                        version: 1,
                    });
                    behind += 1;
                }
            }
        }
        if !missing.is_empty() {
            self.repositories.sections().insert(&missing).await?;
        }
        if !order.is_empty() {
            self.repositories.sections().order(tenant, page.id, &order).await?;
        }
        Ok(())
    }

    async fn restore_seo(&mut self, page: &Page, kept: Option<KeptSeo>) -> Result<(), SitesError> {
        let current = self.repositories.seo().find(page.tenant, page.id).await?;
        match (current, kept) {
            (None, None) => {}
            (Some(_), None) => {
                self.repositories.seo().delete(page.tenant, page.id).await?;
            }
            (None, Some(kept)) => {
                let seo = kept.into_seo(page, page.updated_at, 1);
                self.repositories.seo().insert(std::slice::from_ref(&seo)).await?;
            }
            (Some(current), Some(kept)) if KeptSeo::from(current.clone()) == kept => {}
            (Some(current), Some(kept)) => {
                let seo = kept.into_seo(page, page.updated_at, current.version);
                self.repositories.seo().update(&seo).await?;
            }
        }
        Ok(())
    }

    async fn content(&mut self, page: &Page) -> Result<PageContent, SitesError> {
        Ok(PageContent::read(self.repositories, page.tenant, page.id, page.into()).await?)
    }

    async fn page(&mut self, tenant: TenantId, id: PageId) -> Result<Page, SitesError> {
        self.repositories.pages().find(tenant, id).await?.ok_or(SitesError::NotFound("page"))
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        page: PageId,
        id: PageVersionId,
    ) -> Result<FullPageVersion, SitesError> {
        let found = self.repositories.versions().find(tenant, page, id).await?;
        found.ok_or(SitesError::NotFound("page version"))
    }
}

/// The number before which to continue. Like every cursor it has the form of an id.
fn cursor(text: &str) -> Result<i64, SitesError> {
    let id: Option<PageVersionId> = text.parse().ok();
    id.and_then(|id| i64::try_from(id.uuid().as_u128()).ok()).ok_or_else(|| {
        let message = "Send the nextCursor of the piece before.";
        SitesError::Invalid(vec![FieldError::new("cursor", "invalid_cursor", message)])
    })
}

/// The cursor behind a version of this number.
fn cursor_behind(number: i64) -> String {
    format!("00000000-0000-0000-0000-{number:012x}")
}

/// The sections, checked and sanitised by the rules of today.
fn accepted(sections: Vec<KeptSection>) -> Result<Vec<KeptSection>, SitesError> {
    let mut violations = Violations::default();
    let mut accepted = Vec::with_capacity(sections.len());
    for (index, section) in sections.into_iter().enumerate() {
        match SectionContent::read(section.kind, section.content, &format!("sections[{index}].content")) {
            Ok(content) => accepted.push(KeptSection { content: content.into_json(), ..section }),
            Err(errors) => violations.extend(errors),
        }
    }
    violations.into_result().map_err(SitesError::Invalid)?;
    Ok(accepted)
}
