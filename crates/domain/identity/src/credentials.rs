//! All credentials of an account, and the only function that revokes them.
//!
//! A contract test compares [`revoke`] with the schema: a new table that refers to users has to be emptied here, or declared to
//! give no access. See ADR 39.

use portico_kernel::{Env, Event, Scope, SessionId, UserId};
use serde::Serialize;

use crate::{
    IdentityError,
    api_key::ApiKey,
    events,
    ports::IdentityRepositories,
    session::{EndReason, audit_tenant, end_impersonations, note_ended},
    token::TokenPurpose,
};

/// How much of an account's access is revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// What was begun with the credentials: sessions (also those in which an impersonator acts as the user, or the user as
    /// another one), sign-ins that wait for their second factor, links to other accounts that are being made, changes of address
    /// and links in mails. Of the sessions, `except` stays. What proves the identity stays: password, passkeys, linked accounts,
    /// second factors. So do API keys, which belong to their tenant, and links that verify the address: these give no access.
    Begun {
        /// The session that stays.
        except: Option<SessionId>,
    },
    /// All of it, and the API keys whose secrets the user made: all access so far ends. For an account that a stranger may have
    /// made or used before the owner of its address did.
    Everything,
}

/// What was revoked for good, for the audit trail.
#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Revoked {
    passkeys: u64,
    identities: u64,
    totp: bool,
    recovery_codes: u64,
}

/// Revokes access to an account. Locks the user's row first, so that a transaction that adds a credential under that lock
/// ([`crate::Accounts::require_holder`]) either sees this, or has it revoked here.
///
/// Challenges of passkeys have no user: each is valid only together with a session, a waiting sign-in or a passkey.
pub(crate) async fn revoke(
    repositories: &mut dyn IdentityRepositories,
    scope: &Scope,
    env: &Env,
    user: UserId,
    extent: Extent,
    reason: EndReason,
) -> Result<(), IdentityError> {
    let now = env.now();
    let except = match extent {
        Extent::Begun { except } => except,
        Extent::Everything => None,
    };
    repositories.users().lock(user).await?;
    let ended = repositories.sessions().end_all(user, except, now).await?;
    note_ended(repositories, scope, env, user, &ended, reason).await?;
    end_impersonations(repositories, scope, env, user).await?;
    repositories.pending_sign_ins().delete_all(user).await?;
    repositories.sign_in_attempts().delete_all(user).await?;
    repositories.email_changes().delete(user, None).await?;
    for purpose in TokenPurpose::ALL {
        if extent == Extent::Everything || purpose != TokenPurpose::EmailVerification {
            repositories.one_time_tokens().revoke(user, purpose).await?;
        }
    }
    if extent != Extent::Everything {
        return Ok(());
    }
    repositories.users().set_password(user, None).await?;
    repositories.known_devices().forget_user(user).await?;
    let passkeys = repositories.passkeys().delete_all(user).await?;
    let identities = repositories.external_identities().delete_all(user).await?;
    let totp = repositories.second_factors().delete_totp(user).await?;
    let recovery_codes = repositories.second_factors().recovery_codes_left(user).await?;
    repositories.second_factors().replace_recovery_codes(user, &[], now).await?;
    let keys = repositories.api_keys().made_by(user).await?;
    for before in keys {
        let after = ApiKey { active: false, revoked_at: Some(now), updated_at: now, ..before.clone() };
        repositories.api_keys().update(&after).await?;
        let event =
            Event::new(env, scope, &events::API_KEY_REVOKED, before.id.uuid()).in_tenant(before.tenant);
        repositories.events().append(event.before(&before)).await?;
    }
    let revoked = Revoked { passkeys, identities, totp, recovery_codes };
    if revoked == Revoked::default() {
        return Ok(());
    }
    let tenant = audit_tenant(repositories, user).await?;
    let event = Event::new(env, scope, &events::USER_CREDENTIALS_REVOKED, user.uuid()).in_tenant(tenant);
    Ok(repositories.events().append(event.before(&revoked)).await?)
}

#[cfg(test)]
#[path = "credentials_tests.rs"]
mod tests;
