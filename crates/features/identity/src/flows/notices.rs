//! Notices about what happened to an account or a tenant: which events lead to one, and who receives it.
//!
//! A notice about an account goes to its owner if the address is verified: the owner of a mailbox must not get mail about
//! an account that another person registered with that address. A notice about a tenant goes to each of its owners, each as
//! its own job, so that a failing delivery to one owner does not repeat the others.

use portico_billing::{
    events as billing,
    mail::{OverLimitMail, UsageMail},
    observation::PaymentReminder,
    overage::SitesOverLimit,
    plan::FREE,
    subscription_mail::{SubscriptionMail, SubscriptionNotice},
    thresholds::{Reached, Threshold},
};
use portico_identity::{
    events as identity,
    mail::{AccountMail, AccountNotice, FactorChange, KeyNotice, Recipient},
    user::{EmailAddress, UserStatus},
};
use portico_kernel::{
    Env, Event, EventDeclaration, Job, JobType, Meter, NewJob, TenantId, TenantRole, Timestamp, UserId,
    mail::Mail,
};
use portico_runtime::{mailing, worker::jobs::JobError};
use portico_tenancy::{
    dispatch::DisableReason,
    events as tenancy,
    mail::{TenantMail, TenantNotice},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::App;

/// The content of a notice, as serialised in jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Notice {
    Account(AboutAccount),
    Tenant(AboutTenant),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum AboutAccount {
    EmailChanged { masked: String },
    NewDevice { device: Option<String>, address: Option<String>, at: Timestamp },
    TotpAdded,
    TotpRemoved,
    PasskeyAdded,
    PasskeyRemoved,
    RecoveryCodeUsed,
    RecoveryCodesRenewed,
    SecondFactorReset,
    IdentityLinked { provider: String },
    Suspended,
    Reinstated,
    Deleted,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum AboutTenant {
    KeyCreated { key: String },
    KeyUsedFromNewAddress { key: String, address: String },
    KeyRefused { key: String, count: u64 },
    WebhookDisabled { url: String, gone: bool },
    Suspended,
    Reinstated,
    DeletionScheduled { at: Timestamp },
    OwnershipReceived,
    Usage { meter: Meter, threshold: Threshold, used: u64, limit: u64, resets_at: Option<Timestamp> },
    OverLimit { used: u64, limit: u64, read_only_at: Timestamp },
    PaymentFailed { plan: String, falls_at: Timestamp },
    PaymentOverdue { plan: String, days: u64, falls_at: Timestamp },
    PaymentReceived { plan: String },
    TrialPaid { plan: String },
    TrialOver { plan: String },
    SubscriptionEnded { plan: String },
}

/// A recipient as described by an event, for an account that no longer has an address when the job runs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addressee {
    email: String,
    full_name: String,
    language: String,
}

/// The job that sends a notice to one user.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeToOne {
    user_id: UserId,
    /// Flattened, so that an erasure finds the address.
    #[serde(flatten)]
    to: Option<Addressee>,
    notice: Notice,
}

/// The job that queues a notice for each owner of its tenant.
#[derive(Serialize, Deserialize)]
pub struct NoticeToOwners {
    notice: Notice,
}

