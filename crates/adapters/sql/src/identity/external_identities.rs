//! Accounts elsewhere that are linked to users.

use async_trait::async_trait;
use portico_identity::{external::ExternalIdentity, ports::ExternalIdentityRepository};
use portico_kernel::{ExternalIdentityId, StoreError, Timestamp, UserId};

use crate::db::Db;

const COLUMNS: &str =
    "id, user_id, provider, issuer, subject, email, name, language, linked_at, last_used_at";

/// Links over one connection.
pub(crate) struct ExternalIdentities<'c> {
    pub db: Db<'c>,
}

/// A row of [`COLUMNS`].
type Row = (
    ExternalIdentityId,
    UserId,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Timestamp,
    Option<Timestamp>,
);

fn identity(
    (id, user, provider, issuer, subject, email, name, language, linked_at, last_used_at): Row,
) -> ExternalIdentity {
    ExternalIdentity { id, user, provider, issuer, subject, email, name, language, linked_at, last_used_at }
}

#[async_trait]
impl ExternalIdentityRepository for ExternalIdentities<'_> {
    async fn insert(&mut self, identity: &ExternalIdentity) -> Result<(), StoreError> {
        let sql = format!(
            "insert into external_identities ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        );
        let values = (
            identity.id,
            identity.user,
            &identity.provider,
            &identity.issuer,
            &identity.subject,
            &identity.email,
            &identity.name,
            &identity.language,
            identity.linked_at,
            identity.last_used_at,
        );
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn find(&mut self, issuer: &str, subject: &str) -> Result<Option<ExternalIdentity>, StoreError> {
        let sql = format!("select {COLUMNS} from external_identities where issuer = $1 and subject = $2");
        Ok(self.db.row(&sql, (issuer, subject)).await?.map(identity))
    }

    async fn list(&mut self, user: UserId) -> Result<Vec<ExternalIdentity>, StoreError> {
        let sql =
            format!("select {COLUMNS} from external_identities where user_id = $1 order by linked_at, id");
        Ok(self.db.rows(&sql, [user]).await?.into_iter().map(identity).collect())
    }

    async fn update(&mut self, identity: &ExternalIdentity) -> Result<(), StoreError> {
        let sql = "update external_identities set last_used_at = $2, email = $3, name = $4, language = $5 where id = $1";
        let values =
            (identity.id, identity.last_used_at, &identity.email, &identity.name, &identity.language);
        self.db.execute(sql, values).await.map(drop)
    }

    async fn delete(&mut self, user: UserId, id: ExternalIdentityId) -> Result<bool, StoreError> {
        let sql = "delete from external_identities where id = $1 and user_id = $2";
        Ok(self.db.execute(sql, (id, user)).await? > 0)
    }

    async fn delete_all(&mut self, user: UserId) -> Result<u64, StoreError> {
        let sql = "delete from external_identities where user_id = $1";
        self.db.execute(sql, [user]).await
    }
}
