//! What the unit tests of this crate share: repositories in memory, because use cases take several steps.

mod releases;
mod transfers;

pub use releases::{file, release};

use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use portico_kernel::{
    ActivationId, Env, Event, EventLog, JobQueue, LicenseId, List, NewJob, Outbox, PageRequest, PurchaseId,
    StoreError, TenantId, Timestamp,
    sealing::{SealError, Sealer},
};

use crate::{
    activation::Activation,
    download::DownloadUse,
    key::KeyVault,
    license::License,
    policy::{LicensePolicy, catalogue},
    ports::{
        ActivationRepository, CountedLicense, DownloadRepository, FoundLicense, KeyDigests, LicenseFilter,
        LicensePolicyRepository, LicenseRepository, LicenseSigner, LicenseTransferRepository,
        LicensingRepositories, ReleaseRepository, ReleaseUploadRepository, VerifyingKey,
    },
    release::Release,
    release_upload::ReleaseUpload,
    succession::LicensePlace,
    transfer::TransferOffer,
};

/// With random bytes that count, so that two ids and two keys differ.
pub fn env() -> Env {
    portico_kernel::testing::counting_by(7)
}

/// Seals by writing context and text one after the other.
struct OpenSealer;

impl Sealer for OpenSealer {
    fn seal(&self, _: &str, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        Ok([context, plain].concat())
    }

    fn open(&self, _: &str, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        sealed.strip_prefix(context).map(<[u8]>::to_vec)
    }

    fn reseal(&self, _: &str, _: &[u8], _: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        Ok(None)
    }
}

/// Hashes by adding up: every byte of the text counts.
struct OpenDigests;

impl KeyDigests for OpenDigests {
    fn digest(&self, key: &str) -> [u8; 32] {
        let mut digest = [0_u8; 32];
        for (place, byte) in key.bytes().enumerate() {
            let sum = &mut digest[place % 32];
            *sum = sum.wrapping_mul(31).wrapping_add(byte);
        }
        digest
    }

    fn digests(&self, key: &str) -> Vec<[u8; 32]> {
        vec![self.digest(key)]
    }
}

/// Signs with the number of bytes of the message.
pub struct Signer;

impl LicenseSigner for Signer {
    fn current_id(&self) -> String {
        "test-key".to_owned()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        vec![(message.len() % 256) as u8; 64]
    }

    fn keys(&self) -> Vec<VerifyingKey> {
        vec![VerifyingKey { id: self.current_id(), public: [7; 32] }]
    }
}

pub fn vault() -> KeyVault {
    KeyVault::new(Arc::new(OpenSealer), Arc::new(OpenDigests))
}

/// A license of the base product of some tenant.
pub fn license(env: &Env) -> License {
    let (id, policy) = (env.new_id(), catalogue().remove(0));
    let key = vault().make(env, id).unwrap();
    License::issued(id, env.new_id(), key, &policy, env.now())
}

/// A machine on which a license is used.
pub fn activation(env: &Env, license: &License, fingerprint: &str) -> Activation {
    Activation {
        id: env.new_id(),
        tenant_id: license.tenant_id,
        license_id: license.id,
        fingerprint: fingerprint.to_owned(),
        name: None,
        platform: None,
        ip: None,
        activated_at: env.now(),
        last_seen_at: env.now(),
        offline_until: None,
        lease_ends_at: license.terms.lease_end(env.now(), None),
        lapsed: false,
    }
}

/// What the tests store.
#[derive(Default)]
pub struct Rows {
    pub policies: Vec<LicensePolicy>,
    pub licenses: Vec<License>,
    pub activations: Vec<Activation>,
    pub releases: Vec<Release>,
    pub uploads: Vec<ReleaseUpload>,
    pub downloads: Vec<DownloadUse>,
    pub offers: Vec<TransferOffer>,
    pub heirs: Vec<((TenantId, LicenseId), (TenantId, LicenseId))>,
    pub events: Vec<Event>,
    pub jobs: Vec<NewJob>,
    /// The licenses that were locked, in the order in which they were.
    pub locked: Vec<LicenseId>,
}

