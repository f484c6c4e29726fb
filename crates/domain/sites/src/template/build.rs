//! Making pages from a plan: with sections, navigation, SEO metadata, and the origins of sections, in few round trips.

use portico_kernel::{
    Env, Event, PageId, Permission, RuleMessage, Scope, SectionId, StoreError, TenantId, Timestamp,
    Violations, name::Slug,
};
use serde_json::{Value, json};

use super::{Template, TemplatePage};
use crate::{
    SitesError, events,
    navigation::{MAX_ITEMS, NavItem},
    page::{Page, PageStatus},
    ports::{PageFilter, SiteRepositories},
    section::{MAX_SECTIONS, Provenance, Section, SectionOrigin, SectionType, content::SectionContent},
    seo::{OpenGraph, Seo},
    site::Site,
};

/// The most characters of a page's title.
const MAX_TITLE: usize = 200;
/// The most characters of a navigation item.
const MAX_LABEL: usize = 80;
/// The most pages that are made at once.
pub const MAX_PAGES: usize = 50;

/// A page to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct PagePlan {
    /// Its key in the template; `None` for a page that is not from there.
    pub key: Option<String>,
    /// Title, 1 to 200 characters.
    pub title: String,
    /// Last part of its address; numbered where it is taken.
    pub slug: Slug,
    /// Whether it answers at `/`. Without any such page in a new site, the first one does.
    pub is_home: bool,
    /// Whether the navigation leads to it. The home page is reached by the name of the site, and is never in there.
    pub in_navigation: bool,
    /// Title for search engines.
    pub seo_title: Option<String>,
    /// Description for search engines.
    pub seo_description: Option<String>,
    /// Keywords for search engines.
    pub seo_keywords: Vec<String>,
    /// Its sections in order.
    pub sections: Vec<SectionPlan>,
}

/// A section to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct SectionPlan {
    /// Its key on the page of the template; `None` for a section that is not from there.
    pub key: Option<String>,
    /// What sort of block it is.
    pub kind: SectionType,
    /// What it is to contain. Checked and sanitised when it is made.
    pub content: Value,
    /// Where that content comes from.
    pub provenance: Provenance,
    /// What the template has in its place, for a reset. Only together with `key`.
    pub original: Option<Value>,
}

/// Result of a plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Built {
    /// The pages, in the order of the plan.
    pub pages: Vec<Page>,
    /// Their sections, by page and position.
    pub sections: Vec<Section>,
    /// The navigation items that lead to them.
    pub navigation: Vec<NavItem>,
}

/// The plan that makes of a template what it is: all its pages with its own content. Callers change it as they like before
/// [`build_pages`]: leave pages out, add some, put other content into sections.
pub fn plan(template: &Template) -> Vec<PagePlan> {
    template.pages.iter().map(PagePlan::from).collect()
}

impl From<&TemplatePage> for PagePlan {
    fn from(page: &TemplatePage) -> Self {
        let section = |section: &super::TemplateSection| SectionPlan {
            key: Some(section.key.clone()),
            kind: section.kind,
            content: section.content.clone(),
            provenance: Provenance::Sample,
            original: Some(section.content.clone()),
        };
        Self {
            key: Some(page.key.clone()),
            title: page.title.clone(),
            slug: page.slug.clone(),
            is_home: page.is_home,
            in_navigation: true,
            // Those of the template are about the business of its example; the page's own texts make up for them.
            seo_title: None,
            seo_description: None,
            seo_keywords: Vec::new(),
            sections: page.sections.iter().map(section).collect(),
        }
    }
}

