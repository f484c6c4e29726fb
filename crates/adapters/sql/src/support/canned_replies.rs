//! Answers of support that are kept ready.

use async_trait::async_trait;
use portico_kernel::{CannedReplyId, List, PageRequest, StoreError, Timestamp};
use portico_support::{canned_reply::CannedReply, ports::CannedReplyRepository};
use sea_orm::Value;

use crate::{
    db::{Db, Param, in_pages},
    dialect::containing,
};

/// Answers over one connection.
pub(crate) struct CannedReplies<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "id, title, body, created_at, updated_at";

/// A row of [`COLUMNS`].
type Row = (CannedReplyId, String, String, Timestamp, Timestamp);

fn reply((id, title, body, created_at, updated_at): Row) -> CannedReply {
    CannedReply { id, title, body, created_at, updated_at }
}

#[async_trait]
impl CannedReplyRepository for CannedReplies<'_> {
    async fn insert(&mut self, reply: &CannedReply) -> Result<(), StoreError> {
        let sql = format!("insert into canned_replies ({COLUMNS}) values ($1, $2, $3, $4, $5)");
        let values = (reply.id, &reply.title, &reply.body, reply.created_at, reply.updated_at);
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn list(
        &mut self,
        part: Option<String>,
        page: PageRequest,
    ) -> Result<List<CannedReply>, StoreError> {
        let mut values: Vec<Value> = Vec::new();
        let found = match &part {
            Some(part) => containing(&["title", "body"], part, &mut values),
            None => "true".to_owned(),
        };
        let count = format!("select count(*) from canned_replies where {found}");
        let counted = values.clone();
        values.extend([page.limit.value(), page.offset().value()]);
        let (limit, offset) = (values.len() - 1, values.len());
        let rows = format!(
            "select {COLUMNS} from canned_replies where {found} order by title, id limit ${limit} offset ${offset}"
        );
        let rows = async {
            let rows: Vec<Row> = self.db.rows(&rows, values).await?;
            Ok(rows.into_iter().map(reply).collect())
        };
        in_pages(page, self.db.total(&count, counted), rows).await
    }

    async fn find(&mut self, id: CannedReplyId) -> Result<Option<CannedReply>, StoreError> {
        let sql = format!("select {COLUMNS} from canned_replies where id = $1");
        Ok(self.db.row(&sql, [id]).await?.map(reply))
    }

    async fn update(&mut self, reply: &CannedReply) -> Result<(), StoreError> {
        let sql = "update canned_replies set title = $2, body = $3, updated_at = $4 where id = $1";
        self.db.execute(sql, (reply.id, &reply.title, &reply.body, reply.updated_at)).await.map(drop)
    }

    async fn delete(&mut self, id: CannedReplyId) -> Result<(), StoreError> {
        self.db.execute("delete from canned_replies where id = $1", [id]).await.map(drop)
    }
}
