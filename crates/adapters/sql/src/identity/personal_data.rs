//! What is stored about a person besides the account: taking it away, and doing away with it.
//!
//! [`TABLES`] says of every table that names a user what becomes of its rows; a contract test holds it against the schema.

use Shown::{Id, Text, Time};
use async_trait::async_trait;
use portico_identity::{ports::PersonalData, user::EmailAddress};
use portico_kernel::{Event, EventId, InvitationId, StoreError, TenantId, Timestamp, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect, TryGetError};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    columns::{Col, read},
    db::{Db, Param, Params},
    outbox::events::row,
    tenancy::seals,
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
    // Of a member of staff, about others.
    Table { name: "customer_notes", user: "author_id", fate: Fate::Kept, list: "", columns: &[] },
    // Of the tenant, which keeps its books. What was bought is in the export of the tenant's data.
    Table { name: "purchases", user: "user_id", fate: Fate::Kept, list: "", columns: &[] },
    // Of the tenant, which goes on with what was asked. The name beside it is read from the account.
    Table {
        name: "support_tickets",
        user: "author_id",
        fate: Fate::Kept,
        list: "supportTickets",
        columns: &[
            ("id", "id", Id),
            ("tenantId", "tenant_id", Id),
            ("subject", "subject", Text),
            ("description", "description", Text),
            ("createdAt", "created_at", Time),
        ],
    },
    Table { name: "support_tickets", user: "assignee_id", fate: Fate::Kept, list: "", columns: &[] },
    Table {
        name: "support_messages",
        user: "author_id",
        fate: Fate::Kept,
        list: "supportMessages",
        columns: &[
            ("id", "id", Id),
            ("tenantId", "tenant_id", Id),
            ("ticketId", "ticket_id", Id),
            ("body", "body", Text),
            ("createdAt", "created_at", Time),
        ],
    },
    // With the address that they had.
    Table {
        name: "downloads",
        user: "user_id",
        fate: Fate::Deleted,
        list: "downloads",
        columns: &[
            ("id", "id", Id),
            ("tenantId", "tenant_id", Id),
            ("releaseId", "release_id", Id),
            ("address", "address", Text),
            ("downloadedAt", "downloaded_at", Time),
        ],
    },
    // Of the tenant that sold a site, which keeps its books.
    Table { name: "site_sales", user: "buyer_user_id", fate: Fate::Kept, list: "", columns: &[] },
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
            ("name", "name", Text),
            ("language", "language", Text),
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
pub(crate) struct Personal<'c> {
    pub db: Db<'c>,
}

fn shown(row: &QueryResult, column: &str, how: Shown) -> Result<Value, TryGetError> {
    Ok(match how {
        Text => read::<Option<String>, _>(row, column)?.into(),
        Id => read::<Option<Uuid>, _>(row, column)?.map(|id| id.to_string()).into(),
        Time => read::<Option<Timestamp>, _>(row, column)?.map(|at| at.to_string()).into(),
    })
}

