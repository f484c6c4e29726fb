//! What follows from what the provider says about the subscription of a tenant. The only place where a plan that is paid for comes into
//! force or falls.
//!
//! Webhooks, the schedule and the tenant's own changes all ask the provider and come here with its answer, in any order and any number of
//! times.

use portico_kernel::{Env, Event, EventDeclaration, Scope, StoreError, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::{
    BillingError, events,
    invoice::Invoice,
    ledger::LedgerTransaction,
    paid::{BillingAccount, PaidPlan, REMINDER_DAYS},
    paid_moves::{Meaning, meaning},
    payment::{Dispute, DisputeStatus, PaymentError},
    plan::FREE,
    plan_call::{PlanCall, PlanCallStage},
    plan_coupon,
    ports::BillingRepositories,
    recurring::RecurringChange,
    subject::Subject,
    subscription::{Subscription, SubscriptionStatus},
    subscription_provider::{InvoiceStatus, ProviderInvoice, ProviderSubscription},
    tenant_subscription::TenantSubscription,
};

/// An answer of the provider.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// [`BillingAccount::revision`] before it was asked for.
    pub revision: i64,
    /// The subscription; `None` where there never was one.
    pub subscription: Option<&'a ProviderSubscription>,
    /// Whether the provider has deleted the customer: then there is no subscription.
    pub is_deleted: bool,
    /// Its newest invoices.
    pub invoices: &'a [ProviderInvoice],
}

/// What became of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// It is stored.
    Stored(Box<BillingAccount>),
    /// Another one was stored since before it was asked for: ask again.
    Stale,
    /// It is stored, and the tenant is deleted: the subscription is to be ended.
    Orphaned(String),
}

/// What is to be done about a missing payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// Nothing more for now.
    Waiting,
    /// The time is over: the subscription of this id at the provider is to be ended, and the plan falls.
    End(String),
}

/// A reminder, for the owners.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentReminder {
    /// The tenant.
    pub tenant_id: TenantId,
    /// Id of the plan.
    pub plan: String,
    /// Days since the payment has failed.
    pub day: i64,
    /// When the plan falls.
    pub grace_ends_at: Timestamp,
}

