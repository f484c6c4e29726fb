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

/// Whether a license that is locked has a seat that nobody holds. Seats whose lease is over count by the clock, whatever was noted.
///
/// # Errors
/// Those of the store.
pub(crate) async fn is_free(
    repositories: &mut dyn LicensingRepositories,
    license: &License,
    now: Timestamp,
) -> Result<bool, LicensingError> {
    let Some(limit) = license.activation_limit else { return Ok(true) };
    let taken = repositories.activations().count(license.tenant_id, license.id, now).await?;
    Ok(taken < u64::from(limit))
}

/// Takes a seat of a license that is locked for a machine. A machine that holds one keeps it, and is seen again. Answers the machine, and
/// whether it has taken the seat now.
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
    let is_held = known.as_ref().is_some_and(|known| known.holds_seat(now));
    if !is_held
        && !is_free(repositories, license, now).await?
        && let Some(limit) = license.activation_limit
    {
        return Err(LicensingError::TooManyActivations { limit });
    }
    if let Some(known) = known {
        let named = Activation {
            name: machine.name.or(known.name),
            platform: machine.platform.or(known.platform),
            ..known
        };
        return Ok((renew(repositories, scope, env, license, named).await?, !is_held));
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
        lease_ends_at: license.terms.lease_end(now, None),
        lapsed: false,
    };
    repositories.activations().insert(&activation).await?;
    note_taken(repositories, scope, env, &activation).await?;
    Ok((activation, true))
}

/// Stores a machine that is heard of now: its lease begins anew. The caller has made sure that it holds a seat or that one is free.
///
/// # Errors
/// Those of the store.
pub(crate) async fn renew(
    repositories: &mut dyn LicensingRepositories,
    scope: &Scope,
    env: &Env,
    license: &License,
    known: Activation,
) -> Result<Activation, LicensingError> {
    let (now, had_lapsed) = (env.now(), known.lapsed);
    let seen = Activation {
        ip: scope.request.address.clone().or(known.ip),
        last_seen_at: now,
        lease_ends_at: license.terms.lease_end(now, known.offline_until),
        lapsed: false,
        ..known
    };
    repositories.activations().update(&seen).await?;
    if had_lapsed {
        note_taken(repositories, scope, env, &seen).await?;
    }
    Ok(seen)
}

async fn note_taken(
    repositories: &mut dyn LicensingRepositories,
    scope: &Scope,
    env: &Env,
    activation: &Activation,
) -> Result<(), LicensingError> {
    let event = Event::new(env, scope, &events::LICENSE_ACTIVATED, activation.license_id.uuid());
    Ok(repositories.events().append(event.in_tenant(activation.tenant_id).after(activation)).await?)
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
    let lease_ends_at = license.terms.lease_end(env.now(), offline_until);
    let activation = Activation { offline_until, lease_ends_at, ..activation };
    repositories.activations().update(&activation).await?;
    let event = Event::new(env, scope, &events::LICENSE_FILE_ISSUED, license.id.uuid());
    repositories.events().append(event.in_tenant(license.tenant_id).after(&activation)).await?;
    Ok(made)
}
