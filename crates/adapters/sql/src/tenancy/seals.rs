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
    ActiveValue::Set, ColumnTrait, EntityTrait, FromQueryResult, QueryFilter, sea_query::OnConflict,
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    columns::{Col, Stored},
    db::Db,
    outbox::{
        events,
        readers::{Position, hold, positions},
    },
};

/// Seals stored in one statement: eight values each, and SQLite takes 32,766.
const CHUNK: usize = 1000;

mod seal_row {
    use portico_kernel::{EventId, TenantId};
    use portico_tenancy::seal::Digest;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_seals")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub number: Col<u64>,
        pub event_id: Col<EventId>,
        pub frame: Col<Digest>,
        pub content: Col<Digest>,
        pub salt: Option<Vec<u8>>,
        pub parts: Option<Json>,
        pub hash: Col<Digest>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

mod chain_row {
    use portico_kernel::{TenantId, Timestamp};
    use portico_tenancy::seal::Digest;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_chains")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        pub length: Col<u64>,
        pub hash: Col<Digest>,
        pub sealed_until: Col<Timestamp>,
        pub checkpoint: Col<u64>,
        pub checkpoint_at: Col<Option<Timestamp>>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// A digest that is too short, or too long, fits nothing; it must show as damage and not as a failure.
impl Stored for Digest {
    type Raw = Vec<u8>;

    fn store(&self) -> Vec<u8> {
        self.0.to_vec()
    }

    fn load(raw: Vec<u8>) -> Result<Self, String> {
        Ok(Self(raw.try_into().unwrap_or([0; 32])))
    }
}

impl From<seal_row::Model> for Seal {
    fn from(row: seal_row::Model) -> Self {
        let salt = row.salt.and_then(|salt| salt.try_into().ok()).map(Salt);
        let parts = |parts: Value| serde_json::from_value::<BTreeMap<String, Part>>(parts).ok();
        Self {
            tenant: row.tenant_id.0,
            number: row.number.0,
            event: row.event_id.0,
            frame: row.frame.0,
            content: row.content.0,
            opening: match (salt, row.parts.and_then(parts)) {
                (Some(salt), _) => Opening::Whole(salt),
                (None, Some(parts)) => Opening::Parts(parts),
                (None, None) => Opening::Gone,
            },
            hash: row.hash.0,
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
            tenant: row.tenant_id.0,
            length: row.length.0,
            hash: row.hash.0,
            sealed_until: row.sealed_until.0,
            checkpoint: row.checkpoint.0,
            checkpoint_at: row.checkpoint_at.0,
        }
    }
}

/// An event of the log, with its place there.
#[derive(FromQueryResult)]
struct LoggedRow {
    #[sea_orm(nested)]
    event: events::row::Model,
    #[sea_orm(nested)]
    place: Position,
    redacted_at: Col<Option<Timestamp>>,
}

impl From<LoggedRow> for LoggedEvent {
    fn from(row: LoggedRow) -> Self {
        Self { event: row.event.into(), place: row.place.place(), redacted: row.redacted_at.0.is_some() }
    }
}

/// A seal with the event, if it is there.
#[derive(FromQueryResult)]
struct SealedRow {
    #[sea_orm(nested(prefix = "seal_"))]
    seal: seal_row::Model,
    #[sea_orm(nested)]
    event: Option<LoggedRow>,
}

/// The seals over one connection.
pub(crate) struct Seals<'c> {
    pub db: Db<'c>,
}

impl Seals<'_> {
    /// How far all of these readers have come; `None` without any.
    async fn read_by_all(&self, readers: &[&'static str]) -> Result<Option<Position>, StoreError> {
        Ok(positions(&self.db, readers).await?.into_iter().min_by_key(Position::place))
    }

    async fn delete(&self, tenant: TenantId, entries: &[EventId]) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for entries in entries.chunks(CHUNK) {
            let delete = events::row::Entity::delete_many()
                .filter(events::row::Column::TenantId.eq(Col(tenant)))
                .filter(events::row::Column::Id.is_in(entries.iter().copied().map(Col)));
            deleted += self.db.delete(delete).await?;
        }
        Ok(deleted)
    }
}