impl Personal<'_> {
    async fn rows(&self, table: &Table, filter: &str, user: UserId) -> Result<Vec<Value>, StoreError> {
        let columns: Vec<&str> = table.columns.iter().map(|(_, column, _)| *column).collect();
        let sql = format!("select {} from {} where {filter}", columns.join(", "), table.name);
        let show = |row: &QueryResult| {
            let members = table
                .columns
                .iter()
                .map(|(name, column, how)| shown(row, column, *how).map(|value| ((*name).to_owned(), value)));
            members.collect::<Result<Map<_, _>, _>>().map(Value::Object)
        };
        self.db.rows_with(&sql, [user], show).await
    }

    /// The name of a personal tenant is the person's, and its subdomain was made from it.
    async fn forget_tenants(&self, user: UserId) -> Result<(), StoreError> {
        for tenant in self.db.rows::<TenantId>(LEFT_BEHIND, [user]).await? {
            let name = format!("erased-{}", tenant.uuid().simple());
            let sql = "select subdomain, created_at from tenants where id = $1";
            let found: Option<(String, Timestamp)> = self.db.row(sql, [tenant]).await?;
            let Some((old, created_at)) = found else { continue };
            if old == name {
                continue;
            }
            let sql = "insert into subdomains (name, tenant_id, created_at) values ($1, $2, $3)";
            self.db.execute(sql, (&name, tenant, created_at)).await?;
            let sql =
                "update tenants set name = 'Erased', subdomain = $2, version = version + 1 where id = $1";
            self.db.execute(sql, (tenant, name)).await?;
            // A site may answer at it, and its row in the registry is then still needed.
            let sql = "delete from subdomains where tenant_id = $1 and name = $2 \
                 and not exists (select 1 from sites where tenant_id = $1 and subdomain = $2)";
            self.db.execute(sql, (tenant, old)).await?;
            // What visitors of its sites wrote is somebody else's again.
            for table in [
                "customer_notes",
                "dealers",
                "submissions",
                "support_mails",
                "support_messages",
                "support_tickets",
                "support_numbers",
                "support_refused_mails",
                "tenant_settings",
            ] {
                self.db.execute(&format!("delete from {table} where tenant_id = $1"), [tenant]).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl PersonalData for Personal<'_> {
    async fn export(&mut self, user: UserId) -> Result<Vec<(&'static str, Vec<Value>)>, StoreError> {
        let mut lists = Vec::new();
        for table in TABLES.iter().filter(|table| !table.list.is_empty()) {
            let filter = format!("{} = $1", table.user);
            lists.push((table.list, self.rows(table, &filter, user).await?));
        }
        if let Some(sent) = TABLES.iter().find(|table| table.name == "invitations") {
            // To the address, once it is proven to be theirs.
            let filter = "email in (select email from users where id = $1 and email_verified)";
            lists.push(("invitationsReceived", self.rows(sent, filter, user).await?));
        }
        Ok(lists)
    }

    async fn erase(&mut self, user: UserId) -> Result<(), StoreError> {
        self.forget_tenants(user).await?;
        for table in TABLES.iter().filter(|table| table.fate == Fate::Deleted) {
            let sql = format!("delete from {} where {} = $1", table.name, table.user);
            self.db.execute(&sql, [user]).await?;
        }
        // What they wrote to a ticket stays with it. The mail that it came by has their address and their signature besides.
        let mails = "delete from support_mails where (tenant_id, message_id) in \
             (select tenant_id, id from support_messages where author_id = $1)";
        self.db.execute(mails, [user]).await?;
        self.db
            .execute("update users set last_login_at = null, last_tenant_id = null where id = $1", [user])
            .await
            .map(drop)
    }

    async fn forget_address(&mut self, address: &EmailAddress, proven: bool) -> Result<(), StoreError> {
        // Somebody who only claimed the address cannot take away what others are about to get there.
        let jobs = match proven {
            true => "delete from jobs where payload ->> 'email' = $1 and state <> 'running'",
            false => "delete from jobs where payload ->> 'email' = $1 and state = 'dead'",
        };
        self.db.execute(jobs, [address.as_str()]).await?;
        if proven {
            let sql = "delete from invitations where email = $1";
            self.db.execute(sql, [address.as_str()]).await?;
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
        let mut values = (user, after, i64::from(limit)).values();
        // Each part has an index that it goes through in order, so that a batch costs no more than its size.
        let mut parts = vec![
            "actor_id = $1".to_owned(),
            "impersonator_id = $1".to_owned(),
            "resource_type = 'user' and resource_id = $1".to_owned(),
        ];
        for tenant in self.db.rows::<TenantId>(LEFT_BEHIND, [user]).await? {
            values.push(tenant.value());
            parts.push(format!("tenant_id = ${}", values.len()));
        }
        for address in addresses {
            let sql = "select tenant_id, id from invitations where email = $1";
            for key in self.db.rows::<(TenantId, InvitationId)>(sql, [address.as_str()]).await? {
                values.extend(key.values());
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
        let events: Vec<row::Model> = self.db.models(&sql, values).await?;
        Ok(events.into_iter().map(Event::from).collect())
    }

    async fn redact(&mut self, event: &Event) -> Result<(), StoreError> {
        seals::redact(&self.db, event).await
    }

    async fn actions(
        &mut self,
        user: UserId,
        before: Option<EventId>,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        let mut found = row::Entity::find().filter(row::Column::ActorId.eq(user.uuid()));
        if let Some(before) = before {
            found = found.filter(row::Column::Id.lt(Col(before)));
        }
        let query = found.order_by_desc(row::Column::Id).limit(u64::from(limit));
        self.db.all(query).await
    }
}
