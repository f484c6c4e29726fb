//! Policies of products.

use async_trait::async_trait;
use portico_kernel::{StoreError, Timestamp};
use portico_licensing::{
    policy::{LicensePolicy, LicenseTerms},
    ports::LicensePolicyRepository,
};

use crate::{columns::documents, db::Db};

documents!(LicenseTerms);

/// Policies over one connection.
pub(crate) struct LicensePolicies<'c> {
    pub db: Db<'c>,
}

const COLUMNS: &str = "product_type, product_name, seats, term_days, support_days, terms";

/// A row of [`COLUMNS`].
type Row = (String, String, Option<u32>, Option<u32>, Option<u32>, LicenseTerms);

fn policy((product_type, product_name, seats, term_days, support_days, terms): Row) -> LicensePolicy {
    LicensePolicy { product_type, product_name, seats, term_days, support_days, terms }
}

#[async_trait]
impl LicensePolicyRepository for LicensePolicies<'_> {
    async fn insert_missing(&mut self, policy: &LicensePolicy, now: Timestamp) -> Result<bool, StoreError> {
        let sql = format!(
            "insert into license_policies ({COLUMNS}, created_at) values ($1, $2, $3, $4, $5, $6, $7) \
             on conflict (product_type) do nothing"
        );
        let values = (
            &policy.product_type,
            &policy.product_name,
            policy.seats,
            policy.term_days,
            policy.support_days,
            policy.terms.clone(),
            now,
        );
        Ok(self.db.execute(&sql, values).await? == 1)
    }

    async fn update(&mut self, policy: &LicensePolicy) -> Result<(), StoreError> {
        let sql = "update license_policies set product_name = $2, seats = $3, term_days = $4, support_days = $5, terms = $6 \
             where product_type = $1";
        let values = (
            &policy.product_type,
            &policy.product_name,
            policy.seats,
            policy.term_days,
            policy.support_days,
            policy.terms.clone(),
        );
        self.db.execute(sql, values).await.map(drop)
    }

    async fn lock<'s>(&mut self, product_type: &'s str) -> Result<Option<LicensePolicy>, StoreError> {
        let lock = self.db.dialect().for_update;
        let sql = format!("select {COLUMNS} from license_policies where product_type = $1 {lock}");
        Ok(self.db.row(&sql, [product_type]).await?.map(policy))
    }

    async fn find<'s>(&mut self, product_type: &'s str) -> Result<Option<LicensePolicy>, StoreError> {
        let sql = format!("select {COLUMNS} from license_policies where product_type = $1");
        Ok(self.db.row(&sql, [product_type]).await?.map(policy))
    }
}
