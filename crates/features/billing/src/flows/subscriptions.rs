//! What the provider says about subscriptions: asked because of a webhook, by the schedule, or after a change.

use portico_billing::{
    BillingError,
    deletion::{DeletionStep, PaidDeletions},
    inbound::InboundStatus,
    observation::{Answer, Observations, Observed, Overdue},
    paid::BillingAccount,
    payment::{DisputeStatus, PaymentError, Provider},
    plan_call::PlanCall,
    subscription::SubscriptionStatus,
    subscription_provider::{INVOICE_PAGE, ProviderInvoice},
};
use portico_kernel::{Env, Event, Job, JobType, NewJob, RequestInfo, Scope, TenantId};
use portico_runtime::{
    logging::{chain, warn_about},
    worker::{
        failures::Failures,
        jobs::{JobError, scope},
    },
};
use portico_tenancy::{
    events::{TENANT_DELETED, TENANT_DELETION_CANCELLED, TENANT_DELETION_SCHEDULED},
    tenant::TenantStatus,
};
use serde::{Deserialize, Serialize};
use time::Duration;

use super::plan_changes;
use crate::state::App;

/// Accounts, and calls, that the schedule reads at once.
const BATCH: u64 = 100;

/// Most invoices that are read in one go.
const MOST_INVOICES: usize = 1000;

/// How often the provider is asked in one go.
const TRIES: usize = 5;

/// When an account is asked about again of which the provider refuses to say anything.
const REFUSED: Duration = Duration::HOUR;

/// When an account is asked about again of which the provider did not answer.
const UNANSWERED: Duration = Duration::minutes(5);

/// The job that ends what a deleted tenant pays for: the next payment may be due in an hour, and the schedule asks once a day.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndSubscription {
    tenant_id: TenantId,
}

impl JobType for EndSubscription {
    const KIND: &'static str = "subscription.end";
    /// With a backoff that grows to an hour, a provider may be unavailable for half a day. The schedule asks after that.
    const MAX_ATTEMPTS: u32 = 24;
}

/// The job that has what a tenant pays for end with its period while the tenant waits for its deletion, and go on where it is restored.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FollowDeletion {
    tenant_id: TenantId,
}

impl JobType for FollowDeletion {
    const KIND: &'static str = "subscription.follow_deletion";
    /// With a backoff that grows to an hour, a provider may be unavailable for a day.
    const MAX_ATTEMPTS: u32 = 36;
}

/// The jobs that an event leads to.
pub fn jobs_for(env: &Env, event: &Event) -> Vec<NewJob> {
    let tenant_id = event.tenant;
    if event.kind.is(&TENANT_DELETED) {
        return vec![NewJob::following(env, event, &EndSubscription { tenant_id })];
    }
    let is_followed = event.kind.is(&TENANT_DELETION_SCHEDULED) || event.kind.is(&TENANT_DELETION_CANCELLED);
    let job = is_followed.then(|| NewJob::following(env, event, &FollowDeletion { tenant_id }));
    job.into_iter().collect()
}