#[async_trait]
impl SealRepository for Seals<'_> {
    async fn chains(&mut self, tenants: Vec<TenantId>) -> Result<Vec<Chain>, StoreError> {
        let ids = tenants.into_iter().map(Col);
        let found = chain_row::Entity::find().filter(chain_row::Column::TenantId.is_in(ids));
        self.db.all(found).await
    }

    async fn append(&mut self, seals: Vec<Seal>, chains: Vec<Chain>) -> Result<(), StoreError> {
        for seals in seals.chunks(CHUNK) {
            let rows = seals.iter().map(|seal| {
                let (salt, parts) = columns(&seal.opening);
                seal_row::ActiveModel {
                    tenant_id: Set(Col(seal.tenant)),
                    number: Set(Col(seal.number)),
                    event_id: Set(Col(seal.event)),
                    frame: Set(Col(seal.frame)),
                    content: Set(Col(seal.content)),
                    salt: Set(salt),
                    parts: Set(parts),
                    hash: Set(Col(seal.hash)),
                }
            });
            self.db.insert_many(rows).await?;
        }
        for chains in chains.chunks(CHUNK) {
            let rows = chains.iter().map(|chain| chain_row::ActiveModel {
                tenant_id: Set(Col(chain.tenant)),
                length: Set(Col(chain.length)),
                hash: Set(Col(chain.hash)),
                sealed_until: Set(Col(chain.sealed_until)),
                checkpoint: Set(Col(chain.checkpoint)),
                checkpoint_at: Set(Col(chain.checkpoint_at)),
            });
            let moved = OnConflict::column(chain_row::Column::TenantId)
                .update_columns([
                    chain_row::Column::Length,
                    chain_row::Column::Hash,
                    chain_row::Column::SealedUntil,
                ])
                .to_owned();
            self.db.insert_many_with(chain_row::Entity::insert_many(rows).on_conflict(moved)).await?;
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
             from (select tenant_id as seal_tenant_id, number as seal_number, event_id as seal_event_id, frame as seal_frame, \
                   content as seal_content, salt as seal_salt, parts as seal_parts, hash as seal_hash from audit_seals \
                   where tenant_id = $1 and number > $2 order by number limit $3) seals \
             left join events on events.tenant_id = seals.seal_tenant_id and events.id = seals.seal_event_id \
             order by seals.seal_number",
            order = self.db.dialect().event_order,
        );
        let rows: Vec<SealedRow> = self.db.models(&sql, (tenant, after, i64::from(limit))).await?;
        let entry =
            |row: SealedRow| SealedEntry { seal: row.seal.into(), event: row.event.map(LoggedEvent::from) };
        Ok(rows.into_iter().map(entry).collect())
    }

    async fn unsealed(&mut self, tenant: TenantId, reader: &'static str) -> Result<Unsealed, StoreError> {
        let dialect = self.db.dialect();
        // First how far the reader is, then what it passed: the seals of that are committed with it.
        let Position { transaction_id, sequence } =
            positions(&self.db, &[reader]).await?.into_iter().next().unwrap_or_default();
        let values = (&transaction_id, sequence, tenant);
        let after = dialect.event_is_after;
        let sql = format!(
            "select count(*) as waiting from events where {after} and tenant_id = $3 and audit = 'sealed'"
        );
        let waiting = self.db.total(&sql, values).await?;
        let sql = format!(
            "select id from events where not ({after}) and tenant_id = $3 and audit = 'sealed' and not exists \
             (select 1 from audit_seals where audit_seals.tenant_id = events.tenant_id and event_id = events.id) limit 1",
        );
        let passed_over = self.db.row(&sql, values).await?;
        Ok(Unsealed { waiting, passed_over })
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
        let rows = self.db.rows(&sql, (after, i64::from(limit))).await?;
        Ok(rows.into_iter().map(oldest_entry).collect())
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
        self.db.execute(touched, [tenant]).await?;
        let Some(chain) = self.chains(vec![tenant]).await?.pop() else { return Ok(None) };
        let positions = positions(&self.db, &readers).await?;
        let Some(read) = positions.iter().map(Position::place).min() else { return Ok(None) };
        let entries = self.walk(tenant, chain.checkpoint, limit).await?;
        let mut expired: Option<Expired> = None;
        let mut of_age = Vec::new();
        for SealedEntry { seal, event } in entries {
            let Some(LoggedEvent { event, place, .. }) = event else { continue };
            if event.at >= before || place > read {
                break;
            }
            of_age.push(event.id);
            expired = Some(Expired { entries: 0, checkpoint: seal.number, until: event.at });
        }
        let Some(mut expired) = expired else { return Ok(None) };
        expired.entries = self.delete(tenant, &of_age).await?;
        let opened = "update audit_seals set salt = null, parts = null \
                      where tenant_id = $1 and number <= $2 and (salt is not null or parts is not null)";
        self.db.execute(opened, (tenant, expired.checkpoint)).await?;
        let moved = "update audit_chains set checkpoint = $2, checkpoint_at = $3 where tenant_id = $1";
        self.db.execute(moved, (tenant, expired.checkpoint, expired.until)).await?;
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
        let rows = self.db.rows(&sql, (after, i64::from(limit))).await?;
        Ok(rows.into_iter().map(oldest_entry).collect())
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
            after = self.db.dialect().event_is_after,
        );
        let values = (transaction_id, sequence, before, i64::from(limit), tenant);
        self.db.execute(&sql, values).await
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
            after = self.db.dialect().event_is_after,
        );
        self.db.execute(&sql, (transaction_id, sequence, before, i64::from(limit))).await
    }
}

