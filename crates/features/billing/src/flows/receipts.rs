//! Mail about purchases.

use portico_billing::{events, purchase_mail::PurchaseMail};
use portico_identity::{mail::Recipient, user::UserStatus};
use portico_kernel::{Env, Event, Job, JobType, NewJob, PurchaseId};
use portico_runtime::{mailing, worker::jobs::JobError};
use serde::{Deserialize, Serialize};

use crate::state::App;

/// The job that confirms a purchase to its buyer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PurchaseConfirmation {
    purchase_id: PurchaseId,
}

impl JobType for PurchaseConfirmation {
    const KIND: &'static str = "email.purchase";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

/// The message that an event leads to.
pub fn job_for(env: &Env, event: &Event) -> Option<NewJob> {
    event.kind.is(&events::PURCHASE_COMPLETED).then(|| {
        let purchase_id = PurchaseId::from_uuid(event.resource.id);
        NewJob::following(env, event, &PurchaseConfirmation { purchase_id })
    })
}

/// `email.purchase`: confirms a purchase to its buyer, if their address is verified.
///
/// # Errors
/// Those of sending.
pub async fn confirm(app: &App, mail: PurchaseConfirmation, job: &Job) -> Result<(), JobError> {
    let purchase = app.core.reader().purchases().find(job.tenant_id, mail.purchase_id).await?;
    let Some(purchase) = purchase else { return Ok(()) };
    let buyer = app.core.reader().users().find(purchase.user_id).await?;
    let buyer = buyer.filter(|user| user.status == UserStatus::Active && user.email_verified);
    match (buyer, PurchaseMail::confirmation(&purchase)) {
        (Some(buyer), Some(mail)) => app.mail.send(job, &Recipient::for_user(&buyer), &mail).await,
        _ => Ok(()),
    }
}
