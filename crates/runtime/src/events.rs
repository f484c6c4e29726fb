//! The events of all domains, and those of the platform itself.

use std::sync::LazyLock;

use portico_kernel::{
    catalogue::EventCatalogue,
    declare_events,
    event::{Audience::Internal, AuditClass::Sealed},
};

declare_events! {
    "A dead job was queued again."
    JOB_REPLAYED { name: "job.replayed", audience: Internal, invalidates: &[], audit: Sealed }
}

/// The catalogue of all events. Built from constants, so it is the same in every process.
pub fn catalogue() -> &'static EventCatalogue {
    static CATALOGUE: LazyLock<EventCatalogue> = LazyLock::new(|| EventCatalogue::new(declared()));
    &CATALOGUE
}

/// The declarations of all domains; a new domain must be added here.
fn declared() -> impl Iterator<Item = &'static portico_kernel::EventDeclaration> {
    [
        portico_identity::events::ALL,
        portico_tenancy::events::ALL,
        portico_billing::events::ALL,
        portico_licensing::events::ALL,
        portico_sites::events::ALL,
        portico_support::events::ALL,
        ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portico_kernel::{Permission, Permissions, TenantRole, catalogue::TEST};

    use super::*;

    fn may_hear(permissions: Permissions, kind: &str) -> bool {
        catalogue().published(kind).is_some_and(|published| permissions.contains(published.permission))
    }

    #[test]
    fn words_are_unique_and_of_two_parts() {
        let words: BTreeSet<_> = declared().map(|declaration| declaration.name).collect();
        assert_eq!(words.len(), declared().count());
        let names = catalogue().all().iter().map(|published| published.name);
        for word in words.iter().copied().chain(names) {
            let is_word =
                |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(
                word.split_once('.').is_some_and(|(resource, verb)| is_word(resource) && is_word(verb)),
                "{word}"
            );
        }
        assert!(catalogue().all().windows(2).all(|pair| pair[0].name <= pair[1].name));
        assert!(declared().all(|declaration| declaration.when.ends_with('.')));
    }

    #[test]
    fn who_may_hear_what_follows_the_role() {
        let viewer = TenantRole::Viewer.permissions();
        assert!(may_hear(viewer, "page.updated"));
        assert!(!may_hear(viewer, "submission.received"), "editors and above read what visitors sent");
        assert!(!may_hear(viewer, "webhook.created"));
        assert!(may_hear(TenantRole::Admin.permissions(), "webhook.created"));
        for inside in ["session.started", "user.totp_added", "audit.expired", "*", TEST, ""] {
            assert!(!may_hear(Permissions::from_list(&Permission::ALL), inside), "{inside}");
        }
    }

    #[test]
    fn a_registration_is_a_new_user_to_the_outside() {
        let published = catalogue().published("user.registered");
        assert_eq!(published.map(|published| published.name), Some("user.created"));
        assert!(catalogue().is_name("user.created") && !catalogue().is_name("user.registered"));
    }

    #[test]
    fn everything_of_today_is_sealed() {
        assert!(declared().all(|declaration| declaration.audit == Sealed));
    }
}
