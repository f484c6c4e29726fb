//! A template as a site that could be published: what its preview renders.

use std::collections::BTreeMap;

use portico_kernel::{Id, TenantId, name::Subdomain};
use uuid::Uuid;

use super::{Template, build::section};
use crate::{
    navigation::NavItem,
    page::{Page, PageStatus},
    ports::{PageSnapshot, SiteSnapshot, Theme},
    section::Provenance,
    seo::{OpenGraph, Seo},
    site::{Site, SiteStatus},
};

/// The template as a site at `base_url`, looking like `theme`, home page first. The same for the same template: ids are
/// numbers, and nothing of it is stored.
pub fn preview(template: &Template, base_url: String, theme: Theme) -> SiteSnapshot {
    let (tenant, at) = (TenantId::PLATFORM, template.updated_at);
    let site = Site {
        id: Id::from_uuid(template.id.uuid()),
        tenant_id: tenant,
        name: template.name.clone(),
        // A preview is not served at a host name.
        subdomain: Subdomain::trusted(template.slug.to_string()),
        custom_domain: None,
        status: SiteStatus::Published,
        live_deployment_id: None,
        language: template.language.clone(),
        industry: Some(template.industry.clone()),
        look: Some(template.look.clone()),
        price: None,
        over_limit: false,
        created_at: template.created_at,
        updated_at: at,
        version: template.version,
    };
    let mut sources: Vec<_> = template.pages.iter().collect();
    sources.sort_by_key(|page| !page.is_home);
    let mut number = 0;
    let mut next = || {
        number += 1;
        Uuid::from_u128(number)
    };
    let (mut pages, mut navigation) = (Vec::new(), Vec::new());
    for source in sources {
        let page = Page {
            id: Id::from_uuid(next()),
            tenant,
            site_id: site.id,
            title: source.title.clone(),
            slug: source.slug.clone(),
            status: PageStatus::Published,
            is_home: source.is_home,
            template_id: Some(template.id),
            language: None,
            translation_of: None,
            publish_at: None,
            published_at: Some(at),
            created_at: at,
            updated_at: at,
            version: 1,
        };
        if !page.is_home {
            navigation.push(NavItem {
                id: Id::from_uuid(next()),
                tenant,
                site_id: site.id,
                label: source.title.clone(),
                page_id: Some(page.id),
                url: None,
                parent_id: None,
                position: i32::try_from(navigation.len()).unwrap_or(i32::MAX),
                opens_new_tab: false,
                created_at: at,
                updated_at: at,
                version: 1,
            });
        }
        let sections = (0..).zip(&source.sections).map(|(position, source)| {
            let content = (source.kind, source.content.clone(), Provenance::Sample);
            section(Id::from_uuid(next()), tenant, page.id, content, position, at)
        });
        let sections = sections.collect();
        let says_something = source.seo_title.is_some() || source.seo_description.is_some();
        let seo = says_something.then(|| Seo {
            tenant,
            page_id: page.id,
            title: source.seo_title.clone(),
            description: source.seo_description.clone(),
            keywords: Vec::new(),
            canonical_url: None,
            // Search engines are to find the sites that are made of it, not the template.
            robots: Some("noindex".to_owned()),
            open_graph: OpenGraph::default(),
            structured_data: None,
            updated_at: at,
            version: 1,
        });
        pages.push(PageSnapshot { page, sections, seo });
    }
    SiteSnapshot {
        language: template.language.clone(),
        site,
        base_url,
        theme,
        pages,
        navigation,
        assets: BTreeMap::new(),
    }
}
