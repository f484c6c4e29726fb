//! Guards of sign-in: counts of failures, and the devices that users signed in with before.

use async_trait::async_trait;
use portico_kernel::{StoreError, Timestamp, UserId, limits::Quota};
use uuid::Uuid;

use crate::{
    device::{KnownDevice, Recognized},
    throttle::FailureCount,
    user::EmailAddress,
};

/// What is counted, as a digest: the table reveals neither addresses of people nor of machines.
pub type FailureKey = [u8; 32];

/// Counts of failed guesses at credentials, shared by all instances.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SignInFailureRepository: Send {
    /// Adds one to the count of each key in the span of time that begins at `since`, and stores `now` as the last failure. The
    /// counts are of no use after `expires_at`. MUST lose none of several at once, and MUST NOT deadlock with others.
    async fn add(
        &mut self,
        keys: &[FailureKey],
        since: Timestamp,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Result<(), StoreError>;

    /// The counts of these keys in the spans of time that began after `after`, in one query.
    async fn counts(
        &mut self,
        keys: &[FailureKey],
        after: Timestamp,
    ) -> Result<Vec<FailureCount>, StoreError>;

    /// Forgets the counts of these keys.
    async fn clear(&mut self, keys: &[FailureKey]) -> Result<(), StoreError>;
}

/// Budgets of recipients of mail, shared by all instances.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MailBudgetRepository: Send {
    /// Takes one out of the quota of a key. Answers whether one was left. MUST NOT allow more than the quota, also under
    /// concurrency. MUST count nothing when it refuses. MUST forget a key at the latest when all of its quota is available again,
    /// when what has expired is deleted.
    async fn take(&mut self, key: FailureKey, quota: Quota, now: Timestamp) -> Result<bool, StoreError>;

    /// Gives one back that was taken. MUST NOT leave a key with more than its quota.
    async fn give_back(&mut self, key: FailureKey, quota: Quota) -> Result<(), StoreError>;
}

/// The devices and networks from which a user signed in before.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait KnownDeviceRepository: Send {
    /// Those of a user, last seen first.
    async fn list(&mut self, user: UserId) -> Result<Vec<KnownDevice>, StoreError>;

    /// Stores one. MUST keep `first_seen` (and `returned`, once it is true) of the one with the same user, device and
    /// network.
    async fn save(&mut self, device: &KnownDevice) -> Result<(), StoreError>;

    /// Forgets one device of a user in one network.
    async fn remove(&mut self, user: UserId, device: Uuid, network: &str) -> Result<(), StoreError>;

    /// Whether the account that has proven this address was signed in to with this device, or from this network, since `since`.
    /// MUST do the same work for an address without an account, in one query.
    async fn recognize(
        &mut self,
        email: &EmailAddress,
        device: Option<Uuid>,
        network: &str,
        since: Timestamp,
    ) -> Result<Recognized, StoreError>;

    /// Deletes everything about a user, whose account is erased.
    async fn forget_user(&mut self, user: UserId) -> Result<(), StoreError>;
}

/// Marks, unforgeable without the server's key.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Marks: Send + Sync {
    /// The mark of a device, for it to keep.
    fn device_mark(&self, device: Uuid) -> String;

    /// The device of a mark that this server made; `None` for anything else. MUST compare in constant time.
    fn read_device_mark(&self, mark: &str) -> Option<Uuid>;

    /// A keyed digest, from which the text cannot be found by trying.
    fn digest(&self, text: &str) -> [u8; 32];
}
