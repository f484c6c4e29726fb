//! Tokens of links in emails.

use async_trait::async_trait;
use portico_identity::{
    ports::OneTimeTokenRepository,
    token::{OneTimeToken, TokenPurpose},
};
use portico_kernel::{StoreError, Timestamp, UserId};

use crate::db::Db;

/// Tokens over one connection.
pub(crate) struct OneTimeTokens<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl OneTimeTokenRepository for OneTimeTokens<'_> {
    async fn insert(&mut self, token: &OneTimeToken) -> Result<(), StoreError> {
        let sql = "insert into one_time_tokens (hash, user_id, purpose, expires_at, created_at) \
             values ($1, $2, $3, $4, $5)";
        let values = (token.hash, token.user, token.purpose.as_str(), token.expires_at, token.created_at);
        self.db.execute(sql, values).await.map(drop)
    }

    async fn find(
        &mut self,
        hash: [u8; 32],
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let sql = "select user_id from one_time_tokens where hash = $1 and purpose = $2 and expires_at > $3";
        self.db.row(sql, (hash, purpose.as_str(), now)).await
    }

    async fn consume(
        &mut self,
        hash: [u8; 32],
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        // Whoever deletes the row has used the token.
        let sql = "delete from one_time_tokens where hash = $1 and purpose = $2 and expires_at > $3 returning user_id";
        self.db.row(sql, (hash, purpose.as_str(), now)).await
    }

    async fn revoke(&mut self, user: UserId, purpose: TokenPurpose) -> Result<(), StoreError> {
        let sql = "delete from one_time_tokens where user_id = $1 and purpose = $2";
        self.db.execute(sql, (user, purpose.as_str())).await.map(drop)
    }
}
