//! The event log as people read it.

use async_trait::async_trait;
use portico_kernel::{
    CursorPage, CursorRequest, EventId, Resource, StoreError, TenantId, Timestamp,
    event::{ActorKind, AuditClass},
};
use portico_tenancy::{
    audit::{AuditActor, AuditEntry, AuditFilter, Impersonator},
    ports::AuditTrail,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Value,
    sea_query::{Expr, ExprTrait},
};
use serde_json::Value as Json;
use time::Duration;
use uuid::Uuid;

use crate::{
    columns::{Col, Stored},
    db::{Db, piece},
    outbox::events::row,
};

/// An event with the name of the person behind it.
#[derive(FromQueryResult)]
struct AuditRow {
    id: Col<EventId>,
    kind: String,
    resource_type: String,
    resource_id: Uuid,
    actor_kind: Col<ActorKind>,
    actor_id: Option<Uuid>,
    actor_name: Option<String>,
    impersonator_id: Option<Uuid>,
    impersonator_name: Option<String>,
    before: Option<Json>,
    after: Option<Json>,
    request_id: String,
    address: Option<String>,
    user_agent: Option<String>,
    request_line: Option<String>,
    created_at: Col<Timestamp>,
}

/// Ids are unique over everything that acts: a person's is no key's.
const ACTOR_NAME: &str = "coalesce((select full_name from users where users.id = events.actor_id), \
     (select name from api_keys where api_keys.tenant_id = events.tenant_id and api_keys.id = events.actor_id))";

/// Who acted as the person.
const IMPERSONATOR_NAME: &str = "(select full_name from users where users.id = events.impersonator_id)";

/// An id says when it was made, and an event happens right after its id was made. Clocks of a process hardly ever jump, and
/// not that far.
pub(super) const ID_TOLERANCE: Duration = Duration::minutes(1);

impl From<AuditRow> for AuditEntry {
    fn from(row: AuditRow) -> Self {
        let kind = row.actor_kind.0;
        let line = row.request_line.as_deref().and_then(|line| line.split_once(' '));
        Self {
            id: row.id.0,
            kind: row.kind,
            actor: AuditActor { kind, id: row.actor_id.map(|id| id.to_string()), name: row.actor_name },
            impersonator: row
                .impersonator_id
                .map(|id| Impersonator { id: id.to_string(), name: row.impersonator_name }),
            resource: Resource { kind: row.resource_type.into(), id: row.resource_id },
            before: row.before,
            after: row.after,
            request_id: row.request_id,
            address: row.address,
            user_agent: row.user_agent,
            method: line.map(|(method, _)| method.to_owned()),
            path: line.map(|(_, path)| path.to_owned()),
            created_at: row.created_at.0,
        }
    }
}

/// The id that a text of the caller means. A text that is no id matches nothing.
enum Wanted {
    Any,
    Id(Uuid),
    Nothing,
}

fn wanted(text: Option<&str>) -> Wanted {
    match text.map(Uuid::parse_str) {
        None => Wanted::Any,
        Some(Ok(id)) => Wanted::Id(id),
        Some(Err(_)) => Wanted::Nothing,
    }
}

/// The smallest UUIDv7 of a moment (RFC 9562 section 5.7).
pub(super) fn first_id(moment: Timestamp) -> Uuid {
    let millis = u64::try_from(moment.unix_micros() / 1000).unwrap_or_default();
    Uuid::from_u128(u128::from(Ord::min(millis, (1 << 48) - 1)) << 80)
}

/// Whether a word consists of the characters that kinds of events, resources and actors do; another one matches nothing.
fn plain(word: &str) -> bool {
    word.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// The audit trail over one connection.
pub(crate) struct Audit<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl AuditTrail for Audit<'_> {
    async fn list(
        &mut self,
        tenant: Option<TenantId>,
        filter: AuditFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<AuditEntry>, StoreError> {
        let mut found = row::Entity::find();
        let postgres = self.db.0.get_database_backend() == DbBackend::Postgres;
        // Written into the statement on Postgres: how common a value is decides on the plan, and that of a statement that was sent
        // before does not look at what is bound. Only ids and words that are `plain` get here.
        let fixed = |value: Value| if postgres { Expr::Constant(value) } else { Expr::Value(value) };
        let is = |column: row::Column, value: Value| Expr::col((row::Entity, column)).eq(fixed(value));
        if let Some(tenant) = tenant {
            found = found.filter(is(row::Column::TenantId, Col(tenant).into()));
        }
        let ids = [
            (wanted(filter.resource_id.as_deref()), row::Column::ResourceId),
            (wanted(filter.actor_id.as_deref()), row::Column::ActorId),
        ];
        for (id, column) in ids {
            match id {
                Wanted::Any => {}
                Wanted::Id(id) => found = found.filter(is(column, id.into())),
                Wanted::Nothing => return Ok(CursorPage { items: Vec::new(), next_cursor: None }),
            }
        }
        let words = [
            (filter.resource_type, row::Column::ResourceType),
            (filter.kind, row::Column::Kind),
            (filter.actor_kind.map(|kind| kind.store()), row::Column::ActorKind),
        ];
        for (word, column) in words {
            match word {
                None => {}
                Some(word) if plain(&word) => found = found.filter(is(column, word.into())),
                Some(_) => return Ok(CursorPage { items: Vec::new(), next_cursor: None }),
            }
        }
        if let Some(request) = filter.request_id {
            found = found.filter(row::Column::RequestId.eq(request));
        }
        if let Some(from) = filter.from {
            found = found.filter(row::Column::CreatedAt.gte(Col(from)));
            // The list is in the order of ids: bounds on them keep it from being read from its end.
            found = found.filter(row::Column::Id.gte(first_id(from - ID_TOLERANCE)));
        }
        if let Some(to) = filter.to {
            found = found.filter(row::Column::CreatedAt.lt(Col(to)));
            found = found.filter(row::Column::Id.lt(first_id(to + ID_TOLERANCE)));
        }
        match wanted(request.cursor.as_deref()) {
            Wanted::Any => {}
            Wanted::Id(last) => {
                let in_list =
                    found.clone().select_only().column(row::Column::Id).filter(row::Column::Id.eq(last));
                found = found
                    .filter(row::Column::Id.lt(last))
                    .filter(Expr::exists(QueryTrait::into_query(in_list)));
            }
            Wanted::Nothing => return Ok(CursorPage { items: Vec::new(), next_cursor: None }),
        }
        // One more than asked for tells whether there is a next piece.
        let query = found
            .filter(Expr::col((row::Entity, row::Column::Audit)).ne(fixed(Col(AuditClass::NotKept).into())))
            .expr_as(Expr::cust(ACTOR_NAME), "actor_name")
            .expr_as(Expr::cust(IMPERSONATOR_NAME), "impersonator_name")
            .order_by_desc(row::Column::Id)
            .limit(request.limit + 1)
            .into_model::<AuditRow>();
        Ok(piece(self.db.all(query).await?, request.limit, |entry: &AuditEntry| entry.id.to_string()))
    }
}
