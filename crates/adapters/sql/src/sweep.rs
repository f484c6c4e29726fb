//! Deleting what nobody can use any more.

use portico_identity::device::REMEMBERED;
use portico_kernel::{StoreError, Timestamp};
use time::Duration;

use crate::{SqlStore, dialect::execute, time::to_row};

/// Rows deleted in one statement, so that no lock is held for long.
const BATCH: i64 = 1000;

/// A table, what makes a row of it useless at the time `$1`, and for how long such a row is kept all the same.
struct Sweep {
    table: &'static str,
    key: &'static str,
    useless: &'static str,
    kept_for: Duration,
}

const SWEEPS: &[Sweep] = &[
    Sweep {
        table: "one_time_tokens",
        key: "hash",
        useless: "expires_at < $1",
        // A link that is a little too old is answered like one that never was; nothing needs the row.
        kept_for: Duration::hours(1),
    },
    Sweep { table: "oidc_attempts", key: "state", useless: "expires_at < $1", kept_for: Duration::hours(1) },
    Sweep { table: "email_changes", key: "id", useless: "expires_at < $1", kept_for: Duration::hours(1) },
    // The challenges of passkeys are of no use once they have expired. Sign-ins that wait for a second factor count tries for
    // an hour.
    Sweep { table: "passkey_challenges", key: "hash", useless: "expires_at < $1", kept_for: Duration::ZERO },
    Sweep { table: "pending_sign_ins", key: "id", useless: "expires_at < $1", kept_for: Duration::hours(1) },
    Sweep {
        table: "sign_in_failures",
        key: "key, since",
        useless: "expires_at < $1",
        kept_for: Duration::ZERO,
    },
    Sweep {
        table: "known_devices",
        key: "user_id, device, network",
        useless: "last_seen < $1",
        kept_for: REMEMBERED,
    },
    Sweep {
        table: "sessions",
        key: "id",
        useless: "expires_at < $1",
        // Long enough that people can be told of it when they ask what happened.
        kept_for: Duration::days(30),
    },
];

impl SqlStore {
    /// Deletes rows that have expired some time ago. Answers how many. Any number of processes may do it at once.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for Sweep { table, key, useless, kept_for } in SWEEPS {
            let sql = format!(
                "delete from {table} where ({key}) in (select {key} from {table} where {useless} limit {BATCH})"
            );
            loop {
                let count = execute(self.writer(), &sql, [to_row(now - *kept_for).into()]).await?;
                deleted += count;
                if count < BATCH as u64 {
                    break;
                }
            }
        }
        Ok(deleted)
    }
}
