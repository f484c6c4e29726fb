//! Files of a tenant that come with what is written to a ticket.

use portico_kernel::{AssetId, StoreError, SupportTicketId, TenantId, Timestamp};
use portico_runtime::store::Repositories;
use portico_sites::asset::link;
use portico_support::{
    SupportError,
    desk::Desk,
    message::{ATTACHMENTS_MAX, Attachment},
    scan_state::AttachmentScan,
};
use portico_web::{caller::Caller, problem::Problem};
use serde::Serialize;
use time::Duration;
use utoipa::ToSchema;

use super::staff::check_customer;
use crate::state::App;

/// How long a member of staff can load a file.
const LINK_TTL: Duration = Duration::minutes(15);

/// A link to a file that came with a ticket.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttachmentLink {
    /// For everybody who has it, for 15 minutes.
    #[schema(example = "https://api.example.com/files/0190…/0190…/original?expires=1795237629&signature=…")]
    url: String,
    /// Until when it works.
    expires_at: Timestamp,
}

/// Those of these files that the tenant has, to be attached in this unit of work. Where there is a scanner, nobody loads them before it has
/// passed them; where there is none any more, they wait no longer.
///
/// # Errors
/// Where the database fails.
pub async fn of_tenant(
    app: &App,
    repositories: &mut dyn Repositories,
    tenant: TenantId,
    ids: &[AssetId],
) -> Result<Vec<Attachment>, StoreError> {
    // What is beyond is refused anyway.
    let ids: Vec<AssetId> = ids.iter().copied().take(ATTACHMENTS_MAX).collect();
    let found = repositories.assets().find_many(tenant, &ids).await?;
    let scan = app.scan_state();
    let waits = scan == AttachmentScan::Pending;
    // Where there is no scanner any more, nothing comes again to wait for it.
    let held: Vec<AssetId> = found.iter().filter(|asset| waits || asset.held).map(|asset| asset.id).collect();
    repositories.assets().hold(tenant, &held, waits).await?;
    let attachments = found.into_iter().map(|asset| Attachment {
        asset_id: asset.id,
        content_type: asset.content_type.content_type().to_owned(),
        size: asset.size,
        filename: asset.filename,
        scan,
        signature: None,
    });
    Ok(attachments.collect())
}

/// A link for staff to a file that came with a ticket.
///
/// # Errors
/// Those of [`Desk::attachment`], also for one that is held since it came again; 404 for one that was deleted since.
pub async fn link_for_staff(
    app: &App,
    caller: &Caller,
    (customer, ticket, asset): (TenantId, SupportTicketId, AssetId),
) -> Result<AttachmentLink, Problem> {
    let mut reader = app.core.reader();
    check_customer(app, caller, &mut *reader, customer).await?;
    Desk::new(&mut *reader, &caller.0, &app.core.env)
        .attachment(customer, ticket, asset, app.serve_unscannable)
        .await?;
    let found = reader.assets().find(customer, asset).await?;
    if found.ok_or_else(Problem::not_found)?.held {
        // It came again, and waits for the sake of another ticket or message.
        return Err(SupportError::AttachmentNotScanned(AttachmentScan::Pending).into());
    }
    let expires_at = app.core.env.now() + LINK_TTL;
    // Links name seconds.
    let expires_at = Timestamp::from_unix_seconds(expires_at.unix_seconds()).unwrap_or(expires_at);
    let path = link::signed(&*app.api.signer, (customer, asset, link::ORIGINAL), expires_at);
    Ok(AttachmentLink { url: format!("{}{path}", app.api.public_url), expires_at })
}