/// Makes pages with sections, navigation and SEO metadata in a site, in the open unit of work; counts a use of `template` and
/// stores what each section was made from. Content is checked and sanitised; errors name it as
/// `pages[0].sections[2].content.heading`.
///
/// For a site that has just been made (`is_new`) nothing is read: one insert for each table, one event for each page. In
/// another site the new pages come behind what is there: slugs that are taken are numbered, the home page stays, and
/// navigation items are appended. The caller has made the site, checked the plan's quota, and commits.
///
/// # Errors
/// `Denied` without `pages:write`, or, where there is navigation to make, `navigation:write`; `Invalid`; `NotFound` when
/// the template, or the site, is gone by now.
pub async fn build_pages(
    repositories: &mut dyn SiteRepositories,
    scope: &Scope,
    env: &Env,
    target: ApplyTarget<'_>,
    plans: Vec<PagePlan>,
) -> Result<Built, SitesError> {
    let tenant = scope.require(Permission::PagesWrite)?;
    if plans.iter().any(|plan| plan.in_navigation) {
        scope.require(Permission::NavigationWrite)?;
    }
    if target.site.tenant_id != tenant {
        return Err(SitesError::NotFound("site"));
    }
    let plans = checked(plans, &target)?;
    let occupied =
        if target.is_new { Occupied::default() } else { occupied(repositories, &target, &plans).await? };
    let built = assemble(env, &target, plans.clone(), occupied);

    let missing_site = |error: StoreError| match error {
        StoreError::MissingReference(_) => SitesError::NotFound("site"),
        StoreError::Conflict(constraint) if constraint.contains("slug") => SitesError::SlugTaken,
        error => SitesError::Store(error),
    };
    repositories.pages().insert_all(&built.pages).await.map_err(missing_site)?;
    repositories.sections().insert(&built.sections).await?;
    let origins = origins(&target, &plans, &built);
    if !origins.is_empty() {
        repositories.templates().track(&origins).await?;
    }
    let seo = seo(&plans, &built.pages);
    if !seo.is_empty() {
        repositories.seo().insert(&seo).await?;
    }
    if !built.navigation.is_empty() {
        repositories.navigation().insert_all(&built.navigation).await?;
    }
    for page in &built.pages {
        let event = |kind| Event::new(env, scope, kind, page.id.uuid()).after(page);
        repositories.events().append(event(&events::PAGE_CREATED)).await?;
        if page.status == PageStatus::Published {
            repositories.events().append(event(&events::PAGE_PUBLISHED)).await?;
        }
    }
    if let Some(template) = target.template {
        let pages: Vec<PageId> = built.pages.iter().map(|page| page.id).collect();
        note_use(repositories, scope, env, template, &json!({"siteId": target.site.id, "pageIds": pages}))
            .await?;
    }
    Ok(built)
}

/// Where pages are to be made, and from what.
#[derive(Clone, Copy)]
pub struct ApplyTarget<'a> {
    /// The site.
    pub site: &'a Site,
    /// Whether it was made in this very unit of work, so that nothing is in it yet.
    pub is_new: bool,
    /// The template that the plan was made of, if any.
    pub template: Option<&'a Template>,
    /// What the pages are to be.
    pub status: PageStatus,
}

/// Counts a use of a template and appends the event.
pub(super) async fn note_use(
    repositories: &mut dyn SiteRepositories,
    scope: &Scope,
    env: &Env,
    template: &Template,
    result: &Value,
) -> Result<(), SitesError> {
    // Last of all, because from here on all other users of the template wait for this row.
    let event = Event::new(env, scope, &events::TEMPLATE_APPLIED, template.id.uuid());
    let mut after = json!({"name": template.name, "slug": template.slug, "version": template.version});
    if let (Some(after), Some(result)) = (after.as_object_mut(), result.as_object()) {
        after.extend(result.clone());
    }
    repositories.events().append(event.after(&after)).await?;
    if repositories.templates().count_use(template.id).await? {
        Ok(())
    } else {
        Err(SitesError::NotFound("template"))
    }
}

