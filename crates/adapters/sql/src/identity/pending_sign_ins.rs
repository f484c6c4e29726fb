//! Sign-ins that wait for their second factor.

use async_trait::async_trait;
use portico_identity::{
    pending_sign_in::{PendingSignIn, PendingSignInId},
    ports::PendingSignInRepository,
};
use portico_kernel::{StoreError, Timestamp, UserId};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

/// Sign-ins over one connection.
pub(crate) struct PendingSignIns<'c, C> {
    pub connection: &'c C,
}

fn pending(id: PendingSignInId, row: &QueryResult) -> Result<PendingSignIn, DbErr> {
    Ok(PendingSignIn {
        id,
        user: UserId::from_uuid(row.try_get::<Uuid>("", "user_id")?),
        tries: row.try_get("", "tries")?,
        created_at: from_row(row.try_get("", "created_at")?),
        expires_at: from_row(row.try_get("", "expires_at")?),
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send> PendingSignInRepository for PendingSignIns<'_, C> {
    async fn insert(&mut self, pending: &PendingSignIn) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into pending_sign_ins (id, user_id, tries, created_at, expires_at) values ($1, $2, $3, $4, $5)",
            [
                pending.id.uuid().into(),
                pending.user.uuid().into(),
                pending.tries.into(),
                to_row(pending.created_at).into(),
                to_row(pending.expires_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn find(&mut self, id: PendingSignInId) -> Result<Option<PendingSignIn>, StoreError> {
        let sql = "select user_id, tries, created_at, expires_at from pending_sign_ins where id = $1";
        let rows = query(self.connection, sql, [id.uuid().into()]).await?;
        rows.first().map(|row| pending(id, row)).transpose().map_err(store_error)
    }

    async fn count_try(
        &mut self,
        id: PendingSignInId,
        most: i32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let counted = execute(
            self.connection,
            "update pending_sign_ins set tries = tries + 1 where id = $1 and tries < $2 and expires_at > $3",
            [id.uuid().into(), most.into(), to_row(now).into()],
        )
        .await?;
        Ok(counted == 1)
    }

    async fn delete(&mut self, id: PendingSignInId) -> Result<bool, StoreError> {
        let sql = "delete from pending_sign_ins where id = $1";
        Ok(execute(self.connection, sql, [id.uuid().into()]).await? == 1)
    }

    async fn delete_all(&mut self, user: UserId) -> Result<(), StoreError> {
        let sql = "delete from pending_sign_ins where user_id = $1";
        execute(self.connection, sql, [user.uuid().into()]).await?;
        Ok(())
    }
}
