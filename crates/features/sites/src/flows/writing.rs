//! Texts that customers ask for one by one: read what they are about, count the use, let them be written with no transaction
//! open, then store and settle in one.

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

/// What became of a request for a section.
pub struct WrittenSection {
    /// The use that it was counted as.
    pub id: GenerationId,
    /// What was asked for.
    pub task: SectionTask,
    /// What was written.
    pub draft: SectionDraft,
    /// The section with it, where it was to be put there.
    pub section: Option<Section>,
}

/// What became of a request for search engines.
pub struct WrittenSeo {
    /// The use that it was counted as.
    pub id: GenerationId,
    /// What was written.
    pub draft: SeoDraft,
    /// What is set for the page now, where it was to be stored.
    pub stored: Option<Seo>,
}

/// What became of a request for a page.
pub struct WrittenPage {
    /// The use that it was counted as.
    pub id: GenerationId,
    /// What was asked for.
    pub task: PageTask,
    /// What was written.
    pub draft: PageDraft,
    /// The page and its sections, where it was to be made.
    pub made: Option<(Page, Vec<Section>)>,
}

/// Lets a section be written anew.
///
/// `answer` is what the caller gets. Errors: those of [`reserve`] and [`Generation::section`]; 409 `modified_concurrently` when somebody changed the section
/// meanwhile; 503 when nothing usable was written. A use that fails is not counted.
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

/// Lets a page be described for search engines.
///
/// Errors: those of [`reserve`] and [`Generation::seo`]; 503 when nothing usable was written. A use that fails is not counted.
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

/// Lets a page be written.
///
/// Errors: those of [`reserve`], [`Generation::page_brief`] and [`Generation::create_page`]; 503 when nothing usable was written.
/// A use that fails is not counted.
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

/// One counted use: reserved, written, stored. Given back when the writer or the storing fails.
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

/// Goes on when the client hangs up: what was counted is settled or given back, and what was paid for is stored.
async fn to_the_end<T: 'static>(
    work: impl Future<Output = Result<T, Problem>> + 'static,
) -> Result<T, Problem> {
    let task = rt::spawn(traces::carry(context::CURRENT.scope(context::current(), work)));
    match task.await {
        Ok(result) => result,
        Err(error) => Err(Problem::internal(error)),
    }
}
