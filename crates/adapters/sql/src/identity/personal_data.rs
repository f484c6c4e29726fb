//! What is stored about a person besides the account: taking it away, and doing away with it.
//!
//! [`TABLES`] says of every table that names a user what becomes of its rows; a contract test holds it against the schema.

use async_trait::async_trait;
use portico_identity::{ports::PersonalData, user::EmailAddress};
use portico_kernel::{Event, EventId, StoreError, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, Statement,
};
use serde_json::{Map, Value};
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::{execute, query},
    error::store_error,
    outbox::events::row,
    tenancy::seals,
    time::from_row,
};

/// What becomes of the rows of somebody who is erased.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// They go.
    Deleted,
    /// They stay: the account that they name says nothing any more, and they say nothing else about the person.
    Kept,
}

/// How a column is shown.
#[derive(Clone, Copy)]
enum Shown {
    Text,
    Id,
    Time,
}
use Shown::{Id, Text, Time};

/// A table that names users.
struct Table {
    name: &'static str,
    /// The column with the user.
    user: &'static str,
    fate: Fate,
    /// Name of the list in an export, and the columns that it shows under which names. Empty for what is only of use here.
    list: &'static str,
    columns: &'static [(&'static str, &'static str, Shown)],
}

/// Every table that names users, and how.
const TABLES: &[Table] = &[
    Table {
        name: "sessions",
        user: "user_id",
        fate: Fate::Deleted,
        list: "sessions",
        columns: &[
            ("id", "id", Id),
            ("userAgent", "user_agent", Text),
            ("address", "address", Text),
            ("createdAt", "created_at", Time),
            ("lastUsedAt", "last_used_at", Time),
            ("expiresAt", "expires_at", Time),
            ("endedAt", "ended_at", Time),
            ("impersonatorId", "impersonator_id", Id),
        ],
    },
    Table { name: "sessions", user: "impersonator_id", fate: Fate::Deleted, list: "", columns: &[] },
    Table { name: "one_time_tokens", user: "user_id", fate: Fate::Deleted, list: "", columns: &[] },
    Table {
        name: "memberships",
        user: "user_id",
        fate: Fate::Kept,
        list: "memberships",
        columns: &[("tenantId", "tenant_id", Id), ("role", "role", Text), ("joinedAt", "joined_at", Time)],
    },
    Table {
        name: "external_identities",
        user: "user_id",
        fate: Fate::Deleted,
        list: "identities",
        columns: &[
            ("id", "id", Id),
            ("provider", "provider", Text),
            ("issuer", "issuer", Text),
            ("subject", "subject", Text),
            ("email", "email", Text),
            ("linkedAt", "linked_at", Time),
            ("lastUsedAt", "last_used_at", Time),
        ],
    },
    Table { name: "oidc_attempts", user: "user_id", fate: Fate::Deleted, list: "", columns: &[] },
    Table { name: "authenticator_apps", user: "user_id", fate: Fate::Deleted, list: "", columns: &[] },
    Table { name: "recovery_codes", user: "user_id", fate: Fate::Deleted, list: "", columns: &[] },
    Table { name: "pending_sign_ins", user: "user_id", fate: Fate::Deleted, list: "", columns: &[] },
    Table {
        name: "passkeys",
        user: "user_id",
        fate: Fate::Deleted,
        list: "passkeys",
        columns: &[
            ("id", "id", Id),
            ("name", "name", Text),
            ("createdAt", "created_at", Time),
            ("lastUsedAt", "last_used_at", Time),
        ],
    },
    Table {
        name: "known_devices",
        user: "user_id",
        fate: Fate::Deleted,
        list: "devices",
        columns: &[
            ("network", "network", Text),
            ("userAgent", "agent", Text),
            ("firstSeenAt", "first_seen", Time),
            ("lastSeenAt", "last_seen", Time),
        ],
    },
    Table {
        name: "email_changes",
        user: "user_id",
        fate: Fate::Deleted,
        list: "emailChanges",
        columns: &[
            ("email", "email", Text),
            ("createdAt", "created_at", Time),
            ("expiresAt", "expires_at", Time),
        ],
    },
    Table {
        name: "invitations",
        user: "invited_by",
        fate: Fate::Kept,
        list: "invitationsSent",
        columns: &[
            ("id", "id", Id),
            ("tenantId", "tenant_id", Id),
            ("email", "email", Text),
            ("role", "role", Text),
            ("status", "status", Text),
            ("createdAt", "created_at", Time),
        ],
    },
    // What somebody was answered within the last day, encrypted.
    // The tenant's; whoever made one is a number without a name afterwards, and the key is refused.
    Table { name: "api_keys", user: "made_by", fate: Fate::Kept, list: "", columns: &[] },
    Table { name: "api_keys", user: "previous_made_by", fate: Fate::Kept, list: "", columns: &[] },
    Table { name: "idempotency_keys", user: "caller_id", fate: Fate::Deleted, list: "", columns: &[] },
    // What somebody wrote belongs to the site; that they did is in the event log, which an export has.
    Table { name: "page_versions", user: "author_id", fate: Fate::Kept, list: "", columns: &[] },
];

