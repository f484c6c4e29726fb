//! Which requests with a key are under way, and what the others were answered: one row for each, claimed by compare and set.

use async_trait::async_trait;
use portico_kernel::{
    StoreError, Timestamp,
    idempotency::{Claim, IdempotencyKeys, IdempotencyRecords, KeyedRequest, Record},
};
use sea_orm::{FromQueryResult, Value};

use crate::{
    SqlStore, SqlUnitOfWork,
    columns::Col,
    db::{Db, Param, Params, StatementConnection},
};

/// How often to try when a record that was in the way has gone before it could be read.
const TRIES: usize = 5;

/// Of two at once the second one waits for the row of the first, and finds it taken.
const CLAIM: &str = "insert into idempotency_keys \
    (tenant_id, caller_id, key, fingerprint, holder, expires_at, leased_until, answer) \
    values ($1, $2, $3, $4, $5, $6, $7, null) \
    on conflict (tenant_id, caller_id, key) do update set fingerprint = excluded.fingerprint, \
        holder = excluded.holder, expires_at = excluded.expires_at, leased_until = excluded.leased_until, answer = null \
    where idempotency_keys.expires_at <= $8 \
        or (idempotency_keys.answer is null and idempotency_keys.leased_until <= $8)";

/// The row may be gone, for instance because the request erased its caller: then nobody else has it.
const COMPLETE: &str = "insert into idempotency_keys \
    (tenant_id, caller_id, key, fingerprint, holder, expires_at, leased_until, answer) \
    values ($1, $2, $3, $4, $5, $6, $6, $7) \
    on conflict (tenant_id, caller_id, key) do update set answer = excluded.answer \
    where idempotency_keys.holder = excluded.holder and idempotency_keys.answer is null";

#[derive(FromQueryResult)]
struct Row {
    fingerprint: String,
    leased_until: Col<Timestamp>,
    answer: Option<Vec<u8>>,
}

impl From<Row> for Record {
    fn from(row: Row) -> Self {
        Self { fingerprint: row.fingerprint, leased_until: row.leased_until.0, answer: row.answer }
    }
}

/// `$1` to `$6` of a claim.
fn values(claim: &Claim) -> Vec<Value> {
    (
        claim.request.tenant,
        claim.request.caller,
        claim.request.key.as_str(),
        claim.fingerprint.as_str(),
        claim.holder,
        claim.expires_at,
    )
        .values()
}

async fn complete(db: &Db<'_>, claim: &Claim, answer: &[u8]) -> Result<bool, StoreError> {
    let mut values = values(claim);
    values.push(answer.to_vec().value());
    Ok(db.execute(COMPLETE, values).await? == 1)
}

async fn release(db: &Db<'_>, claim: &Claim) -> Result<(), StoreError> {
    let KeyedRequest { tenant, caller, key } = &claim.request;
    let sql = "delete from idempotency_keys where tenant_id = $1 and caller_id = $2 and key = $3 and holder = $4 \
         and answer is null";
    db.execute(sql, (*tenant, *caller, key.as_str(), claim.holder)).await.map(drop)
}

#[async_trait]
impl IdempotencyKeys for SqlStore {
    async fn claim(
        &self,
        claim: &Claim,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        for _ in 0..TRIES {
            let mut values = values(claim);
            values.extend((until, now).values());
            if self.write().execute(CLAIM, values).await? == 1 {
                return Ok(None);
            }
            if let Some(record) = self.find(&claim.request, now).await? {
                return Ok(Some(record));
            }
        }
        Err(StoreError::Unavailable("a request came and went while it was claimed".into()))
    }

    async fn extend(&self, claim: &Claim, until: Timestamp) -> Result<bool, StoreError> {
        let KeyedRequest { tenant, caller, key } = &claim.request;
        let sql = "update idempotency_keys set leased_until = $5 \
             where tenant_id = $1 and caller_id = $2 and key = $3 and holder = $4 and answer is null";
        Ok(self.write().execute(sql, (*tenant, *caller, key.as_str(), claim.holder, until)).await? == 1)
    }

    async fn find(&self, request: &KeyedRequest, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let sql = "select fingerprint, leased_until, answer from idempotency_keys \
             where tenant_id = $1 and caller_id = $2 and key = $3 and expires_at > $4";
        let values = (request.tenant, request.caller, request.key.as_str(), now);
        Ok(self.read().model::<Row>(sql, values).await?.map(Record::from))
    }

    async fn complete(&self, claim: &Claim, answer: &[u8]) -> Result<bool, StoreError> {
        complete(&self.write(), claim, answer).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), StoreError> {
        release(&self.write(), claim).await
    }
}

/// The records over one unit of work.
struct Records<'c> {
    db: Db<'c>,
}

#[async_trait]
impl IdempotencyRecords for Records<'_> {
    async fn complete(&mut self, claim: &Claim, answer: &[u8]) -> Result<bool, StoreError> {
        complete(&self.db, claim, answer).await
    }

    async fn release(&mut self, claim: &Claim) -> Result<(), StoreError> {
        release(&self.db, claim).await
    }
}

impl SqlUnitOfWork {
    /// The records of requests that have a key.
    pub fn idempotency<'c>(&'c mut self) -> Box<dyn IdempotencyRecords + 'c> {
        Box::new(Records { db: self.connection.db() })
    }
}
