//! Sales as staff and sellers look them up.

use portico_kernel::{
    List, PageRequest, Permission, PurchaseId, Scope, SiteId, TenantId, Timestamp, Violations,
};
use serde::Serialize;

use super::{SiteSale, SiteSaleStatus};
use crate::{
    BillingError, checkout::CheckoutStage, payment::Provider, ports::BillingRepositories,
    refund::PurchaseRefund,
};

/// Most characters of an address.
const EMAIL_MAX: usize = 254;

/// Most characters of a provider's id.
const REFERENCE_MAX: usize = 200;

/// Which sales staff want to see. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteSaleFilter {
    /// The one with this id.
    pub id: Option<PurchaseId>,
    /// Those with this status.
    pub status: Option<SiteSaleStatus>,
    /// Those of this seller.
    pub seller: Option<TenantId>,
    /// Those of this site.
    pub site: Option<SiteId>,
    /// Those of which this tenant gets the site.
    pub buyer: Option<TenantId>,
    /// Those whose buyer has this address, which is in lower case.
    pub email: Option<String>,
    /// Those with a checkout, a payment or a refund of which this is the provider's id.
    pub reference: Option<String>,
    /// Those that were made at this time or later.
    pub from: Option<Timestamp>,
    /// Those that were made before this time.
    pub to: Option<Timestamp>,
}

/// A sale with what other rows say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundSale {
    /// The sale.
    pub sale: SiteSale,
    /// Address of the account that gets the site; `None` while that is not known.
    pub account_email: Option<String>,
    /// Whether a refund of it is [requested](crate::refund::RefundStatus::Requested) or
    /// [pending](crate::refund::RefundStatus::Pending).
    pub is_refunding: bool,
}

/// Who or what has to act next on a sale that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SaleStep {
    /// The buyer has to pay, or a bank transfer that was announced has to arrive.
    Payment,
    /// The payment provider has to give the money back.
    Refund,
    /// The owner of the buyer's address has to claim the site.
    Claim,
    /// The job `site.hand_over` has to give the site to its buyer.
    HandOver,
    /// The job `site.return` has to give the site back to its seller.
    Return,
}

impl SaleStep {
    /// What a sale waits for; `None` where it is over.
    const fn of(sale: &SiteSale, is_refunding: bool) -> Option<Self> {
        match sale.status {
            SiteSaleStatus::Pending => Some(Self::Payment),
            _ if is_refunding => Some(Self::Refund),
            SiteSaleStatus::Paid => Some(Self::HandOver),
            SiteSaleStatus::Waiting => Some(Self::Claim),
            SiteSaleStatus::Refunded if sale.returns_site => Some(Self::Return),
            SiteSaleStatus::Completed | SiteSaleStatus::Failed | SiteSaleStatus::Refunded => None,
        }
    }
}

/// A sale as staff see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ManagedSiteSale {
    /// The sale, as the seller sees it.
    #[serde(flatten)]
    pub sale: SiteSale,
    /// The tenant that sells.
    pub seller_id: TenantId,
    /// The tenant that gets the site; null while that is not known.
    pub buyer_id: Option<TenantId>,
    /// Address of the buyer; null once it is not kept any more, because nothing was paid or all was given back before there was an account.
    #[cfg_attr(feature = "openapi", schema(example = "ada@example.com"))]
    pub buyer_email: Option<String>,
    /// Where it is paid.
    pub provider: Provider,
    /// Whether real money is moved.
    pub live: bool,
    /// How far the checkout at the provider is. One that is `mismatched` was paid in another way than was asked for, and grants nothing.
    pub checkout_stage: CheckoutStage,
    /// The provider's id of the checkout; null until the provider has made it.
    #[cfg_attr(feature = "openapi", schema(example = "ch_eegw9j5zgqoae3ms"))]
    pub session_id: Option<String>,
    /// The provider's id of the payment; null while it is not paid.
    #[cfg_attr(feature = "openapi", schema(example = "pa_1a2b3c4d"))]
    pub payment_id: Option<String>,
    /// Until when the site is reserved while it is not paid.
    pub expires_at: Timestamp,
    /// Whether the site is to go back to its seller once all of the money is given back; no more once that is done.
    pub returns_site: bool,
    /// What it waits for; null where it is over.
    pub waits_for: Option<SaleStep>,
}

