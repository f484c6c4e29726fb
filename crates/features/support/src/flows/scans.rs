//! Files that come with tickets, and mails, are scanned by jobs.
//!
//! While the scanner does not answer nothing is noted: what waits goes on to wait, and the job comes again. Where the installation has no
//! scanner any more, what came while it had one waits for it until the last attempt of its job, and is let go only where the attempt
//! before met none either: it may be a mistake in the settings (ADR 106). Time alone lets nothing go.

use portico_kernel::{Job, malware::Verdict};
use portico_runtime::{
    scanning,
    worker::jobs::{self, JobError},
};
use portico_sites::asset::{Asset, Assets};
use portico_support::{
    scan::AttachmentScans,
    scan_job::{ScanAttachment, ScanMail},
    scan_state::{AttachmentScan, Finding},
};

use crate::state::App;

/// `attachment.scan`: has a file of a ticket scanned. What is infected is deleted at once; what is passed may be loaded.
pub async fn attachment(app: &App, scan: ScanAttachment, job: &Job) -> Result<(), JobError> {
    let ScanAttachment { ticket_id, asset_id } = scan;
    let tenant = job.tenant_id;
    let mut reader = app.core.reader();
    let mut asset = reader.assets().find(tenant, asset_id).await?;
    if asset.is_none() {
        // It can be restored, and may not be loaded then either.
        asset = reader.assets().deleted(tenant, asset_id).await?;
    }
    drop(reader);
    let is_there = asset.is_some();
    let finding = match asset {
        Some(asset) => {
            let key = Asset::original_key(tenant, asset_id);
            let verdict = scanning::of_file(app.scanner.as_deref(), &*app.files, &key, asset.size).await;
            finding(app, verdict, job)?
        }
        None => Finding::NOT_SCANNED,
    };
    let (scope, env) = (jobs::scope(job), &app.core.env);
    let mut work = app.core.begin().await?;
    // The file before the ticket, in the order in which whoever attaches it has locked them.
    if finding.scan == AttachmentScan::Infected {
        Assets::new(&mut *work, &scope, env).discard(asset_id).await?;
    } else if is_there && finding.scan.may_be_loaded(app.serve_unscannable) {
        // One that was not found may have been restored since, and nobody has scanned it.
        work.assets().hold(tenant, &[asset_id], false).await?;
    }
    AttachmentScans::new(&mut *work, &scope, env).note((tenant, ticket_id), asset_id, &finding).await?;
    Ok(work.commit().await?)
}

/// What is to be said of a file after one attempt to have it scanned.
///
/// # Errors
/// Why there is nothing to be said yet.
fn finding(app: &App, verdict: Result<Verdict, String>, job: &Job) -> Result<Finding, JobError> {
    let was_gone = job.last_error.as_deref() == Some(scanning::NO_SCANNER);
    match verdict {
        Err(_) if app.scanner.is_none() && was_gone && job.attempts >= job.max_attempts => {
            // The payload has nothing but ids.
            tracing::warn!(
                kind = %job.kind, tenant = %job.tenant_id, held = %job.payload,
                "there is no scanner any more: a file that waited for it may be loaded"
            );
            Ok(Finding::NOT_SCANNED)
        }
        verdict => verdict.map(Finding::from).map_err(JobError::Retry),
    }
}

/// `ticket_mail.scan`: has a mail scanned as it came, with the files in it. Of an infected one nothing is kept but what was read in it.
pub async fn mail(app: &App, scan: ScanMail, job: &Job) -> Result<(), JobError> {
    let mut reader = app.core.reader();
    let found = reader.inbound_mails().find(job.tenant_id, scan.message_id).await?;
    drop(reader);
    // Whoever wrote it may be erased by now.
    let Some(mail) = found.filter(|mail| mail.scan == AttachmentScan::Pending) else { return Ok(()) };
    let verdict = scanning::of_bytes(app.scanner.as_deref(), &mail.raw).await;
    let finding = finding(app, verdict, job)?;
    let scope = jobs::scope(job);
    let mut work = app.core.begin().await?;
    AttachmentScans::new(&mut *work, &scope, &app.core.env).note_mail(&mail, &finding).await?;
    Ok(work.commit().await?)
}
