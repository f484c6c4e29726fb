//! Publishing a site: read it, render it, store the files, switch over. Each step is a transaction of its own, and nothing
//! is rendered or stored while one is open.

use portico_kernel::{DeploymentId, Fault, Job, Scope, SiteId};
use portico_sites::{
    SitesError,
    deployment::{Deployments, SnapshotParts},
    ports::{LiveSite, RenderedFile, SiteSnapshot, Theme},
};
use portico_tenancy::branding::{Branding, font_stack};
use serde::Deserialize;

use crate::{
    http::site::{file_key, site_prefix},
    state::App,
    worker::handlers::{self, JobError},
};

/// Files stored between two notes of progress.
const FILES_PER_NOTE: usize = 20;

/// What a deployment job carries.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Build {
    site_id: SiteId,
    deployment_id: DeploymentId,
}

/// What a purge job carries.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Purge {
    site_id: SiteId,
}

/// Builds a deployment and switches the site over to it.
pub async fn build(app: &App, job: &Job) -> Result<(), JobError> {
    let Build { site_id, deployment_id } = handlers::payload(job)?;
    let scope = handlers::scope(job);
    let parts = match begin(app, &scope, site_id, deployment_id).await {
        Ok(Some(parts)) => parts,
        Ok(None) => return Ok(()),
        Err(error @ (SitesError::NothingToDeploy | SitesError::SiteSuspended)) => {
            return Ok(fail(app, &scope, site_id, deployment_id, &error.detail()).await?);
        }
        Err(error) => return Err(error.into()),
    };
    let place = LiveSite { tenant: job.tenant_id, site: site_id, deployment: deployment_id };
    let snapshot = snapshot(app, parts).await?;
    let files = render(app, snapshot).await?;

    let total = files.len();
    for (number, file) in files.into_iter().enumerate() {
        if number % FILES_PER_NOTE == 0 {
            let mut work = app.begin().await?;
            let percent = (10 + 85 * number / total.max(1)) as i32;
            Deployments::new(&mut *work, &scope, &app.env).progress(site_id, deployment_id, percent).await?;
            work.commit().await?;
        }
        let key = file_key(&place, &file.path);
        app.files.put(&key, file.bytes).await.map_err(|error| JobError::Retry(format!("{key}: {error}")))?;
    }

    let mut work = app.begin().await?;
    Deployments::new(&mut *work, &scope, &app.env).finish(site_id, deployment_id).await?;
    work.commit().await?;
    Ok(())
}

/// Tells the customer that a deployment will not come, after its job failed for good.
pub async fn give_up(app: &App, job: &Job) -> Result<(), SitesError> {
    let Ok(Build { site_id, deployment_id }) = handlers::payload(job) else { return Ok(()) };
    let reason = "The site could not be built. We are looking into it; you can try again.";
    fail(app, &handlers::scope(job), site_id, deployment_id, reason).await
}

/// Deletes the files of a site that was deleted.
pub async fn purge(app: &App, job: &Job) -> Result<(), JobError> {
    let Purge { site_id } = handlers::payload(job)?;
    let prefix = site_prefix(job.tenant_id, site_id);
    app.files.delete_prefix(&prefix).await.map_err(|error| JobError::Retry(format!("{prefix}: {error}")))
}

async fn begin(
    app: &App,
    scope: &Scope,
    site: SiteId,
    deployment: DeploymentId,
) -> Result<Option<SnapshotParts>, SitesError> {
    let mut work = app.begin().await?;
    let parts = Deployments::new(&mut *work, scope, &app.env).begin(site, deployment).await?;
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
    let mut work = app.begin().await?;
    Deployments::new(&mut *work, scope, &app.env).fail(site, deployment, reason).await?;
    work.commit().await?;
    Ok(())
}

/// Completes what the sites domain read with what other domains know: the look, and where the site answers.
async fn snapshot(app: &App, parts: SnapshotParts) -> Result<SiteSnapshot, JobError> {
    let tenant = parts.site.tenant_id;
    let branding = app.reader().branding().find(tenant).await?;
    let branding = branding.unwrap_or_else(|| Branding::default_of(tenant, app.env.now()));
    let base_url = app.site_url(&parts.site.subdomain);
    Ok(parts.into_snapshot(base_url, "en".to_owned(), theme(&branding)))
}

/// A tenant's branding as the look of a site.
fn theme(branding: &Branding) -> Theme {
    let colors = branding.colors.clone();
    let stack = |name: &str| font_stack(name).unwrap_or("system-ui, sans-serif").to_owned();
    Theme {
        primary: colors.primary,
        secondary: colors.secondary,
        accent: colors.accent,
        background: colors.background,
        text: colors.text,
        heading_font: stack(&branding.fonts.heading),
        body_font: stack(&branding.fonts.body),
    }
}

/// Renders on the blocking pool: it is pure computation.
async fn render(app: &App, snapshot: SiteSnapshot) -> Result<Vec<RenderedFile>, JobError> {
    let renderer = app.renderer.clone();
    let rendered = tokio::task::spawn_blocking(move || renderer.render(&snapshot)).await;
    match rendered {
        Ok(Ok(files)) => Ok(files),
        Ok(Err(error)) => Err(JobError::Fatal(error.to_string())),
        Err(error) => Err(JobError::Retry(error.to_string())),
    }
}