fn oldest_entry((tenant, retention_days, at): (TenantId, Option<u32>, Option<Timestamp>)) -> OldestEntry {
    OldestEntry { tenant, retention_days, at }
}

/// Replaces what an event says with what `erased` says, which may have [`portico_tenancy::seal::ERASED`] in place of values
/// of `before`, `after`, `address` and `user_agent` and differ in nothing else; notes that this was done, and takes what
/// opens the digests of those values away from the seal.
///
/// Nothing is sealed until the unit of work ends: an entry that is being sealed right now would be sealed as it was.
pub(crate) async fn redact(db: &Db<'_>, erased: &Event) -> Result<(), StoreError> {
    hold(db, SEALER).await?;
    let dialect = db.dialect();
    let sql = format!(
        "select *, {order} from events where tenant_id = $1 and id = $2",
        order = dialect.event_order
    );
    let found: Option<LoggedRow> = db.model(&sql, (erased.tenant, erased.id)).await?;
    let Some(LoggedEvent { event: original, .. }) = found.map(LoggedEvent::from) else { return Ok(()) };
    let query = seal_row::Entity::find()
        .filter(seal_row::Column::TenantId.eq(Col(erased.tenant)))
        .filter(seal_row::Column::EventId.eq(Col(erased.id)));
    if let Some(seal) = db.one::<_, Seal>(query).await? {
        let opening = if seal.fits(&original, true) {
            seal.erase(&original, erased)
                .ok_or_else(|| StoreError::Internal("an event says something else than was erased".into()))?
        } else {
            // Somebody edited it, and verifying goes on telling so. That is no reason to keep what is to be erased.
            Opening::Gone
        };
        let (salt, parts) = columns(&opening);
        let sql = "update audit_seals set salt = $3, parts = $4 where tenant_id = $1 and number = $2";
        db.execute(sql, (erased.tenant, seal.number, salt, parts)).await?;
    }
    let sql = "update events set before = $3, after = $4, address = $5, user_agent = $6, redacted_at = current_timestamp \
               where tenant_id = $1 and id = $2";
    let values =
        (erased.tenant, erased.id, &erased.before, &erased.after, &erased.address, &erased.user_agent);
    db.execute(sql, values).await.map(drop)
}
