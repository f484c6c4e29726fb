//! From a customer's request to a brief, and from generated texts to pages.

use portico_kernel::{Env, PageId, Permission, Scope, SectionId, SiteId, TenantId, Violations, name::Slug};
use serde_json::Value;

use super::{GeneratePage, OptimizeContent, OptimizeSeo, text_of};
use crate::{
    SitesError,
    page::{NewPage, Page, Pages},
    ports::{
        BusinessInfo, PageBrief, PageDraft, RewriteBrief, SectionDraft, SeoBrief, SeoDraft, SiteRepositories,
    },
    section::{BulkChange, NewSection, Section, SectionUpdate, Sections},
    seo::{OpenGraphUpdate, Seo, SeoUpdate, Seos},
    site::{self, Site},
};

/// The most characters of a page that the generator reads.
const MAX_PAGE_TEXT: usize = 8_000;

/// A section to be written anew.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionTask {
    /// The brief for the generator.
    pub brief: RewriteBrief,
    /// Page, section, and the version that was read; `None` for content of no page.
    pub section: Option<(PageId, SectionId, i64)>,
    /// Whether the text is put into the section.
    pub apply: bool,
}

/// A page to be described for search engines.
#[derive(Clone, Debug, PartialEq)]
pub struct SeoTask {
    /// The brief for the generator.
    pub brief: SeoBrief,
    /// The page.
    pub page: PageId,
    /// Whether it is stored.
    pub apply: bool,
}

/// A page to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct PageTask {
    /// The brief for the generator.
    pub brief: PageBrief,
    /// The site.
    pub site: SiteId,
    /// Last part of its address.
    pub slug: String,
    /// Whether it is made.
    pub create: bool,
}

