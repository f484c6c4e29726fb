//! Licenses, and whose they are.

use async_trait::async_trait;
use portico_kernel::{LicenseId, List, PageRequest, PurchaseId, StoreError, TenantId, Timestamp};
use portico_licensing::{
    key::SealedKey,
    license::{License, LicenseStatus, SeatReleases, Suspension},
    ports::{CountedLicense, FoundLicense, LicenseFilter, LicenseRepository},
    succession::LicensePlace,
};
use sea_orm::{QueryResult, TryGetError, Value};

use crate::{
    columns::{read, words},
    db::{Db, Param, Params, in_pages, placeholders},
    looked_after::looked_after,
};

words!(LicenseStatus, Suspension);

/// Licenses over one connection.
pub(crate) struct Licenses<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, key_digest, sealed_key, product_type, product_name, purchase_id, item, unit, status, \
    suspended_by, expires_at, supported_until, activation_limit, terms, released_month, released, created_at";

/// Those that `licenses` selects with all [`COLUMNS`], with the number of machines that hold a seat at the time that the parameter `now`
/// has, and with the license that follows.
fn with_count(licenses: &str, now: usize) -> String {
    with_others(licenses, now, "", "")
}

/// The same with the license that each follows, which any tenant may have had.
fn with_origin(licenses: &str, now: usize) -> String {
    let columns = ", given.tenant_id as given_tenant_id, given.license_id as given_license_id";
    let join = "left join license_transfers given on given.heir_tenant_id = licenses.tenant_id \
         and given.heir_license_id = licenses.id";
    with_others(licenses, now, columns, join)
}

/// Those with what both have in common, and with further columns of a further table. An open offer has no heir.
fn with_others(licenses: &str, now: usize, columns: &str, join: &str) -> String {
    format!(
        "select licenses.*, (select count(*) from license_activations a where a.tenant_id = licenses.tenant_id \
         and a.license_id = licenses.id and (a.lease_ends_at is null or a.lease_ends_at > ${now})) as activations, \
         heir.heir_tenant_id, heir.heir_license_id{columns} from ({licenses}) licenses \
         left join license_transfers heir on heir.tenant_id = licenses.tenant_id and heir.license_id = licenses.id {join}"
    )
}

fn license(row: &QueryResult) -> Result<License, TryGetError> {
    let (item, unit): (Option<u32>, Option<u32>) = (read(row, "item")?, read(row, "unit")?);
    Ok(License {
        id: read(row, "id")?,
        tenant_id: read(row, "tenant_id")?,
        key: SealedKey { digest: read(row, "key_digest")?, sealed: read(row, "sealed_key")? },
        product_type: read(row, "product_type")?,
        product_name: read(row, "product_name")?,
        purchase_id: read(row, "purchase_id")?,
        unit: item.zip(unit),
        status: read(row, "status")?,
        suspended_by: read(row, "suspended_by")?,
        expires_at: read(row, "expires_at")?,
        supported_until: read(row, "supported_until")?,
        activation_limit: read(row, "activation_limit")?,
        terms: read(row, "terms")?,
        releases: SeatReleases { month: read(row, "released_month")?, count: read(row, "released")? },
        created_at: read(row, "created_at")?,
    })
}

fn counted(row: &QueryResult) -> Result<CountedLicense, TryGetError> {
    let heir = place(row, "heir_tenant_id", "heir_license_id")?;
    Ok(CountedLicense { license: license(row)?, activations: read(row, "activations")?, heir })
}

fn found(row: &QueryResult) -> Result<FoundLicense, TryGetError> {
    let follows = place(row, "given_tenant_id", "given_license_id")?;
    Ok(FoundLicense { counted: counted(row)?, follows })
}

fn place(row: &QueryResult, tenant: &str, license: &str) -> Result<Option<LicensePlace>, TryGetError> {
    let (tenant, license): (Option<TenantId>, Option<LicenseId>) = (read(row, tenant)?, read(row, license)?);
    Ok(tenant.zip(license).map(|(tenant_id, license_id)| LicensePlace { license_id, tenant_id }))
}

impl Licenses<'_> {
    async fn one(&self, rest: &str, values: impl Params) -> Result<Option<License>, StoreError> {
        let sql = format!("select {COLUMNS} from licenses where tenant_id = $1 {rest}");
        Ok(self.db.rows_with(&sql, values, license).await?.into_iter().next())
    }

    /// Stores by which hash a license is found.
    async fn note_key(&self, license: &License) -> Result<(), StoreError> {
        let sql = "insert into license_keys (digest, tenant_id, license_id) values ($1, $2, $3)";
        self.db.execute(sql, (license.key.digest, license.tenant_id, license.id)).await.map(drop)
    }
}

