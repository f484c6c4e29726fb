//! Tickets: one GET request without an `Authorization` header, for links to downloads and for `EventSource`, which cannot send
//! one.

use portico_kernel::{StoreError, Timestamp};

use crate::{
    IdentityError, Sessions,
    ports::{AccessClaims, IdentityRepositories, TokenIssuer},
    token::{OneTimeToken, TokenPurpose},
};

/// What a ticket admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// As whom, until when, and in which tenant.
    pub claims: AccessClaims,
    /// SHA-256 of path and query of the request.
    pub target: [u8; 32],
    /// Tells tickets for the same target apart.
    pub nonce: String,
    /// Not after.
    pub expires_at: Timestamp,
}

impl Sessions<'_> {
    /// A ticket for one request for `target` (path and query) in the caller's session and active tenant, and when it expires.
    ///
    /// # Errors
    /// [`portico_kernel::Denied`] for anyone but a signed-in user.
    pub async fn grant_ticket(
        &mut self,
        target: &str,
        tokens: &dyn TokenIssuer,
    ) -> Result<(String, Timestamp), IdentityError> {
        let (user, session) = self.scope.require_user()?;
        let now = self.env.now();
        let purpose = TokenPurpose::Ticket;
        let expires_at = now + purpose.lifetime();
        let claims = AccessClaims {
            user,
            session,
            tenant: self.scope.active_tenant(),
            expires_at: now + self.lifetimes.access_token,
        };
        let nonce = self.env.secret();
        let ticket = Ticket { claims, target: tokens.digest(target), nonce, expires_at };
        let text = tokens.ticket(&ticket)?;
        let token = OneTimeToken { hash: tokens.digest(&text), user, purpose, expires_at, created_at: now };
        self.repositories.one_time_tokens().insert(&token).await?;
        Ok((text, expires_at))
    }
}

/// Uses up a ticket that [`TokenIssuer::read_ticket`] has read. Answers whether it was still good.
///
/// # Errors
/// When the store fails.
pub async fn consume(
    repositories: &mut dyn IdentityRepositories,
    text: &str,
    ticket: &Ticket,
    tokens: &dyn TokenIssuer,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let user = repositories.one_time_tokens().consume(tokens.digest(text), TokenPurpose::Ticket, now).await?;
    Ok(user == Some(ticket.claims.user))
}
