//! The log of downloads.

use async_trait::async_trait;
use portico_kernel::{
    DownloadId, LicenseId, List, PageRequest, ReleaseId, StoreError, TenantId, Timestamp, UserId,
};
use portico_licensing::{
    download::{DownloadRecord, DownloadUse},
    ports::DownloadRepository,
    release_version::ReleaseVersion,
};

use crate::{
    db::{Db, in_pages},
    looked_after::looked_after,
};

/// The log over one connection.
pub(crate) struct Downloads<'c> {
    pub db: Db<'c>,
}

/// With what is told of the release.
const COLUMNS: &str =
    "d.id, d.tenant_id, d.license_id, r.slug, r.version, d.user_id, d.address, d.bytes, d.downloaded_at";

/// A row of [`COLUMNS`].
type Row =
    (DownloadId, TenantId, LicenseId, String, ReleaseVersion, Option<UserId>, Option<String>, u64, Timestamp);

fn record(
    (id, customer_id, license_id, download_id, version, user_id, address, bytes, downloaded_at): Row,
) -> DownloadRecord {
    DownloadRecord {
        id,
        customer_id,
        license_id,
        download_id,
        version,
        user_id,
        address,
        bytes,
        downloaded_at,
    }
}

#[async_trait]
impl DownloadRepository for Downloads<'_> {
    async fn insert(&mut self, used: &DownloadUse) -> Result<(), StoreError> {
        let sql = "insert into downloads (tenant_id, id, license_id, release_id, user_id, address, bytes, downloaded_at) \
             values ($1, $2, $3, $4, $5, $6, $7, $8)";
        let values = (
            used.tenant_id,
            used.id,
            used.license_id,
            used.release_id,
            used.user_id,
            &used.address,
            used.bytes,
            used.downloaded_at,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn of_license(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        page: PageRequest,
    ) -> Result<List<DownloadRecord>, StoreError> {
        let rows = format!(
            "select {COLUMNS} from downloads d join releases r on r.id = d.release_id \
             where d.tenant_id = $1 and d.license_id = $2 order by d.id desc limit $3 offset $4"
        );
        let count = "select count(*) from downloads where tenant_id = $1 and license_id = $2";
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = async {
            let rows: Vec<Row> = self.db.rows(&rows, (tenant, license, limit, offset)).await?;
            Ok(rows.into_iter().map(record).collect())
        };
        in_pages(page, self.db.total(count, (tenant, license)), rows).await
    }

    async fn of_release(
        &mut self,
        all: bool,
        release: ReleaseId,
        page: PageRequest,
    ) -> Result<List<DownloadRecord>, StoreError> {
        let rows = format!(
            "select {COLUMNS} from downloads d join releases r on r.id = d.release_id \
             where d.release_id = $1 and {} order by d.id desc limit $2 offset $3",
            looked_after(all, "d.tenant_id")
        );
        let count = format!(
            "select count(*) from downloads where release_id = $1 and {}",
            looked_after(all, "downloads.tenant_id")
        );
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = async {
            let rows: Vec<Row> = self.db.rows(&rows, (release, limit, offset)).await?;
            Ok(rows.into_iter().map(record).collect())
        };
        in_pages(page, self.db.total(&count, [release]), rows).await
    }

    async fn forget(&mut self, before: Timestamp, limit: u64) -> Result<u64, StoreError> {
        let sql = "delete from downloads where (tenant_id, id) in \
             (select tenant_id, id from downloads where downloaded_at < $1 limit $2)";
        self.db.execute(sql, (before, limit)).await
    }
}
