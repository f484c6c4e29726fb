//! The ledger.

use async_trait::async_trait;
use portico_billing::{ledger::LedgerTransaction, ports::LedgerRepository};
use portico_kernel::{StoreError, TenantId};
use sea_orm::{ConnectionTrait, Value};

use crate::db::{Db, Param, placeholders};

/// Columns of an entry.
const COLUMNS: usize = 8;

/// The ledger over one connection.
pub(crate) struct Ledger<'c, C> {
    pub db: Db<'c, C>,
}

#[async_trait]
impl<C: ConnectionTrait + Send> LedgerRepository for Ledger<'_, C> {
    async fn book(&mut self, tenant: TenantId, transaction: &LedgerTransaction) -> Result<(), StoreError> {
        // In one statement, so that a transaction is stored as a whole or not at all. The source is a part of the key of its entries.
        let (mut rows, mut values): (Vec<String>, Vec<Value>) = (Vec::new(), Vec::new());
        let source = transaction.source();
        for (position, entry) in (0_i32..).zip(transaction.entries()) {
            rows.push(format!("({})", placeholders(values.len() + 1, COLUMNS)));
            values.extend([
                tenant.value(),
                source.kind.as_str().value(),
                (&source.id).value(),
                position.value(),
                entry.account.as_str().value(),
                entry.amount.value(),
                transaction.currency().value(),
                transaction.booked_at().value(),
            ]);
        }
        let sql = format!(
            "insert into ledger_entries (tenant_id, source_kind, source_id, position, account, amount, currency, booked_at) \
             values {}",
            rows.join(", ")
        );
        self.db.execute(&sql, values).await.map(drop)
    }
}
