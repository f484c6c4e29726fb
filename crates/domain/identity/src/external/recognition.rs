//! Finding the account here of a person who signs in at a provider.

use portico_kernel::{Event, RequestInfo, Scope, StoreError, UserId};

use super::{ExternalIdentities, ExternalIdentity, ExternalProfile};
use crate::{
    Accounts, IdentityError,
    credentials::{self, Extent},
    events,
    session::EndReason,
    user::{EmailAddress, LANGUAGES, User},
};

/// So many accounts that claim an address without proof are closed when another one proves it.
const CLAIMANTS: u32 = 100;

/// The account here of a person with an account at a provider.
#[derive(Clone, Debug, PartialEq)]
pub enum Recognised {
    /// They have this account; its row is locked.
    Known(User),
    /// They had none, so this one was made for them, without a tenant so far. [`ExternalIdentities::enroll`] has to follow once
    /// it has one.
    New(User),
}

impl ExternalIdentities<'_> {
    /// Finds the account of a person whom the provider vouches for: the one that is linked; else the one that has proven the
    /// address, which is linked now; else a new one. Only an address that the provider calls verified links anything.
    ///
    /// An account that merely names the address is never taken over: a stranger may have made it. A person who proves the address
    /// gets an account of their own, and those that named it lose all credentials.
    ///
    /// Errors: [`IdentityError::EmailRequired`] when a new account would have no address; `Conflict` from the store when another
    /// transaction did the same at the same moment: then look again in a new unit of work.
    pub async fn recognise(
        &mut self,
        provider: &str,
        profile: &ExternalProfile,
    ) -> Result<Recognised, IdentityError> {
        let known = self.repositories.external_identities().find(&profile.issuer, &profile.subject).await?;
        if let Some(known) = known {
            let user = self.locked(known.user).await?;
            // The link may have been removed before the row was locked.
            let still =
                self.repositories.external_identities().find(&profile.issuer, &profile.subject).await?;
            if still.is_none_or(|still| still.user != user.id) {
                return Err(StoreError::Stale.into());
            }
            let user = self.follow(user, &known, profile).await?;
            let seen = ExternalIdentity {
                email: profile.email.clone(),
                name: profile.usable_name().or(known.name),
                language: profile.usable_language().map(str::to_owned).or(known.language),
                last_used_at: Some(self.env.now()),
                ..known
            };
            self.repositories.external_identities().update(&seen).await?;
            return Ok(Recognised::Known(self.take_proof(user, profile).await?));
        }
        let email = profile.address().ok_or(IdentityError::EmailRequired)?;
        if profile.email_verified {
            let accounts = self.repositories.users().by_email(&email).await?;
            if let Some(owner) = accounts.into_iter().find(|account| account.user.email_verified) {
                let user = self.locked(owner.user.id).await?;
                if !user.email_verified || user.email != email {
                    return Err(StoreError::Stale.into());
                }
                // A suspended account is refused by the session, and nothing of this is committed.
                self.insert(user.id, provider, profile, true).await?;
                return Ok(Recognised::Known(user));
            }
        }
        let user = self.new_account(email, profile);
        self.repositories.users().insert(&user, None).await?;
        Ok(Recognised::New(user))
    }

    /// Completes a new account that has its tenant: links it, and gives it its address where the provider calls that
    /// verified. Answers the account as it is now. Errors: as [`ExternalIdentities::recognise`].
    pub async fn enroll(
        &mut self,
        user: User,
        provider: &str,
        profile: &ExternalProfile,
    ) -> Result<User, IdentityError> {
        self.insert(user.id, provider, profile, true).await?;
        let user = match profile.email_verified {
            true => {
                let user = Accounts::new(self.repositories, self.scope, self.env).mark_verified(user).await?;
                self.disown_claimants(&user).await?;
                user
            }
            false => user,
        };
        Ok(user)
    }

    /// The account, with its row locked, as [`crate::Sessions::after_first_factor`] requires it.
    async fn locked(&mut self, id: UserId) -> Result<User, IdentityError> {
        let locked = self.repositories.users().lock(id).await?;
        Ok(locked.ok_or(IdentityError::NotFound("user"))?.user)
    }

    /// Takes over a name and a language that changed at the provider since the last sign-in with it, where the account still has
    /// those that the provider sent then: what the person has changed here stays.
    async fn follow(
        &mut self,
        before: User,
        known: &ExternalIdentity,
        profile: &ExternalProfile,
    ) -> Result<User, IdentityError> {
        let mut user = before.clone();
        if let Some(name) = profile.usable_name().filter(|_| known.name.as_ref() == Some(&before.full_name)) {
            user.full_name = name;
        }
        let language =
            profile.usable_language().filter(|_| known.language.as_ref() == Some(&before.language));
        if let Some(language) = language {
            language.clone_into(&mut user.language);
        }
        if user == before {
            return Ok(user);
        }
        user.updated_at = self.env.now();
        self.repositories.users().update(&user).await?;
        user.version += 1;
        let event = Event::new(self.env, self.scope, &events::USER_UPDATED, user.id.uuid())
            .by_user(user.id)
            .before(&before)
            .after(&user);
        self.append_about(user.id, event).await?;
        Ok(user)
    }

    fn new_account(&self, email: EmailAddress, profile: &ExternalProfile) -> User {
        let now = self.env.now();
        let language = profile.usable_language().unwrap_or(LANGUAGES[0]).to_owned();
        let local_part = || email.as_str().split('@').next().unwrap_or_default().to_owned();
        let full_name = profile.usable_name().unwrap_or_else(local_part);
        User::new(self.env.new_id(), email, full_name, language, now)
    }

    /// Closes every account that names the address of `owner` without proof: revokes all its credentials.
    async fn disown_claimants(&mut self, owner: &User) -> Result<(), IdentityError> {
        // It is no act of the owner's: readers of a claimant's audit trail learn nothing about them.
        let request = RequestInfo { id: self.scope.request.id.clone(), ..RequestInfo::default() };
        let scope = Scope::system(None, request);
        let claimants = self.repositories.users().claimants(&owner.email, CLAIMANTS).await?;
        for id in claimants.into_iter().filter(|id| *id != owner.id) {
            let (extent, reason) = (Extent::Everything, EndReason::AddressContested);
            credentials::revoke(self.repositories, &scope, self.env, id, extent, reason).await?;
            let event = Event::new(self.env, &scope, &events::USER_PASSWORD_REVOKED, id.uuid());
            self.append_about(id, event).await?;
        }
        Ok(())
    }
}
