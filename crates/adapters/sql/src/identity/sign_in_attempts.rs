//! Sign-ins at a provider that have begun.

use async_trait::async_trait;
use portico_identity::{external::SignInAttempt, ports::SignInAttemptRepository};
use portico_kernel::{StoreError, Timestamp, UserId};

use crate::db::Db;

/// Attempts over one connection.
pub(crate) struct SignInAttempts<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl SignInAttemptRepository for SignInAttempts<'_> {
    async fn insert(&mut self, attempt: &SignInAttempt) -> Result<(), StoreError> {
        let sql = "insert into oidc_attempts (state, provider, browser, user_id, created_at, expires_at) \
             values ($1, $2, $3, $4, $5, $6)";
        let values = (
            attempt.state,
            &attempt.provider,
            attempt.browser,
            attempt.user,
            attempt.created_at,
            attempt.expires_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn consume(
        &mut self,
        state: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<SignInAttempt>, StoreError> {
        // Whoever deletes the row has used the attempt.
        let sql = "delete from oidc_attempts where state = $1 and expires_at > $2 \
             returning provider, browser, user_id, created_at, expires_at";
        let found = self.db.row(sql, (state, now)).await?;
        Ok(found.map(|(provider, browser, user, created_at, expires_at)| SignInAttempt {
            state,
            provider,
            browser,
            user,
            created_at,
            expires_at,
        }))
    }

    async fn delete_all(&mut self, user: UserId) -> Result<(), StoreError> {
        self.db.execute("delete from oidc_attempts where user_id = $1", [user]).await.map(drop)
    }
}
