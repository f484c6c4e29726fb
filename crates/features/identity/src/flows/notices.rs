//! Notices about what happened to an account or a tenant: which events lead to one, and who gets it.
//!
//! A notice about an account goes to its owner, given that the address is proven: nobody else's mailbox is to hear of what
//! somebody does with an account that names it. A notice about a tenant goes to each of its owners, as a job of its own,
//! so that one receiver whose mail fails does not make the others get theirs again.

use portico_identity::{
    mail::{AccountMail, AccountNotice, FactorChange, KeyNotice, Recipient, TenantNotice},
    user::{EmailAddress, UserStatus},
};
use portico_kernel::{
    Env, Event, Job, NewJob, PageRequest, StoreError, TenantId, TenantRole, Timestamp, UserId,
};
use portico_runtime::{
    mailing,
    worker::jobs::{JobError, payload},
};
use portico_tenancy::{dispatch::DisableReason, member::MemberFilter};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::state::App;

/// The job that sends a notice to one person.
pub const TO_ONE: &str = "email.notice";
/// The job that hands a notice to each owner of its tenant.
pub const TO_OWNERS: &str = "email.notice_to_owners";

/// What a notice says, as jobs carry it.
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
}

/// Somebody as an event tells of them: for an account that nobody can write to any more once the job runs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Addressee {
    email: String,
    full_name: String,
    language: String,
}

/// What the job for one person carries.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToOne {
    user_id: UserId,
    /// Flat, so that an erasure finds the address.
    #[serde(flatten)]
    to: Option<Addressee>,
    notice: Notice,
}

/// What the job for all owners carries.
#[derive(Serialize, Deserialize)]
struct ToOwners {
    notice: Notice,
}

/// The notice that an event gives rise to.
pub fn job_for(env: &Env, event: &Event) -> Option<NewJob> {
    let user_id = UserId::from_uuid(event.resource.id);
    let (kind, payload) = match &*event.resource.kind {
        "user" => {
            let notice = Notice::Account(about_account(event)?);
            let to = if concerns_former(event) { Some(addressee(event.before.as_ref()?)?) } else { None };
            (TO_ONE, json!(ToOne { user_id, to, notice }))
        }
        "member" => {
            (TO_ONE, json!(ToOne { user_id, to: None, notice: Notice::Tenant(about_member(event)?) }))
        }
        _ => (TO_OWNERS, json!(ToOwners { notice: Notice::Tenant(about_tenant(event)?) })),
    };
    let tenant = match &*event.resource.kind {
        "tenant" => TenantId::from_uuid(event.resource.id),
        _ => event.tenant,
    };
    Some(mailing::job(env, kind, payload, tenant, event.request_id.clone()))
}

fn about_account(event: &Event) -> Option<AboutAccount> {
    Some(match &*event.kind {
        "user.email_changed" => AboutAccount::EmailChanged {
            masked: EmailAddress::trusted(text(&event.after, "email")?).masked(),
        },
        "user.new_device" => AboutAccount::NewDevice {
            device: text(&event.after, "userAgent"),
            address: text(&event.after, "address"),
            at: event.at,
        },
        "user.totp_added" => AboutAccount::TotpAdded,
        "user.totp_removed" => AboutAccount::TotpRemoved,
        "user.passkey_added" => AboutAccount::PasskeyAdded,
        "user.passkey_removed" => AboutAccount::PasskeyRemoved,
        "user.recovery_code_used" => AboutAccount::RecoveryCodeUsed,
        "user.recovery_codes_renewed" => AboutAccount::RecoveryCodesRenewed,
        "user.second_factor_reset" => AboutAccount::SecondFactorReset,
        "user.identity_linked" => AboutAccount::IdentityLinked { provider: text(&event.after, "provider")? },
        "user.suspended" => AboutAccount::Suspended,
        "user.reinstated" => AboutAccount::Reinstated,
        "user.deleted" => AboutAccount::Deleted,
        // Whoever was deleted before has heard of that.
        "user.erased" if text(&event.before, "status")? != UserStatus::Deleted.as_str() => {
            AboutAccount::Deleted
        }
        _ => return None,
    })
}

/// Whether to write to the address that the account had before the event, whatever has become of it since.
fn concerns_former(event: &Event) -> bool {
    matches!(&*event.kind, "user.email_changed" | "user.suspended" | "user.deleted" | "user.erased")
}

fn about_member(event: &Event) -> Option<AboutTenant> {
    let owner = TenantRole::Owner.as_str();
    let became = event.kind == "member.updated"
        && text(&event.after, "role")? == owner
        && text(&event.before, "role")? != owner;
    became.then_some(AboutTenant::OwnershipReceived)
}

fn about_tenant(event: &Event) -> Option<AboutTenant> {
    let after = &event.after;
    Some(match &*event.kind {
        "api_key.created" => AboutTenant::KeyCreated { key: text(after, "name")? },
        "api_key.new_address" => {
            AboutTenant::KeyUsedFromNewAddress { key: text(after, "name")?, address: text(after, "address")? }
        }
        "api_key.refusals" => AboutTenant::KeyRefused {
            key: text(after, "name")?,
            count: after.as_ref()?.get("count")?.as_u64()?,
        },
        // By Portico itself: a member would know of it.
        "webhook.disabled" => AboutTenant::WebhookDisabled {
            url: text(after, "url")?,
            gone: text(after, "disabledReason").is_some_and(|reason| reason == DisableReason::Gone.as_str()),
        },
        "tenant.suspended" => AboutTenant::Suspended,
        "tenant.reinstated" => AboutTenant::Reinstated,
        "tenant.deletion_scheduled" => {
            let at = after.as_ref()?.get("deleteAt")?.clone();
            AboutTenant::DeletionScheduled { at: serde_json::from_value(at).ok()? }
        }
        _ => return None,
    })
}