/// The use cases, each inside one unit of work: one that reads before the generator is called, one that stores afterwards.
pub struct Generation<'a> {
    repositories: &'a mut dyn SiteRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Generation<'a> {
    /// The use cases for this caller.
    pub fn new(repositories: &'a mut dyn SiteRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The brief for a section.
    ///
    /// # Errors
    /// `Invalid`; `NotFound` (section).
    pub async fn section(&mut self, input: OptimizeContent) -> Result<SectionTask, SitesError> {
        let tenant = self.permit(input.apply)?;
        let mut violations = Violations::default();
        input.check(&mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;
        let OptimizeContent {
            page_id,
            section_id,
            kind,
            content,
            business,
            instructions,
            tone,
            language,
            apply,
        } = input;
        let instructions = instructions.filter(|text| !text.trim().is_empty());
        let tone = tone.unwrap_or_default();
        if let (Some(page), Some(section)) = (page_id, section_id) {
            let found = self.repositories.sections().find(tenant, page, section).await?;
            let section = found.ok_or(SitesError::NotFound("section"))?;
            let page = self.page(tenant, page).await?;
            let site = site::find(self.repositories, tenant, page.site_id).await?;
            self.check_place(&site, apply)?;
            let language = language.or(page.language).unwrap_or_else(|| site.language.clone());
            let brief = RewriteBrief {
                business: business.unwrap_or_else(|| of_site(&site)),
                language,
                tone,
                kind: section.kind,
                content: section.content,
                instructions,
            };
            let section = Some((page.id, section.id, section.version));
            return Ok(SectionTask { brief, section, apply });
        }
        // Without a type the check has failed.
        let Some(kind) = kind else { return Err(SitesError::Invalid(Vec::new())) };
        let brief = RewriteBrief {
            business: business.unwrap_or_default(),
            language: language.unwrap_or_else(|| "en".to_owned()),
            tone,
            kind,
            content: content.unwrap_or_default(),
            instructions,
        };
        Ok(SectionTask { brief, section: None, apply })
    }

    /// Puts generated content into its section, unless that was changed meanwhile.
    ///
    /// # Errors
    /// `NotFound` (section), `Store` (`Stale`) when the section was changed since the brief was made.
    pub async fn apply_section(
        &mut self,
        task: &SectionTask,
        draft: &SectionDraft,
    ) -> Result<Option<Section>, SitesError> {
        let Some((page, section, version)) = task.section.filter(|_| task.apply) else { return Ok(None) };
        let update = SectionUpdate {
            content: Some(draft.content.clone()),
            written: Some(draft.provenance),
            ..SectionUpdate::default()
        };
        let changed = Sections::new(self.repositories, self.scope, self.env)
            .update(page, section, update, Some(version))
            .await;
        match changed {
            // The client named no version, so this is no failed precondition of theirs.
            Err(SitesError::PreconditionFailed) => Err(SitesError::Store(portico_kernel::StoreError::Stale)),
            changed => changed.map(Some),
        }
    }

    /// The brief for the SEO metadata of a page.
    ///
    /// # Errors
    /// `Invalid`; `NotFound` (page).
    pub async fn seo(&mut self, input: OptimizeSeo) -> Result<SeoTask, SitesError> {
        let tenant = self.permit(input.apply)?;
        let mut violations = Violations::default();
        input.check(&mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;
        let OptimizeSeo { page_id, business, language, apply } = input;
        // Without a page the check has failed.
        let Some(id) = page_id else { return Err(SitesError::Invalid(Vec::new())) };
        let page = self.page(tenant, id).await?;
        let site = site::find(self.repositories, tenant, page.site_id).await?;
        self.check_place(&site, apply)?;
        let sections = self.repositories.sections().list(tenant, id).await?;
        let brief = SeoBrief {
            business: business.unwrap_or_else(|| of_site(&site)),
            language: language.or(page.language).unwrap_or_else(|| site.language.clone()),
            title: page.title,
            text: page_text(&sections),
        };
        Ok(SeoTask { brief, page: id, apply })
    }

    /// Stores generated SEO metadata: title, description, keywords and Open Graph. The rest stays.
    ///
    /// # Errors
    /// `NotFound` (page).
    pub async fn apply_seo(&mut self, task: &SeoTask, draft: &SeoDraft) -> Result<Option<Seo>, SitesError> {
        if !task.apply {
            return Ok(None);
        }
        let update = SeoUpdate {
            title: Some(Some(draft.title.clone())),
            description: Some(Some(draft.description.clone())),
            keywords: Some(Some(draft.keywords.clone())),
            open_graph: Some(Some(OpenGraphUpdate {
                title: Some(Some(draft.title.clone())),
                description: Some(Some(draft.description.clone())),
                ..OpenGraphUpdate::default()
            })),
            ..SeoUpdate::default()
        };
        Seos::new(self.repositories, self.scope, self.env).update(task.page, update, None).await.map(Some)
    }

    /// The brief for a page.
    ///
    /// # Errors
    /// `Invalid`; `NotFound` (site); `NoSite`; `SlugTaken` when it is to be made and another page has its slug.
    pub async fn page_brief(&mut self, input: GeneratePage) -> Result<PageTask, SitesError> {
        let tenant = self.permit(input.create)?;
        let mut violations = Violations::default();
        input.check(&mut violations);
        violations.into_result().map_err(SitesError::Invalid)?;
        let kinds = input.kinds();
        let GeneratePage { site_id, title, purpose, business, tone, language, create, .. } = input;
        let site_id = site::resolve(self.repositories, tenant, site_id).await?;
        let site = site::find(self.repositories, tenant, site_id).await?;
        self.check_place(&site, create)?;
        let slug = Slug::from_title(&title).into_string();
        // Checked before a use is counted. The unique key of the database decides in the end.
        if create && self.repositories.pages().by_slug(tenant, Some(site_id), &slug).await?.is_some() {
            return Err(SitesError::SlugTaken);
        }
        let brief = PageBrief {
            business: business.unwrap_or_else(|| of_site(&site)),
            language: language.unwrap_or(site.language),
            tone: tone.unwrap_or_default(),
            title: title.trim().to_owned(),
            purpose: Some(purpose.trim().to_owned()),
            sections: kinds.into_iter().map(|kind| (kind, Value::Null)).collect(),
        };
        Ok(PageTask { brief, site: site_id, slug, create })
    }

    /// Makes the generated page, as a draft with its sections.
    ///
    /// # Errors
    /// `NotFound` (site); `SlugTaken`.
    pub async fn create_page(
        &mut self,
        task: &PageTask,
        draft: &PageDraft,
    ) -> Result<Option<(Page, Vec<Section>)>, SitesError> {
        if !task.create {
            return Ok(None);
        }
        let new = NewPage {
            title: task.brief.title.clone(),
            slug: Some(task.slug.clone()),
            language: Some(task.brief.language.clone()),
            ..NewPage::default()
        };
        let page =
            Pages::new(self.repositories, self.scope, self.env).create_first(Some(task.site), new).await?;
        let create = draft
            .sections
            .iter()
            .map(|(kind, content)| NewSection {
                kind: Some(*kind),
                content: content.clone(),
                provenance: draft.provenance,
                ..NewSection::default()
            })
            .collect();
        let change = BulkChange { create, ..BulkChange::default() };
        let sections = Sections::new(self.repositories, self.scope, self.env).bulk(page.id, change).await?;
        Ok(Some((page, sections)))
    }

    /// The tenant in which the caller may generate texts and, where they are stored, change pages. A text generated for a page
    /// reveals what is on it, so the caller must be allowed to read that. Generating costs money, so a person with a verified
    /// address has to be accountable.
    fn permit(&self, stores: bool) -> Result<TenantId, SitesError> {
        let tenant = self.scope.require(Permission::AiGenerate)?;
        self.scope.require_verified()?;
        self.scope.require(Permission::PagesRead)?;
        if stores {
            self.scope.require(Permission::PagesWrite)?;
        }
        Ok(tenant)
    }

    /// Checks that the caller may change the site, where the text is to be stored there: before a use is counted.
    fn check_place(&self, site: &Site, stores: bool) -> Result<(), SitesError> {
        if stores { site::editable(self.scope, site) } else { Ok(()) }
    }

    async fn page(&mut self, tenant: TenantId, id: PageId) -> Result<Page, SitesError> {
        self.repositories.pages().find(tenant, id).await?.ok_or(SitesError::NotFound("page"))
    }
}

/// What a site says about the business.
fn of_site(site: &Site) -> BusinessInfo {
    BusinessInfo { name: site.name.clone(), industry: site.industry.clone(), ..BusinessInfo::default() }
}

/// The texts of visible sections, one after the other.
fn page_text(sections: &[Section]) -> String {
    let mut text = String::new();
    for section in sections.iter().filter(|section| section.visible) {
        collect(&section.content, &mut text);
    }
    super::shortened(&text, MAX_PAGE_TEXT)
}

fn collect(value: &Value, text: &mut String) {
    match value {
        Value::String(part) => {
            text.push_str(part);
            text.push('\n');
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, text)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(html) if matches!(name.as_str(), "html" | "answer") => {
                        text.push_str(&text_of(html));
                        text.push('\n');
                    }
                    // Addresses and ids are no texts.
                    Value::String(_)
                        if name == "url"
                            || name.ends_with("Url")
                            || name.ends_with("Id")
                            || name == "icon" => {}
                    value => collect(value, text),
                }
            }
        }
        _ => {}
    }
}
