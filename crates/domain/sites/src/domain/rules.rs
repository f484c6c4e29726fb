//! When a domain is checked again, and what a check changes.

use portico_kernel::Timestamp;
use time::Duration;

use super::{DnsOutcome, Domain, DomainReason, DomainStatus};

/// How long to wait for the proof of a new domain.
pub const PATIENCE: Duration = Duration::hours(72);

/// How long the proof of a verified domain may be missing: long enough for an owner who moves to another provider to notice.
const GRACE: Duration = Duration::hours(48);

/// How many checks in a row must not find it in that time.
const MISSES: i32 = 3;

/// How long to wait before the next check; `None` when the domain is given up.
pub fn next_check(domain: &Domain, now: Timestamp) -> Option<Duration> {
    match domain.status {
        DomainStatus::Pending => {
            let age = now - domain.created_at;
            // Records are mostly there within minutes. An owner who cannot wait can request a check.
            Some(if age < Duration::minutes(10) {
                Duration::MINUTE
            } else if age < Duration::HOUR {
                Duration::minutes(5)
            } else if age < Duration::hours(6) {
                Duration::minutes(15)
            } else {
                Duration::HOUR
            })
        }
        DomainStatus::Verified if domain.misses > 0 => Some(Duration::hours(6)),
        DomainStatus::Verified => Some(Duration::DAY),
        DomainStatus::Failed => None,
    }
}

/// Applies the result of a check. Answers whether that changes the status.
pub(super) fn note(domain: &mut Domain, outcome: DnsOutcome, now: Timestamp) -> bool {
    let before = domain.status;
    domain.checked_at = Some(now);
    match outcome {
        DnsOutcome::Proven => {
            domain.reason = None;
            domain.misses = 0;
            domain.missing_since = None;
            if before != DomainStatus::Verified {
                domain.status = DomainStatus::Verified;
                domain.verified_at = Some(now);
            }
        }
        DnsOutcome::Unproven(reason) => unproven(domain, reason, now),
        // Name servers that fail do not disprove the ownership of the domain.
        DnsOutcome::Unknown(reason) => {
            domain.reason = Some(reason);
            expire(domain, now);
        }
    }
    domain.status != before
}

fn unproven(domain: &mut Domain, reason: DomainReason, now: Timestamp) {
    domain.reason = Some(reason);
    if domain.status == DomainStatus::Verified {
        let since = *domain.missing_since.get_or_insert(now);
        domain.misses = domain.misses.saturating_add(1);
        if domain.misses >= MISSES && now - since >= GRACE {
            domain.status = DomainStatus::Failed;
            domain.verified_at = None;
        }
    }
    expire(domain, now);
}

fn expire(domain: &mut Domain, now: Timestamp) {
    if domain.status == DomainStatus::Pending && now - domain.created_at >= PATIENCE {
        domain.status = DomainStatus::Failed;
    }
}
