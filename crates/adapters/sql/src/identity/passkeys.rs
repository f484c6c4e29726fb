//! Passkeys, and the challenges that wait for an answer.

use async_trait::async_trait;
use portico_identity::{
    passkey::{Passkey, PasskeyChallenge, PasskeyPurpose},
    ports::PasskeyRepository,
};
use portico_kernel::{PasskeyId, StoreError, Timestamp, UserId};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, Value, prelude::TimeDateTime};
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

const COLUMNS: &str = "id, user_id, name, credential_id, data, created_at, last_used_at";

/// Passkeys over one connection.
pub(crate) struct Passkeys<'c, C> {
    pub connection: &'c C,
}

fn passkey(row: &QueryResult) -> Result<Passkey, DbErr> {
    Ok(Passkey {
        id: PasskeyId::from_uuid(row.try_get("", "id")?),
        user: UserId::from_uuid(row.try_get::<Uuid>("", "user_id")?),
        name: row.try_get("", "name")?,
        credential_id: row.try_get("", "credential_id")?,
        data: row.try_get("", "data")?,
        created_at: from_row(row.try_get("", "created_at")?),
        last_used_at: row.try_get::<Option<TimeDateTime>>("", "last_used_at")?.map(from_row),
    })
}

impl<C: ConnectionTrait> Passkeys<'_, C> {
    async fn select<const N: usize>(
        &self,
        condition: &str,
        values: [Value; N],
    ) -> Result<Vec<Passkey>, StoreError> {
        let sql = format!("select {COLUMNS} from passkeys where {condition} order by created_at, id");
        let rows = query(self.connection, &sql, values).await?;
        rows.iter().map(passkey).collect::<Result<_, _>>().map_err(store_error)
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> PasskeyRepository for Passkeys<'_, C> {
    async fn insert(&mut self, passkey: &Passkey) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into passkeys (id, user_id, name, credential_id, data, created_at, last_used_at) \
             values ($1, $2, $3, $4, $5, $6, $7)",
            [
                passkey.id.uuid().into(),
                passkey.user.uuid().into(),
                passkey.name.as_str().into(),
                passkey.credential_id.clone().into(),
                passkey.data.as_str().into(),
                to_row(passkey.created_at).into(),
                passkey.last_used_at.map(to_row).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn list(&mut self, user: UserId) -> Result<Vec<Passkey>, StoreError> {
        self.select("user_id = $1", [user.uuid().into()]).await
    }

    async fn find(&mut self, user: UserId, id: PasskeyId) -> Result<Option<Passkey>, StoreError> {
        let found = self.select("user_id = $1 and id = $2", [user.uuid().into(), id.uuid().into()]).await?;
        Ok(found.into_iter().next())
    }

    async fn by_credential(&mut self, credential_id: &[u8]) -> Result<Option<Passkey>, StoreError> {
        let found = self.select("credential_id = $1", [credential_id.to_vec().into()]).await?;
        Ok(found.into_iter().next())
    }

    async fn update(&mut self, passkey: &Passkey) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update passkeys set name = $3, data = $4, last_used_at = $5 where user_id = $1 and id = $2",
            [
                passkey.user.uuid().into(),
                passkey.id.uuid().into(),
                passkey.name.as_str().into(),
                passkey.data.as_str().into(),
                passkey.last_used_at.map(to_row).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn delete(&mut self, user: UserId, id: PasskeyId) -> Result<bool, StoreError> {
        let sql = "delete from passkeys where user_id = $1 and id = $2";
        Ok(execute(self.connection, sql, [user.uuid().into(), id.uuid().into()]).await? == 1)
    }

    async fn delete_all(&mut self, user: UserId) -> Result<u64, StoreError> {
        execute(self.connection, "delete from passkeys where user_id = $1", [user.uuid().into()]).await
    }

    async fn put_challenge(&mut self, challenge: &PasskeyChallenge) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into passkey_challenges (hash, purpose, state, expires_at) values ($1, $2, $3, $4) \
             on conflict (hash) do update \
             set purpose = excluded.purpose, state = excluded.state, expires_at = excluded.expires_at",
            [
                challenge.hash.to_vec().into(),
                challenge.purpose.as_str().into(),
                challenge.state.as_str().into(),
                to_row(challenge.expires_at).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn take_challenge(
        &mut self,
        hash: [u8; 32],
        purpose: PasskeyPurpose,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        // Whoever deletes the row has used the challenge.
        let rows = query(
            self.connection,
            "delete from passkey_challenges where hash = $1 and purpose = $2 and expires_at > $3 returning state",
            [hash.to_vec().into(), purpose.as_str().into(), to_row(now).into()],
        )
        .await?;
        rows.first().map(|row| row.try_get("", "state")).transpose().map_err(store_error)
    }
}