/// Tables that name users, with the column: what [`TABLES`] knows of, for the test that holds it against the schema.
pub fn personal_columns() -> Vec<(&'static str, &'static str)> {
    TABLES.iter().map(|table| (table.name, table.user)).collect()
}

/// Deleted tenants whose only member is user `$1`.
const LEFT_BEHIND: &str = "select m.tenant_id from memberships m join tenants t on t.id = m.tenant_id \
     where m.user_id = $1 and t.status = 'deleted' and not exists (select 1 from memberships o \
       where o.tenant_id = m.tenant_id and o.user_id <> m.user_id)";

/// The personal data over one connection.
pub(crate) struct Personal<'c, C> {
    pub connection: &'c C,
}

fn shown(row: &QueryResult, column: &str, how: Shown) -> Result<Value, StoreError> {
    let value = match how {
        Text => row.try_get::<Option<String>>("", column).map(Value::from),
        Id => row.try_get::<Option<Uuid>>("", column).map(|id| id.map(|id| id.to_string()).into()),
        Time => row
            .try_get::<Option<PrimitiveDateTime>>("", column)
            .map(|at| at.map(|at| from_row(at).to_string()).into()),
    };
    value.map_err(store_error)
}

impl<C: ConnectionTrait + Send> Personal<'_, C> {
    async fn rows(
        &self,
        table: &Table,
        filter: &str,
        value: sea_orm::Value,
    ) -> Result<Vec<Value>, StoreError> {
        let columns: Vec<&str> = table.columns.iter().map(|(_, column, _)| *column).collect();
        let sql = format!("select {} from {} where {filter}", columns.join(", "), table.name);
        let rows = query(self.connection, &sql, [value]).await?;
        let show = |row: &QueryResult| {
            let members = table
                .columns
                .iter()
                .map(|(name, column, how)| shown(row, column, *how).map(|value| ((*name).to_owned(), value)));
            members.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        };
        rows.iter().map(show).collect()
    }

    /// The name of a personal tenant is the person's, and its subdomain was made from it.
    async fn forget_tenants(&self, user: UserId) -> Result<(), StoreError> {
        let rows = query(self.connection, LEFT_BEHIND, [user.uuid().into()]).await?;
        for row in &rows {
            let tenant: Uuid = row.try_get("", "tenant_id").map_err(store_error)?;
            let name = format!("erased-{}", tenant.simple());
            let found = query(
                self.connection,
                "select subdomain, created_at from tenants where id = $1",
                [tenant.into()],
            )
            .await?;
            let Some(found) = found.first() else { continue };
            let old: String = found.try_get("", "subdomain").map_err(store_error)?;
            let created_at: PrimitiveDateTime = found.try_get("", "created_at").map_err(store_error)?;
            if old == name {
                continue;
            }
            execute(
                self.connection,
                "insert into subdomains (name, tenant_id, created_at) values ($1, $2, $3)",
                [name.as_str().into(), tenant.into(), created_at.into()],
            )
            .await?;
            execute(
                self.connection,
                "update tenants set name = 'Erased', subdomain = $2, version = version + 1 where id = $1",
                [tenant.into(), name.into()],
            )
            .await?;
            // A site may answer at it, and its row in the registry is then still needed.
            execute(
                self.connection,
                "delete from subdomains where tenant_id = $1 and name = $2 \
                 and not exists (select 1 from sites where tenant_id = $1 and subdomain = $2)",
                [tenant.into(), old.into()],
            )
            .await?;
            // What visitors of its sites wrote is somebody else's again.
            for table in ["dealers", "submissions", "tenant_settings"] {
                execute(
                    self.connection,
                    &format!("delete from {table} where tenant_id = $1"),
                    [tenant.into()],
                )
                .await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> PersonalData for Personal<'_, C> {
    async fn export(&mut self, user: UserId) -> Result<Vec<(&'static str, Vec<Value>)>, StoreError> {
        let mut lists = Vec::new();
        for table in TABLES.iter().filter(|table| !table.list.is_empty()) {
            let filter = format!("{} = $1", table.user);
            lists.push((table.list, self.rows(table, &filter, user.uuid().into()).await?));
        }
        if let Some(sent) = TABLES.iter().find(|table| table.name == "invitations") {
            // To the address, once it is proven to be theirs.
            let filter = "email in (select email from users where id = $1 and email_verified)";
            lists.push(("invitationsReceived", self.rows(sent, filter, user.uuid().into()).await?));
        }
        Ok(lists)
    }

    async fn erase(&mut self, user: UserId) -> Result<(), StoreError> {
        self.forget_tenants(user).await?;
        for table in TABLES.iter().filter(|table| table.fate == Fate::Deleted) {
            let sql = format!("delete from {} where {} = $1", table.name, table.user);
            execute(self.connection, &sql, [user.uuid().into()]).await?;
        }
        execute(
            self.connection,
            "update users set last_login_at = null, last_tenant_id = null where id = $1",
            [user.uuid().into()],
        )
        .await?;
        Ok(())
    }

    async fn forget_address(&mut self, address: &EmailAddress, proven: bool) -> Result<(), StoreError> {
        // Somebody who only claimed the address cannot take away what others are about to get there.
        let jobs = match proven {
            true => "delete from jobs where payload ->> 'email' = $1 and state <> 'running'",
            false => "delete from jobs where payload ->> 'email' = $1 and state = 'dead'",
        };
        execute(self.connection, jobs, [address.as_str().into()]).await?;
        if proven {
            let sql = "delete from invitations where email = $1";
            execute(self.connection, sql, [address.as_str().into()]).await?;
        }
        Ok(())
    }

    async fn traces<'q>(
        &mut self,
        user: UserId,
        addresses: &'q [EmailAddress],
        after: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let after = after.map_or(Uuid::nil(), EventId::uuid);
        let mut values: Vec<sea_orm::Value> = vec![user.uuid().into(), after.into(), i64::from(limit).into()];
        // Each part has an index that it goes through in order, so that a batch costs no more than its size.
        let mut parts = vec![
            "actor_id = $1".to_owned(),
            "impersonator_id = $1".to_owned(),
            "resource_type = 'user' and resource_id = $1".to_owned(),
        ];
        let left = query(self.connection, LEFT_BEHIND, [user.uuid().into()]).await?;
        for tenant in &left {
            values.push(tenant.try_get::<Uuid>("", "tenant_id").map_err(store_error)?.into());
            parts.push(format!("tenant_id = ${}", values.len()));
        }
        for address in addresses {
            let sql = "select tenant_id, id from invitations where email = $1";
            for invitation in &query(self.connection, sql, [address.as_str().into()]).await? {
                let column = |name: &str| invitation.try_get::<Uuid>("", name).map_err(store_error);
                values.extend([column("tenant_id")?.into(), column("id")?.into()]);
                let (tenant, id) = (values.len() - 1, values.len());
                parts.push(format!(
                    "tenant_id = ${tenant} and resource_type = 'invitation' and resource_id = ${id}"
                ));
            }
        }
        let parts: Vec<String> = parts
            .iter()
            .map(|part| {
                format!(
                    "select id from (select id from events where {part} and id > $2 order by id limit $3) p"
                )
            })
            .collect();
        let sql = format!(
            "select events.* from events where id in ({}) order by id limit $3",
            parts.join(" union ")
        );
        let statement = Statement::from_sql_and_values(self.connection.get_database_backend(), sql, values);
        let rows = self.connection.query_all_raw(statement).await.map_err(store_error)?;
        rows.iter()
            .map(|row| row::Model::from_query_result(row, "").map_err(store_error)?.try_into())
            .collect()
    }

    async fn redact(&mut self, event: &Event) -> Result<(), StoreError> {
        seals::redact(self.connection, event).await
    }

    async fn actions(
        &mut self,
        user: UserId,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let mut found = row::Entity::find().filter(row::Column::ActorId.eq(user.uuid()));
        if let Some(before) = before {
            found = found.filter(row::Column::Id.lt(before.uuid()));
        }
        let rows = found
            .order_by_desc(row::Column::Id)
            .limit(u64::from(limit))
            .all(self.connection)
            .await
            .map_err(store_error)?;
        rows.into_iter().map(Event::try_from).collect()
    }
}