impl JobType for NoticeToOne {
    const KIND: &'static str = "email.notice";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

impl JobType for NoticeToOwners {
    const KIND: &'static str = "email.notice_to_owners";
    const MAX_ATTEMPTS: u32 = mailing::MAX_ATTEMPTS;
}

/// The notice that an event leads to.
pub fn job_for(env: &Env, event: &Event) -> Option<NewJob> {
    let user_id = UserId::from_uuid(event.resource.id);
    if let Some(about) = lookup(&ABOUT_ACCOUNTS, event) {
        let to = if concerns_former(event) { Some(addressee(event.before.as_ref()?)?) } else { None };
        let notice = Notice::Account(about(event)?);
        return Some(NewJob::following(env, event, &NoticeToOne { user_id, to, notice }));
    }
    if event.kind.is(&tenancy::MEMBER_UPDATED) {
        let notice = Notice::Tenant(about_member(event)?);
        return Some(NewJob::following(env, event, &NoticeToOne { user_id, to: None, notice }));
    }
    let notice = Notice::Tenant(lookup(&ABOUT_TENANTS, event)?(event)?);
    let job = NewJob::following(env, event, &NoticeToOwners { notice });
    Some(match &*event.resource.kind {
        "tenant" => job.in_tenant(TenantId::from_uuid(event.resource.id)),
        _ => job,
    })
}

/// Events with a function that extracts the notice's subject; `None` where the event leads to no notice.
type Notices<T, const N: usize> = [(&'static EventDeclaration, fn(&Event) -> Option<T>); N];

fn lookup<T, const N: usize>(notices: &Notices<T, N>, event: &Event) -> Option<fn(&Event) -> Option<T>> {
    notices.iter().find(|(declared, _)| event.kind.is(declared)).map(|(_, about)| *about)
}

static ABOUT_ACCOUNTS: Notices<AboutAccount, 14> = [
    (&identity::USER_EMAIL_CHANGED, |event| {
        let masked = EmailAddress::trusted(text(&event.after, "email")?).masked();
        Some(AboutAccount::EmailChanged { masked })
    }),
    (&identity::USER_NEW_DEVICE, |event| {
        let (device, address) = (text(&event.after, "userAgent"), text(&event.after, "address"));
        Some(AboutAccount::NewDevice { device, address, at: event.at })
    }),
    (&identity::USER_TOTP_ADDED, |_| Some(AboutAccount::TotpAdded)),
    (&identity::USER_TOTP_REMOVED, |_| Some(AboutAccount::TotpRemoved)),
    (&identity::USER_PASSKEY_ADDED, |_| Some(AboutAccount::PasskeyAdded)),
    (&identity::USER_PASSKEY_REMOVED, |_| Some(AboutAccount::PasskeyRemoved)),
    (&identity::USER_RECOVERY_CODE_USED, |_| Some(AboutAccount::RecoveryCodeUsed)),
    (&identity::USER_RECOVERY_CODES_RENEWED, |_| Some(AboutAccount::RecoveryCodesRenewed)),
    (&identity::USER_SECOND_FACTOR_RESET, |_| Some(AboutAccount::SecondFactorReset)),
    (&identity::USER_IDENTITY_LINKED, |event| {
        Some(AboutAccount::IdentityLinked { provider: text(&event.after, "provider")? })
    }),
    (&identity::USER_SUSPENDED, |_| Some(AboutAccount::Suspended)),
    (&identity::USER_REINSTATED, |_| Some(AboutAccount::Reinstated)),
    (&identity::USER_DELETED, |_| Some(AboutAccount::Deleted)),
    // An account that was deleted before its erasure got the notice at deletion.
    (&identity::USER_ERASED, |event| {
        let was_deleted = text(&event.before, "status")? == UserStatus::Deleted.as_str();
        (!was_deleted).then_some(AboutAccount::Deleted)
    }),
];

static ABOUT_TENANTS: Notices<AboutTenant, 15> = [
    (&identity::API_KEY_CREATED, |event| Some(AboutTenant::KeyCreated { key: text(&event.after, "name")? })),
    (&identity::API_KEY_NEW_ADDRESS, |event| {
        let (key, address) = (text(&event.after, "name")?, text(&event.after, "address")?);
        Some(AboutTenant::KeyUsedFromNewAddress { key, address })
    }),
    (&identity::API_KEY_REFUSALS, |event| {
        let count = event.after.as_ref()?.get("count")?.as_u64()?;
        Some(AboutTenant::KeyRefused { key: text(&event.after, "name")?, count })
    }),
    // Only if disabled by Portico itself: a member who disables it knows.
    (&tenancy::WEBHOOK_DISABLED, |event| {
        let reason = text(&event.after, "disabledReason");
        let gone = reason.is_some_and(|reason| reason == DisableReason::Gone.as_str());
        Some(AboutTenant::WebhookDisabled { url: text(&event.after, "url")?, gone })
    }),
    (&tenancy::TENANT_SUSPENDED, |_| Some(AboutTenant::Suspended)),
    (&tenancy::TENANT_REINSTATED, |_| Some(AboutTenant::Reinstated)),
    (&tenancy::TENANT_DELETION_SCHEDULED, |event| {
        let at = event.after.as_ref()?.get("deleteAt")?;
        Some(AboutTenant::DeletionScheduled { at: Timestamp::deserialize(at).ok()? })
    }),
    (&billing::USAGE_EXHAUSTED, |event| about_usage(event, Threshold::Exhausted)),
    (&billing::USAGE_WARNING, |event| about_usage(event, Threshold::Warning)),
    (&billing::USAGE_OVER_LIMIT, |event| {
        let SitesOverLimit { used, limit, read_only_at, .. } =
            SitesOverLimit::deserialize(event.after.as_ref()?).ok()?;
        Some(AboutTenant::OverLimit { used, limit, read_only_at })
    }),
    (&billing::SUBSCRIPTION_PAYMENT_FAILED, |event| {
        let falls_at = Timestamp::deserialize(event.after.as_ref()?.get("graceEndsAt")?).ok()?;
        Some(AboutTenant::PaymentFailed { plan: text(&event.after, "plan")?, falls_at })
    }),
    (&billing::SUBSCRIPTION_PAYMENT_OVERDUE, |event| {
        let PaymentReminder { plan, day, grace_ends_at, .. } =
            PaymentReminder::deserialize(event.after.as_ref()?).ok()?;
        Some(AboutTenant::PaymentOverdue { plan, days: day.unsigned_abs(), falls_at: grace_ends_at })
    }),
    (&billing::SUBSCRIPTION_RECOVERED, |event| {
        // Whoever was not reminded need not hear that it is settled.
        let reminders = event.after.as_ref()?.get("reminders")?.as_u64()?;
        let plan = text(&event.after, "plan")?;
        (reminders > 0).then_some(AboutTenant::PaymentReceived { plan })
    }),
    (&billing::SUBSCRIPTION_TRIAL_ENDED, |event| {
        let (plan, is) = (text(&event.before, "plan")?, text(&event.after, "plan")?);
        Some(if is == FREE { AboutTenant::TrialOver { plan } } else { AboutTenant::TrialPaid { plan } })
    }),
    (&billing::SUBSCRIPTION_ENDED, |event| {
        Some(AboutTenant::SubscriptionEnded { plan: text(&event.before, "plan")? })
    }),
];

/// Whether to write to the address that the account had before the event, even if it has changed since.
fn concerns_former(event: &Event) -> bool {
    [
        &identity::USER_EMAIL_CHANGED,
        &identity::USER_SUSPENDED,
        &identity::USER_DELETED,
        &identity::USER_ERASED,
    ]
    .iter()
    .any(|declared| event.kind.is(declared))
}

fn about_member(event: &Event) -> Option<AboutTenant> {
    let owner = TenantRole::Owner.as_str();
    let became = text(&event.after, "role")? == owner && text(&event.before, "role")? != owner;
    became.then_some(AboutTenant::OwnershipReceived)
}

/// Nothing where the limit is one: whoever has made the only one knows.
fn about_usage(event: &Event, threshold: Threshold) -> Option<AboutTenant> {
    let reached = Reached::deserialize(event.after.as_ref()?).ok()?;
    let Reached { meter, used, limit, resets_at, .. } = reached;
    (limit > 1).then_some(AboutTenant::Usage { meter, threshold, used, limit, resets_at })
}

fn text(json: &Option<Value>, field: &str) -> Option<String> {
    json.as_ref()?.get(field)?.as_str().map(str::to_owned)
}

/// The recipient, read from the account's JSON form, if its address is verified.
fn addressee(user: &Value) -> Option<Addressee> {
    let is_proven = user.get("emailVerified")?.as_bool()?;
    is_proven.then(|| Addressee::deserialize(user).ok())?
}

/// `email.notice`: sends a notice to one user.
pub async fn to_one(app: &App, notice: NoticeToOne, job: &Job) -> Result<(), JobError> {
    let NoticeToOne { user_id, to, notice } = notice;
    let recipient = match to {
        Some(Addressee { email, full_name, language }) => {
            let email = mailing::known_address(&email)?;
            email.map(|email| Recipient::verified(email, full_name, language))
        }
        None => {
            let user = app.core.reader().users().find(user_id).await?;
            user.filter(|user| user.status == UserStatus::Active && user.email_verified)
                .map(|user| Recipient::for_user(&user))
        }
    };
    let Some(recipient) = recipient else { return Ok(()) };
    let mail: Box<dyn Mail> = match notice {
        Notice::Account(about) => Box::new(account_mail_of(about)),
        Notice::Tenant(about) => {
            let tenant = app.core.reader().tenants().find(job.tenant_id).await?;
            // Gone when the tenant is.
            let Some(tenant) = tenant else { return Ok(()) };
            about.into_mail(tenant.name)
        }
    };
    app.mail.send(job, &recipient, &*mail).await
}

/// `email.notice_to_owners`: queues a job for each owner of the tenant, all or none.
pub async fn to_owners(app: &App, notice: NoticeToOwners, job: &Job) -> Result<(), JobError> {
    let NoticeToOwners { notice } = notice;
    let mut work = app.core.begin().await?;
    let owners = mailing::owners(&mut *work, job.tenant_id).await?;
    let one = |user_id: UserId| (user_id.uuid(), NoticeToOne { user_id, to: None, notice: notice.clone() });
    let parts = owners.iter().map(|owner| one(owner.user_id)).collect();
    mailing::queue_each(work, &app.core.env, job, parts).await
}

fn account_mail_of(about: AboutAccount) -> AccountMail {
    let factor = |change| AccountMail::SecondFactorChanged { change };
    let account = |notice| AccountMail::AccountNotice { notice };
    match about {
        AboutAccount::EmailChanged { masked } => AccountMail::EmailChanged { masked },
        AboutAccount::NewDevice { device, address, at } => AccountMail::NewDevice { device, address, at },
        AboutAccount::TotpAdded => factor(FactorChange::TotpAdded),
        AboutAccount::TotpRemoved => factor(FactorChange::TotpRemoved),
        AboutAccount::PasskeyAdded => factor(FactorChange::PasskeyAdded),
        AboutAccount::PasskeyRemoved => factor(FactorChange::PasskeyRemoved),
        AboutAccount::RecoveryCodeUsed => factor(FactorChange::RecoveryCodeUsed),
        AboutAccount::RecoveryCodesRenewed => factor(FactorChange::RecoveryCodesRenewed),
        AboutAccount::SecondFactorReset => factor(FactorChange::Reset),
        AboutAccount::IdentityLinked { provider } => AccountMail::IdentityLinked { provider },
        AboutAccount::Suspended => account(AccountNotice::Suspended),
        AboutAccount::Reinstated => account(AccountNotice::Reinstated),
        AboutAccount::Deleted => account(AccountNotice::Deleted),
    }
}

impl AboutTenant {
    fn into_mail(self, tenant: String) -> Box<dyn Mail> {
        let about_key = |tenant, key, notice| Box::new(AccountMail::ApiKeyNotice { tenant, key, notice });
        let notice = match self {
            Self::KeyCreated { key } => return about_key(tenant, key, KeyNotice::Created),
            Self::KeyUsedFromNewAddress { key, address } => {
                return about_key(tenant, key, KeyNotice::NewAddress { address });
            }
            Self::KeyRefused { key, count } => return about_key(tenant, key, KeyNotice::Refusals { count }),
            Self::WebhookDisabled { url, gone } => {
                return Box::new(TenantMail::WebhookDisabled { tenant, url, gone });
            }
            Self::Usage { meter, threshold, used, limit, resets_at } => {
                return Box::new(UsageMail { tenant, meter, threshold, used, limit, resets_at });
            }
            Self::OverLimit { used, limit, read_only_at } => {
                return Box::new(OverLimitMail { tenant, used, limit, read_only_at });
            }
            Self::PaymentFailed { plan, falls_at } => {
                return about_plan(tenant, plan, SubscriptionNotice::PaymentFailed { falls_at });
            }
            Self::PaymentOverdue { plan, days, falls_at } => {
                return about_plan(tenant, plan, SubscriptionNotice::PaymentOverdue { days, falls_at });
            }
            Self::PaymentReceived { plan } => {
                return about_plan(tenant, plan, SubscriptionNotice::PaymentReceived);
            }
            Self::TrialPaid { plan } => return about_plan(tenant, plan, SubscriptionNotice::TrialPaid),
            Self::TrialOver { plan } => return about_plan(tenant, plan, SubscriptionNotice::TrialOver),
            Self::SubscriptionEnded { plan } => return about_plan(tenant, plan, SubscriptionNotice::Ended),
            Self::Suspended => TenantNotice::Suspended,
            Self::Reinstated => TenantNotice::Reinstated,
            Self::DeletionScheduled { at } => TenantNotice::DeletionScheduled { at },
            Self::OwnershipReceived => TenantNotice::OwnershipReceived,
        };
        Box::new(TenantMail::Notice { tenant, notice })
    }
}

fn about_plan(tenant: String, plan: String, notice: SubscriptionNotice) -> Box<dyn Mail> {
    Box::new(SubscriptionMail { tenant, plan, notice })
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, Scope};
    use portico_security::system_env;
    use serde_json::json;

    use super::*;

    fn payload_for(kind: &'static str, before: Value, after: Value) -> Option<(&'static str, Value)> {
        let env = system_env();
        let scope = Scope::anonymous(RequestInfo::default());
        let event = Event::new(
            &env,
            &scope,
            portico_runtime::events::catalogue().find(kind).unwrap(),
            TenantId::PLATFORM.uuid(),
        )
        .before(&before)
        .after(&after);
        job_for(&env, &event).map(|job| (job.kind, job.payload))
    }

    fn user(email: &str, verified: bool, status: &str) -> Value {
        json!({"email": email, "emailVerified": verified, "fullName": "Ada", "language": "es", "status": status})
    }

    #[test]
    fn a_changed_address_is_told_to_the_old_one_if_it_was_proven() {
        let after = user("king@example.org", true, "active");
        let (kind, payload) =
            payload_for("user.email_changed", user("ada@example.com", true, "active"), after.clone())
                .unwrap();
        assert_eq!((kind, &payload["email"]), (NoticeToOne::KIND, &json!("ada@example.com")));
        assert_eq!(
            payload["notice"],
            json!({"account": {"what": "email_changed", "masked": "k…@example.org"}})
        );
        assert_eq!(payload_for("user.email_changed", user("ada@example.com", false, "active"), after), None);
    }

    #[test]
    fn whoever_was_deleted_hears_of_it_once() {
        let erased = |status| payload_for("user.erased", user("a@example.com", true, status), Value::Null);
        assert_eq!(erased("active").unwrap().1["notice"], json!({"account": {"what": "deleted"}}));
        assert_eq!(erased("deleted"), None);
    }

    #[test]
    fn only_becoming_an_owner_is_told() {
        let changed =
            |from: &str, to: &str| payload_for("member.updated", json!({"role": from}), json!({"role": to}));
        assert_eq!(changed("admin", "owner").unwrap().0, NoticeToOne::KIND);
        assert_eq!(changed("owner", "admin"), None);
        assert_eq!(changed("owner", "owner"), None);
        assert_eq!(payload_for("member.created", Value::Null, json!({"role": "owner"})), None);
    }

    #[test]
    fn owners_hear_of_the_end_of_a_trial_and_what_follows() {
        let ended = |after: &str| {
            let (before, after) = (json!({"plan": "starter"}), json!({"plan": after}));
            payload_for("subscription.trial_ended", before, after).unwrap().1["notice"].clone()
        };
        assert_eq!(ended("starter"), json!({"tenant": {"what": "trial_paid", "plan": "starter"}}));
        assert_eq!(ended("free"), json!({"tenant": {"what": "trial_over", "plan": "starter"}}));
        let at = "2026-12-03T10:00:00Z";
        let failed = json!({"plan": "starter", "graceEndsAt": at});
        let (kind, payload) = payload_for("subscription.payment_failed", Value::Null, failed).unwrap();
        assert_eq!(kind, NoticeToOwners::KIND);
        let expected = json!({"tenant": {"what": "payment_failed", "plan": "starter", "falls_at": at}});
        assert_eq!(payload["notice"], expected);
    }

    #[test]
    fn owners_hear_of_a_missing_payment_that_has_come_if_they_were_reminded() {
        let recovered = |after| payload_for("subscription.recovered", Value::Null, after);
        let (kind, payload) = recovered(json!({"plan": "starter", "reminders": 2})).unwrap();
        let expected = json!({"tenant": {"what": "payment_received", "plan": "starter"}});
        assert_eq!((kind, &payload["notice"]), (NoticeToOwners::KIND, &expected));
        assert_eq!(recovered(json!({"plan": "starter", "reminders": 0})), None);
        assert_eq!(recovered(json!({"plan": "starter"})), None, "from before it was counted");
    }

    #[test]
    fn owners_hear_of_too_many_sites_also_where_one_is_allowed() {
        let at = "2026-12-23T10:00:00Z";
        let after = json!({"tenantId": TenantId::PLATFORM, "meter": "sites", "used": 3, "limit": 1, "readOnlyAt": at});
        let (kind, payload) = payload_for("usage.over_limit", Value::Null, after).unwrap();
        let expected = json!({"tenant": {"what": "over_limit", "used": 3, "limit": 1, "read_only_at": at}});
        assert_eq!((kind, &payload["notice"]), (NoticeToOwners::KIND, &expected));
    }

    #[test]
    fn other_events_and_odd_ones_lead_to_none() {
        for kind in
            ["user.updated", "api_key.created", "tenant.deletion_scheduled", "tenant.created", "page.created"]
        {
            assert_eq!(payload_for(kind, Value::Null, Value::Null), None, "{kind}");
        }
    }
}
