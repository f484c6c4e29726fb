//! The hash chains of the audit trail: sealing new entries of the log, and proving that nothing sealed was changed.

use portico_kernel::{
    Env, Event, EventId, Permission, Scope, StoreError, TenantId, Timestamp, event::AuditClass,
};
use serde::Serialize;
use time::Duration;

use crate::{
    TenancyError,
    ports::{LoggedEvent, SealedEntry, TenancyRepositories},
    seal::{Chain, Digest, genesis},
};

/// Name of the log reader that seals.
pub const SEALER: &str = "audit_seal";

/// Seals checked at once, so that a long chain does not fill the memory.
const PIECE: u32 = 500;

/// An entry gets its time right before it is stored. One that is this much older than its predecessor in the log was inserted
/// afterwards. The clock skew of two instances and the length of a transaction stay far below.
const MOST_DELAY: Duration = Duration::minutes(5);

/// Seals entries in the order of the log, each behind the last one of its tenant; events of other classes than
/// [`AuditClass::Sealed`] are skipped. Called with what the reader [`SEALER`] has taken, in the transaction that moves its
/// cursor.
pub async fn seal(
    repositories: &mut dyn TenancyRepositories,
    env: &Env,
    events: &[Event],
) -> Result<(), StoreError> {
    let events: Vec<&Event> =
        events.iter().filter(|event| event.kind.audit() == AuditClass::Sealed).collect();
    if events.is_empty() {
        return Ok(());
    }
    let mut tenants: Vec<TenantId> = events.iter().map(|event| event.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    let mut chains = repositories.seals().chains(tenants.clone()).await?;
    for tenant in tenants {
        if !chains.iter().any(|chain| chain.tenant == tenant) {
            chains.push(Chain::empty(tenant));
        }
    }
    chains.sort_unstable_by_key(|chain| chain.tenant);
    let mut seals = Vec::with_capacity(events.len());
    for event in events {
        if let Ok(at) = chains.binary_search_by_key(&event.tenant, |chain| chain.tenant) {
            seals.extend(chains.get_mut(at).map(|chain| chain.seal(env, event)));
        }
    }
    repositories.seals().append(seals, chains).await
}

/// What is wrong with an entry or a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ProblemKind {
    /// The entry is not what was sealed.
    Edited,
    /// The entry is not there any more.
    Deleted,
    /// The entry was inserted into the log behind the sealer's cursor, or dated back.
    Inserted,
    /// The entry is not at the position where it was sealed.
    Reordered,
    /// A seal is not there any more.
    SealMissing,
    /// A seal does not follow from the one before it.
    SealEdited,
    /// The end of the chain is not where it was recorded.
    HeadEdited,
}

/// Where a chain first fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChainProblem {
    /// What is wrong.
    pub kind: ProblemKind,
    /// The entry, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EventId>,
    /// Position in the chain, where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

/// The end of a chain. A copy that is kept elsewhere shows later whether the chain still contains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChainHead {
    /// Number of the last seal; 0 for none.
    pub number: u64,
    /// Its hash.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub hash: Digest,
}

/// The entries that were deleted because their retention time was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Checkpoint {
    /// Number of the last entry that was deleted.
    pub number: u64,
    /// When it happened.
    pub until: Timestamp,
}

/// Whether a trail is still what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verification {
    /// Whether no problem was found.
    pub intact: bool,
    /// Sealed entries that are there and were compared.
    pub entries: u64,
    /// Time of the newest sealed entry; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealed_until: Option<Timestamp>,
    /// Entries that still wait for their seal, for seconds as a rule.
    pub unsealed: u64,
    /// Entries of which personal data was erased, among those compared. What is left of them is as it was sealed.
    pub redacted: u64,
    /// The entries that were deleted because their retention time was over, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Checkpoint>,
    /// The end of the chain.
    pub head: ChainHead,
    /// The first problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_problem: Option<ChainProblem>,
}

/// Use cases around the chains.
pub struct Chains<'a> {
    repositories: &'a mut dyn TenancyRepositories,
    scope: &'a Scope,
}

impl<'a> Chains<'a> {
    /// Over repositories to read from, for a caller.
    pub fn new(repositories: &'a mut dyn TenancyRepositories, scope: &'a Scope) -> Self {
        Self { repositories, scope }
    }

    /// Whether the trail of the active tenant is still what was written. A deleted tenant keeps its trail.
    pub async fn verify(&mut self) -> Result<Verification, TenancyError> {
        let tenant = self.scope.require(Permission::AuditRead)?;
        if self.scope.crosses_tenants() && self.repositories.tenants().find(tenant).await?.is_none() {
            return Err(TenancyError::NotFound("tenant"));
        }
        Ok(self.walk(tenant).await?)
    }

    /// Whether the trail of what happened outside of any tenant is still what was written.
    pub async fn verify_platform(&mut self) -> Result<Verification, TenancyError> {
        self.scope.require_platform(Permission::PlatformAudit)?;
        Ok(self.walk(TenantId::PLATFORM).await?)
    }

    async fn chain(&mut self, tenant: TenantId) -> Result<Chain, StoreError> {
        let found = self.repositories.seals().chains(vec![tenant]).await?;
        Ok(found.into_iter().next().unwrap_or_else(|| Chain::empty(tenant)))
    }

