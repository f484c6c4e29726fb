//! The messages about what is paid for a plan.

use portico_kernel::{
    Timestamp,
    mail::{Mail, MailClass, MailContent},
};

/// What is told to the owners of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SubscriptionNotice {
    /// A payment has failed. It is tried again.
    PaymentFailed {
        /// When the plan falls.
        falls_at: Timestamp,
    },
    /// The payment is still missing.
    PaymentOverdue {
        /// Days since it has failed.
        days: u64,
        /// When the plan falls.
        falls_at: Timestamp,
    },
    /// The missing payment has come, after a reminder.
    PaymentReceived,
    /// The trial is over, and the plan is paid for from now on.
    TrialPaid,
    /// The trial is over, and the free plan follows.
    TrialOver,
    /// The plan has ended, and the free plan follows.
    Ended,
}

/// A message about what is paid for a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionMail {
    /// Name of the tenant.
    pub tenant: String,
    /// Id of the plan.
    pub plan: String,
    /// What happened.
    pub notice: SubscriptionNotice,
}

impl Mail for SubscriptionMail {
    fn content(&self) -> MailContent {
        let (key, days, falls_at) = match self.notice {
            SubscriptionNotice::PaymentFailed { falls_at } => {
                ("subscription.payment_failed", None, Some(falls_at))
            }
            SubscriptionNotice::PaymentOverdue { days, falls_at } => {
                ("subscription.payment_overdue", Some(days), Some(falls_at))
            }
            SubscriptionNotice::PaymentReceived => ("subscription.payment_received", None, None),
            SubscriptionNotice::TrialPaid => ("subscription.trial_paid", None, None),
            SubscriptionNotice::TrialOver => ("subscription.trial_over", None, None),
            SubscriptionNotice::Ended => ("subscription.ended", None, None),
        };
        MailContent::new(key, MailClass::Tenant)
            .written("tenant", &self.tenant)
            .with("plan", self.plan.as_str())
            .with("days", days)
            .with("falls_at", falls_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::env;

    #[test]
    fn a_message_names_the_tenant_and_what_is_known() {
        let falls_at = env().now();
        let content = |notice| {
            SubscriptionMail { tenant: "Acme".to_owned(), plan: "starter".to_owned(), notice }.content()
        };
        let overdue = content(SubscriptionNotice::PaymentOverdue { days: 3, falls_at });
        assert_eq!(overdue.key, "subscription.payment_overdue");
        assert_eq!((&overdue.values["days"], &overdue.values["falls_at"]), (&3_u64.into(), &falls_at.into()));
        assert!(overdue.has_free_text(), "tenants are named by their people");
        let keys = [SubscriptionNotice::TrialPaid, SubscriptionNotice::TrialOver, SubscriptionNotice::Ended]
            .map(|notice| content(notice).key);
        assert_eq!(keys, ["subscription.trial_paid", "subscription.trial_over", "subscription.ended"]);
        let received = content(SubscriptionNotice::PaymentReceived);
        assert_eq!(
            (received.key, &received.values["plan"]),
            ("subscription.payment_received", &"starter".into())
        );
    }
}
