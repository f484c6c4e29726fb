//! Password hashing with Argon2id (RFC 9106), on a bounded pool of threads.

use std::{cell::RefCell, sync::Arc};

use argon2::{
    Algorithm, Argon2, Block, Params, PasswordHash as Phc, Version,
    password_hash::phc::{Output, ParamsString, Salt},
};
use async_trait::async_trait;
use portico_compute::{Pool, PoolError, PoolSize};
use portico_identity::{
    IdentityError,
    ports::{PasswordHash, PasswordHasher},
};
use portico_kernel::Random;
use secrecy::{ExposeSecret, SecretString};

use crate::{SystemRandom, ZxcvbnMeter};

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

/// The pool where none is named: one thread fewer than processors, so that a flood of sign-ins leaves one to requests and to the database,
/// to which the niceness of these threads may mean nothing (ADR 111). Each has the memory of a hash. The queue is worked off in about seven
/// seconds at the default cost where nothing else is to be done. Two hundred concurrent sign-ins, with two hashes each, succeed on any
/// machine.
fn default_pool() -> PoolSize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = processors.saturating_sub(1).max(1);
    PoolSize { threads, waiting: (threads * 200).max(400) }
}

/// Hashes and verifies passwords. A flood of sign-ins waits here, and beyond a limit is refused with
/// [`IdentityError::Overloaded`], instead of taking threads and memory from other requests.
pub struct Argon2Hasher {
    params: Params,
    random: Arc<dyn Random>,
    /// A well-formed hash that matches no password, to spend the same time where there is no account.
    decoy: PasswordHash,
    pool: Arc<Pool>,
}

thread_local! {
    /// The working memory of the hashes of a thread, used again: if it were freed and allocated each time, the allocator would keep several
    /// copies of it, in the arena of every thread. It is freed with the thread, when nobody has signed in for a while.
    static MEMORY: RefCell<Vec<Block>> = const { RefCell::new(Vec::new()) };
}

/// The Argon2id hash of a password with these parameters, in the memory of the calling thread.
fn argon2id(params: Params, password: &[u8], salt: &[u8]) -> Result<Output, IdentityError> {
    let mut output = [0; Output::MAX_LENGTH];
    let output = &mut output[..params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    MEMORY.with_borrow_mut(|blocks| {
        blocks.resize(params.block_count(), Block::new());
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into_with_memory(password, salt, output, blocks).map_err(internal)
    })?;
    Output::new(output).map_err(internal)
}

fn internal(error: impl std::fmt::Display) -> IdentityError {
    IdentityError::Internal(format!("password hashing: {error}"))
}

impl Argon2Hasher {
    /// With this much memory (in KiB) and this many passes for a hash, and the default pool. Errors:
    /// [`IdentityError::Internal`] for a cost that Argon2 refuses.
    pub fn new(memory: u32, passes: u32) -> Result<Self, IdentityError> {
        let cost = Argon2Cost { memory, passes, ..Argon2Cost::default() };
        Self::with_parts(cost, default_pool(), Arc::new(SystemRandom))
    }

    /// With this cost, pool and source of salts. Errors: [`IdentityError::Internal`] for a cost that Argon2 refuses.
    pub fn with_parts(
        cost: Argon2Cost,
        pool: PoolSize,
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
        Ok(Self { params, random, decoy, pool: Arc::new(Pool::new("passwords", pool)) })
    }

    /// Judges the strength of passwords on the threads that hash them. Requires at least this score, see [`ZxcvbnMeter::new`].
    pub fn meter(&self, min_score: u8) -> ZxcvbnMeter {
        ZxcvbnMeter::new(min_score, self.pool.clone())
    }

    /// Runs `work` on a thread of the pool. An aborted request does not let another one in while its work still runs.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, IdentityError> + Send + 'static,
    ) -> Result<T, IdentityError> {
        self.pool.run(work).await.map_err(|error| match error {
            PoolError::Overloaded => IdentityError::Overloaded,
            PoolError::Panicked => internal(error),
        })?
    }
}