#[async_trait]
impl LicenseRepository for Licenses<'_> {
    async fn insert(&mut self, license: &License) -> Result<(), StoreError> {
        let sql = format!("insert into licenses ({COLUMNS}) values ({})", placeholders(1, 18));
        // More than a tuple takes.
        let values = vec![
            license.tenant_id.value(),
            license.id.value(),
            license.key.digest.value(),
            (&license.key.sealed).value(),
            (&license.product_type).value(),
            (&license.product_name).value(),
            license.purchase_id.value(),
            license.unit.map(|(item, _)| item).value(),
            license.unit.map(|(_, unit)| unit).value(),
            license.status.value(),
            license.suspended_by.value(),
            license.expires_at.value(),
            license.supported_until.value(),
            license.activation_limit.value(),
            license.terms.clone().value(),
            license.releases.month.value(),
            license.releases.count.value(),
            license.created_at.value(),
        ];
        self.db.execute(&sql, values).await?;
        self.note_key(license).await
    }

    async fn find(&mut self, tenant: TenantId, id: LicenseId) -> Result<Option<License>, StoreError> {
        self.one("and id = $2", (tenant, id)).await
    }

    async fn lock(&mut self, tenant: TenantId, id: LicenseId) -> Result<Option<License>, StoreError> {
        let lock = self.db.dialect().for_update;
        self.one(&format!("and id = $2 {lock}"), (tenant, id)).await
    }

    async fn find_counted(
        &mut self,
        tenant: TenantId,
        id: LicenseId,
        now: Timestamp,
    ) -> Result<Option<CountedLicense>, StoreError> {
        let one = format!("select {COLUMNS} from licenses where tenant_id = $1 and id = $2");
        let rows = self.db.rows_with(&with_count(&one, 3), (tenant, id, now), counted).await?;
        Ok(rows.into_iter().next())
    }

    async fn find_managed(
        &mut self,
        tenant: TenantId,
        id: LicenseId,
        now: Timestamp,
    ) -> Result<Option<FoundLicense>, StoreError> {
        let one = format!("select {COLUMNS} from licenses where tenant_id = $1 and id = $2");
        let rows = self.db.rows_with(&with_origin(&one, 3), (tenant, id, now), found).await?;
        Ok(rows.into_iter().next())
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<CountedLicense>, StoreError> {
        let of_page = format!(
            "select {COLUMNS} from licenses where tenant_id = $1 order by id desc limit $2 offset $3"
        );
        let rows = format!("{} order by licenses.id desc", with_count(&of_page, 4));
        let count = "select count(*) from licenses where tenant_id = $1";
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = self.db.rows_with(&rows, (tenant, limit, offset, now), counted);
        in_pages(page, self.db.total(count, [tenant]), rows).await
    }

    async fn of_purchases(
        &mut self,
        tenant: TenantId,
        purchases: &[PurchaseId],
    ) -> Result<Vec<License>, StoreError> {
        if purchases.is_empty() {
            // A list without an item is none to SQL.
            return Ok(Vec::new());
        }
        let sql = format!(
            "select {COLUMNS} from licenses where tenant_id = $1 and purchase_id in ({}) order by purchase_id, item, unit",
            placeholders(2, purchases.len())
        );
        let values: Vec<Value> =
            [tenant.value()].into_iter().chain(purchases.iter().copied().map(Param::value)).collect();
        self.db.rows_with(&sql, values, license).await
    }

    async fn representatives(
        &mut self,
        tenant: TenantId,
        products: &[String],
        now: Timestamp,
    ) -> Result<Vec<License>, StoreError> {
        if products.is_empty() {
            // A list without an item is none to SQL.
            return Ok(Vec::new());
        }
        // What is stored as active and is over by now is apart from what is not.
        let sql = format!(
            "with ranked as (select {COLUMNS}, row_number() over (\
             partition by product_type, terms, status, case when expires_at <= $2 then 1 else 0 end \
             order by case when supported_until is null then 0 else 1 end, supported_until desc, id desc) as place \
             from licenses where tenant_id = $1 and product_type in ({})) \
             select {COLUMNS} from ranked where place = 1 order by id desc",
            placeholders(3, products.len())
        );
        let values: Vec<Value> =
            [tenant.value(), now.value()].into_iter().chain(products.iter().map(Param::value)).collect();
        self.db.rows_with(&sql, values, license).await
    }

    async fn tenant_of(&mut self, id: LicenseId) -> Result<Option<TenantId>, StoreError> {
        self.db.row("select tenant_id from license_keys where license_id = $1", [id]).await
    }

    async fn owner_of(&mut self, digests: &[[u8; 32]]) -> Result<Option<(TenantId, LicenseId)>, StoreError> {
        let sql = format!(
            "select tenant_id, license_id from license_keys where digest in ({})",
            placeholders(1, digests.len())
        );
        let values: Vec<Value> = digests.iter().copied().map(Param::value).collect();
        self.db.row(&sql, values).await
    }

    async fn managed(
        &mut self,
        all: bool,
        filter: &LicenseFilter,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<FoundLicense>, StoreError> {
        let (conditions, values) = conditions(all, filter, now);
        // Nothing but keys is read of the licenses before the page.
        let of_page = format!(
            "select {COLUMNS} from licenses where (tenant_id, id) in (\
             select tenant_id, id from licenses where {conditions} order by created_at desc, id desc limit {} offset {})",
            page.limit,
            page.offset()
        );
        let rows = with_origin(&of_page, values.len() + 1);
        let rows = format!("{rows} order by licenses.created_at desc, licenses.id desc");
        let count = format!("select count(*) from licenses where {conditions}");
        let with_now: Vec<Value> = values.iter().cloned().chain([now.value()]).collect();
        let rows = self.db.rows_with(&rows, with_now, found);
        in_pages(page, self.db.total(&count, values), rows).await
    }

    async fn update(&mut self, license: &License) -> Result<(), StoreError> {
        let sql = "update licenses set status = $3, suspended_by = $4, released_month = $5, released = $6 \
             where tenant_id = $1 and id = $2";
        let values = (
            license.tenant_id,
            license.id,
            license.status,
            license.suspended_by,
            license.releases.month,
            license.releases.count,
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn replace_key(&mut self, license: &License) -> Result<(), StoreError> {
        let (tenant, id) = (license.tenant_id, license.id);
        let sql = "delete from license_keys where tenant_id = $1 and license_id = $2";
        self.db.execute(sql, (tenant, id)).await?;
        let sql = "update licenses set key_digest = $3, sealed_key = $4 where tenant_id = $1 and id = $2";
        self.db.execute(sql, (tenant, id, license.key.digest, &license.key.sealed)).await?;
        self.note_key(license).await
    }

    async fn stored(&mut self, after: Option<LicenseId>, most: u64) -> Result<Vec<License>, StoreError> {
        let after = after.unwrap_or(LicenseId::from_uuid(uuid::Uuid::nil()));
        let sql = format!("select {COLUMNS} from licenses where id > $1 order by id limit $2");
        self.db.rows_with(&sql, (after, most), license).await
    }

    async fn ended(&mut self, now: Timestamp, limit: u64) -> Result<Vec<License>, StoreError> {
        let sql = format!(
            "select {COLUMNS} from licenses where status = 'active' and expires_at <= $1 order by expires_at, id limit $2"
        );
        self.db.rows_with(&sql, (now, limit), license).await
    }
}

/// The conditions of a filter, and their parameters.
fn conditions(all: bool, filter: &LicenseFilter, now: Timestamp) -> (String, Vec<Value>) {
    // Without a filter all of them.
    let mut conditions = vec!["licenses.id is not null".to_owned(), looked_after(all, "licenses.tenant_id")];
    let mut values: Vec<Value> = Vec::new();
    if let Some(tenant) = filter.tenant {
        values.push(tenant.value());
        conditions.push(format!("tenant_id = ${}", values.len()));
    }
    if let Some(product) = &filter.product_type {
        values.push(product.value());
        conditions.push(format!("product_type = ${}", values.len()));
    }
    if let Some(digests) = &filter.digests {
        conditions.push(format!("key_digest in ({})", placeholders(values.len() + 1, digests.len())));
        values.extend(digests.iter().copied().map(Param::value));
    }
    if let Some(status) = filter.status {
        // One whose term is over has expired, whether or not that is stored yet.
        let (value, condition) = match status {
            LicenseStatus::Active => {
                (now.value(), "status = 'active' and (expires_at is null or expires_at > $)")
            }
            LicenseStatus::Expired => {
                (now.value(), "(status = 'expired' or status = 'active' and expires_at <= $)")
            }
            LicenseStatus::Suspended | LicenseStatus::Revoked => (status.value(), "status = $"),
        };
        values.push(value);
        conditions.push(condition.replace('$', &format!("${}", values.len())));
    }
    (conditions.join(" and "), values)
}