/// Repositories over the same rows.
#[derive(Clone, Default)]
pub struct Repositories(Arc<Mutex<Rows>>);

impl Repositories {
    /// With the policies of a new installation.
    pub fn seeded() -> Self {
        let repositories = Self::default();
        repositories.rows().policies = catalogue();
        repositories
    }

    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap()
    }

    /// The names of the events appended so far.
    pub fn events(&self) -> Vec<String> {
        self.rows().events.iter().map(|event| event.kind.to_string()).collect()
    }
}

#[async_trait]
impl EventLog for Repositories {
    async fn append(&mut self, event: Event) -> Result<(), StoreError> {
        self.rows().events.push(event);
        Ok(())
    }
}

#[async_trait]
impl JobQueue for Repositories {
    async fn enqueue(&mut self, job: NewJob) -> Result<(), StoreError> {
        self.rows().jobs.push(job);
        Ok(())
    }
}

impl Outbox for Repositories {
    fn events<'c>(&'c mut self) -> Box<dyn EventLog + 'c> {
        Box::new(self.clone())
    }
    fn jobs<'c>(&'c mut self) -> Box<dyn JobQueue + 'c> {
        Box::new(self.clone())
    }
}

impl LicensingRepositories for Repositories {
    fn license_policies<'c>(&'c mut self) -> Box<dyn LicensePolicyRepository + 'c> {
        Box::new(self.clone())
    }
    fn licenses<'c>(&'c mut self) -> Box<dyn LicenseRepository + 'c> {
        Box::new(self.clone())
    }
    fn license_transfers<'c>(&'c mut self) -> Box<dyn LicenseTransferRepository + 'c> {
        Box::new(self.clone())
    }
    fn activations<'c>(&'c mut self) -> Box<dyn ActivationRepository + 'c> {
        Box::new(self.clone())
    }
    fn releases<'c>(&'c mut self) -> Box<dyn ReleaseRepository + 'c> {
        Box::new(self.clone())
    }
    fn release_uploads<'c>(&'c mut self) -> Box<dyn ReleaseUploadRepository + 'c> {
        Box::new(self.clone())
    }
    fn downloads<'c>(&'c mut self) -> Box<dyn DownloadRepository + 'c> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl LicensePolicyRepository for Repositories {
    async fn insert_missing(&mut self, policy: &LicensePolicy, _: Timestamp) -> Result<bool, StoreError> {
        let mut rows = self.rows();
        let missing = rows.policies.iter().all(|stored| stored.product_type != policy.product_type);
        if missing {
            rows.policies.push(policy.clone());
        }
        Ok(missing)
    }

    async fn update(&mut self, policy: &LicensePolicy) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.policies.iter_mut().find(|stored| stored.product_type == policy.product_type);
        *stored.unwrap() = policy.clone();
        Ok(())
    }

    async fn lock<'s>(&mut self, product_type: &'s str) -> Result<Option<LicensePolicy>, StoreError> {
        LicensePolicyRepository::find(self, product_type).await
    }

    async fn find<'s>(&mut self, product_type: &'s str) -> Result<Option<LicensePolicy>, StoreError> {
        Ok(self.rows().policies.iter().find(|policy| policy.product_type == product_type).cloned())
    }
}

fn counted(rows: &Rows, license: &License, now: Timestamp) -> CountedLicense {
    let of = rows.activations.iter().filter(|held| held.license_id == license.id && held.holds_seat(now));
    let own = (license.tenant_id, license.id);
    let heir = rows.heirs.iter().find(|(given, _)| *given == own).map(|(_, heir)| place(*heir));
    CountedLicense { license: license.clone(), activations: of.count() as u64, heir }
}

fn found(rows: &Rows, license: &License, now: Timestamp) -> FoundLicense {
    let own = (license.tenant_id, license.id);
    let follows = rows.heirs.iter().find(|(_, heir)| *heir == own).map(|(given, _)| place(*given));
    FoundLicense { counted: counted(rows, license, now), follows }
}

