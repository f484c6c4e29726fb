//! The only place where the status of a license changes.

use portico_kernel::{Env, Event, EventDeclaration, Scope};
use serde_json::json;

use crate::{
    LicensingError, events,
    license::{License, LicenseStatus, Move},
    ports::LicensingRepositories,
};

/// Moves a license that is locked, with its event. One that ends for good loses its machines in the same unit of work. Where the move
/// changes nothing, nothing is stored. `reason` is what staff say about it, for the audit trail.
///
/// # Errors
/// Those of the store.
pub(crate) async fn apply(
    repositories: &mut dyn LicensingRepositories,
    scope: &Scope,
    env: &Env,
    before: License,
    by: Move,
    reason: Option<&str>,
) -> Result<License, LicensingError> {
    let after = before.after(by);
    if after == before {
        return Ok(before);
    }
    repositories.licenses().update(&after).await?;
    if after.status == LicenseStatus::Revoked {
        repositories.activations().delete_all(after.tenant_id, after.id).await?;
    }
    let mut noted = serde_json::to_value(&after).unwrap_or_default();
    if let Some(reason) = reason {
        noted["reason"] = json!(reason);
    }
    let event = Event::new(env, scope, event_of(after.status), after.id.uuid());
    repositories.events().append(event.in_tenant(after.tenant_id).before(&before).after(&noted)).await?;
    Ok(after)
}

fn event_of(status: LicenseStatus) -> &'static EventDeclaration {
    match status {
        LicenseStatus::Active => &events::LICENSE_RESUMED,
        LicenseStatus::Suspended => &events::LICENSE_SUSPENDED,
        LicenseStatus::Expired => &events::LICENSE_EXPIRED,
        LicenseStatus::Revoked => &events::LICENSE_REVOKED,
    }
}
