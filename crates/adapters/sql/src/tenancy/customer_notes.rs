//! Notes of staff about customers.

use async_trait::async_trait;
use portico_kernel::{CustomerNoteId, List, PageRequest, StoreError, TenantId, Timestamp, UserId};
use portico_tenancy::{customer_note::CustomerNote, ports::CustomerNoteRepository};

use crate::db::{Db, in_pages};

/// Notes over one connection.
pub(crate) struct CustomerNotes<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "id, tenant_id, author_id, text, created_at";

/// A row of [`COLUMNS`].
type Row = (CustomerNoteId, TenantId, UserId, String, Timestamp);

fn note((id, customer_id, author_id, text, created_at): Row) -> CustomerNote {
    CustomerNote { id, customer_id, author_id, text, created_at }
}

#[async_trait]
impl CustomerNoteRepository for CustomerNotes<'_> {
    async fn insert(&mut self, note: &CustomerNote) -> Result<(), StoreError> {
        let sql = format!("insert into customer_notes ({COLUMNS}) values ($1, $2, $3, $4, $5)");
        let values = (note.id, note.customer_id, note.author_id, &note.text, note.created_at);
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<CustomerNote>, StoreError> {
        let rows = format!(
            "select {COLUMNS} from customer_notes where tenant_id = $1 order by id desc limit $2 offset $3"
        );
        let count = "select count(*) from customer_notes where tenant_id = $1";
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = async {
            let rows: Vec<Row> = self.db.rows(&rows, (tenant, limit, offset)).await?;
            Ok(rows.into_iter().map(note).collect())
        };
        in_pages(page, self.db.total(count, [tenant]), rows).await
    }

    async fn delete(&mut self, tenant: TenantId, id: CustomerNoteId) -> Result<bool, StoreError> {
        let sql = "delete from customer_notes where tenant_id = $1 and id = $2";
        Ok(self.db.execute(sql, (tenant, id)).await? > 0)
    }
}
