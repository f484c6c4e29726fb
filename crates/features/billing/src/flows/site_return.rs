//! Giving a site back to the tenant that sold it: its pictures, and then all of it in one transaction.

use portico_billing::{
    quota::Quotas,
    site_sale::{ReturnSite, SiteSales},
};
use portico_kernel::{AssetId, Job, Meter};
use portico_runtime::{
    logging::chain,
    worker::jobs::{JobError, scope},
};
use portico_sites::{SitesError, asset::Asset, sale::Sales};

use super::site_hand_over::copy_folder;
use crate::state::App;

/// `site.return`: takes a site that was paid back from its buyer. It may run any number of times, and be interrupted anywhere. A site that
/// the buyer has deleted cannot be returned, and the seller does without.
///
/// # Errors
/// Where the store or the file store does not answer, or the site changes meanwhile or is sold by its buyer: the job is to run again.
pub async fn give_back(app: &App, order: ReturnSite, job: &Job) -> Result<(), JobError> {
    let (scope, env, seller) = (scope(job), &app.core.env, job.tenant_id);
    // A unit of work although it only reads: it waits for whoever changes the sale at this moment.
    let mut work = app.core.begin().await?;
    let due = SiteSales::new(&mut *work, &scope, env).to_be_returned(seller, order.purchase_id).await?;
    work.commit().await?;
    let Some(sale) = due else { return Ok(()) };
    let (Some((_, buyer)), Some(sold_at)) = (sale.buyer, sale.paid_at) else { return Ok(()) };
    let parcel = {
        let mut reader = app.core.reader();
        Sales::new(&mut *reader, &scope, env).return_parcel(buyer, sale.site_id, sold_at).await
    };
    let copied: Vec<AssetId> = match parcel {
        Ok(parcel) => parcel.assets.iter().map(|asset| asset.id).collect(),
        // The same is found below, where it is noted.
        Err(SitesError::NotFound(_)) => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    for picture in &copied {
        let (from, to) = (Asset::folder(buyer, *picture), Asset::folder(seller, *picture));
        copy_folder(&*app.files, &from, &to).await.map_err(|error| JobError::Retry(chain(&error)))?;
    }

    let mut work = app.core.begin().await?;
    // Another run of the job may have done it meanwhile.
    let due = SiteSales::new(&mut *work, &scope, env).to_be_returned(seller, sale.id).await?;
    let Some(sale) = due else { return Ok(()) };
    let mut sales = Sales::new(&mut *work, &scope, env);
    match sales.give_back(buyer, sale.site_id, seller, sold_at, &copied).await {
        Ok(returned) if returned.bytes > 0 => {
            Quotas::new(&mut *work).add_regardless(seller, Meter::Storage, returned.bytes).await?;
        }
        Ok(_) => {}
        Err(SitesError::NotFound(_)) => {
            tracing::warn!(tenant = %seller, sale = %sale.id, "a site that was paid back is not there any more");
        }
        Err(error) => return Err(error.into()),
    }
    SiteSales::new(&mut *work, &scope, env).returned(sale).await?;
    Ok(work.commit().await?)
}
