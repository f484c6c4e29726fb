//! Ports of licensing.

use async_trait::async_trait;
use portico_kernel::{
    ActivationId, LicenseId, List, Outbox, PageRequest, PurchaseId, ReleaseFileId, ReleaseId, StoreError,
    TenantId, Timestamp,
};

use crate::{
    activation::Activation,
    download::{DownloadRecord, DownloadUse},
    license::{License, LicenseStatus},
    policy::{Channel, LicensePolicy},
    release::{Release, ReleaseStatus},
    release_upload::ReleaseUpload,
    release_version::ReleaseVersion,
    succession::LicensePlace,
    transfer::TransferOffer,
};

/// Keyed hashes of license keys, with keys of the installation.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait KeyDigests: Send + Sync {
    /// The hash under which a key is stored. MUST NOT be possible to compute without the secret of the installation.
    fn digest(&self, key: &str) -> [u8; 32];

    /// The hashes under which a key may be stored: that with the current secret, then those with earlier ones.
    fn digests(&self, key: &str) -> Vec<[u8; 32]>;
}

/// A public key with which license files are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    /// Its id, which every file names.
    pub id: String,
    /// The Ed25519 public key (RFC 8032).
    pub public: [u8; 32],
}

/// Signs license files with Ed25519 (RFC 8032). Its key outlives every other secret: programs that were sold have the public one built in.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait LicenseSigner: Send + Sync {
    /// Id of the key that signs now.
    fn current_id(&self) -> String;

    /// The signature of a message with that key: 64 bytes.
    fn sign(&self, message: &[u8]) -> Vec<u8>;

    /// The keys with which files may be signed that are still good: the current one first.
    fn keys(&self) -> Vec<VerifyingKey>;
}

/// Policies of products.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LicensePolicyRepository: Send {
    /// Stores a policy unless the product has one, and answers whether it did. MUST leave one that is there as it is.
    async fn insert_missing(&mut self, policy: &LicensePolicy, now: Timestamp) -> Result<bool, StoreError>;

    /// Stores what a policy says; the product stays. MUST change nothing where the product has none.
    async fn update(&mut self, policy: &LicensePolicy) -> Result<(), StoreError>;

    /// The policy of a product, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has
    /// locked it, and answer what that has stored.
    async fn lock<'s>(&mut self, product_type: &'s str) -> Result<Option<LicensePolicy>, StoreError>;

    /// The policy of a product.
    async fn find<'s>(&mut self, product_type: &'s str) -> Result<Option<LicensePolicy>, StoreError>;
}

/// A license with the number of its machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedLicense {
    /// The license.
    pub license: License,
    /// On how many machines it is used.
    pub activations: u64,
    /// The license that follows it; none unless it was given away.
    pub heir: Option<LicensePlace>,
}

/// A license as staff find it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundLicense {
    /// The license.
    pub counted: CountedLicense,
    /// The license that it follows; none unless it was issued to somebody to whom one was given.
    pub follows: Option<LicensePlace>,
}

/// Which licenses staff want to see. What is `None` does not matter; `digests` has at least one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LicenseFilter {
    /// Those of this customer.
    pub tenant: Option<TenantId>,
    /// Those with this status at `now`.
    pub status: Option<LicenseStatus>,
    /// Those of this product.
    pub product_type: Option<String>,
    /// The one whose key has one of these hashes.
    pub digests: Option<Vec<[u8; 32]>>,
}

