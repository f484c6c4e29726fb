//! Sign-ins that wait for their second factor.

use async_trait::async_trait;
use portico_identity::{
    pending_sign_in::{PendingSignIn, PendingSignInId},
    ports::PendingSignInRepository,
};
use portico_kernel::{StoreError, Timestamp, UserId};

use crate::db::Db;

/// Sign-ins over one connection.
pub(crate) struct PendingSignIns<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl PendingSignInRepository for PendingSignIns<'_> {
    async fn insert(&mut self, pending: &PendingSignIn) -> Result<(), StoreError> {
        let sql = "insert into pending_sign_ins (id, user_id, tries, created_at, expires_at) values ($1, $2, $3, $4, $5)";
        let values = (pending.id, pending.user, pending.tries, pending.created_at, pending.expires_at);
        self.db.execute(sql, values).await.map(drop)
    }

    async fn find(&mut self, id: PendingSignInId) -> Result<Option<PendingSignIn>, StoreError> {
        let sql = "select user_id, tries, created_at, expires_at from pending_sign_ins where id = $1";
        let found = self.db.row(sql, [id]).await?;
        let pending =
            |(user, tries, created_at, expires_at)| PendingSignIn { id, user, tries, created_at, expires_at };
        Ok(found.map(pending))
    }

    async fn count_try(
        &mut self,
        id: PendingSignInId,
        most: i32,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql =
            "update pending_sign_ins set tries = tries + 1 where id = $1 and tries < $2 and expires_at > $3";
        Ok(self.db.execute(sql, (id, most, now)).await? == 1)
    }

    async fn delete(&mut self, id: PendingSignInId) -> Result<bool, StoreError> {
        let sql = "delete from pending_sign_ins where id = $1";
        Ok(self.db.execute(sql, [id]).await? == 1)
    }

    async fn delete_all(&mut self, user: UserId) -> Result<(), StoreError> {
        let sql = "delete from pending_sign_ins where user_id = $1";
        self.db.execute(sql, [user]).await.map(drop)
    }
}
