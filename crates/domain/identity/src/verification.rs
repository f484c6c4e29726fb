//! Proving an address: it belongs to an account once the link sent there was used.

use portico_kernel::{Actor, Event, StoreError, UserId, Violations};
use serde::Deserialize;

use crate::{
    Accounts, IdentityError,
    credentials::Extent,
    events,
    mail::{AccountMail, Recipient},
    ports::TokenIssuer,
    session::EndReason,
    token::{OneTimeToken, TokenPurpose},
    user::{EmailAddress, User, UserStatus},
};

/// Input from the page behind the link of a verification message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"token": "VGhlIHRva2VuIG9mIHRoZSBsaW5r"})))]
pub struct VerifyEmail {
    /// The `token` of the link.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 500))]
    pub token: String,
}

/// Requests the verification message again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"email": "ada@example.com"})))]
pub struct ResendVerification {
    /// Address of the account. A signed-in caller may leave it out.
    #[cfg_attr(feature = "openapi", schema(format = "email", max_length = 254))]
    pub email: String,
}

impl VerifyEmail {
    /// The token. Errors: [`IdentityError::Invalid`] when it is missing.
    pub fn validate(self) -> Result<String, IdentityError> {
        valid_token(&self.token)
    }
}

impl ResendVerification {
    /// The address. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<EmailAddress, IdentityError> {
        valid_address(&self.email)
    }
}

/// An account that has proven its address.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// The account.
    pub user: User,
    /// Whether it lost its password, with all other credentials, because others claimed the address too.
    pub password_taken: bool,
}

pub(crate) fn valid_token(token: &str) -> Result<String, IdentityError> {
    let mut violations = Violations::default();
    violations.text("token", token, 1, 500);
    violations.into_result().map_err(IdentityError::Invalid)?;
    Ok(token.trim().to_owned())
}

pub(crate) fn valid_address(email: &str) -> Result<EmailAddress, IdentityError> {
    EmailAddress::parse(email).map_err(|error| IdentityError::Invalid(vec![error]))
}

