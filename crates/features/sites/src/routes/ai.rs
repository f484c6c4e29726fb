//! Generation of texts by AI.

use actix_web::{HttpResponse, post, web::Data};
use portico_kernel::GenerationId;
use portico_sites::{
    generation::{GeneratePage, OptimizeContent, OptimizeSeo},
    page::Page,
    section::{Section, SectionType, content::SectionContent},
};
use portico_web::{
    admission::Class,
    body::Body,
    caller::Caller,
    conditional,
    problem::{Problem, ProblemBody},
    routing::{KEYED, Routes},
    write::WithJson,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    flows::writing::{self, WrittenPage, WrittenSection, WrittenSeo},
    state::App,
};

/// Adds the routes.
pub fn configure(config: &mut Routes<'_, '_>) {
    config
        .service(KEYED.strict().waiting_in(Class::Outside), optimize_content)
        .service(KEYED.strict().waiting_in(Class::Outside), optimize_seo)
        .service(KEYED.strict().waiting_in(Class::Outside), generate_page);
}

/// A proposed text for a section.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ContentProposal {
    /// Id of the use, as in the audit trail.
    id: GenerationId,
    /// Type of the section.
    #[serde(rename = "type")]
    kind: SectionType,
    /// The text, as content of the section.
    #[schema(value_type = SectionContent)]
    content: Value,
    /// The section with the text, where `apply` was asked for; null else.
    section: Option<Section>,
}

/// Proposed SEO metadata (search engine metadata) of a page.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SeoProposal {
    /// Id of the use, as in the audit trail.
    id: GenerationId,
    /// At most 60 characters.
    title: String,
    /// At most 155 characters.
    description: String,
    /// At most 10.
    keywords: Vec<String>,
    /// Metadata for social networks.
    open_graph: OpenGraphProposal,
    /// Whether it is stored.
    applied: bool,
}

/// Metadata for social networks.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct OpenGraphProposal {
    /// Title.
    title: String,
    /// Description.
    description: String,
}

/// A section of a proposed page.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct SectionProposal {
    /// Type of the section.
    #[serde(rename = "type")]
    kind: SectionType,
    /// The text, as content of the section.
    #[schema(value_type = SectionContent)]
    content: Value,
}

/// A proposed page.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PageProposal {
    /// Id of the use, as in the audit trail.
    id: GenerationId,
    /// Title.
    title: String,
    /// Last part of its path, made from the title.
    slug: String,
    /// Language, BCP 47.
    language: String,
    /// Sections in order.
    sections: Vec<SectionProposal>,
    /// The draft created from it, where `create` was given; null else.
    page: Option<Page>,
}

/// Rewrite a section
///
/// Proposes a text for a section of a page, or for content in the request; changes the page only with `apply`. Counts
/// against the plan if it succeeds.
#[utoipa::path(
    tag = "AI",
    operation_id = "optimizeContent",
    request_body(content = OptimizeContent, example = json!({
        "type": "hero",
        "content": {"heading": "Welcome", "subheading": "We have bread."},
        "business": {"name": "Millstone Bakery", "industry": "bakery", "location": "Antigua Guatemala"},
        "instructions": "Make it shorter and warmer.",
        "tone": "friendly",
        "language": "en",
    })),
    responses(
        (status = 200, body = ContentProposal),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 402, description = "The plan includes no more texts in this billing period.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such section.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Another request changed the section meanwhile.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`generator_unavailable`: no text can be written now; `generation_failed`: what was written could not be used. Neither is counted.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["ai:generate", "pages:read"])),
)]
#[post("/ai/content-optimize")]
async fn optimize_content(
    app: Data<App>,
    caller: Caller,
    body: Body<OptimizeContent>,
) -> Result<HttpResponse, Problem> {
    let answer = |written: WrittenSection| {
        HttpResponse::Ok().with_json(&ContentProposal {
            id: written.id,
            kind: written.task.brief.kind,
            content: written.draft.content,
            section: written.section,
        })
    };
    writing::section(&app, caller, body.0, answer).await
}

