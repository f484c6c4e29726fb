//! Website templates, in memory.

use async_trait::async_trait;
use portico_kernel::{List, PageId, PageRequest, StoreError, TemplateId, TenantId, Timestamp};

use super::{View, conflict, missing, page_of, replace};
use crate::{
    ports::{TemplateFilter, TemplateRecord, TemplateRepository},
    section::SectionOrigin,
    template::{LibraryTemplate, Template, TemplateSummary},
};

/// The stored rows.
#[derive(Default)]
pub(crate) struct State {
    pub templates: Vec<Template>,
    pub records: Vec<TemplateRecord>,
    pub origins: Vec<SectionOrigin>,
}

impl State {
    fn record(&mut self, id: TemplateId) -> Option<&mut TemplateRecord> {
        self.records.iter_mut().find(|record| record.id == id)
    }

    fn is_there(&self, id: TemplateId) -> bool {
        self.records.iter().any(|record| record.id == id && !record.is_deleted)
    }

    fn there(&self) -> impl Iterator<Item = &Template> {
        self.templates.iter().filter(|template| self.is_there(template.id))
    }

    fn count(&self, word: impl Fn(&Template) -> &String) -> Vec<(String, u64)> {
        let mut counts = std::collections::BTreeMap::<String, u64>::new();
        self.there().for_each(|template| *counts.entry(word(template).clone()).or_default() += 1);
        counts.into_iter().collect()
    }
}

fn summary(template: &Template) -> TemplateSummary {
    let pages = template.outline();
    let Template { id, name, slug, category, industry, description, language, .. } = template.clone();
    let Template { is_premium, is_featured, popularity, look, created_at, updated_at, .. } = template.clone();
    TemplateSummary {
        id,
        name,
        slug,
        category,
        industry,
        description,
        language,
        is_premium,
        is_featured,
        popularity,
        look,
        pages,
        created_at,
        updated_at,
    }
}

#[async_trait]
impl TemplateRepository for View<'_> {
    async fn insert(&mut self, template: &Template) -> Result<(), StoreError> {
        let state = &mut self.0.templates;
        if state.there().any(|other| other.slug == template.slug) {
            return conflict("templates_slug");
        }
        state.templates.push(template.clone());
        let (id, slug) = (template.id, template.slug.clone());
        state.records.push(TemplateRecord {
            id,
            slug,
            fingerprint: None,
            is_staffs: true,
            is_deleted: false,
        });
        Ok(())
    }
    async fn find(&mut self, id: TemplateId) -> Result<Option<Template>, StoreError> {
        Ok(self.0.templates.there().find(|template| template.id == id).cloned())
    }
    async fn by_slug<'s>(&mut self, slug: &'s str) -> Result<Option<Template>, StoreError> {
        Ok(self.0.templates.there().find(|template| template.slug == slug).cloned())
    }
    async fn exists(&mut self, id: TemplateId) -> Result<bool, StoreError> {
        Ok(self.0.templates.is_there(id))
    }
    async fn list(
        &mut self,
        filter: TemplateFilter,
        page: PageRequest,
    ) -> Result<List<TemplateSummary>, StoreError> {
        let fits = |word: &Option<String>, value: &String| word.as_ref().is_none_or(|word| word == value);
        let found = self.0.templates.there().filter(|template| {
            fits(&filter.category, &template.category)
                && fits(&filter.industry, &template.industry)
                && fits(&filter.language, &template.language)
                && filter.featured.is_none_or(|featured| template.is_featured == featured)
                && filter.premium.is_none_or(|premium| template.is_premium == premium)
        });
        Ok(page_of(found.map(summary).collect(), page))
    }
    async fn categories(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        Ok(self.0.templates.count(|template| &template.category))
    }
    async fn industries(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        Ok(self.0.templates.count(|template| &template.industry))
    }
    async fn update(&mut self, template: &Template) -> Result<(), StoreError> {
        let state = &mut self.0.templates;
        if state.there().any(|other| other.id != template.id && other.slug == template.slug) {
            return conflict("templates_slug");
        }
        replace(
            &mut state.templates,
            |other| other.id == template.id,
            |template| &mut template.version,
            template,
        )?;
        let slug = template.slug.clone();
        let record = state.record(template.id).ok_or(StoreError::Stale)?;
        (record.slug, record.is_staffs) = (slug, true);
        Ok(())
    }
    async fn delete(&mut self, id: TemplateId, version: i64, _: Timestamp) -> Result<bool, StoreError> {
        let state = &mut self.0.templates;
        if !state.there().any(|template| template.id == id && template.version == version) {
            return Ok(false);
        }
        state.record(id).into_iter().for_each(|record| record.is_deleted = true);
        Ok(true)
    }
    async fn count_use(&mut self, id: TemplateId) -> Result<bool, StoreError> {
        let state = &mut self.0.templates;
        let is_there = state.is_there(id);
        let used = state.templates.iter_mut().filter(|template| is_there && template.id == id);
        used.for_each(|template| template.popularity += 1);
        Ok(is_there)
    }
    async fn records(&mut self) -> Result<Vec<TemplateRecord>, StoreError> {
        Ok(self.0.templates.records.clone())
    }
    async fn put_library(&mut self, templates: &[LibraryTemplate]) -> Result<(), StoreError> {
        let state = &mut self.0.templates;
        for LibraryTemplate { template, fingerprint } in templates {
            let fingerprint = Some(fingerprint.clone());
            let (id, slug) = (template.id, template.slug.clone());
            match state.record(id) {
                Some(record) if record.is_staffs || record.is_deleted => {}
                Some(record) => {
                    (record.fingerprint, record.slug) = (fingerprint, slug);
                    for stored in state.templates.iter_mut().filter(|stored| stored.id == id) {
                        let (popularity, created_at) = (stored.popularity, stored.created_at);
                        let version = stored.version + 1;
                        *stored = Template { popularity, created_at, version, ..template.clone() };
                    }
                }
                None => {
                    state.records.push(TemplateRecord {
                        id,
                        slug,
                        fingerprint,
                        is_staffs: false,
                        is_deleted: false,
                    });
                    state.templates.push(template.clone());
                }
            }
        }
        Ok(())
    }
    async fn track(&mut self, origins: &[SectionOrigin]) -> Result<(), StoreError> {
        for origin in origins {
            let is_page =
                |page: &crate::page::Page| page.id == origin.page_id && page.tenant == origin.tenant;
            if !self.0.pages.iter().any(is_page) {
                return missing("section_origins_page");
            }
            self.0.templates.origins.push(origin.clone());
        }
        Ok(())
    }
    async fn origins(&mut self, tenant: TenantId, page: PageId) -> Result<Vec<SectionOrigin>, StoreError> {
        let all = self.0.templates.origins.iter();
        let mut mine: Vec<SectionOrigin> =
            all.filter(|origin| origin.tenant == tenant && origin.page_id == page).cloned().collect();
        mine.sort_by_key(|origin| origin.position);
        Ok(mine)
    }
    async fn untrack(&mut self, tenant: TenantId, page: PageId) -> Result<(), StoreError> {
        self.0.templates.origins.retain(|origin| !(origin.tenant == tenant && origin.page_id == page));
        Ok(())
    }
}