/// Licenses.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LicenseRepository: Send {
    /// Stores a new license, and under which hash its key is found. MUST answer `Conflict` when there is one for the unit of the purchase,
    /// or a license of any tenant has the key, also under concurrency. MUST answer `MissingReference` for a purchase of another tenant.
    async fn insert(&mut self, license: &License) -> Result<(), StoreError>;

    /// A license. MUST answer `None` for one of another tenant.
    async fn find(&mut self, tenant: TenantId, id: LicenseId) -> Result<Option<License>, StoreError>;

    /// The same, and keeps others from changing it or its machines until the unit of work ends. MUST wait for another unit of work that has
    /// locked it, and answer what that has stored.
    ///
    /// Whoever locks several licenses in one unit of work does so in the order of their ids, so that two never wait for each other. One
    /// that follows another one has a later id, see [`LicenseTransferRepository::heir`]. Machines and offers are changed under the lock of
    /// their license, or by what waits for nobody: [`ActivationRepository::forget_lapsed`], [`LicenseTransferRepository::delete_expired`].
    async fn lock(&mut self, tenant: TenantId, id: LicenseId) -> Result<Option<License>, StoreError>;

    /// A license with the machines that hold a seat at `now`. MUST answer `None` for one of another tenant.
    async fn find_counted(
        &mut self,
        tenant: TenantId,
        id: LicenseId,
        now: Timestamp,
    ) -> Result<Option<CountedLicense>, StoreError>;

    /// The same with the license that it follows, whichever tenant had that: for staff.
    async fn find_managed(
        &mut self,
        tenant: TenantId,
        id: LicenseId,
        now: Timestamp,
    ) -> Result<Option<FoundLicense>, StoreError>;

    /// One page of the licenses of a tenant with the machines that hold a seat at `now`, newest first.
    async fn list(
        &mut self,
        tenant: TenantId,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<CountedLicense>, StoreError>;

    /// The licenses of purchases of a tenant, in the order of purchases, items and units.
    async fn of_purchases(
        &mut self,
        tenant: TenantId,
        purchases: &[PurchaseId],
    ) -> Result<Vec<License>, StoreError>;

    /// Of the licenses of a tenant for these products, one for all that have equal products and terms and are alike in whether they may be
    /// used at `now`: the one that covers releases longest. What none of them covers, no license of the tenant does.
    async fn representatives(
        &mut self,
        tenant: TenantId,
        products: &[String],
        now: Timestamp,
    ) -> Result<Vec<License>, StoreError>;

    /// Whose a license is, whichever tenant that is: for staff, and for links that name a license.
    async fn tenant_of(&mut self, id: LicenseId) -> Result<Option<TenantId>, StoreError>;

    /// Whose license has a key with one of these hashes.
    async fn owner_of(&mut self, digests: &[[u8; 32]]) -> Result<Option<(TenantId, LicenseId)>, StoreError>;

    /// One page of the licenses of all tenants that a filter lets through, newest first. MUST leave out those of tenants that somebody with
    /// a role of the platform owns, unless `all` are to be seen.
    async fn managed(
        &mut self,
        all: bool,
        filter: &LicenseFilter,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<FoundLicense>, StoreError>;

    /// Stores status, who suspended it, and the seats that its owner has freed. MUST leave all else as it is.
    async fn update(&mut self, license: &License) -> Result<(), StoreError>;

    /// Replaces the key by that of `license`: the one before MUST find nothing from then on. MUST answer `Conflict` when a license of any
    /// tenant has it.
    async fn replace_key(&mut self, license: &License) -> Result<(), StoreError>;

    /// Licenses of all tenants with ids above `after`, in the order of ids: to seal their keys anew; at most `most`.
    async fn stored(&mut self, after: Option<LicenseId>, most: u64) -> Result<Vec<License>, StoreError>;

    /// Active licenses of all tenants whose term is over, those first that have ended first; at most `limit`.
    async fn ended(&mut self, now: Timestamp, limit: u64) -> Result<Vec<License>, StoreError>;
}

/// Machines on which licenses are used.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ActivationRepository: Send {
    /// Stores a machine. MUST answer `Conflict` when the license is used on it, also under concurrency.
    async fn insert(&mut self, activation: &Activation) -> Result<(), StoreError>;

    /// How many machines hold a seat of a license at `now`. MUST NOT count those whose lease is over by then.
    async fn count(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        now: Timestamp,
    ) -> Result<u64, StoreError>;

    /// One page of those machines, the one activated last first.
    async fn list(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        now: Timestamp,
        page: PageRequest,
    ) -> Result<List<Activation>, StoreError>;

    /// A machine. MUST answer `None` for one of another license.
    async fn find(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        id: ActivationId,
    ) -> Result<Option<Activation>, StoreError>;

    /// The machine with a fingerprint.
    async fn of_fingerprint<'s>(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        fingerprint: &'s str,
    ) -> Result<Option<Activation>, StoreError>;

    /// Stores name, platform, address, when it was seen last, until when its file is good, and its lease.
    async fn update(&mut self, activation: &Activation) -> Result<(), StoreError>;

    /// Frees the seat of a machine, and answers it. MUST answer `None` for one of another license.
    async fn delete(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        id: ActivationId,
    ) -> Result<Option<Activation>, StoreError>;

    /// Frees all seats of a license. Answers how many.
    async fn delete_all(&mut self, tenant: TenantId, license: LicenseId) -> Result<u64, StoreError>;

    /// Machines of all tenants whose lease is over by `now` without having lapsed, those first whose lease ended first; at most `limit`.
    async fn lapsing(&mut self, now: Timestamp, limit: u64) -> Result<Vec<Activation>, StoreError>;

    /// Deletes machines of all tenants that have lapsed and whose lease was over by `before`, at most `limit`. MUST leave one that has
    /// taken a seat again, also under concurrency. MUST leave one that another unit of work has changed, and not wait for that. Answers how
    /// many.
    async fn forget_lapsed(&mut self, before: Timestamp, limit: u64) -> Result<u64, StoreError>;
}

