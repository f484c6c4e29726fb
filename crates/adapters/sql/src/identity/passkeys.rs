//! Passkeys, and the challenges that wait for an answer.

use async_trait::async_trait;
use portico_identity::{
    passkey::{Passkey, PasskeyChallenge, PasskeyPurpose},
    ports::PasskeyRepository,
};
use portico_kernel::{PasskeyId, StoreError, Timestamp, UserId};

use crate::db::{Db, Params};

const COLUMNS: &str = "id, user_id, name, credential_id, data, created_at, last_used_at";

/// Passkeys over one connection.
pub(crate) struct Passkeys<'c> {
    pub db: Db<'c>,
}

/// A row of [`COLUMNS`].
type Row = (PasskeyId, UserId, String, Vec<u8>, String, Timestamp, Option<Timestamp>);

fn passkey((id, user, name, credential_id, data, created_at, last_used_at): Row) -> Passkey {
    Passkey { id, user, name, credential_id, data, created_at, last_used_at }
}

impl Passkeys<'_> {
    async fn select(&self, condition: &str, values: impl Params) -> Result<Vec<Passkey>, StoreError> {
        let sql = format!("select {COLUMNS} from passkeys where {condition} order by created_at, id");
        Ok(self.db.rows(&sql, values).await?.into_iter().map(passkey).collect())
    }
}

#[async_trait]
impl PasskeyRepository for Passkeys<'_> {
    async fn insert(&mut self, passkey: &Passkey) -> Result<(), StoreError> {
        let sql = "insert into passkeys (id, user_id, name, credential_id, data, created_at, last_used_at) \
             values ($1, $2, $3, $4, $5, $6, $7)";
        let values = (
            passkey.id,
            passkey.user,
            &passkey.name,
            &passkey.credential_id,
            &passkey.data,
            passkey.created_at,
            passkey.last_used_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn list(&mut self, user: UserId) -> Result<Vec<Passkey>, StoreError> {
        self.select("user_id = $1", [user]).await
    }

    async fn find(&mut self, user: UserId, id: PasskeyId) -> Result<Option<Passkey>, StoreError> {
        let found = self.select("user_id = $1 and id = $2", (user, id)).await?;
        Ok(found.into_iter().next())
    }

    async fn by_credential(&mut self, credential_id: &[u8]) -> Result<Option<Passkey>, StoreError> {
        let found = self.select("credential_id = $1", [credential_id.to_vec()]).await?;
        Ok(found.into_iter().next())
    }

    async fn update(&mut self, passkey: &Passkey) -> Result<(), StoreError> {
        let sql =
            "update passkeys set name = $3, data = $4, last_used_at = $5 where user_id = $1 and id = $2";
        let values = (passkey.user, passkey.id, &passkey.name, &passkey.data, passkey.last_used_at);
        self.db.execute(sql, values).await.map(drop)
    }

    async fn delete(&mut self, user: UserId, id: PasskeyId) -> Result<bool, StoreError> {
        let sql = "delete from passkeys where user_id = $1 and id = $2";
        Ok(self.db.execute(sql, (user, id)).await? == 1)
    }

    async fn delete_all(&mut self, user: UserId) -> Result<u64, StoreError> {
        self.db.execute("delete from passkeys where user_id = $1", [user]).await
    }

    async fn put_challenge(&mut self, challenge: &PasskeyChallenge) -> Result<(), StoreError> {
        let sql = "insert into passkey_challenges (hash, purpose, state, expires_at) values ($1, $2, $3, $4) \
             on conflict (hash) do update \
             set purpose = excluded.purpose, state = excluded.state, expires_at = excluded.expires_at";
        let values = (challenge.hash, challenge.purpose.as_str(), &challenge.state, challenge.expires_at);
        self.db.execute(sql, values).await.map(drop)
    }

    async fn take_challenge(
        &mut self,
        hash: [u8; 32],
        purpose: PasskeyPurpose,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        // Whoever deletes the row has used the challenge.
        let sql = "delete from passkey_challenges where hash = $1 and purpose = $2 and expires_at > $3 returning state";
        self.db.row(sql, (hash, purpose.as_str(), now)).await
    }
}
