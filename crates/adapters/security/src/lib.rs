//! Argon2id, JWT, message authentication, the system clock and randomness.

pub mod factors;
pub mod keys;
pub mod licenses;
pub mod links;
pub mod marks;
pub mod oidc;
pub mod passkeys;
pub mod passwords;
pub mod sealing;
pub mod signatures;
pub mod strength;
pub mod system;
pub mod tokens;

pub use factors::FactorKeys;
pub use keys::{KeyRing, Secrets};
pub use licenses::{Ed25519Signer, MacKeyDigests, NoSigningKey};
pub use links::MacLinkSigner;
pub use marks::MacMarks;
pub use oidc::{OidcProvider, ProviderConfig};
pub use passkeys::WebauthnCeremonies;
pub use passwords::{Argon2Cost, Argon2Hasher};
pub use sealing::AesSealer;
pub use signatures::webhook_signature;
pub use strength::ZxcvbnMeter;
pub use system::{SystemClock, SystemRandom, system_env};
pub use tokens::JwtIssuer;
