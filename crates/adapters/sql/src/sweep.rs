//! Deleting what nobody can use any more.

use portico_identity::device::REMEMBERED;
use portico_kernel::{StoreError, Timestamp};
use portico_sites::{
    analytics::{BATCH_MEMORY, HASH_GRACE, SALT_GRACE},
    submission::SPAM_DAYS,
};
use time::Duration;

use crate::SqlStore;

/// Rows deleted in one statement, so that no lock is held for long.
const BATCH: i64 = 1000;

/// A day (UTC) before the one of the time `$1`.
const DAY_OVER: &str = "day < substr(cast($1 as text), 1, 10)";

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
    Sweep { table: "mail_budgets", key: "key", useless: "expires_at < $1", kept_for: Duration::ZERO },
    Sweep {
        table: "idempotency_keys",
        key: "tenant_id, caller_id, key",
        useless: "expires_at < $1",
        kept_for: Duration::ZERO,
    },
    Sweep {
        table: "known_devices",
        key: "user_id, device, network",
        useless: "last_seen < $1",
        kept_for: REMEMBERED,
    },
    // Days are texts that begin like times do. With the salt goes what leads from a hash to an address, with the hashes what tells
    // visitors apart.
    Sweep { table: "visit_salts", key: "day", useless: DAY_OVER, kept_for: SALT_GRACE },
    Sweep {
        table: "visitor_hashes",
        key: "tenant_id, site_id, day, hash",
        useless: DAY_OVER,
        kept_for: HASH_GRACE,
    },
    // One day after the other is recorded, each soon after it is over.
    Sweep { table: "recorded_days", key: "day", useless: DAY_OVER, kept_for: Duration::days(7) },
    Sweep { table: "visit_batches", key: "id", useless: "stored_at < $1", kept_for: BATCH_MEMORY },
    Sweep {
        table: "submissions",
        key: "tenant_id, id",
        useless: "status = 'spam' and created_at < $1",
        kept_for: Duration::days(SPAM_DAYS),
    },
    // A use that nobody settled is given back to its tenant at the next one. Once its period is over there is nothing to give back.
    Sweep {
        table: "generation_reservations",
        key: "tenant_id, id",
        useless: "expires_at < $1",
        kept_for: Duration::days(62),
    },
    // Providers send an event again for some days. What it led to is stored elsewhere, and the schedules ask about what it did not lead to.
    Sweep {
        table: "inbound_events",
        key: "provider, id",
        useless: "received_at < $1",
        kept_for: Duration::days(60),
    },
    // So do providers of mail. One that comes again later than that is refused again, with another mail to its sender.
    Sweep {
        table: "support_refused_mails",
        key: "tenant_id, digest",
        useless: "refused_at < $1",
        kept_for: Duration::days(60),
    },
    // A call is repeated for a day at most. What it led to is in the subscription.
    Sweep {
        table: "plan_calls",
        key: "tenant_id, id",
        useless: "stage = 'ended' and created_at < $1",
        kept_for: Duration::days(30),
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
                let count = self.write().execute(&sql, [now - *kept_for]).await?;
                deleted += count;
                if count < BATCH as u64 {
                    break;
                }
            }
        }
        Ok(deleted)
    }
}