impl From<FoundSale> for ManagedSiteSale {
    fn from(found: FoundSale) -> Self {
        let FoundSale { sale, account_email, is_refunding } = found;
        let named = Some(sale.buyer_email.clone()).filter(|email| !email.is_empty());
        Self {
            seller_id: sale.tenant_id,
            buyer_id: sale.buyer.map(|(_, tenant)| tenant),
            buyer_email: account_email.or(named),
            provider: sale.checkout.provider,
            live: sale.checkout.live,
            checkout_stage: sale.checkout.stage,
            session_id: sale.checkout.session_id.clone(),
            payment_id: sale.checkout.payment_id.clone(),
            expires_at: sale.checkout.expires_at,
            returns_site: sale.returns_site,
            waits_for: SaleStep::of(&sale, is_refunding),
            sale,
        }
    }
}

/// A sale with all that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SiteSaleDetails {
    /// The sale.
    #[serde(flatten)]
    pub managed: ManagedSiteSale,
    /// When the provider is asked about it next; null where nothing is expected.
    pub check_at: Option<Timestamp>,
    /// Number of the receipt, which the buyer has from the hand-over on; null before.
    #[cfg_attr(feature = "openapi", schema(example = "R-000012"))]
    pub receipt_number: Option<String>,
    /// What was given back, the oldest first.
    pub refunds: Vec<PurchaseRefund>,
}

/// Use cases of those who look sales up.
pub struct SiteSaleRegister<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
}

