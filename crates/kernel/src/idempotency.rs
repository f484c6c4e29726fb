//! Requests that a client may send again without having them carried out twice (draft-ietf-httpapi-idempotency-key-header).

use async_trait::async_trait;
use uuid::Uuid;

use crate::{StoreError, TenantId, Timestamp};

/// Identifies a request. Two callers, or one caller in two tenants, may use the same key for different requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedRequest {
    /// The tenant that the caller acts in; [`TenantId::PLATFORM`] for none.
    pub tenant: TenantId,
    /// The person or the API key.
    pub caller: Uuid,
    /// The key, as the client chose it.
    pub key: String,
}

/// The right to carry out a request that has a key. At most one is held at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The request.
    pub request: KeyedRequest,
    /// Distinguishes this request from others that may be sent under the same key.
    pub fingerprint: String,
    /// Distinguishes this claim from an earlier or later one of the same request.
    pub holder: Uuid,
    /// When the record is of no use any more. Has to be later than any lease.
    pub expires_at: Timestamp,
}

/// What is known of a request that was claimed before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Fingerprint of the claim.
    pub fingerprint: String,
    /// When the process that carries it out is taken for dead.
    pub leased_until: Timestamp,
    /// What was answered, sealed; `None` while it is carried out.
    pub answer: Option<Vec<u8>>,
}

/// The records of requests that have a key. Each call is a transaction of its own.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait IdempotencyKeys: Send + Sync {
    /// Claims a request until `until`. Answers the conflicting record, or `None` when the claim is made. MUST give a
    /// request to one claim only, also under concurrency, unless its record has expired or its lease has ended without an
    /// answer.
    async fn claim(
        &self,
        claim: &Claim,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError>;

    /// Extends the lease. MUST answer `false` when another claim has the request, or there is an answer.
    async fn extend(&self, claim: &Claim, until: Timestamp) -> Result<bool, StoreError>;

    /// The record of a request, unless it has expired.
    async fn find(&self, request: &KeyedRequest, now: Timestamp) -> Result<Option<Record>, StoreError>;

    /// As [`IdempotencyRecords::complete`], where nothing else is to be written.
    async fn complete(&self, claim: &Claim, answer: &[u8]) -> Result<bool, StoreError>;

    /// As [`IdempotencyRecords::release`], where nothing else is to be written.
    async fn release(&self, claim: &Claim) -> Result<(), StoreError>;
}

/// The records of requests that have a key, inside the open unit of work: that of the effect.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait IdempotencyRecords: Send {
    /// Keeps the answer, if and only if the unit of work commits. MUST answer `false`, and change nothing, when another claim has
    /// taken the request meanwhile or there is an answer already: the unit of work is then to be dropped.
    async fn complete(&mut self, claim: &Claim, answer: &[u8]) -> Result<bool, StoreError>;

    /// Gives the request up, so that it can be claimed again at once. MUST leave an answer, and another claim, as it is.
    async fn release(&mut self, claim: &Claim) -> Result<(), StoreError>;
}
