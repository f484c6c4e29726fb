//! API keys: the ports.

use async_trait::async_trait;
use portico_kernel::{ApiKeyId, List, PageRequest, StoreError, TenantId, Timestamp, UserId};
use time::Date;

use crate::api_key::{
    ApiKey, KeyState,
    usage::{AddressUsage, Endpoint, Recorded, Seen},
};

/// API keys.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ApiKeyRepository: Send {
    /// Stores a new key under the SHA-256 of its secret, given that its tenant has fewer than `most` keys that are not
    /// revoked. MUST answer whether it did, also under concurrency; and `Conflict` for a prefix that is taken.
    async fn insert(&mut self, key: &ApiKey, hash: [u8; 32], most: u64) -> Result<bool, StoreError>;

    /// The key, revoked ones included.
    async fn find(&mut self, tenant: TenantId, id: ApiKeyId) -> Result<Option<ApiKey>, StoreError>;

    /// The keys of a tenant that are not revoked, newest first.
    async fn list(&mut self, tenant: TenantId, page: PageRequest) -> Result<List<ApiKey>, StoreError>;

    /// The keys of all tenants that are not revoked and have a secret that this user made, in use or replaced by a later one.
    async fn made_by(&mut self, user: UserId) -> Result<Vec<ApiKey>, StoreError>;

    /// Stores the key with `version + 1`, but for `last_used_at`, which [`ApiKeyUsageRepository::begin`] sets, and `made_by`,
    /// which goes with the secret. MUST answer `Stale` when the stored version is not `key.version`.
    async fn update(&mut self, key: &ApiKey) -> Result<(), StoreError>;

    /// Makes `hash` the key's secret, made by `maker`, and the secret it had until now, with its maker, its previous one. Does
    /// not change the version.
    async fn replace_secret(
        &mut self,
        tenant: TenantId,
        id: ApiKeyId,
        hash: [u8; 32],
        maker: UserId,
    ) -> Result<(), StoreError>;

    /// The key of a prefix as the check of a request sees it, in one round trip. MUST find revoked keys too, so that their use is
    /// noticed. `usable` MUST be `false` for a key that is revoked or switched off, and for every key of a tenant that is not
    /// active; the makers of its secrets MUST be as their accounts are now, and barred exactly when they are not active.
    async fn state<'p>(&mut self, prefix: &'p str) -> Result<Option<KeyState>, StoreError>;
}

/// How API keys are used.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ApiKeyUsageRepository: Send {
    /// Begins to record a key: moves `last_used_at` forward (never back; `None` leaves it), and answers what is known. MUST make
    /// other units of work that begin the same key wait until this one ends. `None` when there is no such key. Does not change
    /// the version.
    async fn begin(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        last_used_at: Option<Timestamp>,
    ) -> Result<Option<Recorded>, StoreError>;

    /// Adds requests to those already counted.
    async fn add<'e>(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        endpoint: &'e Endpoint,
        requests: u64,
    ) -> Result<(), StoreError>;

    /// Stores an address, unless the key has `most` of them already, and answers whether it is new. The times of a known one are
    /// widened.
    async fn see_address<'a>(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        address: &'a str,
        at: Timestamp,
        most: u64,
    ) -> Result<Seen, StoreError>;

    /// Adds refusals in a minute since 1970.
    async fn add_refusals(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        minute: i64,
        refusals: u64,
    ) -> Result<(), StoreError>;

    /// The refusals in this minute and after it.
    async fn refusals_since(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        minute: i64,
    ) -> Result<u64, StoreError>;

    /// Records that the owners are notified of refusals.
    async fn notice_refusals(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        at: Timestamp,
    ) -> Result<(), StoreError>;

    /// Requests on each day that has any, both ends included.
    async fn days(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(Date, u64)>, StoreError>;

    /// Method, path, status and number of the requests on these days.
    async fn endpoints(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        from: Date,
        to: Date,
    ) -> Result<Vec<(String, String, u16, u64)>, StoreError>;

    /// The addresses from which the key was used, the last used first.
    async fn addresses(
        &mut self,
        tenant: TenantId,
        key: ApiKeyId,
        most: u64,
    ) -> Result<Vec<AddressUsage>, StoreError>;

    /// Deletes, of every key, the counts of days before `day`, the addresses last seen before `address`, and the refusals
    /// before `minute`.
    async fn forget(&mut self, day: Date, address: Timestamp, minute: i64) -> Result<(), StoreError>;
}
