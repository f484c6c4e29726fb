//! Single texts generated on request: read the subject, count the use, generate with no transaction open, then store and
//! settle in one.

use std::future::Future;

use actix_web::{HttpResponse, rt};
use portico_billing::generation::Reservation;
use portico_kernel::{GenerationId, Scope};
use portico_runtime::{context, traces};
use portico_sites::{
    generation::{GeneratePage, Generation, OptimizeContent, OptimizeSeo, PageTask, SectionTask, SeoTask},
    page::Page,
    ports::{ContentGenerator, GeneratorError, PageDraft, SectionDraft, SeoDraft, Tokens},
    section::Section,
    seo::Seo,
};
use portico_web::{caller::Caller, problem::Problem};
use serde_json::json;

use super::generation::{Written, failed, generator, give_back, reserve, settle};
use crate::state::App;

/// The result of a request for a section.
pub struct WrittenSection {
    /// Id of the counted use.
    pub id: GenerationId,
    /// The task.
    pub task: SectionTask,
    /// The generated text.
    pub draft: SectionDraft,
    /// The section with the text, if it was to be applied.
    pub section: Option<Section>,
}

/// The result of a request for SEO metadata.
pub struct WrittenSeo {
    /// Id of the counted use.
    pub id: GenerationId,
    /// The generated metadata.
    pub draft: SeoDraft,
    /// The page's metadata, if it was to be stored.
    pub stored: Option<Seo>,
}

/// The result of a request for a page.
pub struct WrittenPage {
    /// Id of the counted use.
    pub id: GenerationId,
    /// The task.
    pub task: PageTask,
    /// The generated page.
    pub draft: PageDraft,
    /// The page and its sections, if it was to be created.
    pub made: Option<(Page, Vec<Section>)>,
}

/// Generates the text of a section.
///
/// `answer` builds the response. Errors: those of [`reserve`] and [`Generation::section`]; 409 `modified_concurrently` when
/// the section was changed meanwhile; 503 when nothing usable was generated. A use that fails is not counted.
pub async fn section(
    app: &App,
    caller: Caller,
    input: OptimizeContent,
    answer: impl FnOnce(WrittenSection) -> HttpResponse + 'static,
) -> Result<HttpResponse, Problem> {
    let app = app.clone();
    to_the_end(async move {
        let scope = &caller.0;
        let task = {
            let mut reader = app.core.reader();
            Generation::new(&mut *reader, scope, &app.core.env).section(input).await?
        };
        let about = task.section.map(|(page, section, _)| json!({"pageId": page, "sectionId": section}));
        let brief = task.brief.clone();
        counted(
            &app,
            scope,
            async |writer| writer.rewrite(&brief).await,
            async |reservation, draft: SectionDraft| {
                let mut work = app.core.begin().await?;
                let written =
                    Written { kind: "section", about: about.unwrap_or_default(), tokens: draft.tokens };
                settle(&mut *work, &app.core.env, scope, reservation, &written).await?;
                let section =
                    Generation::new(&mut *work, scope, &app.core.env).apply_section(&task, &draft).await?;
                let id = reservation.id;
                caller.commit(work, answer(WrittenSection { id, task, draft, section })).await
            },
            |draft| draft.tokens,
        )
        .await
    })
    .await
}

/// Generates the SEO metadata of a page.
///
/// Errors: those of [`reserve`] and [`Generation::seo`]; 503 when nothing usable was generated. A use that fails is not
/// counted.
pub async fn seo(
    app: &App,
    caller: Caller,
    input: OptimizeSeo,
    answer: impl FnOnce(WrittenSeo) -> HttpResponse + 'static,
) -> Result<HttpResponse, Problem> {
    let app = app.clone();
    to_the_end(async move {
        let scope = &caller.0;
        let task: SeoTask = {
            let mut reader = app.core.reader();
            Generation::new(&mut *reader, scope, &app.core.env).seo(input).await?
        };
        counted(
            &app,
            scope,
            async |writer| writer.seo(&task.brief).await,
            async |reservation, draft: SeoDraft| {
                let mut work = app.core.begin().await?;
                let about = json!({"pageId": task.page});
                let written = Written { kind: "seo", about, tokens: draft.tokens };
                settle(&mut *work, &app.core.env, scope, reservation, &written).await?;
                let stored =
                    Generation::new(&mut *work, scope, &app.core.env).apply_seo(&task, &draft).await?;
                let id = reservation.id;
                caller.commit(work, answer(WrittenSeo { id, draft, stored })).await
            },
            |draft| draft.tokens,
        )
        .await
    })
    .await
}

/// Generates a page.
///
/// Errors: those of [`reserve`], [`Generation::page_brief`] and [`Generation::create_page`]; 503 when nothing usable was
/// generated. A use that fails is not counted.
pub async fn page(
    app: &App,
    caller: Caller,
    input: GeneratePage,
    answer: impl FnOnce(WrittenPage) -> HttpResponse + 'static,
) -> Result<HttpResponse, Problem> {
    let app = app.clone();
    to_the_end(async move {
        let scope = &caller.0;
        let task = {
            let mut reader = app.core.reader();
            Generation::new(&mut *reader, scope, &app.core.env).page_brief(input).await?
        };
        let brief = task.brief.clone();
        counted(
            &app,
            scope,
            async |writer| writer.page(&brief).await,
            async |reservation, draft: PageDraft| {
                let mut work = app.core.begin().await?;
                let made =
                    Generation::new(&mut *work, scope, &app.core.env).create_page(&task, &draft).await?;
                let page = made.as_ref().map(|(page, _)| page.id);
                let about = json!({"siteId": task.site, "pageId": page});
                let written = Written { kind: "page", about, tokens: draft.tokens };
                settle(&mut *work, &app.core.env, scope, reservation, &written).await?;
                let id = reservation.id;
                caller.commit(work, answer(WrittenPage { id, task, draft, made })).await
            },
            |draft| draft.tokens,
        )
        .await
    })
    .await
}

/// One counted use: reserved, generated, stored. Given back when the generator or the storing fails.
async fn counted<D>(
    app: &App,
    scope: &Scope,
    write: impl AsyncFnOnce(&dyn ContentGenerator) -> Result<D, GeneratorError>,
    store: impl AsyncFnOnce(&Reservation, D) -> Result<HttpResponse, Problem>,
    tokens: impl FnOnce(&D) -> Tokens,
) -> Result<HttpResponse, Problem> {
    let writer = generator(app)?;
    let reservation = reserve(app, scope, app.core.env.new_id(), 1).await?;
    let draft = match write(&*writer).await {
        Ok(draft) => draft,
        Err(error) => {
            failed(app, &reservation, &error).await;
            return Err(error.into());
        }
    };
    let Tokens { input, output } = tokens(&draft);
    match store(&reservation, draft).await {
        Ok(answer) => Ok(answer),
        Err(problem) => {
            give_back(app, &reservation, Some(input.saturating_add(output))).await;
            Err(problem)
        }
    }
}

/// Continues when the client disconnects: the use is settled or given back, and a text that was paid for is stored.
async fn to_the_end<T: 'static>(
    work: impl Future<Output = Result<T, Problem>> + 'static,
) -> Result<T, Problem> {
    let task = rt::spawn(traces::carry(context::CURRENT.scope(context::current(), work)));
    match task.await {
        Ok(result) => result,
        Err(error) => Err(Problem::internal(error)),
    }
}
