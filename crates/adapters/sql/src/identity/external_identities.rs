//! Accounts elsewhere that are linked to users.

use async_trait::async_trait;
use portico_identity::{external::ExternalIdentity, ports::ExternalIdentityRepository};
use portico_kernel::{ExternalIdentityId, StoreError, Timestamp, UserId};
use sea_orm::{ConnectionTrait, DbErr, QueryResult, prelude::TimeDateTime};
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::store_error,
    time::{from_row, to_row},
};

const COLUMNS: &str = "id, user_id, provider, issuer, subject, email, linked_at, last_used_at";

/// Links over one connection.
pub(crate) struct ExternalIdentities<'c, C> {
    pub connection: &'c C,
}

fn identity(row: &QueryResult) -> Result<ExternalIdentity, DbErr> {
    Ok(ExternalIdentity {
        id: ExternalIdentityId::from_uuid(row.try_get("", "id")?),
        user: UserId::from_uuid(row.try_get::<Uuid>("", "user_id")?),
        provider: row.try_get("", "provider")?,
        issuer: row.try_get("", "issuer")?,
        subject: row.try_get("", "subject")?,
        email: row.try_get("", "email")?,
        linked_at: from_row(row.try_get("", "linked_at")?),
        last_used_at: row.try_get::<Option<TimeDateTime>>("", "last_used_at")?.map(from_row),
    })
}

#[async_trait]
impl<C: ConnectionTrait + Send> ExternalIdentityRepository for ExternalIdentities<'_, C> {
    async fn insert(&mut self, identity: &ExternalIdentity) -> Result<(), StoreError> {
        execute(
            self.connection,
            "insert into external_identities (id, user_id, provider, issuer, subject, email, linked_at, last_used_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                identity.id.uuid().into(),
                identity.user.uuid().into(),
                identity.provider.as_str().into(),
                identity.issuer.as_str().into(),
                identity.subject.as_str().into(),
                identity.email.clone().into(),
                to_row(identity.linked_at).into(),
                identity.last_used_at.map(to_row).into(),
            ],
        )
        .await?;
        Ok(())
    }

    async fn find(&mut self, issuer: &str, subject: &str) -> Result<Option<ExternalIdentity>, StoreError> {
        let sql = format!("select {COLUMNS} from external_identities where issuer = $1 and subject = $2");
        let rows = query(self.connection, &sql, [issuer.into(), subject.into()]).await?;
        rows.first().map(identity).transpose().map_err(store_error)
    }

    async fn list(&mut self, user: UserId) -> Result<Vec<ExternalIdentity>, StoreError> {
        let sql =
            format!("select {COLUMNS} from external_identities where user_id = $1 order by linked_at, id");
        let rows = query(self.connection, &sql, [user.uuid().into()]).await?;
        rows.iter().map(identity).collect::<Result<_, _>>().map_err(store_error)
    }

    async fn touch<'e>(
        &mut self,
        id: ExternalIdentityId,
        email: Option<&'e str>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        execute(
            self.connection,
            "update external_identities set last_used_at = $2, email = $3 where id = $1",
            [id.uuid().into(), to_row(at).into(), email.map(str::to_owned).into()],
        )
        .await?;
        Ok(())
    }

    async fn delete(&mut self, user: UserId, id: ExternalIdentityId) -> Result<bool, StoreError> {
        let deleted = execute(
            self.connection,
            "delete from external_identities where id = $1 and user_id = $2",
            [id.uuid().into(), user.uuid().into()],
        )
        .await?;
        Ok(deleted > 0)
    }

    async fn delete_all(&mut self, user: UserId) -> Result<u64, StoreError> {
        let sql = "delete from external_identities where user_id = $1";
        execute(self.connection, sql, [user.uuid().into()]).await
    }
}