impl Accounts<'_> {
    /// Decides what to send to an address that is to be verified, and makes the token. For the background job: the
    /// request that causes it must not depend on what is known of the address.
    ///
    /// The newest account that has not proven the address gets a link. If another account has proven it already, its owner is
    /// notified of the attempt to register with it; no one else is.
    pub async fn issue_verification(
        &mut self,
        email: &EmailAddress,
        issuer: &dyn TokenIssuer,
    ) -> Result<Option<(Recipient, AccountMail)>, IdentityError> {
        let accounts = self.repositories.users().by_email(email).await?;
        let owner = accounts.iter().map(|account| &account.user).find(|user| user.email_verified);
        let newest = accounts.iter().map(|account| &account.user).find(|user| !user.email_verified);
        let Some(newest) = newest.filter(|user| user.status == UserStatus::Active) else { return Ok(None) };
        if let Some(owner) = owner {
            let is_news = owner.status == UserStatus::Active && newest.created_at > owner.created_at;
            return Ok(is_news.then(|| (Recipient::for_user(owner), AccountMail::AlreadyRegistered)));
        }
        let token = self.issue_token(newest, TokenPurpose::EmailVerification, issuer).await?;
        Ok(Some((Recipient::for_user(newest), AccountMail::Verification { token })))
    }

    /// Makes a one-time token and stores its digest; answers the secret.
    pub(crate) async fn issue_token(
        &mut self,
        user: &User,
        purpose: TokenPurpose,
        issuer: &dyn TokenIssuer,
    ) -> Result<String, IdentityError> {
        let secret = self.env.secret();
        let now = self.env.now();
        let token = OneTimeToken {
            hash: issuer.digest(&secret),
            user: user.id,
            purpose,
            expires_at: now + purpose.lifetime(),
            created_at: now,
        };
        self.repositories.one_time_tokens().insert(&token).await?;
        Ok(secret)
    }

    /// Uses the token of a link up, and answers its user, with the account's row locked: the lock comes first, as wherever access
    /// is given or revoked. Errors: [`IdentityError::InvalidToken`].
    pub(crate) async fn use_link(
        &mut self,
        token: &str,
        purpose: TokenPurpose,
        issuer: &dyn TokenIssuer,
    ) -> Result<UserId, IdentityError> {
        let (hash, now) = (issuer.digest(token), self.env.now());
        let user = self.repositories.one_time_tokens().find(hash, purpose, now).await?;
        self.repositories.users().lock(user.ok_or(IdentityError::InvalidToken)?).await?;
        let user = self.repositories.one_time_tokens().consume(hash, purpose, now).await?;
        user.ok_or(IdentityError::InvalidToken)
    }

    /// Uses the link of a verification message up. Errors: [`IdentityError::InvalidToken`], also when another account
    /// has proven the address in the meantime.
    ///
    /// The link proves that its user reads the mail of the address, not that it was they who registered. So where other accounts
    /// claim the address too, and the caller is not signed in to this one, the account loses all its credentials: its maker may
    /// be a stranger. A reset link then gives the owner access.
    pub async fn verify_email(
        &mut self,
        token: &str,
        issuer: &dyn TokenIssuer,
    ) -> Result<Verified, IdentityError> {
        let purpose = TokenPurpose::EmailVerification;
        let id = self.use_link(token, purpose, issuer).await?;
        let user = self.repositories.users().find(id).await?;
        let user =
            user.filter(|user| user.status == UserStatus::Active).ok_or(IdentityError::InvalidToken)?;
        self.repositories.one_time_tokens().revoke(id, purpose).await?;
        if user.email_verified {
            return Ok(Verified { user, password_taken: false });
        }
        let claims = self.repositories.users().by_email(&user.email).await?;
        let contested = claims.iter().any(|claim| claim.user.id != id);
        let signed_in = matches!(self.scope.actor(),
            Actor::User { id: caller, impersonator: None, .. } if *caller == id);
        let user = self.mark_verified(user).await.map_err(|error| match error {
            IdentityError::Store(StoreError::Conflict(_)) => IdentityError::InvalidToken,
            error => error,
        })?;
        let password_taken = contested && !signed_in;
        if password_taken {
            self.revoke(id, Extent::Everything, EndReason::AddressContested).await?;
            let event = Event::new(self.env, self.scope, &events::USER_PASSWORD_REVOKED, id.uuid())
                .by_user(id)
                .after(&user);
            self.append_about(id, event).await?;
        }
        Ok(Verified { user, password_taken })
    }

    /// The caller has shown the secret of a message to `email`, which proves that they read the mail of it: if it is the address
    /// of their account, it is verified from now on, as by [`Accounts::verify_email`] with a session. Answers whether the address
    /// is theirs: not when the account has another one, or another account has proven this one.
    pub async fn prove_own_address(&mut self, email: &EmailAddress) -> Result<bool, IdentityError> {
        self.scope.require_not_impersonated()?;
        let user = self.caller().await?;
        if user.status != UserStatus::Active || user.email != *email {
            return Ok(false);
        }
        if user.email_verified {
            return Ok(true);
        }
        match self.mark_verified(user).await {
            Ok(_) => Ok(true),
            Err(IdentityError::Store(StoreError::Conflict(_))) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes the account the owner of its address. Errors: `Conflict` from the store when another account is.
    pub(crate) async fn mark_verified(&mut self, before: User) -> Result<User, IdentityError> {
        let mut user = User { email_verified: true, updated_at: self.env.now(), ..before.clone() };
        self.repositories.users().update(&user).await?;
        user.version += 1;
        let event = Event::new(self.env, self.scope, &events::USER_EMAIL_VERIFIED, user.id.uuid())
            .by_user(user.id)
            .before(&before)
            .after(&user);
        self.append_about(user.id, event).await?;
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Store, tokens};

    async fn issue(store: &mut Store, email: &str) -> Option<(Recipient, AccountMail)> {
        let (scope, env) = (store.system(), store.env());
        let email = EmailAddress::parse(email).unwrap();
        Accounts::new(store, &scope, &env).issue_verification(&email, &tokens()).await.unwrap()
    }

    async fn verify(store: &mut Store, token: &str) -> Result<Verified, IdentityError> {
        let (scope, env) = (store.anonymous(), store.env());
        Accounts::new(store, &scope, &env).verify_email(token, &tokens()).await
    }

    fn secret(mail: Option<(Recipient, AccountMail)>) -> String {
        match mail {
            Some((_, AccountMail::Verification { token })) => token,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_link_proves_the_address_once() {
        let mut store = Store::default();
        let user = store.user("ada@example.com", false);
        let token = secret(issue(&mut store, "ada@example.com").await);
        let Verified { user: verified, password_taken } = verify(&mut store, &token).await.unwrap();
        assert!(
            verified.email_verified && verified.id == user.id && verified.version == 2 && !password_taken
        );
        assert!(matches!(verify(&mut store, &token).await, Err(IdentityError::InvalidToken)));
        assert_eq!(store.event_kinds(), ["user.email_verified"]);
        assert_eq!(store.events()[0].actor_id, Some(user.id.uuid()));
    }

    #[tokio::test]
    async fn a_message_read_by_its_receiver_proves_the_address_unless_somebody_else_has() {
        let mut store = Store::default();
        let env = store.env();
        let user = store.user("ada@example.com", false);
        let scope = store.signed_in(&user);
        let (own, other) = (user.email.clone(), EmailAddress::parse("eve@example.com").unwrap());
        assert!(!Accounts::new(&mut store, &scope, &env).prove_own_address(&other).await.unwrap());
        assert!(store.event_kinds().is_empty());
        assert!(Accounts::new(&mut store, &scope, &env).prove_own_address(&own).await.unwrap());
        assert_eq!(store.event_kinds(), ["user.email_verified"]);
        assert!(Accounts::new(&mut store, &scope, &env).prove_own_address(&own).await.unwrap());
        let late = store.user("ada@example.com", false);
        let scope = store.signed_in(&late);
        assert!(!Accounts::new(&mut store, &scope, &env).prove_own_address(&own).await.unwrap());
    }

    #[tokio::test]
    async fn a_link_expires() {
        let mut store = Store::default();
        store.user("ada@example.com", false);
        let token = secret(issue(&mut store, "ada@example.com").await);
        store.pass(time::Duration::hours(24));
        assert!(matches!(verify(&mut store, &token).await, Err(IdentityError::InvalidToken)));
    }

    #[tokio::test]
    async fn an_unknown_address_gets_nothing() {
        assert_eq!(issue(&mut Store::default(), "nobody@example.com").await, None);
    }

    #[tokio::test]
    async fn the_owner_hears_of_a_later_registration_and_the_stranger_does_not() {
        let mut store = Store::default();
        let owner = store.user("ada@example.com", true);
        assert_eq!(issue(&mut store, "ada@example.com").await, None);
        store.pass(time::Duration::days(1));
        store.user("ada@example.com", false);
        let mail = issue(&mut store, "ada@example.com").await;
        assert_eq!(mail, Some((Recipient::for_user(&owner), AccountMail::AlreadyRegistered)));
        assert_eq!(store.token_count(), 0);
    }

    #[tokio::test]
    async fn a_leftover_from_before_the_owner_is_no_news() {
        let mut store = Store::default();
        store.user("ada@example.com", false);
        store.pass(time::Duration::days(1));
        store.user("ada@example.com", true);
        assert_eq!(issue(&mut store, "ada@example.com").await, None);
    }

    #[tokio::test]
    async fn of_two_accounts_one_gets_the_address() {
        let mut store = Store::default();
        store.user("ada@example.com", false);
        let first = secret(issue(&mut store, "ada@example.com").await);
        store.pass(time::Duration::minutes(1));
        let newer = store.user("ada@example.com", false);
        let second = secret(issue(&mut store, "ada@example.com").await);
        // It is unknown which of the two the reader of the mail made, so the password is not valid any more.
        let Verified { user, password_taken } = verify(&mut store, &second).await.unwrap();
        assert!(user.id == newer.id && password_taken);
        let (scope, env) = (store.anonymous(), store.env());
        let candidates = Accounts::new(&mut store, &scope, &env).candidates(&user.email).await.unwrap();
        assert_eq!((candidates[0].user.id, &candidates[0].password), (newer.id, &None));
        assert!(matches!(verify(&mut store, &first).await, Err(IdentityError::InvalidToken)));
    }
}