/// Generate SEO metadata
///
/// Proposes title, description, keywords and Open Graph of a page from its texts; stores them only with `apply`. Counts
/// against the plan if it succeeds.
#[utoipa::path(
    tag = "AI",
    operation_id = "optimizeSeo",
    request_body(content = OptimizeSeo, example = json!({
        "pageId": "0199f3c2-6d4e-7c3a-9d7c-5a8e1f2b3c4d",
        "apply": true,
    })),
    responses(
        (status = 200, body = SeoProposal),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 402, description = "The plan includes no more texts in this billing period.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such page.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Another request changed it at the same moment.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`generator_unavailable`: no text can be written now; `generation_failed`: what was written could not be used. Neither is counted.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["ai:generate", "pages:read"])),
)]
#[post("/ai/seo-optimize")]
async fn optimize_seo(
    app: Data<App>,
    caller: Caller,
    body: Body<OptimizeSeo>,
) -> Result<HttpResponse, Problem> {
    let answer = |written: WrittenSeo| {
        let draft = written.draft;
        HttpResponse::Ok().with_json(&SeoProposal {
            id: written.id,
            open_graph: OpenGraphProposal {
                title: draft.title.clone(),
                description: draft.description.clone(),
            },
            title: draft.title,
            description: draft.description,
            keywords: draft.keywords,
            applied: written.stored.is_some(),
        })
    };
    writing::seo(&app, caller, body.0, answer).await
}

/// Generate a page
///
/// Proposes the sections of a page; with `create` it is created as a draft of the site, and the answer is 201. Counts
/// against the plan if it succeeds.
#[utoipa::path(
    tag = "AI",
    operation_id = "generatePage",
    request_body(content = GeneratePage, example = json!({
        "title": "Our bread",
        "purpose": "Show what we bake and how to order it.",
        "sections": ["hero", "features", "cta"],
        "business": {"name": "Millstone Bakery", "industry": "bakery", "services": ["Sourdough", "Rye"]},
        "create": true,
    })),
    responses(
        (status = 200, description = "The proposal.", body = PageProposal),
        (status = 201, description = "The proposal, and the page that was made of it.", body = PageProposal, headers(("Location" = String), ("ETag" = String))),
        (status = 403, description = "Not allowed; `email_unverified` while the address of the account, or of the user who made the API key, is not verified."),
        (status = 402, description = "The plan includes no more texts in this billing period.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "There is no such site.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 409, description = "Another page has the slug, or the tenant has no site yet.", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`generator_unavailable`: no text can be written now; `generation_failed`: what was written could not be used. Neither is counted.", body = ProblemBody, content_type = "application/problem+json"),
    ),
    security(("bearer" = ["ai:generate", "pages:read"])),
)]
#[post("/ai/generate-page")]
async fn generate_page(
    app: Data<App>,
    caller: Caller,
    body: Body<GeneratePage>,
) -> Result<HttpResponse, Problem> {
    let answer = |written: WrittenPage| {
        let brief = written.task.brief;
        let sections = written
            .draft
            .sections
            .into_iter()
            .map(|(kind, content)| SectionProposal { kind, content })
            .collect();
        let page = written.made.map(|(page, _)| page);
        let made = page
            .as_ref()
            .map(|page| (format!("/api/v1/tenants/{}/pages/{}", page.tenant, page.id), page.version));
        let proposal = PageProposal {
            id: written.id,
            title: brief.title,
            slug: written.task.slug,
            language: brief.language,
            sections,
            page,
        };
        match made {
            Some((location, version)) => conditional::created(&location, version, &proposal),
            None => HttpResponse::Ok().with_json(&proposal),
        }
    };
    writing::page(&app, caller, body.0, answer).await
}
