//! Tokens of links in emails.

use async_trait::async_trait;
use portico_identity::{
    ports::OneTimeTokenRepository,
    token::{OneTimeToken, TokenPurpose},
};
use portico_kernel::{StoreError, Timestamp, UserId};
use sea_orm::ConnectionTrait;

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::to_row,
};

/// Tokens over one connection.
pub(crate) struct OneTimeTokens<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> OneTimeTokenRepository for OneTimeTokens<'_, C> {
    async fn insert(&mut self, token: &OneTimeToken) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into one_time_tokens (hash, user_id, purpose, expires_at, created_at) \
             values ($1, $2, $3, $4, $5)",
            [
                token.hash.to_vec().into(),
                token.user.uuid().into(),
                token.purpose.as_str().into(),
                to_row(token.expires_at).into(),
                to_row(token.created_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn find(
        &mut self,
        hash: [u8; 32],
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let rows = query(
            self.connection,
            "select user_id from one_time_tokens where hash = $1 and purpose = $2 and expires_at > $3",
            [hash.to_vec().into(), purpose.as_str().into(), to_row(now).into()],
        )
        .await?;
        rows.first()
            .map(|row| row.try_get("", "user_id").map(UserId::from_uuid).map_err(store_error))
            .transpose()
    }

    async fn consume(
        &mut self,
        hash: [u8; 32],
        purpose: TokenPurpose,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        // Whoever deletes the row has used the token.
        let rows = query(
            self.connection,
            "delete from one_time_tokens where hash = $1 and purpose = $2 and expires_at > $3 returning user_id",
            [hash.to_vec().into(), purpose.as_str().into(), to_row(now).into()],
        )
        .await?;
        rows.first()
            .map(|row| row.try_get("", "user_id").map(UserId::from_uuid).map_err(store_error))
            .transpose()
    }

    async fn revoke(&mut self, user: UserId, purpose: TokenPurpose) -> Result<(), StoreError> {
        execute(
            self.connection,
            "delete from one_time_tokens where user_id = $1 and purpose = $2",
            [user.uuid().into(), purpose.as_str().into()],
        )
        .await?;
        Ok(())
    }
}
