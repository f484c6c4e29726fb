//! Releases of products.

use async_trait::async_trait;
use portico_kernel::{List, PageRequest, ReleaseFileId, ReleaseId, StoreError, Timestamp};
use portico_licensing::{
    policy::Channel,
    ports::{ReleaseFilter, ReleaseRepository, ReleaseUploadRepository, UpdateFilter},
    release::{Release, ReleaseFile, ReleaseStatus},
    release_upload::ReleaseUpload,
    release_version::ReleaseVersion,
    scan_status::ScanStatus,
};
use sea_orm::{QueryResult, TryGetError, Value};

use crate::{
    columns::{read, words},
    db::{Db, Param, Params, in_pages},
};

words!(Channel, ReleaseStatus, ReleaseVersion, ScanStatus);

/// Releases over one connection.
pub(crate) struct Releases<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "id, slug, product_type, name, version, channel, platform, notes, status, withdrawal_reason, released_at, \
    file_id, file_name, content_type, size, sha256, scan, signature, file_deleted_at, created_at, updated_at";

fn release(row: &QueryResult) -> Result<Release, TryGetError> {
    let file = match read(row, "file_id")? {
        Some(id) => Some(ReleaseFile {
            id,
            name: read(row, "file_name")?,
            content_type: read(row, "content_type")?,
            size: read(row, "size")?,
            sha256: read(row, "sha256")?,
            // Files from before there was a scanner have none.
            scan: read::<Option<ScanStatus>, _>(row, "scan")?.unwrap_or(ScanStatus::NotScanned),
            signature: read(row, "signature")?,
            deleted_at: read(row, "file_deleted_at")?,
        }),
        None => None,
    };
    Ok(Release {
        id: read(row, "id")?,
        slug: read(row, "slug")?,
        product_type: read(row, "product_type")?,
        name: read(row, "name")?,
        version: read(row, "version")?,
        channel: read(row, "channel")?,
        platform: read(row, "platform")?,
        notes: read(row, "notes")?,
        status: read(row, "status")?,
        withdrawal_reason: read(row, "withdrawal_reason")?,
        released_at: read(row, "released_at")?,
        file,
        created_at: read(row, "created_at")?,
        updated_at: read(row, "updated_at")?,
    })
}

impl Releases<'_> {
    async fn one(&self, rest: &str, values: impl Params) -> Result<Option<Release>, StoreError> {
        let sql = format!("select {COLUMNS} from releases where {rest}");
        Ok(self.db.rows_with(&sql, values, release).await?.into_iter().next())
    }

    /// One page of those that fulfil conditions.
    async fn page(
        &self,
        conditions: &str,
        values: Vec<Value>,
        order: &str,
        page: PageRequest,
    ) -> Result<List<Release>, StoreError> {
        let rows = format!(
            "select {COLUMNS} from releases where {conditions} order by {order} limit {} offset {}",
            page.limit,
            page.offset()
        );
        let count = format!("select count(*) from releases where {conditions}");
        let rows = self.db.rows_with(&rows, values.clone(), release);
        in_pages(page, self.db.total(&count, values), rows).await
    }
}

/// The columns of a file, from its name on.
fn of_file(file: Option<&ReleaseFile>) -> [Value; 8] {
    [
        file.map(|file| file.id).value(),
        file.map(|file| file.name.clone()).value(),
        file.map(|file| file.content_type.clone()).value(),
        file.map(|file| file.size).value(),
        file.map(|file| file.sha256.clone()).value(),
        file.map(|file| file.scan).value(),
        file.and_then(|file| file.signature.clone()).value(),
        file.and_then(|file| file.deleted_at).value(),
    ]
}