impl<'a> SiteSaleRegister<'a> {
    /// Over repositories, for a caller.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope) -> Self {
        Self { repositories, scope }
    }

    /// The sales of all sellers that a filter lets through, newest first. Sellers are tenants of the operator's own people, so staff see
    /// those of all of them.
    ///
    /// # Errors
    /// `Denied` without `platform:refunds`; `Invalid`.
    pub async fn list(
        &mut self,
        filter: SiteSaleFilter,
        page: PageRequest,
    ) -> Result<List<ManagedSiteSale>, BillingError> {
        self.scope.require_platform(Permission::PlatformRefunds)?;
        let mut violations = Violations::default();
        violations.optional_text("buyerEmail", filter.email.as_deref(), EMAIL_MAX);
        violations.optional_text("reference", filter.reference.as_deref(), REFERENCE_MAX);
        violations.into_result().map_err(BillingError::Invalid)?;
        let filter = SiteSaleFilter {
            email: filter.email.map(|email| email.trim().to_ascii_lowercase()),
            reference: filter.reference.map(|reference| reference.trim().to_owned()),
            ..filter
        };
        let found = self.repositories.site_sales().managed(&filter, page).await?;
        let items = found.items.into_iter().map(ManagedSiteSale::from).collect();
        Ok(List::new(items, page, found.total))
    }

    /// A sale of whichever seller.
    ///
    /// # Errors
    /// `Denied` without `platform:refunds`; `NoPurchase`.
    pub async fn get(&mut self, id: PurchaseId) -> Result<SiteSaleDetails, BillingError> {
        self.scope.require_platform(Permission::PlatformRefunds)?;
        let filter = SiteSaleFilter { id: Some(id), ..SiteSaleFilter::default() };
        let mut found = self.repositories.site_sales().managed(&filter, PageRequest::default()).await?;
        let found = found.items.pop().ok_or(BillingError::NoPurchase)?;
        let sale = &found.sale;
        let refunds = self.repositories.site_refunds().of_purchase(sale.tenant_id, id).await?;
        let invoice = match sale.buyer {
            Some((_, buyer)) => self.repositories.invoices().find(buyer, sale.invoice_id()).await?,
            None => None,
        };
        Ok(SiteSaleDetails {
            check_at: sale.checkout.check_at,
            receipt_number: invoice.and_then(|invoice| invoice.number),
            refunds,
            managed: found.into(),
        })
    }

    /// What the active tenant has sold or is selling, newest first. Who buys is not told to the seller.
    ///
    /// # Errors
    /// `Denied` without `billing:read`.
    pub async fn of_seller(&mut self, page: PageRequest) -> Result<List<SiteSale>, BillingError> {
        let tenant = self.scope.require(Permission::BillingRead)?;
        Ok(self.repositories.site_sales().list(tenant, page).await?)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::RequestInfo;

    use super::*;
    use crate::{
        refund::RefundStatus,
        testing::{Repositories, env, sale},
    };

    #[test]
    fn each_sale_tells_whom_it_waits_for() {
        let env = env();
        for (status, is_refunding, returns_site, expected) in [
            (SiteSaleStatus::Pending, false, false, Some(SaleStep::Payment)),
            (SiteSaleStatus::Paid, false, false, Some(SaleStep::HandOver)),
            (SiteSaleStatus::Paid, true, false, Some(SaleStep::Refund)),
            (SiteSaleStatus::Waiting, false, false, Some(SaleStep::Claim)),
            (SiteSaleStatus::Waiting, true, false, Some(SaleStep::Refund)),
            (SiteSaleStatus::Completed, false, true, None),
            (SiteSaleStatus::Completed, true, true, Some(SaleStep::Refund)),
            (SiteSaleStatus::Failed, false, false, None),
            (SiteSaleStatus::Refunded, false, false, None),
            (SiteSaleStatus::Refunded, false, true, Some(SaleStep::Return)),
        ] {
            let sale = SiteSale { status, returns_site, ..sale(&env, env.new_id()) };
            assert_eq!(SaleStep::of(&sale, is_refunding), expected, "{status:?} {is_refunding}");
        }
    }

    #[test]
    fn the_address_is_that_of_the_account_as_soon_as_there_is_one() {
        let env = env();
        let named = SiteSale { buyer_email: "ada@example.com".to_owned(), ..sale(&env, env.new_id()) };
        let of = |sale: SiteSale, account: Option<&str>| {
            let account_email = account.map(str::to_owned);
            ManagedSiteSale::from(FoundSale { sale, account_email, is_refunding: false }).buyer_email
        };
        assert_eq!(of(named.clone(), None).as_deref(), Some("ada@example.com"));
        assert_eq!(of(named, Some("a@example.com")).as_deref(), Some("a@example.com"));
        assert_eq!(of(sale(&env, env.new_id()), None), None);
    }

    #[tokio::test]
    async fn staff_see_every_sale_and_a_seller_their_own() {
        let (mut repositories, env) = (Repositories::default(), env());
        let (first, second) = (sale(&env, env.new_id()), sale(&env, env.new_id()));
        repositories.shop.rows().sales.extend([first.clone(), second.clone()]);
        let page = PageRequest::default();
        let scope = Scope::system(Some(second.tenant_id), RequestInfo::default());
        let mut register = SiteSaleRegister::new(&mut repositories, &scope);
        let all = register.list(SiteSaleFilter::default(), page).await.unwrap();
        assert_eq!((all.total, all.items[0].sale.id, all.items[1].sale.id), (2, second.id, first.id));
        assert_eq!(register.of_seller(page).await.unwrap().items, [second]);
        let seller = SiteSaleFilter { seller: Some(first.tenant_id), ..SiteSaleFilter::default() };
        assert_eq!(register.list(seller, page).await.unwrap().total, 1);
        for odd in [
            SiteSaleFilter { email: Some("x".repeat(EMAIL_MAX + 1)), ..SiteSaleFilter::default() },
            SiteSaleFilter { reference: Some("x".repeat(REFERENCE_MAX + 1)), ..SiteSaleFilter::default() },
        ] {
            let refused = register.list(odd, page).await;
            assert!(matches!(refused, Err(BillingError::Invalid(_))), "{refused:?}");
        }
        assert!(matches!(register.get(env.new_id()).await, Err(BillingError::NoPurchase)));

        let refund = PurchaseRefund {
            id: env.new_id(),
            tenant_id: first.tenant_id,
            purchase_id: first.id,
            provider: first.checkout.provider,
            payment_id: "ch_1".to_owned(),
            provider_id: None,
            amount: first.amount,
            currency: first.currency.clone(),
            status: RefundStatus::Requested,
            reason: None,
            created_at: env.now(),
            updated_at: env.now(),
        };
        repositories.site_refunds().store(&refund).await.unwrap();
        let found = SiteSaleRegister::new(&mut repositories, &scope).get(first.id).await.unwrap();
        assert_eq!((found.refunds, found.receipt_number), (vec![refund], None));
        assert_eq!(found.managed.waits_for, Some(SaleStep::Refund));

        let nobody = Scope::anonymous(RequestInfo::default());
        let mut register = SiteSaleRegister::new(&mut repositories, &nobody);
        let denied = register.list(SiteSaleFilter::default(), page).await;
        assert!(matches!(denied, Err(BillingError::Denied(_))), "{denied:?}");
        assert!(matches!(register.get(first.id).await, Err(BillingError::Denied(_))));
        assert!(matches!(register.of_seller(page).await, Err(BillingError::Denied(_))));
    }
}