fn place((tenant_id, license_id): (TenantId, LicenseId)) -> LicensePlace {
    LicensePlace { license_id, tenant_id }
}

#[async_trait]
impl LicenseRepository for Repositories {
    async fn insert(&mut self, license: &License) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let same_unit = |stored: &License| {
            license.unit.is_some() && (stored.purchase_id, stored.unit) == (license.purchase_id, license.unit)
        };
        if rows.licenses.iter().any(|stored| same_unit(stored) || stored.key.digest == license.key.digest) {
            return Err(StoreError::Conflict("licenses_unit_key".to_owned()));
        }
        rows.licenses.push(license.clone());
        Ok(())
    }

    async fn find(&mut self, tenant: TenantId, id: LicenseId) -> Result<Option<License>, StoreError> {
        let rows = self.rows();
        Ok(rows.licenses.iter().find(|license| (license.tenant_id, license.id) == (tenant, id)).cloned())
    }

    async fn lock(&mut self, tenant: TenantId, id: LicenseId) -> Result<Option<License>, StoreError> {
        self.rows().locked.push(id);
        LicenseRepository::find(self, tenant, id).await
    }

    async fn find_counted(
        &mut self,
        tenant: TenantId,
        id: LicenseId,
        now: Timestamp,
    ) -> Result<Option<CountedLicense>, StoreError> {
        let license = LicenseRepository::find(self, tenant, id).await?;
        Ok(license.map(|license| counted(&self.rows(), &license, now)))
    }

    async fn find_managed(
        &mut self,
        tenant: TenantId,
        id: LicenseId,
        now: Timestamp,
    ) -> Result<Option<FoundLicense>, StoreError> {
        let license = LicenseRepository::find(self, tenant, id).await?;
        Ok(license.map(|license| found(&self.rows(), &license, now)))
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<CountedLicense>, StoreError> {
        let rows = self.rows();
        let found = rows.licenses.iter().filter(|license| license.tenant_id == tenant);
        let items: Vec<_> = found.map(|license| counted(&rows, license, now)).collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn of_purchases(
        &mut self,
        tenant: TenantId,
        purchases: &[PurchaseId],
    ) -> Result<Vec<License>, StoreError> {
        let rows = self.rows();
        let of = |license: &&License| {
            license.tenant_id == tenant && license.purchase_id.is_some_and(|id| purchases.contains(&id))
        };
        Ok(rows.licenses.iter().filter(of).cloned().collect())
    }

    async fn representatives(
        &mut self,
        tenant: TenantId,
        products: &[String],
        _: Timestamp,
    ) -> Result<Vec<License>, StoreError> {
        let rows = self.rows();
        let of = |license: &&License| license.tenant_id == tenant && products.contains(&license.product_type);
        Ok(rows.licenses.iter().filter(of).cloned().collect())
    }

    async fn tenant_of(&mut self, id: LicenseId) -> Result<Option<TenantId>, StoreError> {
        let rows = self.rows();
        Ok(rows.licenses.iter().find(|license| license.id == id).map(|license| license.tenant_id))
    }

    async fn owner_of(&mut self, digests: &[[u8; 32]]) -> Result<Option<(TenantId, LicenseId)>, StoreError> {
        let rows = self.rows();
        let found = rows.licenses.iter().find(|license| digests.contains(&license.key.digest));
        Ok(found.map(|license| (license.tenant_id, license.id)))
    }

    async fn managed(
        &mut self,
        _: bool,
        filter: &LicenseFilter,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<FoundLicense>, StoreError> {
        let rows = self.rows();
        let wanted = |license: &&License| filter.tenant.is_none_or(|tenant| tenant == license.tenant_id);
        let items: Vec<_> =
            rows.licenses.iter().filter(wanted).map(|license| found(&rows, license, now)).collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn update(&mut self, license: &License) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.licenses.iter_mut().find(|stored| stored.id == license.id).unwrap();
        *stored = License { key: stored.key.clone(), ..license.clone() };
        Ok(())
    }

    async fn replace_key(&mut self, license: &License) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.licenses.iter_mut().find(|stored| stored.id == license.id).unwrap().key = license.key.clone();
        Ok(())
    }

    async fn stored(&mut self, after: Option<LicenseId>, most: u64) -> Result<Vec<License>, StoreError> {
        let rows = self.rows();
        let above = rows.licenses.iter().filter(|license| Some(license.id) > after);
        Ok(above.take(most as usize).cloned().collect())
    }

    async fn ended(&mut self, now: Timestamp, limit: u64) -> Result<Vec<License>, StoreError> {
        let rows = self.rows();
        let ended = rows.licenses.iter().filter(|license| {
            license.status == crate::license::LicenseStatus::Active
                && license.expires_at.is_some_and(|end| end <= now)
        });
        Ok(ended.take(limit as usize).cloned().collect())
    }
}

#[async_trait]
impl ActivationRepository for Repositories {
    async fn insert(&mut self, activation: &Activation) -> Result<(), StoreError> {
        self.rows().activations.push(activation.clone());
        Ok(())
    }

    async fn count(&mut self, _: TenantId, license: LicenseId, now: Timestamp) -> Result<u64, StoreError> {
        let rows = self.rows();
        let held = rows.activations.iter().filter(|held| held.license_id == license && held.holds_seat(now));
        Ok(held.count() as u64)
    }

    async fn list(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<Activation>, StoreError> {
        let rows = self.rows();
        let of = |activation: &&Activation| {
            (activation.tenant_id, activation.license_id) == (tenant, license) && activation.holds_seat(now)
        };
        let items: Vec<_> = rows.activations.iter().filter(of).cloned().collect();
        let total = items.len() as u64;
        Ok(List::new(items, page, total))
    }

    async fn find(
        &mut self,
        _: TenantId,
        license: LicenseId,
        id: ActivationId,
    ) -> Result<Option<Activation>, StoreError> {
        let rows = self.rows();
        let found = rows
            .activations
            .iter()
            .find(|activation| (activation.license_id, activation.id) == (license, id));
        Ok(found.cloned())
    }

    async fn of_fingerprint<'s>(
        &mut self,
        _: TenantId,
        license: LicenseId,
        fingerprint: &'s str,
    ) -> Result<Option<Activation>, StoreError> {
        let rows = self.rows();
        let found = rows
            .activations
            .iter()
            .find(|activation| activation.license_id == license && activation.fingerprint == fingerprint);
        Ok(found.cloned())
    }

    async fn update(&mut self, activation: &Activation) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let stored = rows.activations.iter_mut().find(|stored| stored.id == activation.id).unwrap();
        *stored = activation.clone();
        Ok(())
    }

    async fn delete(
        &mut self,
        _: TenantId,
        license: LicenseId,
        id: ActivationId,
    ) -> Result<Option<Activation>, StoreError> {
        let mut rows = self.rows();
        let place = rows
            .activations
            .iter()
            .position(|activation| (activation.license_id, activation.id) == (license, id));
        Ok(place.map(|place| rows.activations.remove(place)))
    }

    async fn delete_all(&mut self, _: TenantId, license: LicenseId) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let before = rows.activations.len();
        rows.activations.retain(|activation| activation.license_id != license);
        Ok((before - rows.activations.len()) as u64)
    }

    async fn lapsing(&mut self, now: Timestamp, limit: u64) -> Result<Vec<Activation>, StoreError> {
        let rows = self.rows();
        let over = rows.activations.iter().filter(|machine| !machine.holds_seat(now) && !machine.lapsed);
        Ok(over.take(limit as usize).cloned().collect())
    }

    async fn forget_lapsed(&mut self, before: Timestamp, _: u64) -> Result<u64, StoreError> {
        let mut rows = self.rows();
        let stored = rows.activations.len();
        rows.activations.retain(|machine| !machine.lapsed || machine.holds_seat(before));
        Ok((stored - rows.activations.len()) as u64)
    }
}
