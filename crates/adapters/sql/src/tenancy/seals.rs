//! The seals of the audit trail.

use std::collections::BTreeMap;

use async_trait::async_trait;
use portico_kernel::{Event, EventId, StoreError, TenantId, Timestamp};
use portico_tenancy::{
    chain::SEALER,
    ports::{Expired, LoggedEvent, OldestEntry, SealRepository, SealedEntry, Unsealed},
    seal::{Chain, Digest, Opening, Part, Salt, Seal},
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryResult,
    Value as Bound, sea_query::OnConflict,
};
use serde_json::Value;
use time::PrimitiveDateTime;
use uuid::Uuid;

use crate::{
    dialect::{dialect, execute, query},
    error::{store_error, unreadable},
    outbox::{
        events,
        readers::{Position, hold, positions},
    },
    time::{from_row, to_row},
};

/// Seals stored in one statement: eight values each, and SQLite takes 32,766.
const CHUNK: usize = 1000;

mod seal_row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_seals")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: i64,
        pub event_id: Uuid,
        pub frame: Vec<u8>,
        pub content: Vec<u8>,
        pub salt: Option<Vec<u8>>,
        pub parts: Option<Json>,
        pub hash: Vec<u8>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod chain_row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_chains")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        pub length: i64,
        pub hash: Vec<u8>,
        pub sealed_until: TimeDateTime,
        pub checkpoint: i64,
        pub checkpoint_at: Option<TimeDateTime>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A digest that is too short, or too long, fits nothing; it must show as damage and not as a failure.
fn digest(bytes: Vec<u8>) -> Digest {
    Digest(bytes.try_into().unwrap_or([0; 32]))
}

fn number(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl From<seal_row::Model> for Seal {
    fn from(row: seal_row::Model) -> Self {
        let salt = row.salt.and_then(|salt| salt.try_into().ok()).map(Salt);
        let parts = |parts: Value| serde_json::from_value::<BTreeMap<String, Part>>(parts).ok();
        Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            number: number(row.number),
            event: EventId::from_uuid(row.event_id),
            frame: digest(row.frame),
            content: digest(row.content),
            opening: match (salt, row.parts.and_then(parts)) {
                (Some(salt), _) => Opening::Whole(salt),
                (None, Some(parts)) => Opening::Parts(parts),
                (None, None) => Opening::Gone,
            },
            hash: digest(row.hash),
        }
    }
}

/// The columns `salt` and `parts` of an opening.
fn columns(opening: &Opening) -> (Option<Vec<u8>>, Option<Value>) {
    match opening {
        Opening::Whole(salt) => (Some(salt.0.to_vec()), None),
        Opening::Parts(parts) => (None, serde_json::to_value(parts).ok()),
        Opening::Gone => (None, None),
    }
}

impl From<chain_row::Model> for Chain {
    fn from(row: chain_row::Model) -> Self {
        Self {
            tenant: TenantId::from_uuid(row.tenant_id),
            length: number(row.length),
            hash: digest(row.hash),
            sealed_until: from_row(row.sealed_until),
            checkpoint: number(row.checkpoint),
            checkpoint_at: row.checkpoint_at.map(from_row),
        }
    }
}

/// The event of a row that has all columns of one, if it is there.
fn logged(row: &QueryResult) -> Result<Option<LoggedEvent>, StoreError> {
    if row.try_get::<Option<Uuid>>("", "id").map_err(store_error)?.is_none() {
        return Ok(None);
    }
    let redacted: Option<PrimitiveDateTime> = row.try_get("", "redacted_at").map_err(store_error)?;
    let place = Position::of(row)?.place();
    let event = events::row::Model::from_query_result(row, "").map_err(store_error)?.try_into()?;
    Ok(Some(LoggedEvent { event, place, redacted: redacted.is_some() }))
}

/// The seals over one connection.
pub(crate) struct Seals<'c, C> {
    pub connection: &'c C,
}

