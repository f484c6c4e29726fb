//! Argon2id, JWT, message authentication, the system clock and randomness.
