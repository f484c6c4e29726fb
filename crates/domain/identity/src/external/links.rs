//! The links of a user, made and removed while signed in.

use portico_kernel::{Event, ExternalIdentityId, UserId};

use super::{ExternalIdentities, ExternalIdentity, ExternalProfile};
use crate::{Accounts, IdentityError, events, session::SignedIn};

impl ExternalIdentities<'_> {
    /// Links an account at a provider to the caller's own, at the end of an attempt that they began (with a fresh proof of
    /// identity). The caller's session stays. Linking what is linked already changes nothing. Errors:
    /// [`IdentityError::IdentityTaken`]; [`portico_kernel::Denied::EmailUnverified`].
    pub async fn link(
        &mut self,
        provider: &str,
        profile: &ExternalProfile,
    ) -> Result<SignedIn, IdentityError> {
        let (user, session) = Accounts::new(self.repositories, self.scope, self.env).require_holder().await?;
        let id = user.id;
        let linked = self.repositories.external_identities().find(&profile.issuer, &profile.subject).await?;
        match linked {
            Some(linked) if linked.user != id => return Err(IdentityError::IdentityTaken),
            Some(_) => {}
            None => self.insert(id, provider, profile, false).await?,
        }
        Ok(SignedIn { session, user })
    }

    /// The caller's own links, oldest first.
    pub async fn list(&mut self) -> Result<Vec<ExternalIdentity>, IdentityError> {
        let (user, _) = self.scope.require_user()?;
        Ok(self.repositories.external_identities().list(user).await?)
    }

    /// Removes a link of the caller's. `issuers` are those that one can sign in with: a link to another one is no credential.
    /// Errors: [`IdentityError::ReauthenticationRequired`]; [`IdentityError::NotFound`], also for another user's;
    /// [`IdentityError::LastSignInMethod`] when no other credential would be left to sign in with.
    pub async fn unlink(&mut self, id: ExternalIdentityId, issuers: &[String]) -> Result<(), IdentityError> {
        let user = Accounts::new(self.repositories, self.scope, self.env).require_fresh().await?;
        self.repositories.users().lock(user.id).await?;
        let links = self.repositories.external_identities().list(user.id).await?;
        let link = links.iter().find(|link| link.id == id).ok_or(IdentityError::NotFound("identity"))?;
        let another = links.iter().any(|other| other.id != id && issuers.contains(&other.issuer));
        if !another && !self.has_own_means(user.id).await? {
            return Err(IdentityError::LastSignInMethod);
        }
        self.repositories.external_identities().delete(user.id, id).await?;
        let event = Event::new(self.env, self.scope, &events::USER_IDENTITY_UNLINKED, user.id.uuid())
            .before(link)
            .after(&serde_json::json!({"provider": link.provider}));
        self.append_about(user.id, event).await
    }

    /// Whether a user can sign in without any provider.
    async fn has_own_means(&mut self, user: UserId) -> Result<bool, IdentityError> {
        let credential = self.repositories.users().credential(user).await?;
        if credential.is_some_and(|credential| credential.password.is_some()) {
            return Ok(true);
        }
        Ok(!self.repositories.passkeys().list(user).await?.is_empty())
    }
}