/// Use cases around answers of the provider. They ask for no permission: what they do follows from what the provider says, whoever asked
/// it.
pub struct Observations<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> Observations<'a> {
    /// Over an open unit of work, for whoever asked the provider.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// Stores an answer: the subscription as it is there, its invoices, the plan in force, and the money that moved. The same answer again
    /// changes nothing.
    ///
    /// A subscription at a price that was not made here leaves the plan as it is. A customer that the provider has deleted is forgotten:
    /// who upgrades next is made known there anew.
    ///
    /// # Errors
    /// `NoAccount`; `Payment` for an answer of another mode than that of the account.
    pub async fn observe(&mut self, tenant: TenantId, answer: Answer<'_>) -> Result<Observed, BillingError> {
        let before = self.lock(tenant).await?;
        if before.revision != answer.revision {
            return Ok(Observed::Stale);
        }
        if answer.subscription.is_some_and(|seen| seen.live != before.live) {
            let cause = "a subscription of another mode than its account".to_owned();
            return Err(PaymentError::Refused(cause).into());
        }
        let now = self.env.now();
        // A trial comes before the first payment: after a plan that was paid for without one, for instance with a coupon, there is none.
        let is_begun =
            |seen: &ProviderSubscription| seen.trial_ends_at.is_some() || seen.status.is_in_force();
        let mut after = BillingAccount {
            subscription: answer.subscription.cloned(),
            revision: before.revision + 1,
            had_trial: before.had_trial || answer.subscription.is_some_and(is_begun),
            ..before.clone()
        };
        if answer.is_deleted {
            // Under the key of before the provider would answer the customer that it has deleted.
            (after.customer_id, after.subscription, after.keyed_at) = (None, None, now);
        }
        after.past_due_since = match after.status() {
            SubscriptionStatus::PastDue => before.past_due_since.or(Some(now)),
            _ => None,
        };
        if after.past_due_since.is_none() {
            after.reminders = 0;
        }
        if after.subscription != before.subscription {
            after.updated_at = now;
        }
        after.check_at = after.next_check(now);
        let plan = self.repositories.subscriptions().lock(tenant).await?;
        // What was billed for is what is paid for now, or was until now.
        let plan_of = |account: &BillingAccount| match account.priced() {
            Some(price) => Subject::Plan(price.plan),
            None => Subject::Unknown,
        };
        let subject = if after.priced().is_some() { plan_of(&after) } else { plan_of(&before) };
        self.store_invoices(&after, answer.invoices, &subject).await?;
        self.end_call(&after).await?;
        if after.running().is_none() {
            after.cancel_reason = None;
            after.ends_with_tenant = false;
        }
        self.repositories.accounts().update(&after).await?;
        if let Some(change) = RecurringChange::between(&before, &after, now) {
            self.repositories.finance().record(&change).await?;
        }
        let Some(plan) = plan else {
            // The tenant is deleted: nothing is in force, and nobody is to be told.
            return Ok(match after.running() {
                Some(running) => Observed::Orphaned(running.id.clone()),
                None => Observed::Stored(Box::new(after)),
            });
        };
        let next = self.plan_after(&plan, &before, &after).await?;
        if next != plan {
            self.repositories.subscriptions().update(&next).await?;
        }
        self.tell((&plan, &before), (&next, &after)).await?;
        Ok(Observed::Stored(Box::new(after)))
    }

    /// Forgets what a tenant has paid for with play money, because the server moves real money now and the provider does not know it in
    /// that mode. The plan falls as after an end, and whoever upgrades next is made known to the provider anew. An account of real money
    /// stays as it is.
    ///
    /// # Errors
    /// `NoAccount`.
    pub async fn go_live(&mut self, tenant: TenantId) -> Result<BillingAccount, BillingError> {
        let before = self.lock(tenant).await?;
        if before.live {
            return Ok(before);
        }
        let forgotten =
            Answer { revision: before.revision, subscription: None, is_deleted: true, invoices: &[] };
        self.observe(tenant, forgotten).await?;
        let emptied = self.lock(tenant).await?;
        let under_way = self.repositories.plan_calls().under_way(tenant).await?;
        if let Some(call) = under_way {
            plan_coupon::settle(self.repositories, &call, &emptied).await?;
            let ended = PlanCall { stage: PlanCallStage::Ended, url: None, check_at: None, ..call };
            self.repositories.plan_calls().update(&ended).await?;
        }
        // A trial of play money was none.
        let account = BillingAccount { live: true, had_trial: false, ..emptied };
        self.repositories.accounts().update(&account).await?;
        Ok(account)
    }

    /// The plan in force after an answer. Staff may have granted another one than what is paid for: it stays until that changes.
    async fn plan_after(
        &mut self,
        plan: &Subscription,
        before: &BillingAccount,
        after: &BillingAccount,
    ) -> Result<Subscription, BillingError> {
        let paid = after.paid_plan();
        if paid == before.paid_plan() {
            return Ok(plan.clone());
        }
        let (id, version) = match paid {
            PaidPlan::Unknown => return Ok(plan.clone()),
            PaidPlan::Known(price) => (price.plan, price.version),
            PaidPlan::Nothing => {
                let free = self.repositories.plans().current(FREE).await?.ok_or(BillingError::NoPlan)?;
                (free.id, free.version)
            }
        };
        if (&id, version) == (&plan.plan, plan.plan_version) {
            return Ok(plan.clone());
        }
        Ok(Subscription { plan: id, plan_version: version, updated_at: self.env.now(), ..plan.clone() })
    }

    /// Appends the event of a move, if anything has changed that is shown.
    async fn tell(
        &mut self,
        before: (&Subscription, &BillingAccount),
        after: (&Subscription, &BillingAccount),
    ) -> Result<(), BillingError> {
        let now = self.env.now();
        let shown = |(plan, account): (&Subscription, &BillingAccount)| {
            TenantSubscription::new(plan, Some(account), now)
        };
        let (was, is) = (shown(before), shown(after));
        let same = TenantSubscription { updated_at: was.updated_at, ..is.clone() } == was;
        let meaning = meaning(before.1.status(), after.1.status());
        if same && meaning == Meaning::Nothing {
            return Ok(());
        }
        let declared: &'static EventDeclaration = match meaning {
            Meaning::Nothing => &events::SUBSCRIPTION_UPDATED,
            Meaning::Begun => &events::SUBSCRIPTION_STARTED,
            Meaning::TrialEnded => &events::SUBSCRIPTION_TRIAL_ENDED,
            Meaning::PaymentFailed => &events::SUBSCRIPTION_PAYMENT_FAILED,
            Meaning::Recovered => &events::SUBSCRIPTION_RECOVERED,
            Meaning::Ended => &events::SUBSCRIPTION_ENDED,
        };
        let mut noted = serde_json::to_value(&is).unwrap_or_default();
        let ends = is.cancel_at.is_some() || meaning == Meaning::Ended;
        if let Some(reason) = before.1.cancel_reason.as_deref().filter(|_| ends) {
            noted["reason"] = reason.into();
        }
        if meaning == Meaning::Recovered {
            // Who was reminded is told that the payment has come.
            noted["reminders"] = before.1.reminders.into();
        }
        let tenant = was.tenant_id;
        let event = Event::new(self.env, self.scope, declared, tenant.uuid()).in_tenant(tenant);
        Ok(self.repositories.events().append(event.before(&was).after(&noted)).await?)
    }

    /// Ends the page for a first payment once there is a subscription.
    async fn end_call(&mut self, account: &BillingAccount) -> Result<(), BillingError> {
        if account.running().is_none_or(|running| running.status == SubscriptionStatus::Incomplete) {
            return Ok(());
        }
        let call = self.repositories.plan_calls().under_way(account.tenant_id).await?;
        if let Some(call) = call.filter(|call| call.stage == PlanCallStage::Open) {
            plan_coupon::settle(self.repositories, &call, account).await?;
            let ended = PlanCall { stage: PlanCallStage::Ended, url: None, check_at: None, ..call };
            self.repositories.plan_calls().update(&ended).await?;
        }
        Ok(())
    }

    /// Stores invoices that are new or have changed, books the money that moved, and tells about it.
    async fn store_invoices(
        &mut self,
        account: &BillingAccount,
        observed: &[ProviderInvoice],
        subject: &Subject,
    ) -> Result<(), BillingError> {
        let (tenant, provider) = (account.tenant_id, account.provider);
        let ids: Vec<String> = observed.iter().map(|invoice| invoice.id.clone()).collect();
        let stored = self.repositories.invoices().of_provider(tenant, provider, &ids).await?;
        // The oldest first, so that events and bookings are in their order.
        for seen in observed.iter().rev() {
            let before = stored.iter().find(|invoice| invoice.provider_id == seen.id);
            let id = before.map_or_else(|| self.env.new_id(), |invoice| invoice.id);
            let after = Invoice::observed(id, tenant, provider, seen);
            if before == Some(&after) {
                continue;
            }
            self.repositories.invoices().upsert(&after).await?;
            self.book(before, &after, account, subject).await?;
        }
        Ok(())
    }

    async fn book(
        &mut self,
        before: Option<&Invoice>,
        after: &Invoice,
        &BillingAccount { live, revision, .. }: &BillingAccount,
        subject: &Subject,
    ) -> Result<(), BillingError> {
        let moved = LedgerTransaction::of_invoice(before, after, live, revision, self.env.now())
            .map_err(|error| StoreError::Internal(Box::new(error)))?;
        for booked in moved {
            let booked = booked.about(&[(subject.clone(), 1)]);
            self.repositories.ledger().book(after.tenant_id, &booked).await?;
        }
        let of_payments = LedgerTransaction::of_payments(after, live, self.env.now())
            .map_err(|error| StoreError::Internal(Box::new(error)))?;
        for booked in of_payments {
            let booked = booked.about(&[(subject.clone(), 1)]);
            self.repositories.ledger().book_missing(after.tenant_id, &booked).await?;
        }
        let refunded = before.map_or(0, |invoice| invoice.amount_refunded);
        let was_paid = before.is_some_and(|invoice| invoice.status == InvoiceStatus::Paid);
        let known = |seen: &Dispute| {
            let stored = before.into_iter().flat_map(disputes).find(|stored| stored.id == seen.id);
            stored.map(|stored| stored.status)
        };
        let is_closed =
            |seen: &Dispute| !seen.status.is_open() && known(seen).is_none_or(DisputeStatus::is_open);
        let told = [
            (
                after.status == InvoiceStatus::Paid && !was_paid && after.amount_paid > 0,
                &events::INVOICE_PAID,
            ),
            (after.amount_refunded > refunded, &events::INVOICE_REFUNDED),
            (disputes(after).any(|seen| known(seen).is_none()), &events::INVOICE_DISPUTED),
            (disputes(after).any(is_closed), &events::INVOICE_DISPUTE_CLOSED),
        ];
        for (_, declared) in told.into_iter().filter(|(happened, _)| *happened) {
            let mut event =
                Event::new(self.env, self.scope, declared, after.id.uuid()).in_tenant(after.tenant_id);
            if let Some(before) = before {
                event = event.before(&without_addresses(before));
            }
            self.repositories.events().append(event.after(&without_addresses(after))).await?;
        }
        Ok(())
    }

    /// Reminds the owners of a payment that is missing, on the days of [`REMINDER_DAYS`], each once; of several that have passed, of the
    /// last one only. Answers what is to be done when the time is over.
    ///
    /// # Errors
    /// `NoAccount`.
    pub async fn remind(&mut self, tenant: TenantId) -> Result<Overdue, BillingError> {
        let account = self.lock(tenant).await?;
        let (Some(since), Some(grace_ends_at), Some(running)) =
            (account.past_due_since, account.grace_ends_at(), account.running())
        else {
            return Ok(Overdue::Waiting);
        };
        let now = self.env.now();
        if grace_ends_at <= now {
            return Ok(Overdue::End(running.id.clone()));
        }
        let due = account.reminders_due(now);
        let plan = self.repositories.subscriptions().lock(tenant).await?;
        let (Some(plan), true) = (plan, due > account.reminders) else { return Ok(Overdue::Waiting) };
        let told = (due as usize).checked_sub(1).and_then(|index| REMINDER_DAYS.get(index));
        let day = told.copied().unwrap_or_else(|| Duration::whole_days(now - since));
        let reminder = PaymentReminder { tenant_id: tenant, plan: plan.plan, day, grace_ends_at };
        self.repositories.accounts().update(&BillingAccount { reminders: due, ..account }).await?;
        let declared = &events::SUBSCRIPTION_PAYMENT_OVERDUE;
        let event = Event::new(self.env, self.scope, declared, tenant.uuid()).in_tenant(tenant);
        self.repositories.events().append(event.after(&reminder)).await?;
        Ok(Overdue::Waiting)
    }

    /// Asks about the account again later: the provider has no answer that helps.
    ///
    /// # Errors
    /// `NoAccount`.
    pub async fn postpone(&mut self, tenant: TenantId, pause: Duration) -> Result<(), BillingError> {
        let account = self.lock(tenant).await?;
        let check_at = account.check_at.map(|_| self.env.now() + pause);
        Ok(self.repositories.accounts().update(&BillingAccount { check_at, ..account }).await?)
    }

    async fn lock(&mut self, tenant: TenantId) -> Result<BillingAccount, BillingError> {
        self.repositories.accounts().lock(tenant).await?.ok_or(BillingError::NoAccount)
    }
}

/// The disputes about the payments of an invoice.
fn disputes(invoice: &Invoice) -> impl Iterator<Item = &Dispute> {
    invoice.payments.iter().flat_map(|payment| &payment.disputes)
}

/// An invoice as events tell of it. Whoever has one of its addresses can read or pay it, and events go to others and are kept.
fn without_addresses(invoice: &Invoice) -> Invoice {
    Invoice { pdf_url: None, hosted_url: None, receipt_url: None, ..invoice.clone() }
}

#[cfg(test)]
pub(crate) mod desk;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
