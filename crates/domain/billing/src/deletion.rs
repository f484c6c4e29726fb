//! What is paid for while a tenant waits for its deletion: it ends with its period, so that nothing renews for sites that are offline, and
//! goes on where the tenant is restored before that.
//!
//! What is to be done follows from how the tenant and its subscription are now, and not from which event came last: so events may come
//! twice, late and in any order.

use portico_kernel::{Env, Event, Scope, TenantId};
use serde_json::{Value, json};

use crate::{
    BillingError, events,
    paid::BillingAccount,
    plan_call::{PlanCall, PlanCallKind, PlanCallStage},
    ports::BillingRepositories,
};

/// What is to be done at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionStep {
    /// Nothing.
    Nothing,
    /// The page of this call is to be closed: a subscription that began there would go on.
    Close(Box<PlanCall>),
    /// The subscription of this id is to end with its period.
    End(String),
    /// The end of the subscription of this id is to be taken back.
    Resume(String),
}

/// Use cases around what a tenant pays for that is to be deleted. They ask for no permission: what they do follows from the tenant.
pub struct PaidDeletions<'a> {
    repositories: &'a mut dyn BillingRepositories,
    scope: &'a Scope,
    env: &'a Env,
}

impl<'a> PaidDeletions<'a> {
    /// Over an open unit of work.
    pub fn new(repositories: &'a mut dyn BillingRepositories, scope: &'a Scope, env: &'a Env) -> Self {
        Self { repositories, scope, env }
    }

    /// The next step for a tenant, after its subscription was asked for. `is_deleting`: whether it waits for its deletion. `has_ended`:
    /// whether the caller itself has just had the subscription end, while the tenant may have been restored.
    ///
    /// An end that the tenant has asked for itself stays as it is.
    ///
    /// # Errors
    /// `NoAccount`; `ChangeInProgress` while nobody knows what came of a change: then it is to be asked again.
    pub async fn next(
        &mut self,
        tenant: TenantId,
        is_deleting: bool,
        has_ended: bool,
    ) -> Result<DeletionStep, BillingError> {
        let account = self.repositories.accounts().lock(tenant).await?.ok_or(BillingError::NoAccount)?;
        if is_deleting { self.end(account).await } else { self.resume(account, has_ended).await }
    }

    async fn end(&mut self, account: BillingAccount) -> Result<DeletionStep, BillingError> {
        let tenant = account.tenant_id;
        if let Some(call) = self.repositories.plan_calls().under_way(tenant).await? {
            return match (call.kind, call.stage) {
                (PlanCallKind::Checkout, _) | (_, PlanCallStage::Open) => {
                    Ok(DeletionStep::Close(Box::new(call)))
                }
                _ => Err(BillingError::ChangeInProgress),
            };
        }
        let running = account.running().filter(|running| running.ends_at.is_none());
        let Some(id) = running.map(|running| running.id.clone()) else { return Ok(DeletionStep::Nothing) };
        if !account.ends_with_tenant {
            self.repositories
                .accounts()
                .update(&BillingAccount { ends_with_tenant: true, ..account })
                .await?;
            let asked = json!({"call": "cancel", "immediately": false, "cause": "tenant.deletion_scheduled"});
            self.tell(tenant, asked).await?;
        }
        Ok(DeletionStep::End(id))
    }

    async fn resume(
        &mut self,
        account: BillingAccount,
        has_ended: bool,
    ) -> Result<DeletionStep, BillingError> {
        if !account.ends_with_tenant && !has_ended {
            return Ok(DeletionStep::Nothing);
        }
        let tenant = account.tenant_id;
        let running = account.running().filter(|running| running.ends_at.is_some());
        if let Some(id) = running.map(|running| running.id.clone()) {
            self.tell(tenant, json!({"call": "resume", "cause": "tenant.deletion_cancelled"})).await?;
            return Ok(DeletionStep::Resume(id));
        }
        if account.ends_with_tenant {
            self.repositories
                .accounts()
                .update(&BillingAccount { ends_with_tenant: false, ..account })
                .await?;
        }
        Ok(DeletionStep::Nothing)
    }

    async fn tell(&mut self, tenant: TenantId, asked: Value) -> Result<(), BillingError> {
        let declared = &events::SUBSCRIPTION_CHANGE_REQUESTED;
        let event = Event::new(self.env, self.scope, declared, tenant.uuid()).in_tenant(tenant);
        Ok(self.repositories.events().append(event.after(&asked)).await?)
    }
}

#[cfg(test)]
mod tests {
    use portico_kernel::Fault;
    use time::Duration;

    use super::*;
    use crate::{
        observation::desk::{Desk, wish},
        subscription_provider::SubscriptionProvider,
    };

    async fn next(desk: &mut Desk, is_deleting: bool, has_ended: bool) -> DeletionStep {
        desk.sync().await;
        let tenant = desk.tenant;
        let mut deletions = PaidDeletions::new(&mut desk.rows, &desk.scope, &desk.env);
        deletions.next(tenant, is_deleting, has_ended).await.unwrap()
    }

