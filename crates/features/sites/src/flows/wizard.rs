//! The wizard across domains: the text generator, and the tenant's branding.

use actix_web::HttpResponse;
use portico_billing::generation::Generations;
use portico_kernel::{Env, GenerationId, Job, Permission, Scope, WizardId};
use portico_runtime::{
    store::UnitOfWork,
    worker::jobs::{self, JobError},
};
use portico_sites::{
    deployment::{Deployment, Deployments},
    ports::{GeneratorError, PageDraft, Tokens},
    section::{ContentReview, Provenance},
    site::Site,
    template::look_input,
    wizard::{
        GenerateContent, Generation, Launch, LaunchState, Wizard, WizardStatus, WizardUpdate, Wizards,
        as_part,
    },
};
use portico_tenancy::branding::{BrandingUpdate, Brandings};
use portico_web::{caller::Caller, problem::Problem};
use serde_json::json;

use super::generation::{Written, generator, settle};
use crate::state::App;

/// The result of completing a wizard.
pub struct Completed {
    /// The wizard.
    pub wizard: Wizard,
    /// The site that it has made; `None` if it was deleted meanwhile.
    pub site: Option<Site>,
    /// Whether it was made by this call.
    pub is_new: bool,
    /// The deployment requested with it.
    pub deployment: Option<Deployment>,
    /// The sections that nobody wrote or confirmed, and the fields with pictures of our library.
    pub review: ContentReview,
}

/// Saves parts of a wizard. `part` is the one that the request is about, if it is about one: its errors name the fields
/// without it.
pub async fn update(
    work: &mut dyn UnitOfWork,
    env: &Env,
    scope: &Scope,
    id: WizardId,
    (part, input): (Option<&str>, WizardUpdate),
    expected: Option<i64>,
) -> Result<Wizard, Problem> {
    let updated = Wizards::new(&mut *work, scope, env).update(id, input, expected).await;
    Ok(updated.map_err(|error| match part {
        Some(part) => as_part(error, part),
        None => error,
    })?)
}

/// Counts one use of the generator and queues the generation of the wizard's texts: both, or neither.
pub async fn request_content(
    work: &mut dyn UnitOfWork,
    app: &App,
    scope: &Scope,
    id: WizardId,
    expected: Option<i64>,
) -> Result<Generation, Problem> {
    let tenant = scope.require(Permission::AiGenerate)?;
    generator(app)?;
    let run = app.core.env.new_id();
    let generation =
        Wizards::new(&mut *work, scope, &app.core.env).request_content(id, run, expected).await?;
    let limit = app.settings.token_limit(generation.pages.len() as u64);
    Generations::new(&mut *work).reserve(tenant, run, limit, app.core.env.now()).await?;
    Ok(generation)
}

/// `wizard.generate`: writes page by page and stores each as it is ready. A retry continues where it stopped.
pub async fn generate(app: &App, generate: GenerateContent, job: &Job) -> Result<(), JobError> {
    let GenerateContent { wizard_id, run } = generate;
    let scope = jobs::scope(job);
    let writer = generator(app)?;

    let mut work = app.core.begin().await?;
    let assignments = Wizards::new(&mut *work, &scope, &app.core.env).begin_content(wizard_id, run).await?;
    let Some(assignments) = assignments else { return Ok(()) };
    // The same use as when it was requested; counted again only if the job waited so long that it was given back.
    let limit = app.settings.token_limit(assignments.len() as u64);
    Generations::new(&mut *work).reserve(job.tenant_id, run, limit, app.core.env.now()).await?;
    work.commit().await?;

    for assignment in assignments {
        let draft = if assignment.brief.sections.is_empty() {
            Some(PageDraft { sections: Vec::new(), provenance: Provenance::Own, tokens: Tokens::default() })
        } else {
            match writer.page(&assignment.brief).await {
                Ok(draft) => Some(draft),
                Err(GeneratorError::Unusable(reason)) => {
                    tracing::warn!(%wizard_id, page = %assignment.page, %reason, "nothing usable was written");
                    None
                }
                Err(error) => return Err(error.into()),
            }
        };
        let mut work = app.core.begin().await?;
        let mut wizards = Wizards::new(&mut *work, &scope, &app.core.env);
        let goes_on = wizards.store_page(wizard_id, run, &assignment.page, draft).await?;
        work.commit().await?;
        if !goes_on {
            return Ok(());
        }
    }
    finish(app, &scope, wizard_id, run, None).await
}

/// Ends a run after the last attempt of its job: pages stored so far are kept; if there are none, the use is given back.
///
/// # Errors
/// Where the result could not be stored; the reservation expires by itself.
pub async fn give_up(app: &App, generate: GenerateContent, job: &Job) -> Result<(), JobError> {
    let GenerateContent { wizard_id, run } = generate;
    let reason = "The writer of texts could not be reached. You can try again, or write the texts yourself.";
    finish(app, &jobs::scope(job), wizard_id, run, Some(reason)).await
}

