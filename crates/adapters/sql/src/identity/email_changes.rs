//! Changes of address that wait for the reader of the new one.

use async_trait::async_trait;
use portico_identity::{
    email_change::{EmailChange, EmailChangeId},
    ports::EmailChangeRepository,
    user::EmailAddress,
};
use portico_kernel::{SessionId, StoreError, Timestamp, UserId};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

/// Changes over one connection.
pub(crate) struct EmailChanges<'c, C> {
    pub connection: &'c C,
}

fn change(row: &QueryResult) -> Result<EmailChange, DbErr> {
    Ok(EmailChange {
        id: EmailChangeId::from_uuid(row.try_get("", "id")?),
        user: UserId::from_uuid(row.try_get("", "user_id")?),
        session: SessionId::from_uuid(row.try_get("", "session_id")?),
        email: EmailAddress::trusted(row.try_get("", "email")?),
        created_at: from_row(row.try_get("", "created_at")?),
        expires_at: from_row(row.try_get("", "expires_at")?),
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send> EmailChangeRepository for EmailChanges<'_, C> {
    async fn put(&mut self, change: &EmailChange) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into email_changes (user_id, id, session_id, email, created_at, expires_at) \
             values ($1, $2, $3, $4, $5, $6) on conflict (user_id) do update set id = excluded.id, \
             session_id = excluded.session_id, email = excluded.email, created_at = excluded.created_at, \
             expires_at = excluded.expires_at",
            [
                change.user.uuid().into(),
                change.id.uuid().into(),
                change.session.uuid().into(),
                change.email.as_str().into(),
                to_row(change.created_at).into(),
                to_row(change.expires_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn find(&mut self, id: EmailChangeId) -> Result<Option<EmailChange>, StoreError> {
        let sql =
            "select user_id, id, session_id, email, created_at, expires_at from email_changes where id = $1";
        let rows = query(self.connection, sql, [id.uuid().into()]).await?;
        rows.first().map(change).transpose().map_err(store_error)
    }

    async fn take(&mut self, id: EmailChangeId, now: Timestamp) -> Result<Option<EmailChange>, StoreError> {
        // Whoever deletes the row has used the link.
        let rows = query(
            self.connection,
            "delete from email_changes where id = $1 and expires_at > $2 \
             returning user_id, id, session_id, email, created_at, expires_at",
            [id.uuid().into(), to_row(now).into()],
        )
        .await?;
        rows.first().map(change).transpose().map_err(store_error)
    }

    async fn delete(&mut self, user: UserId, session: Option<SessionId>) -> Result<(), StoreError> {
        execute(
            self.connection,
            "delete from email_changes where user_id = $1 and ($2 is null or session_id = $2)",
            [user.uuid().into(), session.map(SessionId::uuid).into()],
        )
        .await?;
        Ok(())
    }
}
