//! Password hashing with Argon2id (RFC 9106), on a bounded pool of threads.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use argon2::{
    Algorithm, Argon2, Block, Params, PasswordHash as Phc, Version,
    password_hash::phc::{Output, ParamsString, Salt},
};
use async_trait::async_trait;
use portico_identity::{
    IdentityError,
    ports::{PasswordHash, PasswordHasher},
};
use portico_kernel::Random;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::SystemRandom;

/// Cost of one hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Default for Argon2Cost {
    /// 19 MiB, two passes, one lane: the floor that OWASP recommends.
    fn default() -> Self {
        Self { memory: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// Limits on concurrent hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashingPool {
    /// Concurrent hashes; each takes a processor and its memory.
    pub threads: usize,
    /// Hashes that may wait for a thread; further ones are refused.
    pub waiting: usize,
}

impl Default for HashingPool {
    /// One thread for each processor, and a queue that is worked off in about seven seconds at the default cost. Two
    /// hundred concurrent sign-ins, with two hashes each, succeed on any machine.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self { threads, waiting: (threads * 200).max(400) }
    }
}

/// Hashes and verifies passwords. A flood of sign-ins waits here, and beyond a limit is refused with
/// [`IdentityError::Overloaded`], instead of taking threads and memory from other requests.
pub struct Argon2Hasher {
    params: Params,
    memory: Arc<Memory>,
    random: Arc<dyn Random>,
    /// A well-formed hash that matches no password, to spend the same time where there is no account.
    decoy: PasswordHash,
    threads: Arc<Semaphore>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// How long working memory is kept without a hash.
const IDLE: Duration = Duration::from_secs(10);

/// Reused working memory of hashes, one block list for each concurrent thread: if it were freed and allocated each time,
/// the allocator would keep several copies of it, in the arena of every thread. Freed when nobody has signed in for a while.
#[derive(Default)]
struct Memory(Mutex<Blocks>);

#[derive(Default)]
struct Blocks {
    free: Vec<Vec<Block>>,
    last_used: Option<Instant>,
    /// Whether a task waits to free them.
    is_watched: bool,
}

impl Memory {
    /// The Argon2id hash of a password with these parameters.
    fn hash(&self, params: Params, password: &[u8], salt: &[u8]) -> Result<Output, IdentityError> {
        let mut blocks = self.blocks().free.pop().unwrap_or_default();
        blocks.resize(params.block_count(), Block::new());
        let mut output = [0; Output::MAX_LENGTH];
        let output = &mut output[..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hashed = argon2.hash_password_into_with_memory(password, salt, output, &mut blocks);
        let mut kept = self.blocks();
        kept.free.push(blocks);
        kept.last_used = Some(Instant::now());
        drop(kept);
        hashed.map_err(internal)?;
        Output::new(output).map_err(internal)
    }

    /// Frees the working memory after [`IDLE`].
    fn free_when_idle(self: &Arc<Self>) {
        if std::mem::replace(&mut self.blocks().is_watched, true) {
            return;
        }
        let memory = self.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(IDLE).await;
                let mut blocks = memory.blocks();
                if blocks.last_used.is_none_or(|used| used.elapsed() >= IDLE) {
                    *blocks = Blocks::default();
                    break;
                }
            }
        });
    }

    fn blocks(&self) -> std::sync::MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A waiter; decrements the count when dropped.
struct Slot<'a>(&'a AtomicUsize);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn internal(error: impl std::fmt::Display) -> IdentityError {
    IdentityError::Internal(format!("password hashing: {error}"))
}

impl Argon2Hasher {
    /// With this much memory (in KiB) and this many passes for a hash, and the default pool. Errors:
    /// [`IdentityError::Internal`] for a cost that Argon2 refuses.
    pub fn new(memory: u32, passes: u32) -> Result<Self, IdentityError> {
        let cost = Argon2Cost { memory, passes, ..Argon2Cost::default() };
        Self::with_parts(cost, HashingPool::default(), Arc::new(SystemRandom))
    }

    /// With this cost, pool and source of salts. Errors: [`IdentityError::Internal`] for a cost that Argon2 refuses.
    pub fn with_parts(
        cost: Argon2Cost,
        pool: HashingPool,
        random: Arc<dyn Random>,
    ) -> Result<Self, IdentityError> {
        let params = Params::new(cost.memory, cost.passes, cost.lanes, None).map_err(internal)?;
        let decoy = PasswordHash(format!(
            "$argon2id$v=19$m={},t={},p={}${}${}",
            cost.memory,
            cost.passes,
            cost.lanes,
            "A".repeat(22),
            "A".repeat(43),
        ));
        Ok(Self {
            params,
            memory: Arc::default(),
            random,
            decoy,
            threads: Arc::new(Semaphore::new(pool.threads.max(1))),
            waiting: AtomicUsize::new(0),
            most_waiting: pool.waiting,
        })
    }

    /// Waits for a thread, first come, first served.
    async fn thread(&self) -> Result<OwnedSemaphorePermit, IdentityError> {
        if let Ok(permit) = self.threads.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Slot(&self.waiting);
        if before >= self.most_waiting {
            return Err(IdentityError::Overloaded);
        }
        let permit = self.threads.clone().acquire_owned().await.map_err(internal)?;
        drop(place);
        Ok(permit)
    }

