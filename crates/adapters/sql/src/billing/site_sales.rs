//! Sales of sites.

use async_trait::async_trait;
use portico_billing::{
    checkout::PurchaseCheckout,
    ports::SiteSaleRepository,
    site_sale::{FoundSale, SiteSale, SiteSaleFilter, SiteSaleStatus},
};
use portico_kernel::{CheckoutId, List, PageRequest, PurchaseId, StoreError, TenantId, Timestamp, UserId};
use sea_orm::{QueryResult, TryGetError, Value};

use crate::{
    columns::{read, words},
    db::{Db, Param, Params, in_pages, placeholders},
};

words!(SiteSaleStatus);

/// Sales over one connection.
pub(crate) struct SiteSales<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "tenant_id, id, site_id, site_name, slug, buyer_email, buyer_name, buyer_user_id, buyer_tenant_id, \
    amount, currency, status, provider, live, stage, session_id, url, payment_id, success_url, cancel_url, created_at, expires_at, \
    check_at, paid_at, returns_site";

/// What other rows say about a sale.
const ABOUT: &str = "(select email from users where users.id = site_sales.buyer_user_id) as account_email, \
    (select count(*) from site_refunds r where r.tenant_id = site_sales.tenant_id and r.purchase_id = site_sales.id \
    and r.status in ('requested', 'pending')) as refunding";

fn sale(row: &QueryResult) -> Result<SiteSale, TryGetError> {
    let (tenant_id, id): (TenantId, PurchaseId) = (read(row, "tenant_id")?, read(row, "id")?);
    let created_at: Timestamp = read(row, "created_at")?;
    let (user, tenant): (Option<UserId>, Option<TenantId>) =
        (read(row, "buyer_user_id")?, read(row, "buyer_tenant_id")?);
    Ok(SiteSale {
        id,
        tenant_id,
        site_id: read(row, "site_id")?,
        site_name: read(row, "site_name")?,
        slug: read(row, "slug")?,
        buyer_email: read(row, "buyer_email")?,
        buyer_name: read(row, "buyer_name")?,
        buyer: user.zip(tenant),
        amount: read(row, "amount")?,
        currency: read(row, "currency")?,
        status: read(row, "status")?,
        created_at,
        paid_at: read(row, "paid_at")?,
        returns_site: read(row, "returns_site")?,
        checkout: PurchaseCheckout {
            id: CheckoutId::from_uuid(id.uuid()),
            tenant_id,
            purchase_id: id,
            provider: read(row, "provider")?,
            live: read(row, "live")?,
            stage: read(row, "stage")?,
            session_id: read(row, "session_id")?,
            url: read(row, "url")?,
            payment_id: read(row, "payment_id")?,
            success_url: read(row, "success_url")?,
            cancel_url: read(row, "cancel_url")?,
            created_at,
            expires_at: read(row, "expires_at")?,
            check_at: read(row, "check_at")?,
        },
    })
}

fn found(row: &QueryResult) -> Result<FoundSale, TryGetError> {
    let refunding: u64 = read(row, "refunding")?;
    Ok(FoundSale {
        sale: sale(row)?,
        account_email: read(row, "account_email")?,
        is_refunding: refunding > 0,
    })
}

/// The conditions of a filter, and their parameters.
fn conditions(filter: &SiteSaleFilter) -> (String, Vec<Value>) {
    let reference = "(session_id = $ or payment_id = $ or exists (select 1 from site_refunds r \
         where r.tenant_id = site_sales.tenant_id and r.purchase_id = site_sales.id and r.provider_id = $))";
    // That of an account is not stored with the sale.
    let email = "(buyer_email = $ or buyer_user_id in (select users.id from users where users.email = $))";
    let given = [
        (filter.id.map(Param::value), "id = $"),
        (filter.status.map(Param::value), "status = $"),
        (filter.seller.map(Param::value), "tenant_id = $"),
        (filter.site.map(Param::value), "site_id = $"),
        (filter.buyer.map(Param::value), "buyer_tenant_id = $"),
        (filter.email.as_ref().map(Param::value), email),
        (filter.reference.as_ref().map(Param::value), reference),
        (filter.from.map(Param::value), "created_at >= $"),
        (filter.to.map(Param::value), "created_at < $"),
    ];
    // Without a filter all of them.
    let mut conditions = vec!["id is not null".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    for (value, condition) in given {
        if let Some(value) = value {
            values.push(value);
            conditions.push(condition.replace('$', &format!("${}", values.len())));
        }
    }
    (conditions.join(" and "), values)
}

impl SiteSales<'_> {
    async fn one(&self, rest: &str, values: impl Params) -> Result<Option<SiteSale>, StoreError> {
        let sql = format!("select {COLUMNS} from site_sales where tenant_id = $1 and id = $2 {rest}");
        Ok(self.db.rows_with(&sql, values, sale).await?.into_iter().next())
    }
}

