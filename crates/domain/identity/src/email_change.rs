//! Changing the address of an account: requested by its owner, announced to the old address, confirmed by the reader of the new
//! one.
//!
//! A change lives as long as the session that requested it: it must not restore access that has ended. It is deleted wherever
//! that session ends, and [`Accounts::confirm_email_change`] checks again.

use portico_kernel::{Actor, Event, Id, SessionId, StoreError, Timestamp, UserId, Violations};
use serde::Deserialize;
use serde_json::json;
use time::Duration;

use crate::{
    Accounts, IdentityError, events,
    mail::{AccountMail, Recipient},
    ports::TokenIssuer,
    session::EndReason,
    token::TokenPurpose,
    user::{EmailAddress, User, UserStatus},
    verification::valid_token,
};

/// How long the link in the new mailbox is valid.
pub const LIFETIME: Duration = TokenPurpose::EmailChangeCancellation.lifetime();

/// Id of a change of address. Only the token computed from it changes anything, so it is no secret.
pub type EmailChangeId = Id<EmailChange>;

/// A change of address that waits for the reader of the new one. An account has one at most: the newest. It is valid while the
/// session that requested it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailChange {
    /// UUIDv7.
    pub id: EmailChangeId,
    /// The user.
    pub user: UserId,
    /// The session that requested it: the one that stays afterwards.
    pub session: SessionId,
    /// The new address.
    pub email: EmailAddress,
    /// When it was requested.
    pub created_at: Timestamp,
    /// Not after.
    pub expires_at: Timestamp,
}

/// Asks for a change of the own address.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"newEmail": "ada.king@example.com"})))]
pub struct ChangeEmail {
    /// The new address.
    #[serde(alias = "new_email")]
    #[cfg_attr(feature = "openapi", schema(required, format = "email", max_length = 254))]
    pub new_email: String,
}

/// What the page behind the link in the new mailbox sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"token": "VGhlIHRva2VuIG9mIHRoZSBsaW5r"})))]
pub struct ConfirmEmailChange {
    /// The `token` of the link.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 500))]
    pub token: String,
}

/// What the page behind the link in the mailbox of the address so far sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"token": "VGhlIHRva2VuIG9mIHRoZSBsaW5r"})))]
pub struct CancelEmailChange {
    /// The `token` of the link.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 500))]
    pub token: String,
}

impl ChangeEmail {
    /// The new address. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<EmailAddress, IdentityError> {
        let mut violations = Violations::default();
        let email = violations.take("newEmail", EmailAddress::parse(&self.new_email));
        match (email, violations.into_result()) {
            (Some(email), Ok(())) => Ok(email),
            (_, errors) => Err(IdentityError::Invalid(errors.err().unwrap_or_default())),
        }
    }
}

impl ConfirmEmailChange {
    /// The token. Errors: [`IdentityError::Invalid`] when it is missing.
    pub fn validate(self) -> Result<String, IdentityError> {
        valid_token(&self.token)
    }
}

impl CancelEmailChange {
    /// The token. Errors: [`IdentityError::Invalid`] when it is missing.
    pub fn validate(self) -> Result<String, IdentityError> {
        valid_token(&self.token)
    }
}