impl<C: ConnectionTrait> Seals<'_, C> {
    /// How far all of these readers have come; `None` without any.
    async fn read_by_all(&self, readers: &[&'static str]) -> Result<Option<Position>, StoreError> {
        Ok(positions(self.connection, readers).await?.into_iter().min_by_key(Position::place))
    }

    async fn delete(&self, tenant: TenantId, entries: &[Uuid]) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for entries in entries.chunks(CHUNK) {
            let found = events::row::Entity::delete_many()
                .filter(events::row::Column::TenantId.eq(tenant.uuid()))
                .filter(events::row::Column::Id.is_in(entries.iter().copied()));
            deleted += found.exec(self.connection).await.map_err(store_error)?.rows_affected;
        }
        Ok(deleted)
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> SealRepository for Seals<'_, C> {
    async fn chains(&mut self, tenants: Vec<TenantId>) -> Result<Vec<Chain>, StoreError> {
        let ids = tenants.into_iter().map(TenantId::uuid);
        let found = chain_row::Entity::find().filter(chain_row::Column::TenantId.is_in(ids));
        let rows = found.all(self.connection).await.map_err(store_error)?;
        Ok(rows.into_iter().map(Chain::from).collect())
    }

    async fn append(&mut self, seals: Vec<Seal>, chains: Vec<Chain>) -> Result<(), StoreError> {
        for seals in seals.chunks(CHUNK) {
            let rows = seals.iter().map(|seal| {
                let (salt, parts) = columns(&seal.opening);
                seal_row::ActiveModel {
                    tenant_id: Set(seal.tenant.uuid()),
                    number: Set(signed(seal.number)),
                    event_id: Set(seal.event.uuid()),
                    frame: Set(seal.frame.0.to_vec()),
                    content: Set(seal.content.0.to_vec()),
                    salt: Set(salt),
                    parts: Set(parts),
                    hash: Set(seal.hash.0.to_vec()),
                }
            });
            seal_row::Entity::insert_many(rows)
                .exec_without_returning(self.connection)
                .await
                .map_err(store_error)?;
        }
        for chains in chains.chunks(CHUNK) {
            let rows = chains.iter().map(|chain| chain_row::ActiveModel {
                tenant_id: Set(chain.tenant.uuid()),
                length: Set(signed(chain.length)),
                hash: Set(chain.hash.0.to_vec()),
                sealed_until: Set(to_row(chain.sealed_until)),
                checkpoint: Set(signed(chain.checkpoint)),
                checkpoint_at: Set(chain.checkpoint_at.map(to_row)),
            });
            let moved = OnConflict::column(chain_row::Column::TenantId)
                .update_columns([
                    chain_row::Column::Length,
                    chain_row::Column::Hash,
                    chain_row::Column::SealedUntil,
                ])
                .to_owned();
            chain_row::Entity::insert_many(rows)
                .on_conflict(moved)
                .exec_without_returning(self.connection)
                .await
                .map_err(store_error)?;
        }
        Ok(())
    }

    async fn walk(
        &mut self,
        tenant: TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<SealedEntry>, StoreError> {
        let sql = format!(
            "select events.*, seals.*, {order} \
             from (select tenant_id as seal_tenant, number, event_id, frame, content, salt, parts, hash from audit_seals \
                   where tenant_id = $1 and number > $2 order by number limit $3) seals \
             left join events on events.tenant_id = seals.seal_tenant and events.id = seals.event_id \
             order by seals.number",
            order = dialect(self.connection).event_order,
        );
        let values = [tenant.uuid().into(), signed(after).into(), i64::from(limit).into()];
        let rows = query(self.connection, &sql, values).await?;
        rows.iter()
            .map(|row| {
                let seal = seal_row::Model {
                    tenant_id: row.try_get("", "seal_tenant").map_err(store_error)?,
                    number: row.try_get("", "number").map_err(store_error)?,
                    event_id: row.try_get("", "event_id").map_err(store_error)?,
                    frame: row.try_get("", "frame").map_err(store_error)?,
                    content: row.try_get("", "content").map_err(store_error)?,
                    salt: row.try_get("", "salt").map_err(store_error)?,
                    parts: row.try_get("", "parts").map_err(store_error)?,
                    hash: row.try_get("", "hash").map_err(store_error)?,
                };
                Ok(SealedEntry { seal: seal.into(), event: logged(row)? })
            })
            .collect()
    }

    async fn unsealed(&mut self, tenant: TenantId, reader: &'static str) -> Result<Unsealed, StoreError> {
        let dialect = dialect(self.connection);
        // First how far the reader is, then what it passed: the seals of that are committed with it.
        let Position { transaction_id, sequence } =
            positions(self.connection, &[reader]).await?.into_iter().next().unwrap_or_default();
        let values =
            || -> [Bound; 3] { [transaction_id.clone().into(), sequence.into(), tenant.uuid().into()] };
        let after = dialect.event_is_after;
        let sql = format!(
            "select count(*) as waiting from events where {after} and tenant_id = $3 and audit = 'sealed'"
        );
        let rows = query(self.connection, &sql, values()).await?;
        let waiting: i64 = match rows.first() {
            Some(row) => row.try_get("", "waiting").map_err(store_error)?,
            None => 0,
        };
        let sql = format!(
            "select id from events where not ({after}) and tenant_id = $3 and audit = 'sealed' and not exists \
             (select 1 from audit_seals where audit_seals.tenant_id = events.tenant_id and event_id = events.id) limit 1",
        );
        let rows = query(self.connection, &sql, values()).await?;
        let passed_over = match rows.first() {
            Some(row) => Some(EventId::from_uuid(row.try_get("", "id").map_err(store_error)?)),
            None => None,
        };
        Ok(Unsealed { waiting: number(waiting), passed_over })
    }

    async fn oldest(&mut self, after: Option<TenantId>, limit: u32) -> Result<Vec<OldestEntry>, StoreError> {
        let after = after.map_or(Uuid::nil(), TenantId::uuid);
        // The chain of the platform has the nil id; it must not be lost for being the smallest.
        let from = if after.is_nil() { ">=" } else { ">" };
        let sql = format!(
            "select chains.tenant_id, audit_retention_days, created_at \
             from (select * from audit_chains where tenant_id {from} $1 order by tenant_id limit $2) chains \
             left join tenant_settings on tenant_settings.tenant_id = chains.tenant_id \
             left join audit_seals on audit_seals.tenant_id = chains.tenant_id and number = checkpoint + 1 \
             left join events on events.tenant_id = chains.tenant_id and events.id = event_id \
             where checkpoint < length order by chains.tenant_id",
        );
        let rows = query(self.connection, &sql, [after.into(), i64::from(limit).into()]).await?;
        rows.iter().map(oldest_entry).collect()
    }

    async fn expire(
        &mut self,
        tenant: TenantId,
        readers: Vec<&'static str>,
        before: Timestamp,
        limit: u32,
    ) -> Result<Option<Expired>, StoreError> {
        // Whoever seals or expires waits for the row of the chain.
        let touched = "update audit_chains set checkpoint = checkpoint where tenant_id = $1";
        execute(self.connection, touched, [tenant.uuid().into()]).await?;
        let Some(chain) = self.chains(vec![tenant]).await?.pop() else { return Ok(None) };
        let positions = positions(self.connection, &readers).await?;
        let Some(read) = positions.iter().map(Position::place).min() else { return Ok(None) };
        let entries = self.walk(tenant, chain.checkpoint, limit).await?;
        let mut expired: Option<Expired> = None;
        let mut of_age = Vec::new();
        for SealedEntry { seal, event } in entries {
            let Some(LoggedEvent { event, place, .. }) = event else { continue };
            if event.at >= before || place > read {
                break;
            }
            of_age.push(event.id.uuid());
            expired = Some(Expired { entries: 0, checkpoint: seal.number, until: event.at });
        }
        let Some(mut expired) = expired else { return Ok(None) };
        expired.entries = self.delete(tenant, &of_age).await?;
        let values = || -> [Bound; 2] { [tenant.uuid().into(), signed(expired.checkpoint).into()] };
        let opened = "update audit_seals set salt = null, parts = null \
                      where tenant_id = $1 and number <= $2 and (salt is not null or parts is not null)";
        execute(self.connection, opened, values()).await?;
        let moved = "update audit_chains set checkpoint = $2, checkpoint_at = $3 where tenant_id = $1";
        let [tenant, checkpoint] = values();
        execute(self.connection, moved, [tenant, checkpoint, to_row(expired.until).into()]).await?;
        Ok(Some(expired))
    }

    async fn recorded(
        &mut self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<OldestEntry>, StoreError> {
        let after = after.map_or(Uuid::nil(), TenantId::uuid);
        let from = if after.is_nil() { ">=" } else { ">" };
        let sql = format!(
            "select recorded.tenant_id, audit_retention_days, created_at \
             from (select tenant_id, min(created_at) as created_at from events \
                   where audit = 'recorded' and tenant_id {from} $1 group by tenant_id order by tenant_id limit $2) recorded \
             left join tenant_settings on tenant_settings.tenant_id = recorded.tenant_id order by recorded.tenant_id",
        );
        let rows = query(self.connection, &sql, [after.into(), i64::from(limit).into()]).await?;
        rows.iter().map(oldest_entry).collect()
    }

    async fn expire_recorded(
        &mut self,
        tenant: TenantId,
        readers: Vec<&'static str>,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let Some(Position { transaction_id, sequence }) = self.read_by_all(&readers).await? else {
            return Ok(0);
        };
        let sql = format!(
            "delete from events where tenant_id = $5 and id in (select id from events \
             where audit = 'recorded' and tenant_id = $5 and created_at < $3 and not ({after}) limit $4)",
            after = dialect(self.connection).event_is_after,
        );
        let values: [Bound; 5] = [
            transaction_id.into(),
            sequence.into(),
            to_row(before).into(),
            i64::from(limit).into(),
            tenant.uuid().into(),
        ];
        execute(self.connection, &sql, values).await
    }

    // Of all tenants at once: for how long they are kept is the same for all.
    async fn forget(
        &mut self,
        readers: Vec<&'static str>,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let Some(Position { transaction_id, sequence }) = self.read_by_all(&readers).await? else {
            return Ok(0);
        };
        let sql = format!(
            "delete from events where (tenant_id, id) in (select tenant_id, id from events \
             where audit = 'not_kept' and created_at < $3 and not ({after}) limit $4)",
            after = dialect(self.connection).event_is_after,
        );
        let values: [Bound; 4] =
            [transaction_id.into(), sequence.into(), to_row(before).into(), i64::from(limit).into()];
        execute(self.connection, &sql, values).await
    }
}

