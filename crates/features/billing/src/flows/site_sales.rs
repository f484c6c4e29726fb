//! Buying a site: from the offer to the page to pay at, and what the provider says of it.

use portico_billing::{
    BillingError,
    checkout::{CheckoutStage, Checkouts},
    payment::{Checkout, PaymentError, Provider},
    site_sale::{OfferedSite, SaleRule, SettledSale, SiteBuyer, SiteCheckout, SiteSale, SiteSales},
};
use portico_identity::{
    Accounts,
    user::{EmailAddress, check_name},
};
use portico_kernel::{PurchaseId, RequestInfo, Scope, TenantId, Timestamp, Violations};
use portico_runtime::{
    logging::{chain, warn_about},
    worker::failures::Failures,
};
use portico_sites::{
    SitesError,
    sale::Sales,
    site::{Site, SiteStatus},
};
use portico_web::problem::Problem;
use serde::Deserialize;
use time::Duration;
use url::Url;
use utoipa::ToSchema;

use super::site_refunds;
use crate::state::{App, SaleSettings};

/// Sales that the schedule reads at once.
const BATCH: u64 = 100;

/// What links to claim a site are signed for.
const CLAIM: &str = "claim of a site";

/// How long a site can be claimed by the link of a message.
const TIME_TO_CLAIM: Duration = Duration::days(30);

/// Who buys a site without being signed in. Whoever buys for a tenant needs to say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
#[schema(example = json!({"email": "ada@example.com", "fullName": "Ada Lovelace"}))]
pub struct SitePurchase {
    /// Address of the buyer, whose account gets the site. Required when signed out.
    #[schema(format = "email", max_length = 254)]
    pub email: Option<String>,
    /// Name of the buyer. Required when signed out.
    #[serde(alias = "full_name")]
    #[schema(min_length = 1, max_length = 200)]
    pub full_name: Option<String>,
}

impl SitePurchase {
    /// The buyer. Errors: every field that breaks a rule.
    fn buyer(&self) -> Result<SiteBuyer, Problem> {
        let mut violations = Violations::default();
        let (email, name) = (self.email.as_deref(), self.full_name.as_deref());
        let email = violations.take("email", EmailAddress::parse(email.unwrap_or_default()));
        check_name(&mut violations, name.unwrap_or_default());
        violations.into_result().map_err(Problem::invalid)?;
        let email = email.map(|email| email.as_str().to_owned()).unwrap_or_default();
        Ok(SiteBuyer { email, full_name: name.unwrap_or_default().trim().to_owned(), account: None })
    }
}

/// Reserves a site for whoever buys it, has the provider make a page to pay at, and stores that.
///
/// Errors: 404 where nothing is for sale there; 409 `site_reserved`, `site_sold`, `own_site`, `not_for_sale`, `payment_unsupported`; 422
/// where it has to be said who buys; 429 when somebody who is signed in has begun too many purchases within a minute; 503 when the
/// provider does not answer: then the site stays reserved until it does, for half an hour at most.
pub async fn purchase(
    app: &App,
    scope: &Scope,
    slug: &str,
    input: &SitePurchase,
) -> Result<SiteCheckout, Problem> {
    let env = &app.core.env;
    let buyer = match Checkouts::buyer(scope) {
        Ok((tenant, user)) => {
            if let Some(limits) = &app.api.limits {
                let verdict = limits.check_checkout(user).await;
                if !verdict.allowed {
                    return Err(Problem::rate_limited(verdict.reset));
                }
            }
            SiteBuyer { email: String::new(), full_name: String::new(), account: Some((user, tenant)) }
        }
        // Everybody may buy. Whoever may not do so for a tenant does it as somebody who is not signed in.
        Err(_) => input.buyer()?,
    };
    let (site, offered) = offered(app, scope, slug).await?;
    let (rule, selling) = (rule(&app.sale_settings, &site), selling(scope, site.tenant_id));

    let mut work = app.core.begin().await?;
    let sale = SiteSales::new(&mut *work, &selling, env).begin(offered.clone(), buyer, rule).await?;
    // It may have been withdrawn, or its price changed, since it was read. The lock is taken after that of the sale, here and wherever
    // both are.
    let now = work.sites().lock(offered.tenant, offered.site).await?;
    if !now.is_some_and(|now| now.status == SiteStatus::ForSale && now.price == site.price) {
        return Err(SitesError::NotForSale.into());
    }
    work.commit().await?;

    // No transaction is open. From here on the process may die anywhere: the schedule looks after the sale.
    let made =
        app.payments_at(sale.checkout.provider).create_checkout(&sale.call(), &sale.checkout.key()).await;
    let observed = match made {
        Ok(observed) => observed,
        Err(error) if error.is_passing() => return Err(error.into()),
        Err(error) => {
            give_up(app, &selling, &sale).await?;
            return Err(error.into());
        }
    };
    let settled = settle(app, &selling, sale.tenant_id, sale.id, &observed).await?;
    settled.checkout().ok_or_else(|| {
        PaymentError::Unavailable("the checkout that was made cannot be paid".to_owned()).into()
    })
}

