//! What visitors sent through contact forms.

use async_trait::async_trait;
use portico_kernel::{
    CursorPage, CursorRequest, SectionId, SiteId, StoreError, SubmissionId, TenantId, Timestamp,
};
use portico_sites::{
    ports::SubmissionRepository,
    submission::{Consent, Submission, SubmissionFilter, SubmissionStatus},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use crate::{
    dialect::{contains, execute, query},
    error::{store_error, unreadable},
    time::{from_row, to_row},
};

/// A row of the table of submissions.
pub(crate) mod row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "submissions")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        pub site_id: Uuid,
        pub section_id: Uuid,
        pub page_path: String,
        pub language: String,
        pub name: String,
        pub email: String,
        pub phone: Option<String>,
        pub message: String,
        pub consent: bool,
        pub consent_text: String,
        pub consent_at: Option<TimeDateTime>,
        pub status: String,
        pub digest: String,
        pub created_at: TimeDateTime,
        pub updated_at: TimeDateTime,
        pub version: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

use row::Column;

impl TryFrom<row::Model> for Submission {
    type Error = StoreError;

    fn try_from(row: row::Model) -> Result<Self, StoreError> {
        let status = SubmissionStatus::parse(&row.status);
        Ok(Self {
            id: SubmissionId::from_uuid(row.id),
            tenant: TenantId::from_uuid(row.tenant_id),
            site_id: SiteId::from_uuid(row.site_id),
            section_id: SectionId::from_uuid(row.section_id),
            page_path: row.page_path,
            language: row.language,
            name: row.name,
            email: row.email,
            phone: row.phone,
            message: row.message,
            consent: Consent { given: row.consent, text: row.consent_text, at: row.consent_at.map(from_row) },
            status: status.ok_or_else(|| unreadable("submissions.status", &row.status))?,
            created_at: from_row(row.created_at),
            updated_at: from_row(row.updated_at),
            digest: row.digest,
            version: row.version,
        })
    }
}

/// What visitors sent through contact forms, over one connection.
pub(crate) struct Submissions<'c, C> {
    pub connection: &'c C,
}

#[async_trait]
impl<C: ConnectionTrait + Send> SubmissionRepository for Submissions<'_, C> {
    async fn insert(&mut self, submission: &Submission) -> Result<bool, StoreError> {
        let row = row::ActiveModel {
            tenant_id: Set(submission.tenant.uuid()),
            id: Set(submission.id.uuid()),
            site_id: Set(submission.site_id.uuid()),
            section_id: Set(submission.section_id.uuid()),
            page_path: Set(submission.page_path.clone()),
            language: Set(submission.language.clone()),
            name: Set(submission.name.clone()),
            email: Set(submission.email.clone()),
            phone: Set(submission.phone.clone()),
            message: Set(submission.message.clone()),
            consent: Set(submission.consent.given),
            consent_text: Set(submission.consent.text.clone()),
            consent_at: Set(submission.consent.at.map(to_row)),
            status: Set(submission.status.as_str().to_owned()),
            digest: Set(submission.digest.clone()),
            created_at: Set(to_row(submission.created_at)),
            updated_at: Set(to_row(submission.updated_at)),
            version: Set(submission.version),
        };
        let twins =
            OnConflict::columns([Column::TenantId, Column::SiteId, Column::Digest]).do_nothing().to_owned();
        let stored =
            row::Entity::insert(row).on_conflict(twins).exec_without_returning(self.connection).await;
        stored.map(|rows| rows > 0).map_err(store_error)
    }

    async fn has(&mut self, tenant: TenantId, site: SiteId, count: u64) -> Result<bool, StoreError> {
        let rows = query(
            self.connection,
            "select 1 as kept from submissions where tenant_id = $1 and site_id = $2 limit 1 offset $3",
            [
                tenant.uuid().into(),
                site.uuid().into(),
                i64::try_from(count.saturating_sub(1)).unwrap_or(i64::MAX).into(),
            ],
        )
        .await?;
        Ok(!rows.is_empty())
    }

    async fn find(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        id: SubmissionId,
    ) -> Result<Option<Submission>, StoreError> {
        let found =
            row::Entity::find_by_id((tenant.uuid(), id.uuid())).filter(Column::SiteId.eq(site.uuid()));
        found.one(self.connection).await.map_err(store_error)?.map(Submission::try_from).transpose()
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        site: SiteId,
        filter: SubmissionFilter,
        request: CursorRequest,
    ) -> Result<CursorPage<Submission>, StoreError> {
        let mut found = row::Entity::find()
            .filter(Column::TenantId.eq(tenant.uuid()))
            .filter(Column::SiteId.eq(site.uuid()));
        if let Some(status) = filter.status {
            found = found.filter(Column::Status.eq(status.as_str()));
        }
        if let Some(part) = &filter.q {
            let columns = [Column::Name, Column::Email, Column::Phone, Column::Message];
            found = found.filter(contains(columns.map(Expr::col), part));
        }
        if let Some(from) = filter.from {
            found = found.filter(Column::CreatedAt.gte(to_row(from)));
        }
        if let Some(to) = filter.to {
            found = found.filter(Column::CreatedAt.lt(to_row(to)));
        }
        if let Some(cursor) = &request.cursor {
            let Ok(last) = Uuid::parse_str(cursor) else {
                return Ok(CursorPage { items: Vec::new(), next_cursor: None });
            };
            found = found.filter(Column::Id.lt(last));
        }
        // One more than asked for tells whether there is a next piece.
        let rows = found
            .order_by_desc(Column::Id)
            .limit(request.limit + 1)
            .all(self.connection)
            .await
            .map_err(store_error)?;
        let limit = usize::try_from(request.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        let items = rows.into_iter().take(limit).map(Submission::try_from).collect::<Result<Vec<_>, _>>()?;
        let next_cursor = items.last().filter(|_| more).map(|last| last.id.to_string());
        Ok(CursorPage { items, next_cursor })
    }

    async fn update(&mut self, submission: &Submission) -> Result<(), StoreError> {
        let updated = execute(
            self.connection,
            "update submissions set status = $4, updated_at = $5, version = version + 1 \
             where tenant_id = $1 and id = $2 and version = $3",
            [
                submission.tenant.uuid().into(),
                submission.id.uuid().into(),
                submission.version.into(),
                submission.status.as_str().into(),
                to_row(submission.updated_at).into(),
            ],
        )
        .await?;
        if updated == 0 { Err(StoreError::Stale) } else { Ok(()) }
    }

    async fn delete(&mut self, tenant: TenantId, site: SiteId, id: SubmissionId) -> Result<bool, StoreError> {
        let deleted = execute(
            self.connection,
            "delete from submissions where tenant_id = $1 and site_id = $2 and id = $3",
            [tenant.uuid().into(), site.uuid().into(), id.uuid().into()],
        )
        .await?;
        Ok(deleted > 0)
    }

    async fn forget(&mut self, time: Timestamp, limit: u64) -> Result<u64, StoreError> {
        execute(
            self.connection,
            "delete from submissions where (tenant_id, id) in \
             (select tenant_id, id from submissions where created_at < $1 limit $2)",
            [to_row(time).into(), i64::try_from(limit).unwrap_or(i64::MAX).into()],
        )
        .await
    }
}
