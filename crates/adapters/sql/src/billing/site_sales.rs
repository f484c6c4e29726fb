//! Sales of sites.

use async_trait::async_trait;
use portico_billing::{
    checkout::PurchaseCheckout,
    ports::SiteSaleRepository,
    site_sale::{SiteSale, SiteSaleStatus},
};
use portico_kernel::{CheckoutId, PurchaseId, StoreError, TenantId, Timestamp, UserId};
use sea_orm::{ConnectionTrait, QueryResult, TryGetError};

use crate::{
    columns::{read, words},
    db::{Db, Param, Params, placeholders},
};

words!(SiteSaleStatus);

/// Sales over one connection.
pub(crate) struct SiteSales<'c, C> {
    pub db: Db<'c, C>,
}

const COLUMNS: &str = "tenant_id, id, site_id, site_name, slug, buyer_email, buyer_name, buyer_user_id, buyer_tenant_id, \
    amount, currency, status, provider, live, stage, session_id, url, payment_id, success_url, cancel_url, created_at, expires_at, \
    check_at, paid_at, returns_site";

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

impl<C: ConnectionTrait> SiteSales<'_, C> {
    async fn one(&self, rest: &str, values: impl Params) -> Result<Option<SiteSale>, StoreError> {
        let sql = format!("select {COLUMNS} from site_sales where tenant_id = $1 and id = $2 {rest}");
        Ok(self.db.rows_with(&sql, values, sale).await?.into_iter().next())
    }
}

#[async_trait]
impl<C: ConnectionTrait + Send> SiteSaleRepository for SiteSales<'_, C> {
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