/// `subscription.follow_deletion`: has what a tenant pays for end with its period, or go on, by whether the tenant waits for its deletion
/// now.
///
/// # Errors
/// Where the provider or the database does not answer, or nobody knows yet what came of a change: the job is to run again.
pub async fn follow_deletion(app: &App, followed: FollowDeletion, job: &Job) -> Result<(), JobError> {
    match with_tenant(app, &scope(job), followed.tenant_id).await {
        Ok(()) | Err(BillingError::NoAccount) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn with_tenant(app: &App, scope: &Scope, tenant: TenantId) -> Result<(), BillingError> {
    let mut has_ended = false;
    for _ in 0..TRIES {
        sync(app, scope, tenant).await?;
        let mut work = app.core.begin().await?;
        let Some(found) = work.tenants().find(tenant).await? else { return Ok(()) };
        let is_deleting = match found.status {
            TenantStatus::Deleting => true,
            TenantStatus::Active | TenantStatus::Suspended => false,
            // It is ended by its own job.
            TenantStatus::Deleted => return Ok(()),
        };
        let step =
            PaidDeletions::new(&mut *work, scope, &app.core.env).next(tenant, is_deleting, has_ended).await?;
        work.commit().await?;
        match step {
            DeletionStep::Nothing => return Ok(()),
            DeletionStep::Close(page) => plan_changes::close(app, scope, &page).await?,
            DeletionStep::End(id) => {
                app.subscriptions.cancel_at_end(&id).await?;
                has_ended = true;
            }
            DeletionStep::Resume(id) => drop(app.subscriptions.resume(&id).await?),
        }
    }
    Err(PaymentError::Unavailable("a subscription does not follow its tenant".to_owned()).into())
}

/// `subscription.end`: ends what a deleted tenant pays for, if anything.
///
/// # Errors
/// Where the provider or the database does not answer: the job is to run again.
pub async fn end_of_deleted(app: &App, ended: EndSubscription, job: &Job) -> Result<(), JobError> {
    match sync(app, &scope(job), ended.tenant_id).await {
        Ok(_) | Err(BillingError::NoAccount) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Forgets what a tenant has paid for with play money, once the server moves real money.
///
/// # Errors
/// Those of the store.
pub async fn follow_mode(app: &App, scope: &Scope, tenant: TenantId) -> Result<(), BillingError> {
    if !app.checkout_rule.live {
        return Ok(());
    }
    let account = app.core.reader().accounts().find(tenant).await?;
    if account.is_some_and(|account| !account.live) {
        let mut work = app.core.begin().await?;
        Observations::new(&mut *work, scope, &app.core.env).go_live(tenant).await?;
        work.commit().await?;
    }
    Ok(())
}

/// Asks the provider for the subscription of a tenant and its invoices, and stores them. The subscription of a tenant that is deleted is
/// ended. A customer that the provider has deleted has none. What was paid with play money is forgotten where real money is moved now, and
/// what is paid with real money is not asked about where play money is moved: the provider does not know it.
///
/// # Errors
/// `NoAccount`; those of the provider.
pub async fn sync(app: &App, scope: &Scope, tenant: TenantId) -> Result<BillingAccount, BillingError> {
    follow_mode(app, scope, tenant).await?;
    let mut was_stale = false;
    for _ in 0..TRIES {
        let account = app.core.reader().accounts().find(tenant).await?.ok_or(BillingError::NoAccount)?;
        if account.live != app.checkout_rule.live {
            return Err(PaymentError::Unsupported.into());
        }
        let Some(customer) = &account.customer_id else { return Ok(account) };
        let asked = app.subscriptions.subscription(customer).await;
        let is_deleted = match &asked {
            Ok(Some(seen)) if seen.status != SubscriptionStatus::Canceled => false,
            Ok(_) | Err(PaymentError::NotFound) => app.subscriptions.is_deleted(customer).await?,
            Err(_) => false,
        };
        let subscription = if is_deleted { None } else { asked? };
        let invoices = match &subscription {
            Some(_) => invoices_of(app, &account, customer).await?,
            None => Vec::new(),
        };
        let answer = Answer {
            revision: account.revision,
            subscription: subscription.as_ref(),
            is_deleted,
            invoices: &invoices,
        };
        let mut work = app.core.begin().await?;
        let observed = Observations::new(&mut *work, scope, &app.core.env).observe(tenant, answer).await?;
        match observed {
            Observed::Stored(account) => {
                work.commit().await?;
                report(tenant, &invoices);
                return Ok(*account);
            }
            // Two others were stored meanwhile. The second of them was asked for after the first was stored, and so after this began.
            Observed::Stale if was_stale => {
                drop(work);
                let stored = app.core.reader().accounts().find(tenant).await?;
                return stored.ok_or(BillingError::NoAccount);
            }
            Observed::Stale => {
                drop(work);
                was_stale = true;
            }
            Observed::Orphaned(id) => {
                work.commit().await?;
                app.subscriptions.cancel(&id).await?;
            }
        }
    }
    Err(PaymentError::Unavailable("a subscription that was ended goes on".to_owned()).into())
}

/// The newest invoices of a customer, and as long as a page of them has something that is not stored as it is there, those before.
async fn invoices_of(
    app: &App,
    account: &BillingAccount,
    customer: &str,
) -> Result<Vec<ProviderInvoice>, BillingError> {
    let mut all = app.subscriptions.invoices(customer).await?;
    let mut page = 0..all.len();
    while page.len() >= INVOICE_PAGE && all.len() < MOST_INVOICES {
        let seen = all.get(page).unwrap_or_default();
        let ids: Vec<String> = seen.iter().map(|invoice| invoice.id.clone()).collect();
        let Some(oldest) = ids.last() else { break };
        let mut reader = app.core.reader();
        let stored = reader.invoices().of_provider(account.tenant_id, account.provider, &ids).await?;
        drop(reader);
        if seen.iter().all(|seen| stored.iter().any(|stored| stored.is_as(seen))) {
            break;
        }
        let older = app.subscriptions.older_invoices(customer, oldest).await?;
        page = all.len()..all.len() + older.len();
        all.extend(older);
    }
    Ok(all)
}

/// Logs what somebody has to answer, each time that it is seen until then.
fn report(tenant: TenantId, invoices: &[ProviderInvoice]) {
    for invoice in invoices {
        let disputes = invoice.payments.iter().flat_map(|payment| &payment.disputes);
        for dispute in disputes.filter(|dispute| dispute.status == DisputeStatus::NeedsAnswer) {
            tracing::error!(
                %tenant,
                invoice = %invoice.id,
                dispute = %dispute.id,
                amount = dispute.amount.amount,
                currency = %dispute.amount.currency,
                answer_by = ?dispute.answer_by,
                "a payment is disputed: answer it at the payment provider"
            );
        }
    }
}

/// Works off an event about a customer.
///
/// # Errors
/// Those of [`sync`].
pub async fn follow(app: &App, scope: &Scope, customer: &str) -> Result<InboundStatus, BillingError> {
    let tenant = app.core.reader().accounts().of_customer(Provider::Stripe, customer).await?;
    follow_tenant(app, scope, tenant).await
}

/// The same, where it is known which tenant the customer is; `None` where it is none.
///
/// # Errors
/// Those of [`sync`].
pub async fn follow_tenant(
    app: &App,
    scope: &Scope,
    tenant: Option<TenantId>,
) -> Result<InboundStatus, BillingError> {
    // Another installation may have the same account at the provider.
    let Some(tenant) = tenant else { return Ok(InboundStatus::Ignored) };
    sync(app, scope, tenant).await?;
    Ok(InboundStatus::Done)
}

/// `subscriptions`, each minute: asks about every subscription that is due, reminds of payments that are missing, ends what was not paid
/// for, and looks after calls that a process has left behind.
///
/// # Errors
/// Where the provider or the database does not answer, several times in a row: the rest is done in the next round.
pub async fn look_after(app: &App) -> Result<(), BillingError> {
    let now = app.core.env.now();
    let mut failures = Failures::default();
    loop {
        // Each call that was looked after is due later, or never again.
        let due = app.core.reader().plan_calls().due(now, BATCH).await?;
        for call in &due {
            let asked = finish(app, call).await;
            let are_enough = failures.are_enough(&asked);
            let Err(error) = asked else { continue };
            // Later than the others, so that one about which there never is an answer does not hold them up.
            warn_about("the payment provider does not answer about a change of plan", call.tenant_id, &error);
            plan_changes::postpone(app, call).await?;
            if are_enough {
                return Err(error);
            }
        }
        if due.len() < BATCH as usize {
            break;
        }
    }
    loop {
        let due = app.core.reader().accounts().due(now, BATCH).await?;
        for account in &due {
            let tenant = account.tenant_id;
            let asked = ask(app, tenant).await;
            let are_enough = failures.are_enough(&asked);
            let Err(error) = asked else { continue };
            warn_about("the payment provider does not answer about a subscription", tenant, &error);
            postpone(app, tenant, UNANSWERED).await?;
            if are_enough {
                return Err(error);
            }
        }
        if due.len() < BATCH as usize {
            return Ok(());
        }
    }
}

/// Looks after a call. One about which the provider refuses to say anything is looked after again later.
async fn finish(app: &App, call: &PlanCall) -> Result<(), BillingError> {
    match plan_changes::look_after(app, call).await {
        Err(BillingError::Payment(error)) if !error.is_passing() => {
            tracing::error!(error = %chain(&error), tenant = %call.tenant_id, "the payment provider refuses a change of plan");
            plan_changes::postpone(app, call).await
        }
        looked_after => looked_after,
    }
}

async fn ask(app: &App, tenant: TenantId) -> Result<(), BillingError> {
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    match overdue(app, &scope, tenant).await {
        Err(BillingError::Payment(error)) if !error.is_passing() => {
            tracing::error!(error = %chain(&error), %tenant, "the payment provider refuses to answer about a subscription");
            postpone(app, tenant, REFUSED).await
        }
        asked => asked,
    }
}

async fn postpone(app: &App, tenant: TenantId, pause: Duration) -> Result<(), BillingError> {
    let scope = Scope::system(Some(tenant), RequestInfo::default());
    let mut work = app.core.begin().await?;
    Observations::new(&mut *work, &scope, &app.core.env).postpone(tenant, pause).await?;
    Ok(work.commit().await?)
}

/// Asks about a subscription, and does what is due about a payment that is missing.
async fn overdue(app: &App, scope: &Scope, tenant: TenantId) -> Result<(), BillingError> {
    sync(app, scope, tenant).await?;
    let mut work = app.core.begin().await?;
    let overdue = Observations::new(&mut *work, scope, &app.core.env).remind(tenant).await?;
    work.commit().await?;
    if let Overdue::End(subscription) = overdue {
        app.subscriptions.cancel(&subscription).await?;
        sync(app, scope, tenant).await?;
    }
    Ok(())
}