/// The plans with clean titles and content, one home page at most, and slugs that are valid.
fn checked(mut plans: Vec<PagePlan>, target: &ApplyTarget<'_>) -> Result<Vec<PagePlan>, SitesError> {
    let mut violations = Violations::default();
    violations.check(
        !plans.is_empty(),
        "pages",
        "too_few",
        RuleMessage::new("At least one page must be there.").min(1),
    );
    let too_many =
        RuleMessage::new(format!("At most {MAX_PAGES} pages are possible at once.")).max(MAX_PAGES);
    violations.check(plans.len() <= MAX_PAGES, "pages", "too_many", too_many);
    violations.into_result().map_err(SitesError::Invalid)?;

    let mut violations = Violations::default();
    if target.is_new && !plans.iter().any(|plan| plan.is_home) {
        plans.iter_mut().take(1).for_each(|plan| plan.is_home = true);
    }
    let mut has_home = false;
    for (index, plan) in plans.iter_mut().enumerate() {
        let field = format!("pages[{index}]");
        violations.line(format!("{field}.title"), &plan.title, 1, MAX_TITLE);
        violations.check(
            !(plan.is_home && has_home),
            format!("{field}.isHome"),
            "duplicate",
            "There is one home page.",
        );
        violations.check(
            !(plan.is_home && target.status == PageStatus::Archived),
            "status",
            "home_page_archived",
            "The home page cannot be archived.",
        );
        has_home |= plan.is_home;
        violations.check(
            plan.sections.len() <= MAX_SECTIONS,
            format!("{field}.sections"),
            "too_many",
            RuleMessage::new(format!("A page has at most {MAX_SECTIONS} sections.")).max(MAX_SECTIONS),
        );
        for (number, section) in plan.sections.iter_mut().enumerate().take(MAX_SECTIONS) {
            let content = std::mem::take(&mut section.content);
            match SectionContent::read(section.kind, content, &format!("{field}.sections[{number}].content"))
            {
                Ok(content) => section.content = content.into_json(),
                Err(errors) => violations.extend(errors),
            }
        }
        plan.title = plan.title.trim().to_owned();
    }
    violations.into_result().map_err(SitesError::Invalid)?;
    Ok(plans)
}

/// What the site has already.
#[derive(Default)]
struct Occupied {
    slugs: Vec<String>,
    has_home: bool,
    /// Position of the first new navigation item.
    next_item: i32,
    /// How many navigation items there are.
    items: usize,
}

/// Reads what the site has. Its navigation stays locked, so that two requests that add pages run one after the other.
async fn occupied(
    repositories: &mut dyn SiteRepositories,
    target: &ApplyTarget<'_>,
    plans: &[PagePlan],
) -> Result<Occupied, SitesError> {
    let (tenant, site) = (target.site.tenant_id, target.site.id);
    let items = repositories.navigation().list(tenant, site, true).await?;
    let top = items.iter().filter(|item| item.parent_id.is_none());
    let next_item = top.map(|item| item.position.saturating_add(1)).max().unwrap_or(0);
    let mut slugs = Vec::new();
    for plan in plans {
        slugs.extend(repositories.pages().slugs_like(tenant, site, plan.slug.as_str()).await?);
    }
    // In a site with pages no new page becomes the home page: that is the customer's choice.
    let one = portico_kernel::PageRequest { page: 1, limit: 1 };
    let has_home = repositories.pages().list(tenant, site, PageFilter::default(), one).await?.total > 0;
    Ok(Occupied { slugs, has_home, next_item, items: items.len() })
}

