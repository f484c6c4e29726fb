//! Sending of mail by jobs: within each recipient's hourly limit, with the branding of the tenant concerned.

use std::sync::Arc;

use portico_identity::{
    erasure::ERASED,
    mail::{MailBrand, Recipient},
    mail_budget::{MailBudgets, MailRule},
    ports::Mailer,
    user::EmailAddress,
};
use portico_kernel::{
    Env, Job, JobId, JobType, NewJob, PageRequest, Scope, StoreError, TenantId, TenantRole,
    mail::{Mail, MailClass, MailError, MailId},
};
use portico_tenancy::{
    member::{Member, MemberFilter},
    ports::TenancyRepositories,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{core::Core, logging::chain, store::UnitOfWork, worker::jobs::JobError};

/// With a backoff that grows to an hour, a mail server may be unavailable for about a day.
pub const MAX_ATTEMPTS: u32 = 36;

/// Sends mail. Cheap to clone.
#[derive(Clone)]
pub struct Mailing {
    /// Database, time, metrics.
    pub core: Core,
    /// What renders and hands over messages.
    pub mailer: Arc<dyn Mailer>,
    /// How much mail a recipient gets in an hour.
    pub rule: MailRule,
}

impl Mailing {
    /// The same for background jobs.
    #[must_use]
    pub fn for_background(&self) -> Self {
        Self { core: self.core.for_background(), ..self.clone() }
    }

    /// Sends a message on behalf of a job, with the branding of the job's tenant where it concerns that. All mail is sent
    /// by this function.
    ///
    /// Each recipient has an hourly limit for each class of mail. Messages beyond it are dropped; notices about an account
    /// are deferred instead, because an intruder could otherwise flood its owner to hide their actions.
    ///
    /// A job that runs again, because its worker died before it could note that the message was taken, sends it under the
    /// same `Message-ID` to the same receiver.
    pub async fn send(&self, job: &Job, to: &Recipient, mail: &dyn Mail) -> Result<(), JobError> {
        let mail = mail.content();
        let class = to.class(&mail);
        if !self.take_from_budget(to, class).await? {
            let later = class == MailClass::Account;
            count(class, if later { "later" } else { "dropped" });
            let reason = "the recipient has had as much mail as they get in an hour";
            if later {
                return Err(JobError::Retry(reason.to_owned()));
            }
            tracing::warn!(class = class.as_str(), job = %job.id, "mail dropped: {reason}");
            return Ok(());
        }
        let brand = match mail.speaks_for_tenant {
            true => self.brand_of(job.tenant_id).await?,
            false => MailBrand::default(),
        };
        match self.mailer.send(message_id(job, to), to, &mail, &brand).await {
            Ok(()) => {
                count(class, "sent");
                Ok(())
            }
            Err(error @ MailError::Unavailable(_)) => {
                self.give_back_to_budget(to, class).await?;
                Err(JobError::Retry(chain(&error)))
            }
            Err(error @ MailError::Rejected(_)) => {
                count(class, "rejected");
                Err(JobError::Fatal(chain(&error)))
            }
        }
    }

    async fn take_from_budget(&self, to: &Recipient, class: MailClass) -> Result<bool, JobError> {
        let (rule, mut work) = (self.rule, self.core.begin().await?);
        let taken = MailBudgets::new(&mut *work, &self.core.env, rule, &*self.core.access.marks)
            .take(&to.email, class)
            .await?;
        work.commit().await?;
        Ok(taken)
    }

    async fn give_back_to_budget(&self, to: &Recipient, class: MailClass) -> Result<(), JobError> {
        let (rule, mut work) = (self.rule, self.core.begin().await?);
        MailBudgets::new(&mut *work, &self.core.env, rule, &*self.core.access.marks)
            .give_back(&to.email, class)
            .await?;
        Ok(work.commit().await?)
    }

    async fn brand_of(&self, tenant: TenantId) -> Result<MailBrand, JobError> {
        let mut repositories = self.core.reader();
        let tenant_row = repositories.tenants().find(tenant).await?;
        let (name, subdomain) =
            tenant_row.map(|tenant| (tenant.name, tenant.subdomain.into_string())).unzip();
        let primary = repositories.branding().find(tenant).await?.map(|branding| branding.colors.primary);
        Ok(MailBrand { name, subdomain, primary })
    }

    /// Requests a message to an address, without revealing whether there is an account with it.
    ///
    /// # Errors
    /// Where the database fails.
    pub async fn request(&self, scope: &Scope, job: &impl JobType) -> Result<(), StoreError> {
        let mut work = self.core.begin().await?;
        work.jobs().enqueue(NewJob::new(&self.core.env, scope, TenantId::PLATFORM, job)).await?;
        work.commit().await
    }
}

/// An address in the payload of a job; `None` when its owner was erased since.
///
/// # Errors
/// [`JobError::Fatal`] for an invalid address.
pub fn known_address(email: &str) -> Result<Option<EmailAddress>, JobError> {
    if email == ERASED {
        return Ok(None);
    }
    let email = EmailAddress::parse(email);
    email.map(Some).map_err(|error| JobError::Fatal(format!("payload: {}", error.message)))
}

fn count(class: MailClass, outcome: &'static str) {
    metrics::counter!("portico_mails_total", "class" => class.as_str(), "outcome" => outcome).increment(1);
}

/// A UUIDv8 (RFC 9562 section 5.8), deterministic for job and recipient.
fn message_id(job: &Job, to: &Recipient) -> MailId {
    let digest =
        Sha256::new().chain_update(job.id.uuid().as_bytes()).chain_update(to.email.as_str()).finalize();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    MailId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// All owners of a tenant.
///
/// # Errors
/// Where the database fails.
pub async fn owners(
    repositories: &mut dyn TenancyRepositories,
    tenant: TenantId,
) -> Result<Vec<Member>, StoreError> {
    let (mut owners, mut page) = (Vec::new(), PageRequest { page: 1, limit: PageRequest::MAX_LIMIT });
    loop {
        let filter = MemberFilter { role: Some(TenantRole::Owner), ..MemberFilter::default() };
        let found = repositories.memberships().list(tenant, filter, page).await?.items;
        let is_last = found.len() < page.limit as usize;
        owners.extend(found);
        if is_last {
            return Ok(owners);
        }
        page.page += 1;
    }
}

/// Queues a part of a job for each recipient, all or none, and commits. Each is a job of its own, so that a failing delivery to one does
/// not repeat the others.
///
/// # Errors
/// Where the database fails.
pub async fn queue_each<J: JobType>(
    mut work: Box<dyn UnitOfWork>,
    env: &Env,
    job: &Job,
    parts: Vec<(Uuid, J)>,
) -> Result<(), JobError> {
    for (recipient, part) in parts {
        let part = NewJob::part_of(env, job, child(job.id, recipient), &part);
        match work.jobs().enqueue(part).await {
            // An earlier attempt committed the jobs, and stopped before it was marked as done.
            Err(StoreError::Conflict(_)) => return Ok(()),
            result => result?,
        }
    }
    match work.commit().await {
        Err(StoreError::Conflict(_)) => Ok(()),
        result => Ok(result?),
    }
}

/// The id of the job for one recipient: the same at every attempt, so that a repeated mail has the same `Message-ID`. It
/// begins with the time, as other ids do, by which jobs are sorted.
fn child(job: JobId, receiver: Uuid) -> JobId {
    let digest = Sha256::new().chain_update(job.uuid().as_bytes()).chain_update(receiver.as_bytes());
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
    bytes[..6].copy_from_slice(&job.uuid().as_bytes()[..6]);
    JobId::from_uuid(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}