impl Accounts<'_> {
    /// Requests another address. Nothing changes until its reader confirms it, and nothing reveals whether it is known. Errors:
    /// those of [`Accounts::require_fresh_verified`]; [`IdentityError::Invalid`] for the current address.
    pub async fn request_email_change(&mut self, email: EmailAddress) -> Result<(), IdentityError> {
        self.require_fresh_verified().await?;
        let (user, session) = self.require_holder().await?;
        let mut violations = Violations::default();
        violations.check(email != user.email, "newEmail", "unchanged", "This is your address already.");
        violations.into_result().map_err(IdentityError::Invalid)?;
        let now = self.env.now();
        let change = EmailChange {
            id: self.env.new_id(),
            user: user.id,
            session: session.id,
            email,
            created_at: now,
            expires_at: now + LIFETIME,
        };
        self.repositories.email_changes().put(&change).await?;
        let event = Event::new(self.env, self.scope, &events::USER_EMAIL_CHANGE_REQUESTED, user.id.uuid())
            .before(&json!({"email": user.email}))
            .after(&json!({"email": change.email, "changeId": change.id}));
        self.append_about(user.id, event).await
    }

    /// Decides what to send to the new address. For the background job: the request that causes it must not depend on what is
    /// known of the address. Another user who has proven the address is notified of the attempt.
    ///
    /// The token is computed, so a job that runs twice sends the same link.
    pub async fn issue_email_change(
        &mut self,
        id: EmailChangeId,
        issuer: &dyn TokenIssuer,
    ) -> Result<Option<(Recipient, AccountMail)>, IdentityError> {
        let change = self.repositories.email_changes().find(id).await?;
        let Some(change) = change.filter(|change| change.expires_at > self.env.now()) else {
            return Ok(None);
        };
        let user = self.repositories.users().find(change.user).await?;
        let Some(user) = user.filter(|user| user.status == UserStatus::Active) else { return Ok(None) };
        let claims = self.repositories.users().by_email(&change.email).await?;
        let owner = claims.into_iter().map(|claim| claim.user).find(|user| user.email_verified);
        if let Some(owner) = owner {
            let is_in_use = owner.status == UserStatus::Active;
            return Ok(is_in_use.then(|| (Recipient::for_user(&owner), AccountMail::AlreadyRegistered)));
        }
        let token = issuer.email_change_token(id);
        let recipient = Recipient::unverified(change.email, user.language);
        Ok(Some((recipient, AccountMail::EmailChange { token })))
    }

    /// Decides what to send to the address so far about a change that was requested, and makes the token of the link that cancels
    /// it. For the background job.
    pub async fn issue_email_change_notice(
        &mut self,
        id: EmailChangeId,
        issuer: &dyn TokenIssuer,
    ) -> Result<Option<(Recipient, AccountMail)>, IdentityError> {
        let change = self.repositories.email_changes().find(id).await?;
        let Some(change) = change.filter(|change| change.expires_at > self.env.now()) else {
            return Ok(None);
        };
        let user = self.repositories.users().find(change.user).await?;
        let user = user.filter(|user| user.status == UserStatus::Active && user.email_verified);
        let Some(user) = user else { return Ok(None) };
        let token = self.issue_token(&user, TokenPurpose::EmailChangeCancellation, issuer).await?;
        let masked = change.email.masked();
        Ok(Some((Recipient::for_user(&user), AccountMail::EmailChangeRequested { masked, token })))
    }

    /// Uses up the link in the mailbox of the address so far: any pending change is void, also one that was requested later, and
    /// every session ends, because one of them may be an attacker's. Errors: [`IdentityError::InvalidToken`].
    pub async fn cancel_email_change(
        &mut self,
        token: &str,
        issuer: &dyn TokenIssuer,
    ) -> Result<(), IdentityError> {
        let id = self.use_link(token, TokenPurpose::EmailChangeCancellation, issuer).await?;
        let user = self.repositories.users().find(id).await?;
        user.filter(|user| user.status == UserStatus::Active).ok_or(IdentityError::InvalidToken)?;
        self.revoke_begun(id, None, EndReason::EmailChangeCancelled).await?;
        let event =
            Event::new(self.env, self.scope, &events::USER_EMAIL_CHANGE_CANCELLED, id.uuid()).by_user(id);
        self.append_about(id, event).await
    }

    /// Uses up the link in the new mailbox: the address is the account's, and proven. Ends every session but the one that
    /// requested it, and revokes links to the old address. Errors: [`IdentityError::InvalidToken`], also when the session that
    /// requested it has ended or expired, and when another account has proven the address in the meantime.
    ///
    /// The link proves that its user reads the mail of the address, not that the account is theirs. So where other accounts claim
    /// the address too, it is valid only together with a session of the account.
    pub async fn confirm_email_change(
        &mut self,
        token: &str,
        issuer: &dyn TokenIssuer,
    ) -> Result<User, IdentityError> {
        let now = self.env.now();
        let id = issuer.read_email_change_token(token).ok_or(IdentityError::InvalidToken)?;
        let change = self.repositories.email_changes().find(id).await?;
        // The lock first, as wherever access is given or revoked: a reset at the same moment either is seen below, or comes too
        // late, because its link went to the address so far.
        self.repositories.users().lock(change.ok_or(IdentityError::InvalidToken)?.user).await?;
        let change = self.repositories.email_changes().take(id, now).await?;
        let change = change.ok_or(IdentityError::InvalidToken)?;
        let asked = self.repositories.sessions().find(change.session).await?;
        asked
            .filter(|session| session.user == change.user && session.is_running(now))
            .ok_or(IdentityError::InvalidToken)?;
        let before = self.repositories.users().find(change.user).await?;
        let before =
            before.filter(|user| user.status == UserStatus::Active).ok_or(IdentityError::InvalidToken)?;
        let claims = self.repositories.users().by_email(&change.email).await?;
        let contested = claims.iter().any(|claim| claim.user.id != before.id);
        if contested && !self.is_signed_in_as(before.id) {
            return Err(IdentityError::InvalidToken);
        }

        let mut user = User { email: change.email, email_verified: true, updated_at: now, ..before.clone() };
        self.repositories.users().update(&user).await.map_err(|error| match error {
            StoreError::Conflict(_) => IdentityError::InvalidToken,
            error => error.into(),
        })?;
        user.version += 1;
        self.repositories.one_time_tokens().revoke(user.id, TokenPurpose::EmailVerification).await?;
        self.revoke_begun(user.id, Some(change.session), EndReason::EmailChanged).await?;
        let event = Event::new(self.env, self.scope, &events::USER_EMAIL_CHANGED, user.id.uuid())
            .by_user(user.id)
            .before(&before)
            .after(&user);
        self.append_about(user.id, event).await?;
        Ok(user)
    }

    fn is_signed_in_as(&self, user: UserId) -> bool {
        matches!(self.scope.actor(), Actor::User { id, impersonator: None, .. } if *id == user)
    }
}

#[cfg(test)]
#[path = "email_change_tests.rs"]
mod tests;
