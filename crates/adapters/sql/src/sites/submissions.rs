//! What visitors sent through contact forms.

use async_trait::async_trait;
use portico_kernel::{CursorPage, CursorRequest, SiteId, StoreError, SubmissionId, TenantId, Timestamp};
use portico_sites::{
    ports::SubmissionRepository,
    submission::{Consent, Submission, SubmissionFilter, SubmissionStatus},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};

use crate::{
    columns::{Col, words},
    db::{Db, piece},
    dialect::contains,
};
use row::Column;

/// A row of the table of submissions.
pub(crate) mod row {
    use portico_kernel::{SectionId, SiteId, SubmissionId, TenantId, Timestamp};
    use portico_sites::submission::SubmissionStatus;
    use sea_orm::entity::prelude::*;

    use crate::columns::Col;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "submissions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Col<TenantId>,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Col<SubmissionId>,
        pub site_id: Col<SiteId>,
        pub section_id: Col<SectionId>,
        pub page_path: String,
        pub language: String,
        pub name: String,
        pub email: String,
        pub phone: Option<String>,
        pub message: String,
        pub consent: bool,
        pub consent_text: String,
        pub consent_at: Col<Option<Timestamp>>,
        pub status: Col<SubmissionStatus>,
        pub digest: String,
        pub created_at: Col<Timestamp>,
        pub updated_at: Col<Timestamp>,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

words!(SubmissionStatus);

impl From<row::Model> for Submission {
    fn from(row: row::Model) -> Self {
        Self {
            id: row.id.0,
            tenant: row.tenant_id.0,
            site_id: row.site_id.0,
            section_id: row.section_id.0,
            page_path: row.page_path,
            language: row.language,
            name: row.name,
            email: row.email,
            phone: row.phone,
            message: row.message,
            consent: Consent { given: row.consent, text: row.consent_text, at: row.consent_at.0 },
            status: row.status.0,
            created_at: row.created_at.0,
            updated_at: row.updated_at.0,
            digest: row.digest,
            version: row.version,
        }
    }
}

/// What visitors sent through contact forms, over one connection.
pub(crate) struct Submissions<'c> {
    pub db: Db<'c>,
}

#[async_trait]
impl SubmissionRepository for Submissions<'_> {
    async fn insert(&mut self, submission: &Submission) -> Result<bool, StoreError> {
        let row = row::ActiveModel {
            tenant_id: Set(Col(submission.tenant)),
            id: Set(Col(submission.id)),
            site_id: Set(Col(submission.site_id)),
            section_id: Set(Col(submission.section_id)),
            page_path: Set(submission.page_path.clone()),
            language: Set(submission.language.clone()),
            name: Set(submission.name.clone()),
            email: Set(submission.email.clone()),
            phone: Set(submission.phone.clone()),
            message: Set(submission.message.clone()),
            consent: Set(submission.consent.given),
            consent_text: Set(submission.consent.text.clone()),
            consent_at: Set(Col(submission.consent.at)),
            status: Set(Col(submission.status)),
            digest: Set(submission.digest.clone()),
            created_at: Set(Col(submission.created_at)),
            updated_at: Set(Col(submission.updated_at)),
            version: Set(submission.version),
        };
        let twins =
            OnConflict::columns([Column::TenantId, Column::SiteId, Column::Digest]).do_nothing().to_owned();
        Ok(self.db.insert_with(row::Entity::insert(row).on_conflict(twins)).await? > 0)
    }

    async fn has(&mut self, tenant: TenantId, site: SiteId, count: u64) -> Result<bool, StoreError> {
        let sql = "select 1 as kept from submissions where tenant_id = $1 and site_id = $2 limit 1 offset $3";
        self.db.exists(sql, (tenant, site, count.saturating_sub(1))).await
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: SubmissionId,
    ) -> Result<Option<Submission>, StoreError> {
        let found = row::Entity::find_by_id((Col(tenant), Col(id))).filter(Column::SiteId.eq(Col(site)));
        self.db.one(found).await
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        filter: SubmissionFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<Submission>, StoreError> {
        let mut found =
            row::Entity::find().filter(Column::TenantId.eq(Col(tenant))).filter(Column::SiteId.eq(Col(site)));
        if let Some(status) = filter.status {
            found = found.filter(Column::Status.eq(Col(status)));
        }
        if let Some(part) = &filter.q {
            let columns = [Column::Name, Column::Email, Column::Phone, Column::Message];
            found = found.filter(contains(columns.map(Expr::col), part));
        }
        if let Some(from) = filter.from {
            found = found.filter(Column::CreatedAt.gte(Col(from)));
        }
        if let Some(to) = filter.to {
            found = found.filter(Column::CreatedAt.lt(Col(to)));
        }
        if let Some(cursor) = &request.cursor {
            let Ok(last) = cursor.parse::<SubmissionId>() else {
                return Ok(CursorPage { items: Vec::new(), next_cursor: None });
            };
            found = found.filter(Column::Id.lt(Col(last)));
        }
        // One more than asked for tells whether there is a next piece.
        let query = found.order_by_desc(Column::Id).limit(request.limit + 1);
        Ok(piece(self.db.all(query).await?, request.limit, |last: &Submission| last.id.to_string()))
    }

    async fn update(&mut self, submission: &Submission) -> Result<(), StoreError> {
        let sql = "update submissions set status = $4, updated_at = $5, version = version + 1 \
             where tenant_id = $1 and id = $2 and version = $3";
        let values =
            (submission.tenant, submission.id, submission.version, submission.status, submission.updated_at);
        self.db.execute_one(sql, values).await
    }

    async fn delete(&mut self, tenant: TenantId, site: SiteId, id: SubmissionId) -> Result<bool, StoreError> {
        let sql = "delete from submissions where tenant_id = $1 and site_id = $2 and id = $3";
        Ok(self.db.execute(sql, (tenant, site, id)).await? > 0)
    }

    async fn forget(&mut self, time: Timestamp, limit: u64) -> Result<u64, StoreError> {
        let sql = "delete from submissions where (tenant_id, id) in \
             (select tenant_id, id from submissions where created_at < $1 limit $2)";
        self.db.execute(sql, (time, limit)).await
    }
}
