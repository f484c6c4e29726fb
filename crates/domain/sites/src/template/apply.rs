//! Making something from a template: the sections of a page, more pages of a site, or a new site.

use portico_kernel::{
    Event, Feature, PageId, Permission, RuleMessage, SectionId, SiteId, TenantId, Violations,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Template, TemplatePage, Templates,
    build::{self, ApplyTarget, PagePlan, build_pages, note_use, plan},
    input::look_input,
};
use crate::{
    SitesError, events,
    page::{self, Page, PageStatus},
    ports::SiteRepositories,
    section::{ContentReview, Provenance, Section, SectionOrigin},
    site::{self, NewSite, Site, Sites},
};

/// What is to be made from a template: exactly one of `pageId`, `siteId` and `siteName`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplateApplication {
    /// A page whose sections, all of them, give way to those of a page of the template.
    #[serde(alias = "page_id")]
    pub page_id: Option<PageId>,
    /// A site that gets the pages of the template besides those it has.
    #[serde(alias = "site_id")]
    pub site_id: Option<SiteId>,
    /// The name of a new site with the pages, the language and the look of the template.
    #[serde(alias = "site_name")]
    #[cfg_attr(feature = "openapi", schema(example = "Panadería Luz", min_length = 1, max_length = 120))]
    pub site_name: Option<String>,
    /// Where the new site is to answer; made from its name when absent.
    #[cfg_attr(
        feature = "openapi",
        schema(min_length = 3, max_length = 63, pattern = "^[a-z0-9][a-z0-9-]*[a-z0-9]$")
    )]
    pub subdomain: Option<String>,
    /// Key of the one page of the template that is meant. When absent, `pageId` gets the one with its own slug, else the
    /// home page, and `siteId` gets all.
    #[serde(alias = "template_page")]
    pub template_page: Option<String>,
    /// Whether the new pages are part of the next deployment: `draft` when absent. Not for `pageId`, which keeps its own.
    pub status: Option<PageStatus>,
}

/// Result of applying a template.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The site that it is in.
    pub site_id: SiteId,
    /// The site, when it is a new one.
    pub new_site: Option<Site>,
    /// The pages that were made, or whose sections were replaced.
    pub pages: Vec<Page>,
    /// How many sections there are on them now.
    pub sections: usize,
    /// How many sections were replaced.
    pub replaced_sections: usize,
    /// The sections that are the template's example, each to be edited, confirmed or deleted before it is published, and the
    /// fields with pictures of our library.
    pub review: ContentReview,
}

/// The checked request.
enum Wish {
    Page(PageId),
    Site(SiteId),
    NewSite(Box<NewSite>),
}

impl Template {
    /// Checks that the tenant's plan has templates like this one.
    pub(crate) async fn check_entitlement(
        &self,
        repositories: &mut dyn SiteRepositories,
        tenant: TenantId,
    ) -> Result<(), SitesError> {
        if self.is_premium {
            repositories.entitlements().require(tenant, Feature::PremiumTemplates).await?;
        }
        Ok(())
    }
}

