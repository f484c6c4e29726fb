//! Publishing a site: read, render, store the files, switch over. Each step is a transaction of its own, and nothing is
//! rendered or stored while one is open.

mod compress;
mod pictures;
mod store;

use portico_compute::Pool;
use portico_kernel::{DeploymentId, Fault, Job, Scope, SiteId};
use portico_runtime::worker::jobs::{self, JobError};
use portico_sites::{
    SitesError,
    deployment::{BuildDeployment, Deployments, SnapshotContext, SnapshotParts},
    look::Look,
    page::{DeploySite, Pages, PublishPage},
    ports::{LiveSite, RenderedFile, SiteSnapshot, Theme},
    site::PurgeSite,
};
use portico_tenancy::branding::{Branding, font_stack};

use self::{pictures::Pictures, store::Plan};
use crate::state::App;

/// A file of a site that is in the file store already, such as an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Path on the site without a leading slash. Below `assets/` it must change with the content.
    pub path: String,
    /// Key in the file store.
    pub key: String,
}

/// The input of a build: what is rendered, and the stored files beside it.
pub struct Prepared {
    /// Input of the renderer.
    pub snapshot: SiteSnapshot,
    /// Files that are stored already.
    pub stored: Vec<StoredFile>,
}

/// The progress of a build.
struct Progress<'a> {
    scope: &'a Scope,
    site: SiteId,
    deployment: DeploymentId,
}

impl Progress<'_> {
    /// Records that this fraction of the files, 0 to 1, is stored.
    async fn note(&self, app: &App, part: f64) -> Result<(), JobError> {
        let mut work = app.core.begin().await?;
        let percent = (10.0 + 85.0 * part) as i32;
        let mut deployments = Deployments::new(&mut *work, self.scope, &app.core.env);
        deployments.progress(self.site, self.deployment, percent).await?;
        Ok(work.commit().await?)
    }
}

/// Builds a deployment and switches the site over to it.
pub async fn build(app: &App, build: BuildDeployment, job: &Job) -> Result<(), JobError> {
    let BuildDeployment { site_id, deployment_id } = build;
    let scope = jobs::scope(job);
    let parts = match begin(app, &scope, site_id, deployment_id).await {
        Ok(Some(parts)) => parts,
        Ok(None) => return Ok(()),
        Err(
            error @ (SitesError::NothingToDeploy | SitesError::SampleContent(_) | SitesError::SiteSuspended),
        ) => {
            return Ok(fail(app, &scope, site_id, deployment_id, &error.detail()).await?);
        }
        Err(error) => return Err(error.into()),
    };
    let place = LiveSite { tenant: job.tenant_id, site: site_id, deployment: deployment_id };
    let Prepared { snapshot, stored } = prepare(app, parts).await?;
    let rendered = render(app, &app.pools.deployments, snapshot).await?;

    let kept = store::kept(app, place, retire(app, &scope, site_id).await?).await?;
    let manifests: Vec<_> = kept.iter().map(|(_, manifest)| manifest.clone()).collect();
    let plan = Plan::new(app, place, rendered, stored, &manifests).await?;
    // Before anything is written, so that the files of this deployment are not deleted.
    plan.clean(app, &kept).await;
    let progress = Progress { scope: &scope, site: site_id, deployment: deployment_id };
    progress.note(app, 0.0).await?;
    let written = plan.write(app, &progress).await?;
    plan.seal(app).await?;
    tracing::debug!(site = %site_id, deployment = %deployment_id, written, "the files of a deployment are stored");

    let mut work = app.core.begin().await?;
    Deployments::new(&mut *work, &scope, &app.core.env).finish(site_id, deployment_id).await?;
    work.commit().await?;
    Ok(())
}

/// Marks a deployment as failed, after the last attempt of its job.
pub async fn give_up(app: &App, build: BuildDeployment, job: &Job) -> Result<(), JobError> {
    let BuildDeployment { site_id, deployment_id } = build;
    let reason = "The site could not be built. We are looking into it; you can try again.";
    Ok(fail(app, &jobs::scope(job), site_id, deployment_id, reason).await?)
}

/// Deletes the files of a site that was deleted.
pub async fn purge(app: &App, PurgeSite { site_id }: PurgeSite, job: &Job) -> Result<(), JobError> {
    // One that was sold and has come back since needs its files.
    if app.core.reader().sites().find(job.tenant_id, site_id).await?.is_some() {
        return Ok(());
    }
    store::purge(app, job.tenant_id, site_id).await
}