    /// Runs `work` on a thread of the pool. The thread holds the permit, so that an aborted request does not let another
    /// one in while the work still runs.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Memory) -> Result<T, IdentityError> + Send + 'static,
    ) -> Result<T, IdentityError> {
        let permit = self.thread().await?;
        let memory = self.memory.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&memory)
        })
        .await;
        self.memory.free_when_idle();
        done.map_err(internal)?
    }
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: SecretString) -> Result<PasswordHash, IdentityError> {
        let mut salt = [0; 16];
        self.random.fill(&mut salt);
        let params = self.params.clone();
        self.run(move |memory| {
            let phc = Phc {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&params).map_err(internal)?,
                salt: Some(Salt::new(&salt).map_err(internal)?),
                hash: Some(memory.hash(params, password.expose_secret().as_bytes(), &salt)?),
            };
            Ok(PasswordHash(phc.to_string()))
        })
        .await
    }

    async fn verify(
        &self,
        password: SecretString,
        hash: Option<PasswordHash>,
    ) -> Result<bool, IdentityError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        self.run(move |memory| {
            let stored = Phc::new(&hash.0).map_err(internal)?;
            let (Some(salt), Some(expected)) = (&stored.salt, stored.hash) else {
                return Err(internal("a stored hash has no salt or no output"));
            };
            let params = Params::try_from(&stored).map_err(internal)?;
            let actual = memory.hash(params, password.expose_secret().as_bytes(), salt)?;
            // `Output` compares in constant time.
            Ok(actual == expected && known)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    /// Cheap, for tests about other things.
    const CHEAP: Argon2Cost = Argon2Cost { memory: 64, passes: 1, lanes: 1 };

    fn hasher(cost: Argon2Cost, pool: HashingPool) -> Argon2Hasher {
        Argon2Hasher::with_parts(cost, pool, Arc::new(SystemRandom)).unwrap()
    }

    #[tokio::test]
    async fn verifies_the_password_it_hashed_and_no_other() {
        let hasher = hasher(CHEAP, HashingPool::default());
        let hash = hasher.hash("Corr3ct-horse".into()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", hash.0);
        assert!(hasher.verify("Corr3ct-horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify("corr3ct-horse".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn the_same_password_has_another_hash_each_time() {
        let hasher = hasher(CHEAP, HashingPool::default());
        let (first, second) =
            (hasher.hash("x".into()).await.unwrap(), hasher.hash("x".into()).await.unwrap());
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_still_verifies() {
        let hash = hasher(CHEAP, HashingPool::default()).hash("x".into()).await.unwrap();
        let dearer = hasher(Argon2Cost { memory: 128, ..CHEAP }, HashingPool::default());
        assert!(dearer.verify("x".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn a_spoilt_hash_is_our_own_fault() {
        let result = hasher(CHEAP, HashingPool::default())
            .verify("x".into(), Some(PasswordHash("not a hash".into())))
            .await;
        assert!(matches!(result, Err(IdentityError::Internal(_))));
    }

    #[tokio::test]
    async fn nobody_takes_as_long_as_somebody() {
        let hasher = hasher(Argon2Cost::default(), HashingPool { threads: 1, waiting: 1 });
        let hash = hasher.hash("x".into()).await.unwrap();
        let time = async |hash: Option<PasswordHash>| {
            let start = Instant::now();
            assert!(!hasher.verify("y".into(), hash).await.unwrap());
            start.elapsed()
        };
        // Alternating, and the fastest of each counts: other load on the machine slows single ones down.
        let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
        for _ in 0..20 {
            known = known.min(time(Some(hash.clone())).await);
            unknown = unknown.min(time(None).await);
        }
        // A wide margin: the test only verifies that the work is done at all.
        assert!(unknown * 2 > known && known * 2 > unknown, "{unknown:?} {known:?}");
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_recovers() {
        let hasher = hasher(CHEAP, HashingPool { threads: 1, waiting: 1 });
        let busy = hasher.threads.clone().acquire_owned().await.unwrap();
        let mut waiting = Box::pin(hasher.verify("x".into(), None));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(matches!(hasher.verify("x".into(), None).await, Err(IdentityError::Overloaded)));
        drop(busy);
        assert!(!waiting.await.unwrap());
        assert!(!hasher.verify("x".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_queue() {
        let hasher = hasher(CHEAP, HashingPool { threads: 1, waiting: 1 });
        let busy = hasher.threads.clone().acquire_owned().await.unwrap();
        let mut waiting = Box::pin(hasher.verify("x".into(), None));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        let mut next = Box::pin(hasher.verify("x".into(), None));
        assert!(futures_util::poll!(&mut next).is_pending());
        drop(busy);
        assert!(!next.await.unwrap());
    }

    #[test]
    fn a_cost_that_argon2_refuses_is_an_error() {
        let cost = Argon2Cost { memory: 1, passes: 0, lanes: 0 };
        assert!(Argon2Hasher::with_parts(cost, HashingPool::default(), Arc::new(SystemRandom)).is_err());
    }
}
