//! Sign-ins at a provider that have begun.

use async_trait::async_trait;
use portico_identity::{external::SignInAttempt, ports::SignInAttemptRepository};
use portico_kernel::{StoreError, Timestamp, UserId};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// Attempts over one connection.
pub(crate) struct SignInAttempts<'c, C> {
    pub connection: &'c C,
}

fn attempt(state: [u8; 32], row: &QueryResult) -> Result<Option<SignInAttempt>, DbErr> {
    let browser: Vec<u8> = row.try_get("", "browser")?;
    let Ok(browser) = browser.try_into() else { return Ok(None) };
    Ok(Some(SignInAttempt {
        state,
        provider: row.try_get("", "provider")?,
        browser,
        user: row.try_get::<Option<Uuid>>("", "user_id")?.map(UserId::from_uuid),
        created_at: from_row(row.try_get("", "created_at")?),
        expires_at: from_row(row.try_get("", "expires_at")?),
    }))
}

#[async_trait]
impl<C: ConnectionTrait + Send> SignInAttemptRepository for SignInAttempts<'_, C> {
    async fn insert(&mut self, attempt: &SignInAttempt) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into oidc_attempts (state, provider, browser, user_id, created_at, expires_at) \
             values ($1, $2, $3, $4, $5, $6)",
            [
                attempt.state.to_vec().into(),
                attempt.provider.as_str().into(),
                attempt.browser.to_vec().into(),
                attempt.user.map(UserId::uuid).into(),
                to_row(attempt.created_at).into(),
                to_row(attempt.expires_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn consume(
        &mut self,
        state: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<SignInAttempt>, StoreError> {
        // Whoever deletes the row has used the attempt.
        let rows = query(
            self.connection,
            "delete from oidc_attempts where state = $1 and expires_at > $2 \
             returning provider, browser, user_id, created_at, expires_at",
            [state.to_vec().into(), to_row(now).into()],
        )
        .await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let attempt = attempt(state, row).map_err(store_error)?;
        attempt.map(Some).ok_or_else(|| unreadable("oidc_attempts.browser", "not 32 bytes"))
    }

    async fn delete_all(&mut self, user: UserId) -> Result<(), StoreError> {
        execute(self.connection, "delete from oidc_attempts where user_id = $1", [user.uuid().into()])
            .await?;
        Ok(())
    }
}