fn text(json: &Option<Value>, field: &str) -> Option<String> {
    json.as_ref()?.get(field)?.as_str().map(str::to_owned)
}

/// The account in its JSON form, given that its address is proven.
fn addressee(user: &Value) -> Option<Addressee> {
    let is_proven = user.get("emailVerified")?.as_bool()?;
    is_proven.then(|| Addressee::deserialize(user).ok())?
}

/// `email.notice`: to one person.
pub async fn to_one(app: &App, job: &Job) -> Result<(), JobError> {
    let ToOne { user_id, to, notice } = payload(job)?;
    let recipient = match to {
        Some(Addressee { email, full_name, language }) => {
            let email = mailing::known_address(&email)?;
            email.map(|email| Recipient::verified(email, full_name, language))
        }
        None => {
            let user = app.core.reader().users().find(user_id).await?;
            user.filter(|user| user.status == UserStatus::Active && user.email_verified)
                .map(|user| Recipient::of(&user))
        }
    };
    let Some(recipient) = recipient else { return Ok(()) };
    let Some(mail) = mail(app, job.tenant_id, notice).await? else { return Ok(()) };
    app.mail.send(job, &recipient, &mail).await
}

/// `email.notice_to_owners`: a job for each owner of the tenant, all of them or none.
pub async fn to_owners(app: &App, job: &Job) -> Result<(), JobError> {
    let ToOwners { notice } = payload(job)?;
    let mut work = app.core.begin().await?;
    let mut page = PageRequest { page: 1, limit: 100 };
    loop {
        let filter = MemberFilter { role: Some(TenantRole::Owner), ..MemberFilter::default() };
        let owners = work.memberships().list(job.tenant_id, filter, page).await?.items;
        for owner in &owners {
            let payload = json!(ToOne { user_id: owner.user_id, to: None, notice: notice.clone() });
            let one = NewJob {
                id: mailing::child(job.id, owner.user_id.uuid()),
                kind: TO_ONE,
                payload,
                tenant: job.tenant_id,
                run_at: app.core.env.now(),
                max_attempts: mailing::MAX_ATTEMPTS,
                request_id: job.request_id.clone(),
            };
            match work.jobs().enqueue(one).await {
                // An earlier attempt did it, and died before it could say so.
                Err(StoreError::Conflict(_)) => return Ok(()),
                result => result?,
            }
        }
        if owners.len() < page.limit as usize {
            break;
        }
        page.page += 1;
    }
    Ok(work.commit().await?)
}

/// The message; `None` when it is about a tenant that is not there any more.
async fn mail(app: &App, tenant: TenantId, notice: Notice) -> Result<Option<AccountMail>, JobError> {
    Ok(match notice {
        Notice::Account(about) => Some(account_mail_of(about)),
        Notice::Tenant(about) => {
            let tenant = app.core.reader().tenants().find(tenant).await?;
            tenant.map(|tenant| tenant_mail_of(tenant.name, about))
        }
    })
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

fn tenant_mail_of(tenant: String, about: AboutTenant) -> AccountMail {
    let (key, notice) = match about {
        AboutTenant::KeyCreated { key } => (key, KeyNotice::Created),
        AboutTenant::KeyUsedFromNewAddress { key, address } => (key, KeyNotice::NewAddress { address }),
        AboutTenant::KeyRefused { key, count } => (key, KeyNotice::Refusals { count }),
        AboutTenant::WebhookDisabled { url, gone } => {
            return AccountMail::WebhookDisabled { tenant, url, gone };
        }
        AboutTenant::Suspended => {
            return AccountMail::TenantNotice { tenant, notice: TenantNotice::Suspended };
        }
        AboutTenant::Reinstated => {
            return AccountMail::TenantNotice { tenant, notice: TenantNotice::Reinstated };
        }
        AboutTenant::DeletionScheduled { at } => {
            return AccountMail::TenantNotice { tenant, notice: TenantNotice::DeletionScheduled { at } };
        }
        AboutTenant::OwnershipReceived => {
            return AccountMail::TenantNotice { tenant, notice: TenantNotice::OwnershipReceived };
        }
    };
    AccountMail::ApiKeyNotice { tenant, key, notice }
}

#[cfg(test)]
mod tests {
    use portico_kernel::{RequestInfo, Scope};
    use portico_security::system_env;

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
        assert_eq!((kind, &payload["email"]), (TO_ONE, &json!("ada@example.com")));
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
        assert_eq!(changed("admin", "owner").unwrap().0, TO_ONE);
        assert_eq!(changed("owner", "admin"), None);
        assert_eq!(changed("owner", "owner"), None);
        assert_eq!(payload_for("member.created", Value::Null, json!({"role": "owner"})), None);
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
