//! Origins of sections: the template that they were made from.

use portico_kernel::{PageId, SectionId, TemplateId, TenantId, Timestamp};
use serde_json::Value;

use super::{Section, SectionType};
use crate::{SitesError, ports::SiteRepositories};

/// What a section was made from. Stays when the section is deleted, so that its absence can be seen, and is deleted with the
/// page.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionOrigin {
    /// The tenant.
    pub tenant: TenantId,
    /// The section.
    pub section_id: SectionId,
    /// The page.
    pub page_id: PageId,
    /// The template.
    pub template_id: TemplateId,
    /// The page of the template.
    pub page_key: String,
    /// The section of that page.
    pub section_key: String,
    /// The type that the template had then.
    pub kind: SectionType,
    /// The content that the template had then.
    pub content: Value,
    /// The position that it had on the page.
    pub position: i32,
    /// When.
    pub applied_at: Timestamp,
}

/// Lets the copy of a page be reset to its template like the original. `copies` are those of the sections `ids`, in their
/// order.
pub(crate) async fn copy_origins(
    repositories: &mut dyn SiteRepositories,
    tenant: TenantId,
    original: PageId,
    ids: &[SectionId],
    copies: &[Section],
) -> Result<(), SitesError> {
    let origins = repositories.templates().origins(tenant, original).await?;
    let copied: Vec<SectionOrigin> = origins
        .into_iter()
        .filter_map(|origin| {
            let place = ids.iter().position(|id| *id == origin.section_id)?;
            let copy = copies.get(place)?;
            Some(SectionOrigin { section_id: copy.id, page_id: copy.page_id, ..origin })
        })
        .collect();
    if !copied.is_empty() {
        repositories.templates().track(&copied).await?;
    }
    Ok(())
}