/// Publishes a page at its scheduled time, unless the schedule was changed meanwhile.
pub async fn publish_page(app: &App, publish: PublishPage, job: &Job) -> Result<(), JobError> {
    let PublishPage { page_id, publish_at } = publish;
    let scope = jobs::scope(job);
    let mut work = app.core.begin().await?;
    Pages::new(&mut *work, &scope, &app.core.env).publish_scheduled(page_id, publish_at).await?;
    Ok(work.commit().await?)
}

/// Deploys a live site without a user's request. While another deployment is in progress, the job is retried.
pub async fn deploy(app: &App, DeploySite { site_id }: DeploySite, job: &Job) -> Result<(), JobError> {
    let scope = jobs::scope(job);
    let mut work = app.core.begin().await?;
    match Deployments::new(&mut *work, &scope, &app.core.env).request(site_id, false).await {
        Ok(_) => Ok(work.commit().await?),
        Err(error @ (SitesError::DeploymentInProgress | SitesError::Store(_))) => Err(error.into()),
        // Deleted, suspended, offered for sale, over the limit or emptied meanwhile, or with samples that nobody confirmed.
        Err(error) => {
            tracing::debug!(site = %site_id, %error, "a site is not deployed by itself");
            Ok(())
        }
    }
}

/// Retires deployments that are too old, and returns those that are kept.
async fn retire(app: &App, scope: &Scope, site: SiteId) -> Result<Vec<DeploymentId>, SitesError> {
    let keep = app.settings.sites.keep_deployments;
    let mut work = app.core.begin().await?;
    let kept = Deployments::new(&mut *work, scope, &app.core.env).retire(site, keep).await?;
    work.commit().await?;
    Ok(kept)
}

async fn begin(
    app: &App,
    scope: &Scope,
    site: SiteId,
    deployment: DeploymentId,
) -> Result<Option<SnapshotParts>, SitesError> {
    let mut work = app.core.begin().await?;
    let parts = Deployments::new(&mut *work, scope, &app.core.env).begin(site, deployment).await?;
    work.commit().await?;
    Ok(parts)
}

async fn fail(
    app: &App,
    scope: &Scope,
    site: SiteId,
    deployment: DeploymentId,
    reason: &str,
) -> Result<(), SitesError> {
    let mut work = app.core.begin().await?;
    Deployments::new(&mut *work, scope, &app.core.env).fail(site, deployment, reason).await?;
    work.commit().await?;
    Ok(())
}

/// Completes the data of the sites domain with that of other domains and the file store: the theme, the URL, and the
/// images.
pub async fn prepare(app: &App, parts: SnapshotParts) -> Result<Prepared, JobError> {
    let tenant = parts.site.tenant_id;
    let branding = app.core.reader().branding().find(tenant).await?;
    let branding = branding.unwrap_or_else(|| Branding::default_of(tenant, app.core.env.now()));
    let Pictures { assets, logo, favicon, stored } = pictures::load(app, &parts, &branding).await?;
    let surroundings = SnapshotContext {
        base_url: app.hosting.addresses.site_address(&parts.site),
        theme: Theme { logo, favicon, ..theme(&branding, parts.site.look.as_ref()) },
        assets,
    };
    Ok(Prepared { snapshot: parts.into_snapshot(surroundings), stored })
}

/// The theme of a site: the tenant's branding, overridden by the site's own look.
pub fn theme(branding: &Branding, look: Option<&Look>) -> Theme {
    let colors = look.and_then(|look| look.colors.clone()).unwrap_or_else(|| branding.colors.clone());
    let fonts = look.and_then(|look| look.fonts.as_ref()).unwrap_or(&branding.fonts);
    let stack = |name: &str| font_stack(name).unwrap_or("system-ui, sans-serif").to_owned();
    Theme {
        primary: colors.primary,
        secondary: colors.secondary,
        accent: colors.accent,
        background: colors.background,
        text: colors.text,
        heading_font: stack(&fonts.heading),
        body_font: stack(&fonts.body),
        style: look.map(|look| look.style).unwrap_or_default(),
        logo: None,
        favicon: None,
    }
}

/// Renders on a pool of threads, because it is CPU-bound.
pub async fn render(app: &App, pool: &Pool, snapshot: SiteSnapshot) -> Result<Vec<RenderedFile>, JobError> {
    let renderer = app.renderer.clone();
    let rendered = pool.run(move || renderer.render(&snapshot)).await;
    match rendered {
        Ok(Ok(files)) => Ok(files),
        Ok(Err(error)) => Err(JobError::Fatal(error.to_string())),
        Err(error) => Err(JobError::Retry(error.to_string())),
    }
}