fn oldest_entry(row: &QueryResult) -> Result<OldestEntry, StoreError> {
    let tenant: Uuid = row.try_get("", "tenant_id").map_err(store_error)?;
    let days: Option<i32> = row.try_get("", "audit_retention_days").map_err(store_error)?;
    let at: Option<PrimitiveDateTime> = row.try_get("", "created_at").map_err(store_error)?;
    Ok(OldestEntry {
        tenant: TenantId::from_uuid(tenant),
        retention_days: days.and_then(|days| u32::try_from(days).ok()),
        at: at.map(from_row),
    })
}

/// Replaces what an event says with what `erased` says, which may have [`portico_tenancy::seal::ERASED`] in place of values
/// of `before`, `after`, `address` and `user_agent` and differ in nothing else; notes that this was done, and takes what
/// opens the digests of those values away from the seal.
///
/// Nothing is sealed until the unit of work ends: an entry that is being sealed right now would be sealed as it was.
pub(crate) async fn redact(connection: &impl ConnectionTrait, erased: &Event) -> Result<(), StoreError> {
    hold(connection, SEALER).await?;
    let dialect = dialect(connection);
    let key = || -> [Bound; 2] { [erased.tenant.uuid().into(), erased.id.uuid().into()] };
    let sql = format!(
        "select *, {order} from events where tenant_id = $1 and id = $2",
        order = dialect.event_order
    );
    let Some(row) = query(connection, &sql, key()).await?.pop() else { return Ok(()) };
    let Some(LoggedEvent { event: original, .. }) = logged(&row)? else { return Ok(()) };
    let seal = seal_row::Entity::find()
        .filter(seal_row::Column::TenantId.eq(erased.tenant.uuid()))
        .filter(seal_row::Column::EventId.eq(erased.id.uuid()))
        .one(connection)
        .await
        .map_err(store_error)?;
    if let Some(seal) = seal.map(Seal::from) {
        let opening = if seal.fits(&original, true) {
            seal.erase(&original, erased)
                .ok_or_else(|| unreadable("events", "something else than was erased"))?
        } else {
            // Somebody edited it, and verifying goes on telling so. That is no reason to keep what is to be erased.
            Opening::Gone
        };
        let (salt, parts) = columns(&opening);
        let [tenant, _] = key();
        let sql = "update audit_seals set salt = $3, parts = $4 where tenant_id = $1 and number = $2";
        execute(connection, sql, [tenant, signed(seal.number).into(), salt.into(), parts.into()]).await?;
    }
    let sql = "update events set before = $3, after = $4, address = $5, user_agent = $6, redacted_at = current_timestamp \
               where tenant_id = $1 and id = $2";
    let [tenant, id] = key();
    let values = [
        tenant,
        id,
        erased.before.clone().into(),
        erased.after.clone().into(),
        erased.address.clone().into(),
        erased.user_agent.clone().into(),
    ];
    execute(connection, sql, values).await?;
    Ok(())
}
