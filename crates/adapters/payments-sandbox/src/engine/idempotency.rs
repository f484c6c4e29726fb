//! Idempotency keys ("Idempotent requests" in Stripe's reference).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::world::World;
use crate::errors::ApiError;

/// Keys are forgotten after a day.
const KEPT_SECONDS: i64 = 86_400;

/// What the first execution answered.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    fingerprint: String,
    pub status: u16,
    pub body: String,
    pub request_id: String,
    at: i64,
    /// Until then the first execution is still going on (a slow answer).
    busy_until: i64,
}

/// The answer of an earlier call with this key, if there was one.
pub(crate) fn earlier(w: &World, key: &str, fingerprint: &str) -> Result<Option<Kept>, ApiError> {
    if key.is_empty() || key.chars().count() > 255 {
        return Err(ApiError::idempotency(400, "Idempotency keys must have between 1 and 255 characters."));
    }
    let Some(kept) = w.kept.get(key).filter(|kept| kept.at + KEPT_SECONDS > w.wall) else { return Ok(None) };
    if kept.fingerprint != fingerprint {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '{}' if you meant to execute a different request.",
            crate::errors::clean(key)
        );
        return Err(ApiError::idempotency(400, message));
    }
    if kept.busy_until > w.wall {
        let message = "There is currently another in-progress request using this Idempotent Key. Please try again later.";
        return Err(ApiError::idempotency(409, message).code("idempotency_key_in_use"));
    }
    Ok(Some(kept.clone()))
}

/// Keeps the answer for later calls with this key.
pub(crate) fn keep(
    w: &mut World,
    key: &str,
    fingerprint: String,
    answer: (u16, &str, &str),
    busy_seconds: i64,
) {
    let oldest = w.wall - KEPT_SECONDS;
    w.kept.retain(|_, kept| kept.at > oldest);
    let (status, body, request_id) = answer;
    let busy_until = w.wall.saturating_add(busy_seconds);
    let (body, request_id) = (body.to_owned(), request_id.to_owned());
    w.kept.insert(key.to_owned(), Kept { fingerprint, status, body, request_id, at: w.wall, busy_until });
}

/// What must be the same for a replay: path and parameters in any order. Only a digest is stored.
pub(crate) fn fingerprint(path: &str, body: &[u8]) -> String {
    let mut pairs: Vec<&[u8]> = body.split(|byte| *byte == b'&').collect();
    // Lists without numbers (`a[]=1&a[]=2`) keep their order, as the sort is stable and by name.
    pairs.sort_by_key(|pair| pair.split(|byte| *byte == b'=').next().unwrap_or_default());
    let mut digest = Sha256::new().chain_update(path.as_bytes());
    for pair in pairs {
        digest.update(b"\n");
        digest.update(pair);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