#[async_trait]
impl SiteSaleRepository for SiteSales<'_> {
    async fn insert(&mut self, sale: &SiteSale) -> Result<(), StoreError> {
        let sql = format!("insert into site_sales ({COLUMNS}) values ({})", placeholders(1, 25));
        let checkout = &sale.checkout;
        // More than a tuple takes.
        let values = vec![
            sale.tenant_id.value(),
            sale.id.value(),
            sale.site_id.value(),
            (&sale.site_name).value(),
            (&sale.slug).value(),
            (&sale.buyer_email).value(),
            (&sale.buyer_name).value(),
            sale.buyer.map(|(user, _)| user).value(),
            sale.buyer.map(|(_, tenant)| tenant).value(),
            sale.amount.value(),
            (&sale.currency).value(),
            sale.status.value(),
            checkout.provider.value(),
            checkout.live.value(),
            checkout.stage.value(),
            (&checkout.session_id).value(),
            (&checkout.url).value(),
            (&checkout.payment_id).value(),
            (&checkout.success_url).value(),
            (&checkout.cancel_url).value(),
            sale.created_at.value(),
            checkout.expires_at.value(),
            checkout.check_at.value(),
            sale.paid_at.value(),
            sale.returns_site.value(),
        ];
        self.db.execute(&sql, values).await.map(drop)
    }

    async fn find(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError> {
        self.one("", (tenant, id)).await
    }

    async fn lock(&mut self, tenant: TenantId, id: PurchaseId) -> Result<Option<SiteSale>, StoreError> {
        self.one(self.db.dialect().for_update, (tenant, id)).await
    }

    async fn update(&mut self, sale: &SiteSale) -> Result<(), StoreError> {
        let sql = "update site_sales set buyer_email = $3, buyer_name = $4, buyer_user_id = $5, buyer_tenant_id = $6, status = $7, \
             stage = $8, session_id = $9, url = $10, payment_id = $11, expires_at = $12, check_at = $13, paid_at = $14, \
             returns_site = $15 \
             where tenant_id = $1 and id = $2";
        let checkout = &sale.checkout;
        let values = vec![
            sale.tenant_id.value(),
            sale.id.value(),
            (&sale.buyer_email).value(),
            (&sale.buyer_name).value(),
            sale.buyer.map(|(user, _)| user).value(),
            sale.buyer.map(|(_, tenant)| tenant).value(),
            sale.status.value(),
            checkout.stage.value(),
            (&checkout.session_id).value(),
            (&checkout.url).value(),
            (&checkout.payment_id).value(),
            checkout.expires_at.value(),
            checkout.check_at.value(),
            sale.paid_at.value(),
            sale.returns_site.value(),
        ];
        self.db.execute(sql, values).await.map(drop)
    }

    async fn tenant_of(&mut self, id: PurchaseId) -> Result<Option<TenantId>, StoreError> {
        self.db.row("select tenant_id from site_sales where id = $1", [id]).await
    }

    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<SiteSale>, StoreError> {
        let rows = format!(
            "select {COLUMNS} from site_sales where tenant_id = $1 order by id desc limit $2 offset $3"
        );
        let count = "select count(*) from site_sales where tenant_id = $1";
        let (limit, offset) = (page.limit as i64, page.offset() as i64);
        let rows = self.db.rows_with(&rows, (tenant, limit, offset), sale);
        in_pages(page, self.db.total(count, [tenant]), rows).await
    }

    async fn managed(
        &mut self,
        filter: &SiteSaleFilter,
        page: PageRequest,
    ) -> Result<List<FoundSale>, StoreError> {
        let (conditions, values) = conditions(filter);
        // Other rows are asked about those of the page only.
        let order = "order by created_at desc, id desc";
        let rows = format!(
            "select {COLUMNS}, {ABOUT} from site_sales where (tenant_id, id) in (\
             select tenant_id, id from site_sales where {conditions} {order} limit {} offset {}) {order}",
            page.limit,
            page.offset()
        );
        let count = format!("select count(*) from site_sales where {conditions}");
        let rows = self.db.rows_with(&rows, values.clone(), found);
        in_pages(page, self.db.total(&count, values), rows).await
    }

    async fn sold_at<'s>(&mut self, slug: &'s str) -> Result<bool, StoreError> {
        let sql =
            "select 1 from site_sales where slug = $1 and status in ('paid', 'waiting', 'completed') limit 1";
        self.db.exists(sql, [slug]).await
    }

    async fn due(&mut self, now: Timestamp, limit: u64) -> Result<Vec<SiteSale>, StoreError> {
        let sql = format!("select {COLUMNS} from site_sales where check_at <= $1 order by check_at limit $2");
        self.db.rows_with(&sql, (now, limit), sale).await
    }
}
