//! When a domain is looked at again, and what becomes of it.

use portico_kernel::Timestamp;
use time::Duration;

use super::{Domain, DomainReason, DomainStatus, Findings};

/// How long the proof of a new domain is waited for.
pub const PATIENCE: Duration = Duration::hours(72);

/// How long the proof of a verified domain may be gone: long enough for somebody who moves to another provider to notice.
const GRACE: Duration = Duration::hours(48);

/// How often it must not be found in that time, in a row.
const MISSES: i32 = 3;

/// How long to wait before the domain is looked at again; `None` when it is given up.
pub fn next_check(domain: &Domain, now: Timestamp) -> Option<Duration> {
    match domain.status {
        DomainStatus::Pending => {
            let age = now - domain.created_at;
            // Records are mostly there within minutes. Whoever cannot wait asks by themselves.
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

/// Notes what a check found. Answers whether that changes where the domain stands.
pub(super) fn note(domain: &mut Domain, findings: Findings, now: Timestamp) -> bool {
    let before = domain.status;
    domain.checked_at = Some(now);
    match findings {
        Findings::Proven => {
            domain.reason = None;
            domain.misses = 0;
            domain.missing_since = None;
            if before != DomainStatus::Verified {
                domain.status = DomainStatus::Verified;
                domain.verified_at = Some(now);
            }
        }
        Findings::Unproven(reason) => unproven(domain, reason, now),
        // Name servers that fail say nothing about whose the domain is.
        Findings::Unknown(reason) => {
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