async fn finish(
    app: &App,
    scope: &Scope,
    wizard: WizardId,
    run: GenerationId,
    error: Option<&str>,
) -> Result<(), JobError> {
    let mut work = app.core.begin().await?;
    let ended = Wizards::new(&mut *work, scope, &app.core.env).finish_content(wizard, run, error).await?;
    let Some(generation) = ended else { return Ok(()) };
    let reservation = work.generations().find(generation.tenant, run).await?;
    if let Some(reservation) = reservation {
        if generation.has_texts() {
            let tokens = Tokens { input: 0, output: generation.tokens };
            let written = Written { kind: "wizard", about: json!({"wizardId": wizard}), tokens };
            settle(&mut *work, &app.core.env, scope, &reservation, &written).await?;
        } else {
            let tokens = Some(generation.tokens);
            Generations::new(&mut *work).give_back(&reservation, tokens).await?;
        }
    }
    work.commit().await?;
    Ok(())
}

/// What follows the completion of a wizard.
#[derive(Clone, Copy)]
pub struct Publication {
    /// Whether the site is deployed.
    pub deploy: bool,
    /// Whether the caller confirms generated texts.
    pub confirm: bool,
}

/// Creates the site of a wizard exactly once, even if requested repeatedly or concurrently. `answer` builds the response.
pub async fn complete(
    app: &App,
    caller: &Caller,
    id: WizardId,
    Publication { deploy, confirm }: Publication,
    expected: Option<i64>,
    answer: impl FnOnce(Completed) -> HttpResponse,
) -> Result<HttpResponse, Problem> {
    let scope = &caller.0;
    let tenant = scope.require(Permission::SitesWrite)?;
    if deploy {
        scope.require(Permission::SitesDeploy)?;
        scope.require_verified()?;
    }
    let _turn = app.completions.take(id.uuid()).await?;
    let seen = app.core.reader().wizards().find(tenant, id).await?;
    if let Some(wizard) = seen.filter(|wizard| wizard.status == WizardStatus::Completed) {
        return Ok(answer(made_before(app, wizard).await?));
    }
    let mut work = app.core.begin().await?;
    let launch = match Wizards::new(&mut *work, scope, &app.core.env).prepare_launch(id, expected).await? {
        LaunchState::Done(wizard) => {
            drop(work);
            return Ok(answer(made_before(app, *wizard).await?));
        }
        LaunchState::Ready(launch) => *launch,
    };
    let is_first = work.sites().primary(tenant).await?.is_none();
    let branded = is_first && brand(app, &mut *work, scope, &launch).await?;
    let (wizard, site, mut review) =
        Wizards::new(&mut *work, scope, &app.core.env).launch(launch, branded).await?;
    let deployment = match deploy {
        true => Some(Deployments::new(&mut *work, scope, &app.core.env).request(site.id, confirm).await?),
        false => None,
    };
    if deploy {
        // What was deployed was confirmed.
        review.sample_content.clear();
    }
    let completed = Completed { wizard, site: Some(site), is_new: true, deployment, review };
    caller.commit(work, answer(completed)).await
}

/// The result for a wizard that was completed before.
async fn made_before(app: &App, wizard: Wizard) -> Result<Completed, Problem> {
    let mut repositories = app.core.reader();
    let (mut site, mut review) = (None, ContentReview::default());
    if let Some(id) = wizard.site_id {
        site = repositories.sites().find(wizard.tenant, id).await?;
        review = repositories.sections().review(wizard.tenant, id).await?;
    }
    Ok(Completed { wizard, site, is_new: false, deployment: None, review })
}

/// Makes the look of the tenant's first site the tenant's branding. While no branding is set, this takes only the
/// permission to create sites; afterwards that to change the branding, and a design chosen by the caller. Returns whether
/// it was done.
async fn brand(
    app: &App,
    work: &mut dyn UnitOfWork,
    scope: &Scope,
    launch: &Launch,
) -> Result<bool, Problem> {
    let tenant = launch.wizard.tenant;
    let is_untouched = work.branding().find(tenant).await?.is_none_or(|branding| branding.version == 1);
    let may_replace = scope.allows(Permission::BrandingWrite) && launch.is_designed();
    if !is_untouched && !may_replace {
        return Ok(false);
    }
    let look = look_input(&launch.look);
    let change = BrandingUpdate {
        colors: look.colors,
        fonts: look.fonts,
        logo_asset_id: launch.logo.map(Some),
        favicon_asset_id: None,
    };
    Brandings::new(work, &scope.with(Permission::BrandingWrite), &app.core.env).update(change, None).await?;
    Ok(true)
}