#[async_trait]
impl ReleaseRepository for Releases<'_> {
    async fn insert(&mut self, release: &Release) -> Result<(), StoreError> {
        let places: Vec<String> = (1..=22).map(|place| format!("${place}")).collect();
        let sql = format!("insert into releases ({COLUMNS}, version_key) values ({})", places.join(", "));
        // More than a tuple takes.
        let mut values = vec![
            release.id.value(),
            (&release.slug).value(),
            (&release.product_type).value(),
            (&release.name).value(),
            release.version.clone().value(),
            release.channel.value(),
            (&release.platform).value(),
            (&release.notes).value(),
            release.status.value(),
            (&release.withdrawal_reason).value(),
            release.released_at.value(),
        ];
        values.extend(of_file(release.file.as_ref()));
        values.extend([release.created_at.value(), release.updated_at.value()]);
        values.push(release.version.order_key().value());
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn find(&mut self, id: ReleaseId) -> Result<Option<Release>, StoreError> {
        self.one("id = $1", [id]).await
    }

    async fn lock(&mut self, id: ReleaseId) -> Result<Option<Release>, StoreError> {
        let lock = self.db.dialect().for_update;
        self.one(&format!("id = $1 {lock}"), [id]).await
    }

    async fn of_slug<'s>(&mut self, slug: &'s str) -> Result<Option<Release>, StoreError> {
        self.one("slug = $1", [slug]).await
    }

    async fn list(&mut self, filter: &ReleaseFilter, page: PageRequest) -> Result<List<Release>, StoreError> {
        // Without a filter all of them.
        let mut conditions = vec!["true".to_owned()];
        let mut values: Vec<Value> = Vec::new();
        if let Some(product) = &filter.product_type {
            values.push(product.value());
            conditions.push(format!("product_type = ${}", values.len()));
        }
        if let Some(status) = filter.status {
            values.push(status.value());
            conditions.push(format!("status = ${}", values.len()));
        }
        self.page(&conditions.join(" and "), values, "id desc", page).await
    }

    async fn offered(
        &mut self,
        product_type: Option<String>,
        page: PageRequest,
    ) -> Result<List<Release>, StoreError> {
        let order = "released_at desc, id desc";
        match product_type {
            Some(product) => {
                let conditions = "released_at is not null and product_type = $1";
                self.page(conditions, vec![product.value()], order, page).await
            }
            None => self.page("released_at is not null", Vec::new(), order, page).await,
        }
    }

    async fn newest(&mut self, filter: &UpdateFilter) -> Result<Option<Release>, StoreError> {
        let mut values: Vec<Value> = vec![(&filter.product_type).value()];
        let mut conditions = vec!["product_type = $1".to_owned(), "status = 'published'".to_owned()];
        let channels = filter.channels.iter().map(|channel| {
            values.push((*channel).value());
            format!("${}", values.len())
        });
        let channels: Vec<String> = channels.collect();
        conditions.push(format!("channel in ({})", channels.join(", ")));
        match &filter.platform {
            Some(platform) => {
                values.push(platform.value());
                conditions.push(format!("(platform is null or platform = ${})", values.len()));
            }
            None => conditions.push("platform is null".to_owned()),
        }
        if let Some(above) = &filter.above {
            values.push(above.order_key().value());
            conditions.push(format!("version_key > ${}", values.len()));
        }
        let rest = format!(
            "{} order by version_key desc, released_at desc, id desc limit 1",
            conditions.join(" and ")
        );
        self.one(&rest, values).await
    }

    async fn withdrawn(&mut self, before: Timestamp, limit: u64) -> Result<Vec<ReleaseId>, StoreError> {
        let sql = format!(
            "select id from releases where status = 'withdrawn' and file_id is not null and file_deleted_at is null \
             and updated_at < $1 order by updated_at limit {limit}"
        );
        self.db.rows_with(&sql, [before], |row| read(row, "id")).await
    }

    async fn update(&mut self, release: &Release) -> Result<(), StoreError> {
        let sql = "update releases set name = $2, notes = $3, status = $4, withdrawal_reason = $5, released_at = $6, file_id = $7, \
             file_name = $8, content_type = $9, size = $10, sha256 = $11, scan = $12, signature = $13, file_deleted_at = $14, \
             updated_at = $15 where id = $1";
        let mut values = vec![
            release.id.value(),
            (&release.name).value(),
            (&release.notes).value(),
            release.status.value(),
            (&release.withdrawal_reason).value(),
            release.released_at.value(),
        ];
        values.extend(of_file(release.file.as_ref()));
        values.push(release.updated_at.value());
        self.db.execute(sql, values).await.map(drop)
    }
}

/// Uploads of files of releases, over one connection.
pub(crate) struct ReleaseUploads<'c> {
    pub db: Db<'c>,
}

const UPLOAD: &str =
    "id, release_id, file_name, content_type, size, sha256, part_size, created_at, expires_at";

fn upload(row: &QueryResult) -> Result<ReleaseUpload, TryGetError> {
    Ok(ReleaseUpload {
        id: read(row, "id")?,
        release_id: read(row, "release_id")?,
        file_name: read(row, "file_name")?,
        content_type: read(row, "content_type")?,
        size: read(row, "size")?,
        sha256: read(row, "sha256")?,
        part_size: read(row, "part_size")?,
        created_at: read(row, "created_at")?,
        expires_at: read(row, "expires_at")?,
    })
}

#[async_trait]
impl ReleaseUploadRepository for ReleaseUploads<'_> {
    async fn insert(&mut self, upload: &ReleaseUpload) -> Result<(), StoreError> {
        let sql =
            format!("insert into release_uploads ({UPLOAD}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
        let values: Vec<Value> = vec![
            upload.id.value(),
            upload.release_id.value(),
            (&upload.file_name).value(),
            (&upload.content_type).value(),
            upload.size.value(),
            (&upload.sha256).value(),
            upload.part_size.value(),
            upload.created_at.value(),
            upload.expires_at.value(),
        ];
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn find(
        &mut self,
        release: ReleaseId,
        id: ReleaseFileId,
    ) -> Result<Option<ReleaseUpload>, StoreError> {
        let sql = format!("select {UPLOAD} from release_uploads where release_id = $1 and id = $2");
        Ok(self.db.rows_with(&sql, (release, id), upload).await?.into_iter().next())
    }

    async fn delete(
        &mut self,
        release: ReleaseId,
        id: ReleaseFileId,
    ) -> Result<Option<ReleaseUpload>, StoreError> {
        let sql = format!("delete from release_uploads where release_id = $1 and id = $2 returning {UPLOAD}");
        Ok(self.db.rows_with(&sql, (release, id), upload).await?.into_iter().next())
    }
}
