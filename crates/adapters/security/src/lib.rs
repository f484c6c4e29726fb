//! Argon2id, JWT, message authentication, the system clock and randomness.

pub mod keys;
pub mod passwords;
pub mod system;
pub mod tokens;

pub use keys::KeyRing;
pub use passwords::{Argon2Cost, Argon2Hasher, HashingPool};
pub use system::{SystemClock, SystemRandom, system_env};
pub use tokens::JwtIssuer;