/// Which releases staff want to see. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReleaseFilter {
    /// Those of this product.
    pub product_type: Option<String>,
    /// Those with this status.
    pub status: Option<ReleaseStatus>,
}

/// The releases among which a program looks for a newer one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateFilter {
    /// Id of the product.
    pub product_type: String,
    /// Those above this version; all where absent.
    pub above: Option<ReleaseVersion>,
    /// Those for this platform, and those for all; the latter only where absent.
    pub platform: Option<String>,
    /// Those of these channels; there is one at least.
    pub channels: Vec<Channel>,
}

/// Releases. They belong to the installation.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ReleaseRepository: Send {
    /// Stores a new release. MUST answer `Conflict` when another one has the slug, also under concurrency.
    async fn insert(&mut self, release: &Release) -> Result<(), StoreError>;

    /// A release.
    async fn find(&mut self, id: ReleaseId) -> Result<Option<Release>, StoreError>;

    /// The same, and keeps others from changing it until the unit of work ends. MUST wait for another unit of work that has locked it, and
    /// answer what that has stored.
    async fn lock(&mut self, id: ReleaseId) -> Result<Option<Release>, StoreError>;

    /// The release with a slug.
    async fn of_slug<'s>(&mut self, slug: &'s str) -> Result<Option<Release>, StoreError>;

    /// One page of the releases that a filter lets through, the one made last first.
    async fn list(&mut self, filter: &ReleaseFilter, page: PageRequest) -> Result<List<Release>, StoreError>;

    /// One page of those that are or were published, of a product or of all, the one published last first.
    async fn offered(
        &mut self,
        product_type: Option<String>,
        page: PageRequest,
    ) -> Result<List<Release>, StoreError>;

    /// The published one with the highest version among these; of several the one published last.
    async fn newest(&mut self, filter: &UpdateFilter) -> Result<Option<Release>, StoreError>;

    /// Those that were withdrawn, have a file that is not deleted, and were not changed since `before`; at most `limit`.
    async fn withdrawn(&mut self, before: Timestamp, limit: u64) -> Result<Vec<ReleaseId>, StoreError>;

    /// Stores what may change: name, notes, status with its reason and time, file, and the time of the change.
    async fn update(&mut self, release: &Release) -> Result<(), StoreError>;
}

