//! Attempts to sign in at a provider: from the redirect there to the return.

use portico_kernel::Timestamp;

use super::{ATTEMPT_LIFETIME, ExternalIdentities, SignInAttempt};
use crate::{Accounts, IdentityError, ports::TokenIssuer};

/// An attempt that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Goes to the provider and returns with the code.
    pub state: String,
    /// Not after.
    pub expires_at: Timestamp,
}

/// What shows that the browser that returns is the one that began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Browser {
    /// The secret in its cookie.
    pub secret: Option<String>,
    /// Whether it would have sent a cookie if it had one: a browser on a page of the same site. A program, or a page of another
    /// site, whose cookies browsers withhold, cannot be checked this way.
    pub sends_cookies: bool,
}

impl ExternalIdentities<'_> {
    /// Begins an attempt to sign in, or with `link` to link the account at the provider to the caller's own. `browser` is the
    /// secret that goes into the browser's cookie. Errors: with `link` those of [`Accounts::require_fresh_verified`].
    pub async fn begin(
        &mut self,
        provider: &str,
        link: bool,
        browser: &str,
        issuer: &dyn TokenIssuer,
    ) -> Result<Begun, IdentityError> {
        let user = match link {
            true => {
                let mut accounts = Accounts::new(self.repositories, self.scope, self.env);
                Some(accounts.require_fresh_verified().await?.id)
            }
            false => None,
        };
        let now = self.env.now();
        let state = self.env.secret();
        let expires_at = now + ATTEMPT_LIFETIME;
        let attempt = SignInAttempt {
            state: issuer.digest(&state),
            provider: provider.to_owned(),
            browser: issuer.digest(browser),
            user,
            created_at: now,
            expires_at,
        };
        self.repositories.sign_in_attempts().insert(&attempt).await?;
        Ok(Begun { state, expires_at })
    }

    /// Uses an attempt up. Errors: [`IdentityError::InvalidState`] when it is unknown, used, expired, begun at another provider,
    /// by another browser, or by another person; then the unit of work is to be dropped, and the attempt stays valid for its
    /// owner.
    pub async fn resume(
        &mut self,
        state: &str,
        provider: Option<&str>,
        browser: &Browser,
        issuer: &dyn TokenIssuer,
    ) -> Result<SignInAttempt, IdentityError> {
        let attempt =
            self.repositories.sign_in_attempts().consume(issuer.digest(state), self.env.now()).await?;
        let attempt = attempt.ok_or(IdentityError::InvalidState)?;
        let same_provider = provider.is_none_or(|provider| provider == attempt.provider);
        // Digests are compared, so the time it takes reveals nothing about the secret.
        let same_browser = match &browser.secret {
            Some(secret) => issuer.digest(secret) == attempt.browser,
            None => !browser.sends_cookies,
        };
        let same_person = match attempt.user {
            Some(user) => self.scope.require_not_impersonated()?.0 == user,
            None => true,
        };
        match same_provider && same_browser && same_person {
            true => Ok(attempt),
            false => Err(IdentityError::InvalidState),
        }
    }

    /// Makes an attempt valid again, because the provider could not be reached.
    pub async fn put_back(&mut self, attempt: &SignInAttempt) -> Result<(), IdentityError> {
        Ok(self.repositories.sign_in_attempts().insert(attempt).await?)
    }
}