fn assemble(env: &Env, target: &ApplyTarget<'_>, plans: Vec<PagePlan>, mut occupied: Occupied) -> Built {
    let (tenant, site) = (target.site.tenant_id, target.site.id);
    let now = env.now();
    let mut built = Built::default();
    for plan in plans {
        let slug = free(&plan.slug, &occupied.slugs);
        occupied.slugs.push(slug.as_str().to_owned());
        let page = Page {
            id: env.new_id(),
            tenant,
            site_id: site,
            title: plan.title,
            slug,
            status: target.status,
            is_home: plan.is_home && !occupied.has_home,
            template_id: target.template.filter(|_| plan.key.is_some()).map(|template| template.id),
            language: None,
            translation_of: None,
            publish_at: None,
            published_at: (target.status == PageStatus::Published).then_some(now),
            created_at: now,
            updated_at: now,
            version: 1,
        };
        if plan.in_navigation && !page.is_home && occupied.items < MAX_ITEMS {
            built.navigation.push(item(env, &page, occupied.next_item, now));
            occupied.next_item = occupied.next_item.saturating_add(1);
            occupied.items += 1;
        }
        let sections = (0..).zip(plan.sections).map(|(position, plan)| {
            let content = (plan.kind, plan.content, plan.provenance);
            section(env.new_id(), tenant, page.id, content, position, now)
        });
        built.sections.extend(sections);
        built.pages.push(page);
    }
    built
}

/// A visible section that has just been made.
pub(super) fn section(
    id: SectionId,
    tenant: TenantId,
    page: PageId,
    (kind, content, provenance): (SectionType, Value, Provenance),
    position: i32,
    now: Timestamp,
) -> Section {
    Section {
        id,
        tenant,
        page_id: page,
        kind,
        content,
        position,
        visible: true,
        provenance,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

fn item(env: &Env, page: &Page, position: i32, now: Timestamp) -> NavItem {
    NavItem {
        id: env.new_id(),
        tenant: page.tenant,
        site_id: page.site_id,
        label: page.title.chars().take(MAX_LABEL).collect(),
        page_id: Some(page.id),
        url: None,
        parent_id: None,
        position,
        opens_new_tab: false,
        created_at: now,
        updated_at: now,
        version: 1,
    }
}

/// The slug, or the first of `slug-2`, `slug-3` … that is not taken.
fn free(slug: &Slug, taken: &[String]) -> Slug {
    let is_free = |slug: &Slug| !taken.iter().any(|other| slug == other.as_str());
    // One more candidate than there are taken slugs, so one of them is free.
    let numbered = (2..).take(taken.len() + 1).map(|number| slug.with_suffix(number));
    std::iter::once(slug.clone()).chain(numbered).find(is_free).unwrap_or_else(|| slug.clone())
}

/// What the new sections were made from.
fn origins(target: &ApplyTarget<'_>, plans: &[PagePlan], built: &Built) -> Vec<SectionOrigin> {
    let Some(template) = target.template else { return Vec::new() };
    let planned = plans.iter().flat_map(|plan| plan.sections.iter().map(move |section| (plan, section)));
    let origin = |((plan, planned), section): ((&PagePlan, &SectionPlan), &Section)| {
        Some(SectionOrigin {
            tenant: section.tenant,
            section_id: section.id,
            page_id: section.page_id,
            template_id: template.id,
            page_key: plan.key.clone()?,
            section_key: planned.key.clone()?,
            kind: planned.kind,
            content: planned.original.clone()?,
            position: section.position,
            applied_at: section.created_at,
        })
    };
    planned.zip(&built.sections).filter_map(origin).collect()
}

/// SEO metadata of the new pages, where the plan has any.
fn seo(plans: &[PagePlan], pages: &[Page]) -> Vec<Seo> {
    let says_something = |plan: &PagePlan| {
        plan.seo_title.is_some() || plan.seo_description.is_some() || !plan.seo_keywords.is_empty()
    };
    plans
        .iter()
        .zip(pages)
        .filter(|(plan, _)| says_something(plan))
        .map(|(plan, page)| Seo {
            tenant: page.tenant,
            page_id: page.id,
            title: plan.seo_title.clone(),
            description: plan.seo_description.clone(),
            keywords: plan.seo_keywords.clone(),
            canonical_url: None,
            robots: None,
            open_graph: OpenGraph::default(),
            structured_data: None,
            updated_at: page.created_at,
            version: 1,
        })
        .collect()
}