impl Templates<'_> {
    /// Applies a template, which the tenant's plan must have.
    ///
    /// # Errors
    /// `Denied` without `pages:write` (for a page), also `navigation:write` (for a site), also `sites:write` (for a new
    /// one); `Invalid`; `NotFound` (page, site, template); `SubdomainTaken`; `Entitlement`.
    pub async fn apply(
        &mut self,
        template: &Template,
        input: TemplateApplication,
    ) -> Result<Applied, SitesError> {
        let tenant = self.scope.require(Permission::PagesWrite)?;
        template.check_entitlement(self.repositories, tenant).await?;
        let (wish, page, status) = read(template, input)?;
        match wish {
            Wish::Page(id) => self.fill_page(tenant, template, id, page).await,
            Wish::Site(id) => {
                let site = site::find(self.repositories, tenant, id).await?;
                self.fill_site(template, site, false, page, status).await
            }
            Wish::NewSite(new) => {
                let look = Some(look_input(&template.look));
                let (language, industry) = (template.language.clone(), template.industry.clone());
                let new = NewSite { language: Some(language), industry: Some(industry), look, ..*new };
                let site = Sites::new(self.repositories, self.scope, self.env).create(new).await?;
                self.fill_site(template, site, true, None, status).await
            }
        }
    }

    async fn fill_site(
        &mut self,
        template: &Template,
        site: Site,
        is_new: bool,
        page: Option<&TemplatePage>,
        status: PageStatus,
    ) -> Result<Applied, SitesError> {
        let plans = page.map_or_else(|| plan(template), |page| vec![PagePlan::from(page)]);
        let target = ApplyTarget { site: &site, is_new, template: Some(template), status };
        let built = build_pages(self.repositories, self.scope, self.env, target, plans).await?;
        let review = page::review(&built.pages, &built.sections);
        Ok(Applied {
            site_id: site.id,
            new_site: is_new.then_some(site),
            pages: built.pages,
            sections: built.sections.len(),
            replaced_sections: 0,
            review,
        })
    }

    /// Replaces the sections of a page. Its title, slug, status and SEO metadata stay the customer's.
    async fn fill_page(
        &mut self,
        tenant: TenantId,
        template: &Template,
        id: PageId,
        choice: Option<&TemplatePage>,
    ) -> Result<Applied, SitesError> {
        let before = self.repositories.pages().lock(tenant, id).await?.ok_or(SitesError::NotFound("page"))?;
        let matching = || template.pages.iter().find(|page| page.slug == before.slug);
        let home = || template.pages.iter().find(|page| page.is_home);
        let chosen = choice.or_else(matching).or_else(home).or_else(|| template.pages.first());
        let source = chosen.ok_or(SitesError::NotFound("template"))?;

        let old = self.repositories.sections().list(tenant, id).await?;
        let old_ids: Vec<SectionId> = old.iter().map(|section| section.id).collect();
        if !old_ids.is_empty() {
            self.repositories.sections().delete(tenant, id, &old_ids).await?;
        }
        let now = self.env.now();
        let sections: Vec<Section> = (0..)
            .zip(&source.sections)
            .map(|(position, section)| {
                let content = (section.kind, section.content.clone(), Provenance::Sample);
                build::section(self.env.new_id(), tenant, id, content, position, now)
            })
            .collect();
        self.repositories.sections().insert(&sections).await?;
        let origins: Vec<SectionOrigin> = sections
            .iter()
            .zip(&source.sections)
            .map(|(section, original)| SectionOrigin {
                tenant,
                section_id: section.id,
                page_id: id,
                template_id: template.id,
                page_key: source.key.clone(),
                section_key: original.key.clone(),
                kind: original.kind,
                content: original.content.clone(),
                position: section.position,
                applied_at: now,
            })
            .collect();
        self.repositories.templates().untrack(tenant, id).await?;
        self.repositories.templates().track(&origins).await?;

        let mut page = Page { template_id: Some(template.id), updated_at: now, ..before.clone() };
        self.repositories.pages().update(&page).await?;
        page.version += 1;
        let event = |kind, id| Event::new(self.env, self.scope, kind, id);
        let mut events: Vec<Event> = old
            .iter()
            .map(|section| event(&events::SECTION_DELETED, section.id.uuid()).before(section))
            .collect();
        events.extend(
            sections.iter().map(|section| event(&events::SECTION_CREATED, section.id.uuid()).after(section)),
        );
        events.push(event(&events::PAGE_UPDATED, id.uuid()).before(&before).after(&page));
        for event in events {
            self.append(event).await?;
        }
        let result = json!({"siteId": page.site_id, "pageIds": [id], "templatePage": source.key});
        note_use(self.repositories, self.scope, self.env, template, &result).await?;
        let review = page::review(std::slice::from_ref(&page), &sections);
        Ok(Applied {
            site_id: page.site_id,
            new_site: None,
            pages: vec![page],
            sections: sections.len(),
            replaced_sections: old.len(),
            review,
        })
    }
}

/// The checked request, with the page of the template that is meant.
fn read(
    template: &Template,
    input: TemplateApplication,
) -> Result<(Wish, Option<&TemplatePage>, PageStatus), SitesError> {
    let mut violations = Violations::default();
    let targets = [input.page_id.is_some(), input.site_id.is_some(), input.site_name.is_some()];
    let named = targets.into_iter().filter(|named| *named).count();
    if named == 0 {
        violations.add("siteName", "required", "Name one of pageId, siteId and siteName.");
    }
    if named > 1 {
        for (name, _) in ["pageId", "siteId", "siteName"].iter().zip(targets).filter(|(_, named)| *named) {
            violations.add(*name, "excluded", "Name only one of pageId, siteId and siteName.");
        }
    }
    let is_new = input.site_name.is_some();
    violations.check(
        input.subdomain.is_none() || is_new,
        "subdomain",
        "excluded",
        "Only together with siteName.",
    );
    violations.check(
        input.template_page.is_none() || !is_new,
        "templatePage",
        "excluded",
        "A new site gets all pages of the template.",
    );
    violations.check(
        input.status.is_none() || input.page_id.is_none(),
        "status",
        "excluded",
        "The page keeps the status that it has.",
    );
    let status = input.status.unwrap_or_default();
    let archived = status == PageStatus::Archived;
    violations.check(!archived, "status", "invalid_status", "New pages are draft or published.");
    let page =
        input.template_page.as_ref().and_then(|key| template.pages.iter().find(|page| page.key == *key));
    let keys: Vec<String> = template.pages.iter().map(|page| page.key.clone()).collect();
    violations.check(
        page.is_some() || input.template_page.is_none(),
        "templatePage",
        "unknown_page",
        RuleMessage::new(format!("Choose one of: {}.", keys.join(", "))).allowed(keys),
    );
    let wish = match (input.page_id, input.site_id, input.site_name) {
        (Some(page), _, _) => Wish::Page(page),
        (None, Some(site), _) => Wish::Site(site),
        (None, None, name) => Wish::NewSite(Box::new(NewSite {
            name: name.unwrap_or_default(),
            subdomain: input.subdomain,
            ..NewSite::default()
        })),
    };
    violations.into_result().map_err(SitesError::Invalid)?;
    Ok((wish, page, status))
}
