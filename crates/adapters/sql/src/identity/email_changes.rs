//! Changes of address that wait for the reader of the new one.

use async_trait::async_trait;
use portico_identity::{
    email_change::{EmailChange, EmailChangeId},
    ports::EmailChangeRepository,
    user::EmailAddress,
};
use portico_kernel::{SessionId, StoreError, Timestamp, UserId};

use crate::db::Db;

/// Changes over one connection.
pub(crate) struct EmailChanges<'c> {
    pub db: Db<'c>,
}

fn change(
    (user, id, session, email, created_at, expires_at): (
        UserId,
        EmailChangeId,
        SessionId,
        String,
        Timestamp,
        Timestamp,
    ),
) -> EmailChange {
    EmailChange { id, user, session, email: EmailAddress::trusted(email), created_at, expires_at }
}

#[async_trait]
impl EmailChangeRepository for EmailChanges<'_> {
    async fn put(&mut self, change: &EmailChange) -> Result<(), StoreError> {
        let sql = "insert into email_changes (user_id, id, session_id, email, created_at, expires_at) \
             values ($1, $2, $3, $4, $5, $6) on conflict (user_id) do update set id = excluded.id, \
             session_id = excluded.session_id, email = excluded.email, created_at = excluded.created_at, \
             expires_at = excluded.expires_at";
        let values = (
            change.user,
            change.id,
            change.session,
            change.email.as_str(),
            change.created_at,
            change.expires_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn find(&mut self, id: EmailChangeId) -> Result<Option<EmailChange>, StoreError> {
        let sql =
            "select user_id, id, session_id, email, created_at, expires_at from email_changes where id = $1";
        Ok(self.db.row(sql, [id]).await?.map(change))
    }

    async fn take(&mut self, id: EmailChangeId, now: Timestamp) -> Result<Option<EmailChange>, StoreError> {
        // Whoever deletes the row has used the link.
        let sql = "delete from email_changes where id = $1 and expires_at > $2 \
             returning user_id, id, session_id, email, created_at, expires_at";
        Ok(self.db.row(sql, (id, now)).await?.map(change))
    }

    async fn delete(&mut self, user: UserId, session: Option<SessionId>) -> Result<(), StoreError> {
        let sql = "delete from email_changes where user_id = $1 and ($2 is null or session_id = $2)";
        self.db.execute(sql, (user, session)).await.map(drop)
    }
}