/// Uploads of files of releases in parts. They belong to the installation.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ReleaseUploadRepository: Send {
    /// Stores an upload that begins.
    async fn insert(&mut self, upload: &ReleaseUpload) -> Result<(), StoreError>;

    /// An upload, whether or not its time is over. MUST answer `None` for one of another release.
    async fn find(
        &mut self,
        release: ReleaseId,
        id: ReleaseFileId,
    ) -> Result<Option<ReleaseUpload>, StoreError>;

    /// Forgets an upload, and answers it. MUST answer it to one of two units of work that do so at the same time, and `None` for one of
    /// another release.
    async fn delete(
        &mut self,
        release: ReleaseId,
        id: ReleaseFileId,
    ) -> Result<Option<ReleaseUpload>, StoreError>;
}

/// The log of downloads.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DownloadRepository: Send {
    /// Notes a use of a link. MUST answer `MissingReference` for a license of another tenant.
    async fn insert(&mut self, used: &DownloadUse) -> Result<(), StoreError>;

    /// One page of the uses of a license, the last first.
    async fn of_license(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        page: PageRequest,
    ) -> Result<List<DownloadRecord>, StoreError>;

    /// One page of the uses of a release by all tenants, the last first: for staff. MUST leave out those of tenants that somebody with a
    /// role of the platform owns, unless `all` are to be seen.
    async fn of_release(
        &mut self,
        all: bool,
        release: ReleaseId,
        page: PageRequest,
    ) -> Result<List<DownloadRecord>, StoreError>;

    /// Deletes uses of all tenants before a moment, at most `limit`. Answers how many.
    async fn forget(&mut self, before: Timestamp, limit: u64) -> Result<u64, StoreError>;
}

/// Licenses that are given to other tenants.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LicenseTransferRepository: Send {
    /// Stores an offer. MUST replace an earlier one of the license. MUST answer `MissingReference` for a license of another tenant.
    async fn offer(&mut self, offer: &TransferOffer) -> Result<(), StoreError>;

    /// The open offer of a license, whether or not its time is over. MUST answer `None` for one that was accepted.
    async fn find(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
    ) -> Result<Option<TransferOffer>, StoreError>;

    /// Deletes the open offer of a license. Answers whether there was one. MUST leave one that was accepted.
    async fn withdraw(&mut self, tenant: TenantId, license: LicenseId) -> Result<bool, StoreError>;

    /// Notes which license follows one that was offered. MUST forget the address and the token. MUST change nothing and answer `false`
    /// without an open offer: it may have been deleted since it was read.
    async fn accept(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
        heir: (TenantId, LicenseId),
    ) -> Result<bool, StoreError>;

    /// The license that follows one that was given away. It was made when the other one ended, so its id is later.
    async fn heir(
        &mut self,
        tenant: TenantId,
        license: LicenseId,
    ) -> Result<Option<(TenantId, LicenseId)>, StoreError>;

    /// Deletes the open offers of all tenants whose time was over by `now`. MUST leave one that another unit of work has changed, and not
    /// wait for that. Answers how many.
    async fn delete_expired(&mut self, now: Timestamp) -> Result<u64, StoreError>;
}

/// The repositories of licensing, over one unit of work.
pub trait LicensingRepositories: Outbox {
    /// Policies of products.
    fn license_policies<'c>(&'c mut self) -> Box<dyn LicensePolicyRepository + 'c>;
    /// Licenses.
    fn licenses<'c>(&'c mut self) -> Box<dyn LicenseRepository + 'c>;
    /// Licenses that are given to other tenants.
    fn license_transfers<'c>(&'c mut self) -> Box<dyn LicenseTransferRepository + 'c>;
    /// Machines.
    fn activations<'c>(&'c mut self) -> Box<dyn ActivationRepository + 'c>;
    /// Releases.
    fn releases<'c>(&'c mut self) -> Box<dyn ReleaseRepository + 'c>;
    /// Uploads of files of releases in parts.
    fn release_uploads<'c>(&'c mut self) -> Box<dyn ReleaseUploadRepository + 'c>;
    /// The log of downloads.
    fn downloads<'c>(&'c mut self) -> Box<dyn DownloadRepository + 'c>;
}