#[async_trait]
impl PasswordHasher for Argon2Hasher {
    async fn hash(&self, password: SecretString) -> Result<PasswordHash, IdentityError> {
        let mut salt = [0; 16];
        self.random.fill(&mut salt);
        let params = self.params.clone();
        self.run(move || {
            let phc = Phc {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: ParamsString::try_from(&params).map_err(internal)?,
                salt: Some(Salt::new(&salt).map_err(internal)?),
                hash: Some(argon2id(params, password.expose_secret().as_bytes(), &salt)?),
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
        self.run(move || {
            let stored = Phc::new(&hash.0).map_err(internal)?;
            let (Some(salt), Some(expected)) = (&stored.salt, stored.hash) else {
                return Err(internal("a stored hash has no salt or no output"));
            };
            let params = Params::try_from(&stored).map_err(internal)?;
            let actual = argon2id(params, password.expose_secret().as_bytes(), salt)?;
            // `Output` compares in constant time.
            Ok(actual == expected && known)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc,
        time::{Duration, Instant},
    };

    use super::*;

    /// Cheap, for tests about other things.
    const CHEAP: Argon2Cost = Argon2Cost { memory: 64, passes: 1, lanes: 1 };

    fn hasher(cost: Argon2Cost, pool: PoolSize) -> Argon2Hasher {
        Argon2Hasher::with_parts(cost, pool, Arc::new(SystemRandom)).unwrap()
    }

    #[tokio::test]
    async fn working_memory_is_used_again() {
        let hasher = hasher(CHEAP, PoolSize { threads: 1, waiting: 1 });
        let memory = || MEMORY.with_borrow(|blocks| (blocks.as_ptr().addr(), blocks.len()));
        hasher.hash("secret".into()).await.unwrap();
        let first = hasher.pool.run(memory).await.unwrap();
        assert_eq!(first.1, hasher.params.block_count());
        hasher.hash("secret".into()).await.unwrap();
        assert_eq!(hasher.pool.run(memory).await, Ok(first));
        assert_eq!(memory().1, 0, "other threads have none");
    }

    #[tokio::test]
    async fn verifies_the_password_it_hashed_and_no_other() {
        let hasher = hasher(CHEAP, default_pool());
        let hash = hasher.hash("Corr3ct-horse".into()).await.unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{}", hash.0);
        assert!(hasher.verify("Corr3ct-horse".into(), Some(hash.clone())).await.unwrap());
        assert!(!hasher.verify("corr3ct-horse".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn the_same_password_has_another_hash_each_time() {
        let hasher = hasher(CHEAP, default_pool());
        let (first, second) =
            (hasher.hash("x".into()).await.unwrap(), hasher.hash("x".into()).await.unwrap());
        assert_ne!(first, second);
    }

    #[tokio::test]
    async fn a_hash_of_another_cost_still_verifies() {
        let hash = hasher(CHEAP, default_pool()).hash("x".into()).await.unwrap();
        let dearer = hasher(Argon2Cost { memory: 128, ..CHEAP }, default_pool());
        assert!(dearer.verify("x".into(), Some(hash)).await.unwrap());
    }

    #[tokio::test]
    async fn a_spoilt_hash_is_our_own_fault() {
        let result =
            hasher(CHEAP, default_pool()).verify("x".into(), Some(PasswordHash("not a hash".into()))).await;
        assert!(matches!(result, Err(IdentityError::Internal(_))));
    }

    #[tokio::test]
    async fn nobody_takes_as_long_as_somebody() {
        let hasher = hasher(Argon2Cost::default(), PoolSize { threads: 1, waiting: 1 });
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
        let hasher = hasher(CHEAP, PoolSize { threads: 1, waiting: 1 });
        let (free, held) = mpsc::channel::<()>();
        let mut busy = Box::pin(hasher.pool.run(move || held.recv().is_ok()));
        assert!(futures_util::poll!(&mut busy).is_pending());
        let mut waiting = Box::pin(hasher.verify("x".into(), None));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert!(matches!(hasher.verify("x".into(), None).await, Err(IdentityError::Overloaded)));
        free.send(()).unwrap();
        assert_eq!(busy.await, Ok(true));
        assert!(!waiting.await.unwrap());
        assert!(!hasher.verify("x".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn who_gives_up_leaves_the_queue() {
        let hasher = hasher(CHEAP, PoolSize { threads: 1, waiting: 1 });
        let (free, held) = mpsc::channel::<()>();
        let mut busy = Box::pin(hasher.pool.run(move || held.recv().is_ok()));
        assert!(futures_util::poll!(&mut busy).is_pending());
        let mut waiting = Box::pin(hasher.verify("x".into(), None));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(waiting);
        let mut next = Box::pin(hasher.verify("x".into(), None));
        assert!(futures_util::poll!(&mut next).is_pending());
        free.send(()).unwrap();
        assert_eq!(busy.await, Ok(true));
        assert!(!next.await.unwrap());
    }

    #[test]
    fn a_cost_that_argon2_refuses_is_an_error() {
        let cost = Argon2Cost { memory: 1, passes: 0, lanes: 0 };
        assert!(Argon2Hasher::with_parts(cost, default_pool(), Arc::new(SystemRandom)).is_err());
    }
}
