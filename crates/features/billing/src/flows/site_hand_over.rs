//! Handing a paid site over: the account that gets it, its files, and then all of it in one transaction.

use portico_billing::{
    quota::Quotas,
    site_sale::{HandOverSite, SiteSale, SiteSales},
    subscription::Subscriptions,
};
use portico_identity::{Accounts, user::EmailAddress};
use portico_kernel::{
    AssetId, Job, Meter, PurchaseId, Scope, TenantId,
    files::{FileError, FileStore},
    look::{Colors, Fonts},
};
use portico_runtime::{
    logging::chain,
    worker::jobs::{JobError, scope},
};
use portico_sites::{
    SitesError,
    asset::Asset,
    sale::{Parcel, Sales},
    site::Site,
};
use portico_tenancy::tenant::Tenants;

use crate::state::App;

/// `site.hand_over`: gives a paid site to its buyer. It may run any number of times, and be interrupted anywhere: what was done is noted in
/// the sale, and files that were copied are copied again.
///
/// # Errors
/// Where the store or the file store does not answer, the site changes meanwhile, or is suspended: the job is to run again.
pub async fn hand_over(app: &App, order: HandOverSite, job: &Job) -> Result<(), JobError> {
    let (scope, env, seller) = (scope(job), &app.core.env, job.tenant_id);
    let Some(sale) = with_recipient(app, &scope, seller, order.purchase_id).await? else { return Ok(()) };
    let Some((_, buyer)) = sale.buyer else { return Ok(()) };
    let parcel = {
        let mut reader = app.core.reader();
        Sales::new(&mut *reader, &scope, env).parcel(seller, sale.site_id).await?
    };
    copy(&*app.files, &parcel, buyer).await?;
    let copied: Vec<AssetId> = parcel.assets.iter().map(|asset| asset.id).collect();

    let mut work = app.core.begin().await?;
    // Another run of the job may have done it meanwhile.
    let locked = SiteSales::new(&mut *work, &scope, env).to_be_handed_over(seller, sale.id).await?;
    let Some(sale) = locked else { return Ok(()) };
    let branding = work.branding().find(seller).await?;
    let branding: (Colors, Fonts) = branding.map(|found| (found.colors, found.fonts)).unwrap_or_default();
    // One that could not be sold when it was paid (see `site_sales::settle`) is sold now, or still cannot be: then the job runs again.
    match Sales::new(&mut *work, &scope, env).sell(seller, sale.site_id).await {
        Ok(_) | Err(SitesError::SiteSold) => {}
        Err(error) => return Err(error.into()),
    }
    let handed =
        Sales::new(&mut *work, &scope, env).hand_over(seller, sale.site_id, buyer, branding, &copied).await?;
    if handed.bytes > 0 {
        Quotas::new(&mut *work).add_regardless(buyer, Meter::Storage, handed.bytes).await?;
    }
    SiteSales::new(&mut *work, &scope, env).complete(sale, &app.seller).await?;
    Ok(work.commit().await?)
}

/// The sale with the account that gets the site, which is made where the buyer has none; `None` where there is nothing to do.
async fn with_recipient(
    app: &App,
    scope: &Scope,
    seller: TenantId,
    id: PurchaseId,
) -> Result<Option<SiteSale>, JobError> {
    let env = &app.core.env;
    let mut work = app.core.begin().await?;
    let Some(sale) = SiteSales::new(&mut *work, scope, env).to_be_handed_over(seller, id).await? else {
        return Ok(None);
    };
    if sale.buyer.is_some() {
        return Ok(Some(sale));
    }
    let email = EmailAddress::parse(&sale.buyer_email)
        .map_err(|error| JobError::Fatal(format!("address of the buyer: {}", error.message)))?;
    if Accounts::new(&mut *work, scope, env).owner_of(&email).await?.is_some() {
        SiteSales::new(&mut *work, scope, env).wait(sale).await?;
        work.commit().await?;
        return Ok(None);
    }
    // Accounts that only name the address are those of strangers, for all that is known: a new one is made beside them.
    let site = work.sites().find(seller, sale.site_id).await?;
    let is_spanish = site.is_some_and(|site| site.language.starts_with("es"));
    let language = if is_spanish { "es" } else { "en" };
    let name = sale.buyer_name.clone();
    let user = Accounts::new(&mut *work, scope, env).register_buyer(email, name, language.to_owned()).await?;
    let tenant = Tenants::new(&mut *work, scope, env).create_personal(user.id, &user.full_name).await?;
    Subscriptions::new(&mut *work, scope, env).start_free(tenant.id, user.id).await?;
    Accounts::new(&mut *work, scope, env).registered_by_purchase(&user, tenant.id).await?;
    let sale = SiteSales::new(&mut *work, scope, env).assign(sale, user.id, tenant.id).await?;
    work.commit().await?;
    Ok(Some(sale))
}

/// Copies the published files of a site and its pictures to where they are the buyer's.
async fn copy(files: &dyn FileStore, parcel: &Parcel, buyer: TenantId) -> Result<(), JobError> {
    let (seller, site) = (parcel.site.tenant_id, parcel.site.id);
    let pictures =
        parcel.assets.iter().map(|asset| (Asset::folder(seller, asset.id), Asset::folder(buyer, asset.id)));
    let folders = [(Site::folder(seller, site), Site::folder(buyer, site))].into_iter().chain(pictures);
    for (from, to) in folders {
        copy_folder(files, &from, &to).await.map_err(|error| JobError::Retry(chain(&error)))?;
    }
    Ok(())
}

/// Copies all files of a folder.
pub(super) async fn copy_folder(files: &dyn FileStore, from: &str, to: &str) -> Result<(), FileError> {
    for key in files.list(from).await? {
        let Some(rest) = key.strip_prefix(from) else { continue };
        // One that is gone since it was listed belongs to a deployment that was cleaned up.
        if let Some(bytes) = files.get(&key).await? {
            files.put(&format!("{to}{rest}"), bytes).await?;
        }
    }
    Ok(())
}