    /// Takes every step that is to be taken, as the job does.
    async fn follow(desk: &mut Desk, is_deleting: bool) {
        let mut has_ended = false;
        loop {
            match next(desk, is_deleting, has_ended).await {
                DeletionStep::Nothing => return,
                DeletionStep::Close(call) => panic!("{call:?}"),
                DeletionStep::End(id) => {
                    desk.provider.cancel_at_end(&id).await.unwrap();
                    has_ended = true;
                }
                DeletionStep::Resume(id) => drop(desk.provider.resume(&id).await.unwrap()),
            }
        }
    }

    #[tokio::test]
    async fn a_tenant_that_is_restored_pays_on_and_one_that_is_not_pays_no_more() {
        let (mut desk, mut seen) = (Desk::paying("starter").await, 0);
        desk.news(&mut seen);
        follow(&mut desk, true).await;
        let shown = desk.shown().await;
        assert_eq!((shown.plan.as_str(), shown.cancel_at), ("starter", Some(shown.current_period_end)));
        assert_eq!(desk.news(&mut seen), ["subscription.change_requested", "subscription.updated"]);
        let asked = desk.rows.kept.events();
        let asked = asked.iter().rev().find(|event| event.kind.as_str() == "subscription.change_requested");
        assert_eq!(asked.unwrap().after.as_ref().unwrap()["cause"], "tenant.deletion_scheduled");
        follow(&mut desk, true).await;
        assert!(desk.news(&mut seen).is_empty(), "the same again changes nothing");

        follow(&mut desk, false).await;
        assert_eq!(desk.shown().await.cancel_at, None);
        assert!(!desk.account().ends_with_tenant);
        assert_eq!(desk.news(&mut seen), ["subscription.change_requested", "subscription.updated"]);
        follow(&mut desk, false).await;
        assert!(desk.news(&mut seen).is_empty());

        // Scheduled again, and not restored before the period ends.
        follow(&mut desk, true).await;
        desk.advance(Duration::days(32));
        follow(&mut desk, true).await;
        assert_eq!(desk.shown().await.plan, "free");
        assert_eq!(desk.provider.invoices_of(&desk.customer()).len(), 1, "nothing has renewed");
        assert!(!desk.account().ends_with_tenant, "there is nothing to resume");
        follow(&mut desk, false).await;
        assert_eq!(desk.shown().await.plan, "free");
    }

    #[tokio::test]
    async fn what_the_tenant_has_asked_for_itself_stays() {
        let mut desk = Desk::paying("starter").await;
        desk.cancel(false).await.unwrap();
        follow(&mut desk, true).await;
        assert!(!desk.account().ends_with_tenant);
        follow(&mut desk, false).await;
        assert!(desk.shown().await.cancel_at.is_some());

        // Its own end counts also where it comes while ours stands.
        desk.resume().await.unwrap();
        follow(&mut desk, true).await;
        desk.cancel(false).await.unwrap();
        follow(&mut desk, false).await;
        assert!(desk.shown().await.cancel_at.is_some());
    }

    #[tokio::test]
    async fn a_tenant_that_is_restored_while_the_provider_is_asked_pays_on() {
        let mut desk = Desk::paying("starter").await;
        let DeletionStep::End(id) = next(&mut desk, true, false).await else { panic!("it is to end") };
        // The run of the restore comes first, and finds nothing to take back.
        assert_eq!(next(&mut desk, false, false).await, DeletionStep::Nothing);
        desk.provider.cancel_at_end(&id).await.unwrap();
        assert_eq!(next(&mut desk, false, true).await, DeletionStep::Resume(id.clone()));
        desk.provider.resume(&id).await.unwrap();
        assert_eq!(next(&mut desk, false, true).await, DeletionStep::Nothing);
        assert_eq!(desk.shown().await.cancel_at, None);
    }

    #[tokio::test]
    async fn a_page_is_closed_and_a_change_without_an_answer_is_waited_for() {
        let mut desk = Desk::new(0);
        let page = desk.upgrade(&wish("starter")).await.unwrap().page();
        let DeletionStep::Close(call) = next(&mut desk, true, false).await else { panic!("a page is open") };
        assert_eq!(call.session_id, Some(page.session_id));

        let mut desk = Desk::paying("starter").await;
        desk.provider.set_losing_answers(true);
        desk.upgrade(&wish("professional")).await.unwrap_err();
        desk.provider.set_losing_answers(false);
        desk.sync().await;
        let tenant = desk.tenant;
        let mut deletions = PaidDeletions::new(&mut desk.rows, &desk.scope, &desk.env);
        let waits = deletions.next(tenant, true, false).await.unwrap_err();
        assert_eq!(waits.code(), "change_in_progress");
        let nobody = deletions.next(desk.env.new_id(), true, false).await;
        assert!(matches!(nobody, Err(BillingError::NoAccount)));
    }
}
