//! Authenticator apps and recovery codes.

use async_trait::async_trait;
use portico_identity::{ports::SecondFactorRepository, totp::Totp};
use portico_kernel::{StoreError, Timestamp, UserId};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, prelude::TimeDateTime};

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

/// Second factors over one connection.
pub(crate) struct SecondFactors<'c, C> {
    pub connection: &'c C,
}

fn totp(user: UserId, row: &QueryResult) -> Result<Totp, DbErr> {
    Ok(Totp {
        user,
        sealed: row.try_get("", "sealed")?,
        confirmed_at: row.try_get::<Option<TimeDateTime>>("", "confirmed_at")?.map(from_row),
        created_at: from_row(row.try_get("", "created_at")?),
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send> SecondFactorRepository for SecondFactors<'_, C> {
    async fn totp(&mut self, user: UserId) -> Result<Option<Totp>, StoreError> {
        let sql = "select sealed, confirmed_at, created_at from authenticator_apps where user_id = $1";
        let rows = query(self.connection, sql, [user.uuid().into()]).await?;
        rows.first().map(|row| totp(user, row)).transpose().map_err(store_error)
    }

    async fn put_totp(&mut self, totp: &Totp) -> Result<bool, StoreError> {
        let stored = execute(
            self.connection,
            "insert into authenticator_apps (user_id, sealed, last_used_step, created_at) values ($1, $2, 0, $3) \
             on conflict (user_id) do update set sealed = excluded.sealed, created_at = excluded.created_at \
             where authenticator_apps.confirmed_at is null",
            [totp.user.uuid().into(), totp.sealed.clone().into(), to_row(totp.created_at).into()],
        )
        .await?;
        Ok(stored == 1)
    }

    async fn confirm_totp(
        &mut self,
        user: UserId,
        sealed: &[u8],
        step: i64,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let confirmed = execute(
            self.connection,
            "update authenticator_apps set confirmed_at = $3, last_used_step = $4 \
             where user_id = $1 and sealed = $2 and confirmed_at is null",
            [user.uuid().into(), sealed.to_vec().into(), to_row(now).into(), step.into()],
        )
        .await?;
        Ok(confirmed == 1)
    }

    async fn use_totp_step(&mut self, user: UserId, step: i64) -> Result<bool, StoreError> {
        let used = execute(
            self.connection,
            "update authenticator_apps set last_used_step = $2 \
             where user_id = $1 and last_used_step < $2 and confirmed_at is not null",
            [user.uuid().into(), step.into()],
        )
        .await?;
        Ok(used == 1)
    }

    async fn delete_totp(&mut self, user: UserId) -> Result<bool, StoreError> {
        let rows = query(
            self.connection,
            "delete from authenticator_apps where user_id = $1 returning confirmed_at",
            [user.uuid().into()],
        )
        .await?;
        let confirmed = rows.first().map(|row| row.try_get::<Option<TimeDateTime>>("", "confirmed_at"));
        Ok(confirmed.transpose().map_err(store_error)?.flatten().is_some())
    }

    async fn replace_recovery_codes(
        &mut self,
        user: UserId,
        digests: &[[u8; 32]],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute(self.connection, "delete from recovery_codes where user_id = $1", [user.uuid().into()])
            .await?;
        for digest in digests {
            execute(
                self.connection,
                "insert into recovery_codes (user_id, digest, created_at) values ($1, $2, $3)",
                [user.uuid().into(), digest.to_vec().into(), to_row(now).into()],
            )
            .await?;
        }
        Ok(())
    }

    async fn use_recovery_code(&mut self, user: UserId, digest: [u8; 32]) -> Result<bool, StoreError> {
        // Whoever deletes the row has used the code.
        let used = execute(
            self.connection,
            "delete from recovery_codes where user_id = $1 and digest = $2",
            [user.uuid().into(), digest.to_vec().into()],
        )
        .await?;
        Ok(used == 1)
    }

    async fn recovery_codes_left(&mut self, user: UserId) -> Result<u64, StoreError> {
        let sql = "select count(*) as left_over from recovery_codes where user_id = $1";
        let rows = query(self.connection, sql, [user.uuid().into()]).await?;
        let left = rows.first().map(|row| row.try_get::<i64>("", "left_over")).transpose();
        Ok(left.map_err(store_error)?.unwrap_or_default().max(0) as u64)
    }
}
