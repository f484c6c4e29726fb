//! Mail about sales of sites.

use portico_billing::{
    events,
    site_sale::SiteSale,
    site_sale_mail::{SiteSaleMail, SoldSite},
};
use portico_identity::{
    Accounts,
    mail::Recipient,
    user::{EmailAddress, UserStatus},
};
use portico_kernel::{Env, Event, Job, JobType, NewJob, PurchaseId, StoreError, UserId};
use portico_runtime::{
    mailing,
    worker::jobs::{JobError, scope},
};
use serde::{Deserialize, Serialize};

use super::site_sales::claim_token;
use crate::state::App;

/// What is told to a buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToBuyer {
    /// That there is an account, with a link to set its password. Only where it was made for them.
    Welcome,
    /// That the site is theirs.
    Confirmation,
    /// That a site waits for them, with a link to claim it.
    Claim,
}

/// The job that writes to a buyer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuyerMail {
    purchase_id: PurchaseId,
    message: ToBuyer,
}

/// The job that queues a message for each owner of the tenant that sold a site.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SellerMail {
    purchase_id: PurchaseId,
}

/// The job that writes to one of them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SellerMailToOne {
    purchase_id: PurchaseId,
    user_id: UserId,
}

impl JobType for BuyerMail {
    const KIND: &'static str = "email.site_sale";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for SellerMail {
    const KIND: &'static str = "email.site_sold";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for SellerMailToOne {
    const KIND: &'static str = "email.site_sold_to_owner";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

/// The messages that an event leads to.
pub fn jobs_for(env: &Env, event: &Event) -> Vec<NewJob> {
    let purchase_id = PurchaseId::from_uuid(event.resource.id);
    let to_buyer = |message| NewJob::following(env, event, &BuyerMail { purchase_id, message });
    if event.kind.is(&events::SITE_SALE_WAITING) {
        return vec![to_buyer(ToBuyer::Claim)];
    }
    if event.kind.is(&events::SITE_SALE_COMPLETED) {
        let to_seller = NewJob::following(env, event, &SellerMail { purchase_id });
        return vec![to_buyer(ToBuyer::Welcome), to_buyer(ToBuyer::Confirmation), to_seller];
    }
    Vec::new()
}

/// `email.site_sale`: writes to the buyer of a site.
///
/// # Errors
/// Those of sending.
pub async fn to_buyer(app: &App, mail: BuyerMail, job: &Job) -> Result<(), JobError> {
    let Some((sale, sold)) = sold(app, mail.purchase_id, job).await? else { return Ok(()) };
    let message = match mail.message {
        ToBuyer::Welcome => welcome(app, &sale, job).await?,
        ToBuyer::Confirmation => match sale.buyer {
            Some((user, buyer)) => {
                let invoice = app.core.reader().invoices().find(buyer, sale.invoice_id()).await?;
                let receipt = invoice.and_then(|invoice| invoice.number);
                let to = recipient(app, user).await?;
                to.map(|to| (to, SiteSaleMail::Confirmation { sold, receipt }))
            }
            None => None,
        },
        ToBuyer::Claim => claimant(app, &sale, job)
            .await?
            .map(|to| (to, SiteSaleMail::Claim { sold, token: claim_token(app, &sale) })),
    };
    match message {
        Some((to, mail)) => app.mail.send(job, &to, &mail).await,
        None => Ok(()),
    }
}

/// `email.site_sold`: queues a message for each owner of the tenant that sold a site, all or none.
///
/// # Errors
/// Where the store fails.
pub async fn to_owners(app: &App, mail: SellerMail, job: &Job) -> Result<(), JobError> {
    let purchase_id = mail.purchase_id;
    let mut work = app.core.begin().await?;
    let owners = mailing::owners(&mut *work, job.tenant_id).await?;
    let one = |user_id: UserId| (user_id.uuid(), SellerMailToOne { purchase_id, user_id });
    let parts = owners.iter().map(|owner| one(owner.user_id)).collect();
    mailing::queue_each(work, &app.core.env, job, parts).await
}

/// `email.site_sold_to_owner`: tells an owner that a site was sold, if their address is verified.
///
/// # Errors
/// Those of sending.
pub async fn to_owner(app: &App, mail: SellerMailToOne, job: &Job) -> Result<(), JobError> {
    let Some((_, sold)) = sold(app, mail.purchase_id, job).await? else { return Ok(()) };
    match recipient(app, mail.user_id).await?.filter(Recipient::is_verified) {
        Some(to) => app.mail.send(job, &to, &SiteSaleMail::Sold(sold)).await,
        None => Ok(()),
    }
}

async fn sold(app: &App, id: PurchaseId, job: &Job) -> Result<Option<(SiteSale, SoldSite)>, StoreError> {
    let sale = app.core.reader().site_sales().find(job.tenant_id, id).await?;
    Ok(sale.and_then(|sale| SoldSite::of(&sale).map(|sold| (sale, sold))))
}

async fn recipient(app: &App, user: UserId) -> Result<Option<Recipient>, StoreError> {
    let user = app.core.reader().users().find(user).await?;
    Ok(user.filter(|user| user.status == UserStatus::Active).map(|user| Recipient::for_user(&user)))
}

/// The buyer for whom an account was made, with a link to set its password.
async fn welcome(
    app: &App,
    sale: &SiteSale,
    job: &Job,
) -> Result<Option<(Recipient, SiteSaleMail)>, JobError> {
    let Some((user, _)) = sale.buyer else { return Ok(None) };
    let mut work = app.core.begin().await?;
    let issued = Accounts::new(&mut *work, &scope(job), &app.core.env)
        .issue_first_password(user, &*app.core.access.tokens)
        .await?;
    work.commit().await?;
    Ok(issued.map(|(to, token)| (to, SiteSaleMail::Welcome { token })))
}

/// The owner of the address that a site waits for.
async fn claimant(app: &App, sale: &SiteSale, job: &Job) -> Result<Option<Recipient>, JobError> {
    // Empty once the site is claimed and handed over.
    let Ok(email) = EmailAddress::parse(&sale.buyer_email) else { return Ok(None) };
    let mut reader = app.core.reader();
    let owner = Accounts::new(&mut *reader, &scope(job), &app.core.env).owner_of(&email).await?;
    let owner = owner.filter(|user| user.status == UserStatus::Active);
    Ok(owner.map(|user| Recipient::for_user(&user)))
}