    /// Walks from the beginning of the chain to the end that it has now. Entries that are sealed or expire meanwhile do not
    /// matter.
    async fn walk(&mut self, tenant: TenantId) -> Result<Verification, StoreError> {
        // The entries without a seal first: one that is sealed meanwhile is counted twice, and not left out.
        let unsealed = self.repositories.seals().unsealed(tenant, SEALER).await?;
        let chain = self.chain(tenant).await?;
        let mut walk = Walk::new(&chain);
        let mut problem = None;
        'chain: while walk.number < chain.length {
            let piece = self.repositories.seals().walk(tenant, walk.number, PIECE).await?;
            if piece.is_empty() {
                problem = Some(walk.missing_seal());
                break;
            }
            let mut piece = piece.into_iter().peekable();
            while let Some(entry) = piece.next() {
                if walk.number == chain.length {
                    break;
                }
                problem = match walk.step(&entry) {
                    Ok(()) => None,
                    // It may have expired since the checkpoint was read.
                    Err(Fail::Gone) => {
                        let now = self.chain(tenant).await?.checkpoint;
                        (entry.seal.number > now).then(|| problem_at(&entry, ProblemKind::Deleted))
                    }
                    Err(Fail::Broken) => {
                        let next = match piece.next() {
                            Some(next) => Some(next),
                            None => self.repositories.seals().walk(tenant, entry.seal.number, 1).await?.pop(),
                        };
                        Some(broken(&entry, next.as_ref()))
                    }
                    Err(Fail::Problem(problem)) => Some(problem),
                };
                if problem.is_some() {
                    break 'chain;
                }
            }
        }
        if problem.is_none() && walk.hash != chain.hash {
            problem = Some(head_edited(&chain));
        }
        if problem.is_none() {
            let beyond = self.repositories.seals().walk(tenant, chain.length, 1).await?.pop();
            if let Some(beyond) = beyond
                && beyond.seal.number > self.chain(tenant).await?.length
            {
                problem = Some(head_edited(&chain));
            }
        }
        let passed_over = unsealed.passed_over.map(|entry| ChainProblem {
            // Without any seal, all of them must have been deleted: the sealer never seals some entries only.
            kind: if chain.length == 0 { ProblemKind::SealMissing } else { ProblemKind::Inserted },
            entry_id: Some(entry),
            number: None,
        });
        let first_problem = problem.or(passed_over);
        Ok(Verification {
            intact: first_problem.is_none(),
            entries: walk.entries,
            sealed_until: (chain.length > 0).then_some(chain.sealed_until),
            unsealed: unsealed.waiting,
            redacted: walk.redacted,
            checkpoint: chain.checkpoint_at.map(|until| Checkpoint { number: chain.checkpoint, until }),
            head: ChainHead { number: chain.length, hash: chain.hash },
            first_problem,
        })
    }
}

/// How a step fails.
enum Fail {
    /// The entry is not there.
    Gone,
    /// The seal does not follow from the one before it.
    Broken,
    /// Anything else.
    Problem(ChainProblem),
}

fn problem_at(entry: &SealedEntry, kind: ProblemKind) -> ChainProblem {
    ChainProblem { kind, entry_id: Some(entry.seal.event), number: Some(entry.seal.number) }
}

fn head_edited(chain: &Chain) -> ChainProblem {
    ChainProblem { kind: ProblemKind::HeadEdited, entry_id: None, number: Some(chain.length) }
}

/// Two seals that changed places break the chain at the first of them; the positions in the log show that they did.
fn broken(entry: &SealedEntry, next: Option<&SealedEntry>) -> ChainProblem {
    let place = |entry: &SealedEntry| entry.event.as_ref().map(|event| event.place);
    let swapped = match (place(entry), next.and_then(place)) {
        (Some(this), Some(next)) => next < this,
        _ => false,
    };
    problem_at(entry, if swapped { ProblemKind::Reordered } else { ProblemKind::SealEdited })
}

/// How far a walk along a chain has come.
struct Walk {
    checkpoint: u64,
    number: u64,
    hash: Digest,
    place: (u64, i64),
    latest: Option<Timestamp>,
    entries: u64,
    redacted: u64,
}

impl Walk {
    fn new(chain: &Chain) -> Self {
        Self {
            checkpoint: chain.checkpoint,
            number: 0,
            hash: genesis(chain.tenant),
            place: (0, 0),
            latest: None,
            entries: 0,
            redacted: 0,
        }
    }

    fn missing_seal(&self) -> ChainProblem {
        ChainProblem { kind: ProblemKind::SealMissing, entry_id: None, number: Some(self.number + 1) }
    }

    /// Compares the next seal with the chain, and its entry with the seal.
    fn step(&mut self, entry: &SealedEntry) -> Result<(), Fail> {
        let seal = &entry.seal;
        if seal.number != self.number + 1 {
            return Err(Fail::Problem(self.missing_seal()));
        }
        if let Some(event) = &entry.event {
            self.compare(entry, event).map_err(Fail::Problem)?;
        }
        if !seal.continues(self.hash) {
            return Err(Fail::Broken);
        }
        self.number = seal.number;
        self.hash = seal.hash;
        if entry.event.is_none() && seal.number > self.checkpoint {
            return Err(Fail::Gone);
        }
        Ok(())
    }

    fn compare(&mut self, entry: &SealedEntry, event: &LoggedEvent) -> Result<(), ChainProblem> {
        if event.place <= self.place {
            return Err(problem_at(entry, ProblemKind::Reordered));
        }
        if !entry.seal.fits(&event.event, event.redacted) {
            return Err(problem_at(entry, ProblemKind::Edited));
        }
        let latest = self.latest.map_or(event.event.at, |latest| latest.max(event.event.at));
        if latest - event.event.at > MOST_DELAY {
            return Err(problem_at(entry, ProblemKind::Inserted));
        }
        self.place = event.place;
        self.latest = Some(latest);
        self.entries += 1;
        self.redacted += u64::from(event.redacted);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
