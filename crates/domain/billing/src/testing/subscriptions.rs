//! What tenants pay by the month or the year, in memory.

use async_trait::async_trait;
use portico_kernel::{InvoiceId, List, PageRequest, StoreError, TenantId, Timestamp};

use super::Shop;
use crate::{
    invoice::Invoice,
    paid::BillingAccount,
    payment::Provider,
    plan_call::{PlanCall, PlanCallStage},
    ports::{AccountRepository, InvoiceRepository, PlanCallRepository},
};

#[async_trait]
impl AccountRepository for Shop {
    async fn insert_missing(&mut self, account: &BillingAccount) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let missing = rows.accounts.iter().all(|stored| stored.tenant_id != account.tenant_id);
        if missing {
            rows.accounts.push(account.clone());
        }
        Ok(missing)
    }

    async fn find(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError> {
        Ok(self.rows().accounts.iter().find(|account| account.tenant_id == tenant).cloned())
    }

    async fn lock(&mut self, tenant: TenantId) -> Result<Option<BillingAccount>, StoreError> {
        AccountRepository::find(self, tenant).await
    }

    async fn of_customer<'s>(
        &mut self,
        _: Provider,
        customer: &'s str,
    ) -> Result<Option<TenantId>, StoreError> {
        let rows = self.rows();
        let found = rows.accounts.iter().find(|account| account.customer_id.as_deref() == Some(customer));
        Ok(found.map(|account| account.tenant_id))
    }

    async fn update(&mut self, account: &BillingAccount) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.accounts.iter_mut().find(|stored| stored.tenant_id == account.tenant_id).unwrap();
        *stored = account.clone();
        Ok(())
    }

    async fn due(&mut self, now: Timestamp, _: u64) -> Result<Vec<BillingAccount>, StoreError> {
        let rows = self.rows();
        let due = rows.accounts.iter().filter(|account| account.check_at.is_some_and(|at| at <= now));
        Ok(due.cloned().collect())
    }
}

#[async_trait]
impl PlanCallRepository for Shop {
    async fn insert(&mut self, call: &PlanCall) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let is_free = rows
            .calls
            .iter()
            .all(|stored| stored.tenant_id != call.tenant_id || stored.stage == PlanCallStage::Ended);
        assert!(is_free, "one call is under way for a tenant at a time");
        rows.calls.push(call.clone());
        Ok(())
    }

    async fn under_way(&mut self, tenant: TenantId) -> Result<Option<PlanCall>, StoreError> {
        let rows = self.rows();
        let found =
            rows.calls.iter().find(|call| call.tenant_id == tenant && call.stage != PlanCallStage::Ended);
        Ok(found.cloned())
    }

    async fn update(&mut self, call: &PlanCall) -> Result<(), StoreError> {
        let mut rows = self.rows();
        *rows.calls.iter_mut().find(|stored| stored.id == call.id).unwrap() = call.clone();
        Ok(())
    }

    async fn due(&mut self, now: Timestamp, _: u64) -> Result<Vec<PlanCall>, StoreError> {
        let rows = self.rows();
        Ok(rows.calls.iter().filter(|call| call.check_at.is_some_and(|at| at <= now)).cloned().collect())
    }
}

#[async_trait]
impl InvoiceRepository for Shop {
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<Invoice>, StoreError> {
        let rows = self.rows();
        let items: Vec<Invoice> =
            rows.invoices.iter().filter(|invoice| invoice.tenant_id == tenant).cloned().collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn find(&mut self, tenant: TenantId, id: InvoiceId) -> Result<Option<Invoice>, StoreError> {
        let rows = self.rows();
        let found = rows.invoices.iter().find(|invoice| (invoice.tenant_id, invoice.id) == (tenant, id));
        Ok(found.cloned())
    }

    async fn of_provider(
        &mut self,
        tenant: TenantId,
        _: Provider,
        ids: &[String],
    ) -> Result<Vec<Invoice>, StoreError> {
        let rows = self.rows();
        let found = rows
            .invoices
            .iter()
            .filter(|invoice| invoice.tenant_id == tenant && ids.contains(&invoice.provider_id));
        Ok(found.cloned().collect())
    }

    async fn upsert(&mut self, invoice: &Invoice) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.invoices.retain(|stored| stored.id != invoice.id);
        rows.invoices.push(invoice.clone());
        Ok(())
    }

    async fn next_number<'s>(&mut self, series: &'s str) -> Result<u64, StoreError> {
        let rows = self.rows();
        let numbers = rows.invoices.iter().filter_map(|invoice| invoice.number.as_deref());
        Ok(numbers.filter(|number| number.starts_with(series)).count() as u64 + 1)
    }
}
