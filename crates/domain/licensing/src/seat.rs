//! Seats: on how many machines a license is used at once. The only place where one is taken.

use portico_kernel::{Env, Event, Scope, Timestamp};
use time::Duration;

use crate::{
    LicensingError,
    activation::{Activation, Machine},
    events,
    file::{self, LicenseFile},
    license::{License, LicenseStatus},
    ports::{LicenseSigner, LicensingRepositories},
};

/// Errors unless the license may be used at `now`.
///
/// # Errors
/// `Suspended`, `Expired`, `Revoked`.
pub(crate) fn check_usable(license: &License, now: Timestamp) -> Result<(), LicensingError> {
    match license.clone().at(now).status {
        LicenseStatus::Active => Ok(()),
        LicenseStatus::Suspended => Err(LicensingError::Suspended),
        LicenseStatus::Expired => Err(LicensingError::Expired),
        LicenseStatus::Revoked => Err(LicensingError::Revoked),
    }
}

/// Takes a seat of a license that is locked for a machine. A machine that has one keeps it, and is seen again. Answers the machine, and
/// whether it is new.
///
/// # Errors
/// `Suspended`, `Expired`, `Revoked`; `TooManyActivations`.
pub(crate) async fn take(
    repositories: &mut dyn LicensingRepositories,
    scope: &Scope,
    env: &Env,
    license: &License,
    machine: Machine,
) -> Result<(Activation, bool), LicensingError> {
    let now = env.now();
    check_usable(license, now)?;
    let (tenant, id) = (license.tenant_id, license.id);
    let known = repositories.activations().of_fingerprint(tenant, id, &machine.fingerprint).await?;
    if let Some(known) = known {
        let seen = Activation {
            name: machine.name.or(known.name),
            platform: machine.platform.or(known.platform),
            ip: scope.request.address.clone().or(known.ip),
            last_seen_at: now,
            ..known
        };
        repositories.activations().update(&seen).await?;
        return Ok((seen, false));
    }
    if let Some(limit) = license.activation_limit
        && repositories.activations().count(tenant, id).await? >= u64::from(limit)
    {
        return Err(LicensingError::TooManyActivations { limit });
    }
    let activation = Activation {
        id: env.new_id(),
        tenant_id: tenant,
        license_id: id,
        fingerprint: machine.fingerprint,
        name: machine.name,
        platform: machine.platform,
        ip: scope.request.address.clone(),
        activated_at: now,
        last_seen_at: now,
        offline_until: None,
    };
    repositories.activations().insert(&activation).await?;
    let event = Event::new(env, scope, &events::LICENSE_ACTIVATED, id.uuid());
    repositories.events().append(event.in_tenant(tenant).after(&activation)).await?;
    Ok((activation, true))
}

/// Appends the event of a seat that is free again.
pub(crate) async fn note_free(
    repositories: &mut dyn LicensingRepositories,
    scope: &Scope,
    env: &Env,
    activation: &Activation,
) -> Result<(), LicensingError> {
    let event = Event::new(env, scope, &events::LICENSE_DEACTIVATED, activation.license_id.uuid());
    let event = event.in_tenant(activation.tenant_id).before(activation);
    Ok(repositories.events().append(event).await?)
}

/// A license file for a machine, which takes a seat of the license that is locked unless it has one.
///
/// # Errors
/// Those of [`take`]; `OfflineNotAllowed`; `FilesUnavailable`.
pub(crate) async fn issue_file(
    repositories: &mut dyn LicensingRepositories,
    scope: &Scope,
    env: &Env,
    signer: Option<&dyn LicenseSigner>,
    license: &License,
    machine: Machine,
    ttl: Duration,
) -> Result<LicenseFile, LicensingError> {
    let signer = signer.ok_or(LicensingError::FilesUnavailable)?;
    if !license.terms.offline {
        return Err(LicensingError::OfflineNotAllowed);
    }
    let (activation, _) = take(repositories, scope, env, license, machine).await?;
    let made = file::made(signer, license, &activation, ttl, env.now());
    // An earlier file that is good for longer cannot be called back.
    let offline_until = activation.offline_until.max(Some(made.expires_at));
    let activation = Activation { offline_until, ..activation };
    repositories.activations().update(&activation).await?;
    let event = Event::new(env, scope, &events::LICENSE_FILE_ISSUED, license.id.uuid());
    repositories.events().append(event.in_tenant(license.tenant_id).after(&activation)).await?;
    Ok(made)
}
