//! Authenticator apps and recovery codes.

use async_trait::async_trait;
use portico_identity::{
    ports::{SecondFactorRepository, StoredFactors},
    totp::Totp,
};
use portico_kernel::{StoreError, Timestamp, UserId};
use uuid::Uuid;

use crate::db::{Db, Param};

/// Second factors over one connection.
pub(crate) struct SecondFactors<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl SecondFactorRepository for SecondFactors<'_> {
    async fn stored(&mut self, user: UserId) -> Result<StoredFactors, StoreError> {
        let sql = "select \
             exists (select 1 from authenticator_apps where user_id = $1 and confirmed_at is not null) as totp, \
             exists (select 1 from recovery_codes where user_id = $1) as recovery_codes, \
             exists (select 1 from passkeys where user_id = $1) as passkeys";
        let found: Option<(bool, bool, bool)> = self.db.row(sql, [user]).await?;
        let (totp, recovery_codes, passkeys) = found.unwrap_or_default();
        Ok(StoredFactors { totp, recovery_codes, passkeys })
    }

    async fn totp(&mut self, user: UserId) -> Result<Option<Totp>, StoreError> {
        let sql = "select sealed, confirmed_at, created_at from authenticator_apps where user_id = $1";
        let found = self.db.row(sql, [user]).await?;
        Ok(found.map(|(sealed, confirmed_at, created_at)| Totp { user, sealed, confirmed_at, created_at }))
    }

    async fn put_totp(&mut self, totp: &Totp) -> Result<bool, StoreError> {
        let sql = "insert into authenticator_apps (user_id, sealed, last_used_step, created_at) values ($1, $2, 0, $3) \
             on conflict (user_id) do update set sealed = excluded.sealed, created_at = excluded.created_at \
             where authenticator_apps.confirmed_at is null";
        Ok(self.db.execute(sql, (totp.user, &totp.sealed, totp.created_at)).await? == 1)
    }

    async fn confirm_totp(
        &mut self,
        user: UserId,
        sealed: &[u8],
        step: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "update authenticator_apps set confirmed_at = $3, last_used_step = $4 \
             where user_id = $1 and sealed = $2 and confirmed_at is null";
        Ok(self.db.execute(sql, (user, sealed.to_vec(), now, step)).await? == 1)
    }

    async fn use_totp_step(&mut self, user: UserId, step: i64) -> Result<bool, StoreError> {
        let sql = "update authenticator_apps set last_used_step = $2 \
             where user_id = $1 and last_used_step < $2 and confirmed_at is not null";
        Ok(self.db.execute(sql, (user, step)).await? == 1)
    }

    async fn delete_totp(&mut self, user: UserId) -> Result<bool, StoreError> {
        let sql = "delete from authenticator_apps where user_id = $1 returning confirmed_at";
        let confirmed: Option<Option<Timestamp>> = self.db.row(sql, [user]).await?;
        Ok(confirmed.flatten().is_some())
    }

    async fn sealed_secrets(
        &mut self,
        after: Option<UserId>,
        most: u64,
    ) -> Result<Vec<(UserId, Vec<u8>)>, StoreError> {
        let after = after.unwrap_or(UserId::from_uuid(Uuid::nil()));
        let sql =
            "select user_id, sealed from authenticator_apps where user_id > $1 order by user_id limit $2";
        self.db.rows(sql, (after, most)).await
    }

    async fn reseal(&mut self, user: UserId, was: &[u8], now: &[u8]) -> Result<bool, StoreError> {
        let sql = "update authenticator_apps set sealed = $3 where user_id = $1 and sealed = $2";
        Ok(self.db.execute(sql, (user, was.to_vec(), now.to_vec())).await? == 1)
    }

    async fn replace_recovery_codes(
        &mut self,
        user: UserId,
        digests: &[[u8; 32]],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.db.execute("delete from recovery_codes where user_id = $1", [user]).await?;
        if digests.is_empty() {
            return Ok(());
        }
        let rows: Vec<String> = (3..3 + digests.len()).map(|place| format!("($1, ${place}, $2)")).collect();
        let sql =
            format!("insert into recovery_codes (user_id, digest, created_at) values {}", rows.join(", "));
        let digests = digests.iter().map(|digest| digest.value());
        self.db
            .execute(&sql, [user.value(), now.value()].into_iter().chain(digests).collect::<Vec<_>>())
            .await
            .map(drop)
    }

    async fn use_recovery_code(&mut self, user: UserId, digest: [u8; 32]) -> Result<bool, StoreError> {
        // Whoever deletes the row has used the code.
        let sql = "delete from recovery_codes where user_id = $1 and digest = $2";
        Ok(self.db.execute(sql, (user, digest)).await? == 1)
    }

    async fn recovery_codes_left(&mut self, user: UserId) -> Result<u64, StoreError> {
        let sql = "select count(*) as left_over from recovery_codes where user_id = $1";
        self.db.total(sql, [user]).await
    }
}