/// What a buyer does is done at the seller in no name: neither their account nor their address is the seller's business.
fn selling(scope: &Scope, seller: TenantId) -> Scope {
    let request = RequestInfo { id: scope.request.id.clone(), ..RequestInfo::default() };
    Scope::system(Some(seller), request)
}

/// The site on offer at a slug.
async fn offered(app: &App, scope: &Scope, slug: &str) -> Result<(Site, OfferedSite), Problem> {
    let mut reader = app.core.reader();
    let found = Sales::new(&mut *reader, scope, &app.core.env).on_offer_at(slug).await;
    if matches!(found, Err(SitesError::NotFound(_))) && reader.site_sales().sold_at(slug).await? {
        return Err(BillingError::SiteSold.into());
    }
    let site = found?;
    // A name that is the tenant's own, too, cannot go to another tenant.
    let seller = reader.tenants().find(site.tenant_id).await?;
    let is_shared = seller.is_none_or(|seller| seller.subdomain == site.subdomain);
    let Some(price) = site.price.clone().filter(|_| !is_shared) else {
        return Err(SitesError::NotForSale.into());
    };
    let offered = OfferedSite {
        tenant: site.tenant_id,
        site: site.id,
        name: site.name.clone(),
        slug: site.subdomain.to_string(),
        price,
    };
    Ok((site, offered))
}

/// How a site is paid.
fn rule(settings: &SaleSettings, site: &Site) -> SaleRule {
    let back = |result: &str| match &settings.return_url {
        Some(url) => returning(url.clone(), &site.subdomain, result),
        None => settings.site_url.replace("{subdomain}", &site.subdomain),
    };
    SaleRule {
        provider: Provider::Recurrente,
        live: settings.live,
        success_url: back("paid"),
        cancel_url: back("canceled"),
    }
}

fn returning(mut url: Url, slug: &str, result: &str) -> String {
    url.query_pairs_mut().append_pair("site", slug).append_pair("result", result);
    url.into()
}

/// Stores what the provider says about a sale, in a transaction of its own, and takes the site off the offer once it is paid.
///
/// # Errors
/// Those of [`SiteSales::settle`].
pub async fn settle(
    app: &App,
    scope: &Scope,
    tenant: TenantId,
    id: PurchaseId,
    observed: &Checkout,
) -> Result<SettledSale, BillingError> {
    let env = &app.core.env;
    let mut work = app.core.begin().await?;
    let settled = SiteSales::new(&mut *work, scope, env).settle(tenant, id, observed).await?;
    if settled.is_newly_paid {
        match Sales::new(&mut *work, scope, env).sell(tenant, settled.sale.site_id).await {
            Ok(_) => {}
            Err(SitesError::Store(error)) => return Err(error.into()),
            // The money is there all the same. The job that hands the site over ends as a dead one, which staff see.
            Err(error) => {
                tracing::error!(%tenant, sale = %id, error = %chain(&error), "a site that was paid cannot be sold");
            }
        }
    }
    work.commit().await?;
    if let Some(mismatch) = &settled.mismatch {
        tracing::error!(
            %tenant,
            sale = %id,
            session = %mismatch.session_id,
            differences = ?mismatch.differences,
            "a payment of a site is not what was asked for: nothing was granted for it"
        );
    }
    Ok(settled)
}

async fn give_up(app: &App, scope: &Scope, sale: &SiteSale) -> Result<(), BillingError> {
    let mut work = app.core.begin().await?;
    SiteSales::new(&mut *work, scope, &app.core.env).give_up(sale.tenant_id, sale.id).await?;
    Ok(work.commit().await?)
}

/// `site_payments`, each minute: asks about every sale that is due and its refunds, makes checkouts that a process has left behind, and
/// frees sites whose time is over. It is how a payment is found whose webhook never came.
///
/// # Errors
/// Where the provider or the database does not answer, several times in a row: the rest is done in the next round.
pub async fn look_after(app: &App) -> Result<(), BillingError> {
    let now = app.core.env.now();
    let mut failures = Failures::default();
    loop {
        // Each one that was asked about is due later, or never again.
        let due = app.core.reader().site_sales().due(now, BATCH).await?;
        for sale in &due {
            let asked = ask(app, sale, now).await;
            let are_enough = failures.are_enough(&asked);
            let Err(error) = asked else { continue };
            // Later than the others, so that one about which there never is an answer does not hold them up.
            warn_about("the payment provider does not answer about the sale of a site", sale.id, &error);
            postpone(app, sale).await?;
            if are_enough {
                return Err(error);
            }
        }
        if due.len() < BATCH as usize {
            return Ok(());
        }
    }
}

async fn ask(app: &App, sale: &SiteSale, now: Timestamp) -> Result<(), BillingError> {
    let scope = Scope::system(Some(sale.tenant_id), RequestInfo::default());
    let (checkout, provider) = (&sale.checkout, app.payments_at(sale.checkout.provider));
    if checkout.stage == CheckoutStage::Paid {
        return ask_refunds(app, &scope, sale).await;
    }
    let is_over = checkout.expires_at <= now;
    let answer = match &checkout.session_id {
        Some(session) if checkout.stage == CheckoutStage::Open && is_over => {
            provider.expire_checkout(session).await
        }
        Some(session) => provider.checkout(session).await,
        // Nobody has the page of one that was perhaps made, so nobody can pay it.
        None if is_over => return give_up(app, &scope, sale).await,
        None => provider.create_checkout(&sale.call(), &checkout.key()).await,
    };
    match answer {
        Ok(observed) => settle(app, &scope, sale.tenant_id, sale.id, &observed).await.map(drop),
        Err(error) if error.is_passing() => Err(error.into()),
        Err(error) => {
            tracing::error!(error = %chain(&error), tenant = %sale.tenant_id, sale = %sale.id, "the payment provider refuses the sale of a site");
            if checkout.session_id.is_none() {
                return give_up(app, &scope, sale).await;
            }
            postpone(app, sale).await
        }
    }
}

async fn ask_refunds(app: &App, scope: &Scope, sale: &SiteSale) -> Result<(), BillingError> {
    match site_refunds::look_after(app, scope, sale).await {
        Err(BillingError::Payment(error)) if !error.is_passing() => {
            tracing::error!(error = %chain(&error), tenant = %sale.tenant_id, sale = %sale.id, "the payment provider refuses to answer about a refund of a site");
            postpone(app, sale).await
        }
        asked => asked,
    }
}

async fn postpone(app: &App, sale: &SiteSale) -> Result<(), BillingError> {
    let scope = Scope::system(Some(sale.tenant_id), RequestInfo::default());
    let mut work = app.core.begin().await?;
    SiteSales::new(&mut *work, &scope, &app.core.env).postpone(sale.tenant_id, sale.id).await?;
    Ok(work.commit().await?)
}

/// The secret of the link by which the owner of an address claims a site.
pub fn claim_token(app: &App, sale: &SiteSale) -> String {
    let (payload, expires) = (payload(sale.tenant_id, sale.id), app.core.env.now() + TIME_TO_CLAIM);
    // The secret tells whole seconds, and what is signed is what it tells.
    let expires = Timestamp::from_unix_seconds(expires.unix_seconds()).unwrap_or(expires);
    let signature = app.api.signer.sign(CLAIM, &payload, expires);
    format!("{payload}_{}_{signature}", expires.unix_seconds())
}

fn payload(tenant: TenantId, id: PurchaseId) -> String {
    format!("{tenant}_{id}")
}

/// The sale that a secret is for.
fn read_token(app: &App, token: &str) -> Option<(TenantId, PurchaseId)> {
    // The signature may contain the separator.
    let mut parts = token.splitn(4, '_');
    let (tenant, id) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let expires = Timestamp::from_unix_seconds(parts.next()?.parse().ok()?)?;
    let good = app.api.signer.verify(CLAIM, &payload(tenant, id), expires, parts.next()?, app.core.env.now());
    good.then_some((tenant, id))
}

/// Gives a site that waits to the tenant of the caller, who has the link and the address that it was sent to.
///
/// # Errors
/// Those of [`Checkouts::buyer`]; `NoPurchase` for a link that is not ours, too old or used, and for the wrong person; `OwnSite`.
pub async fn claim(app: &App, scope: &Scope, token: &str) -> Result<SiteSale, Problem> {
    let env = &app.core.env;
    let (tenant, user) = Checkouts::buyer(scope)?;
    let (seller, id) = read_token(app, token).ok_or(BillingError::NoPurchase)?;
    let mut work = app.core.begin().await?;
    let sale = work.site_sales().find(seller, id).await?.ok_or(BillingError::NoPurchase)?;
    let owner = match EmailAddress::parse(&sale.buyer_email) {
        Ok(email) => Accounts::new(&mut *work, scope, env).owner_of(&email).await?,
        Err(_) => None,
    };
    if owner.is_none_or(|owner| owner.id != user) {
        return Err(BillingError::NoPurchase.into());
    }
    let claimed =
        SiteSales::new(&mut *work, &selling(scope, seller), env).claim(seller, id, user, tenant).await?;
    work.commit().await?;
    Ok(claimed)
}
