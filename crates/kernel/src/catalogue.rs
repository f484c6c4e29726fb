//! Which events the outside may hear of, by webhooks and live updates.
//!
//! What is not listed stays inside: sign-ins, guesses at passwords, second factors and the platform's own affairs are for the
//! audit trail.

use crate::{
    Permission::{self, *},
    Permissions,
};

/// A kind of event that the outside may hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// What the outside calls it, `resource.verb`.
    pub name: &'static str,
    /// What the event log calls it.
    pub kind: &'static str,
    /// The permission that it takes to hear of it.
    pub permission: Permission,
    /// When it happens.
    pub description: &'static str,
}

/// The type of the message that proves that a webhook works. It is in no event log and cannot be chosen.
pub const TEST: &str = "webhook.test";

/// The word for every published event.
pub const EVERYTHING: &str = "*";

const fn of(name: &'static str, permission: Permission, description: &'static str) -> Published {
    Published { name, kind: name, permission, description }
}

const fn renamed(
    kind: &'static str,
    name: &'static str,
    permission: Permission,
    description: &'static str,
) -> Published {
    Published { name, kind, permission, description }
}

static PUBLISHED: &[Published] = &[
    of("ai.generated", BillingRead, "A text was written by AI, which counts against the plan."),
    of("api_key.created", ApiKeysRead, "An API key was made."),
    of("api_key.revoked", ApiKeysRead, "An API key was revoked."),
    of("api_key.rotated", ApiKeysRead, "An API key got a new secret."),
    of("api_key.updated", ApiKeysRead, "An API key was changed, activated or deactivated."),
    of("asset.created", AssetsRead, "A file was uploaded."),
    of("asset.deleted", AssetsRead, "A file was deleted."),
    of("asset.restored", AssetsRead, "The deletion of a file was taken back."),
    of("asset.updated", AssetsRead, "The name or the alternative text of a file was changed."),
    of("branding.updated", BrandingRead, "Colours, fonts or logo were changed or reset."),
    of("dealer.deleted", TenantRead, "The tenant has no dealer any more."),
    of("dealer.updated", TenantRead, "The dealer of the tenant was named or changed."),
    of("deployment.created", SitesRead, "A deployment was asked for."),
    of("deployment.failed", SitesRead, "A deployment failed; what was published before stays."),
    of("deployment.started", SitesRead, "A deployment is being built."),
    of("domain.added", DomainsRead, "A domain was connected to a site, and waits to be proven."),
    of("domain.failed", DomainsRead, "A domain is not proven any more."),
    of("domain.removed", DomainsRead, "A domain was taken off a site."),
    of("domain.updated", DomainsRead, "A domain was changed."),
    of("domain.verified", DomainsRead, "A domain was proven to belong to the tenant."),
    of("invitation.accepted", MembersRead, "An invitation was accepted."),
    of("invitation.created", MembersRead, "Somebody was invited."),
    of("invitation.declined", MembersRead, "An invitation was declined."),
    of("invitation.resent", MembersRead, "An invitation was sent again."),
    of("invitation.revoked", MembersRead, "An invitation was taken back."),
    of("member.created", MembersRead, "Somebody became a member."),
    of("member.deleted", MembersRead, "Somebody is no member any more."),
    of("member.updated", MembersRead, "The role of a member was changed."),
    of("navigation.created", NavigationRead, "An entry was added to the navigation."),
    of("navigation.deleted", NavigationRead, "An entry of the navigation was deleted."),
    of("navigation.reordered", NavigationRead, "The entries of the navigation were put into another order."),
    of("navigation.updated", NavigationRead, "An entry of the navigation was changed."),
    of("page.created", PagesRead, "A page was made."),
    of("page.deleted", PagesRead, "A page was deleted."),
    of("page.published", PagesRead, "A page was published."),
    of("page.reset_to_template", PagesRead, "A page, or a part of it, was reset to its template."),
    of("page.restored", PagesRead, "A page was put back to an earlier version."),
    of("page.sections_reordered", PagesRead, "The sections of a page were put into another order."),
    of("page.unpublished", PagesRead, "A page is not published any more."),
    of("page.updated", PagesRead, "A page was changed."),
    of("section.created", PagesRead, "A section was added to a page."),
    of("section.deleted", PagesRead, "A section was deleted."),
    of("section.updated", PagesRead, "A section was changed."),
    of("seo.deleted", PagesRead, "What search engines are told about a page was deleted."),
    of("seo.updated", PagesRead, "What search engines are told about a page was changed."),
    of("site.created", SitesRead, "A site was made."),
    of("site.deleted", SitesRead, "A site was deleted."),
    of("site.deployed", SitesRead, "A site was published: its deployment is live."),
    of("site.offered", SitesRead, "A site was offered for sale."),
    of("site.rolled_back", SitesRead, "A site went back to an earlier deployment."),
    of("site.updated", SitesRead, "A site was changed."),
    of("site.withdrawn", SitesRead, "A site is not for sale any more."),
    of("submission.deleted", SubmissionsRead, "What a visitor sent was deleted."),
    of("submission.received", SubmissionsRead, "A visitor sent a contact form."),
    of("submission.updated", SubmissionsRead, "What a visitor sent was marked."),
    of("subscription.created", BillingRead, "The tenant got its plan."),
    of("template.applied", PagesRead, "A template was applied to a page or a site."),
    of("tenant.created", TenantRead, "The tenant was made."),
    of("tenant.deletion_cancelled", TenantRead, "The deletion of the tenant was taken back."),
    of("tenant.deletion_scheduled", TenantRead, "The tenant will be deleted."),
    of("tenant.reinstated", TenantRead, "The suspension of the tenant was ended."),
    of("tenant.settings_updated", TenantRead, "Settings of the tenant were changed."),
    of("tenant.suspended", TenantRead, "The tenant was suspended."),
    of("tenant.updated", TenantRead, "Name or subdomain of the tenant were changed."),
    of("user.created", MembersRead, "An account was made by the operator; its home is this tenant."),
    renamed(
        "user.registered",
        "user.created",
        MembersRead,
        "Somebody made an account; its home is this tenant.",
    ),
    of("user.deleted", MembersRead, "An account whose home is this tenant was deleted."),
    of("user.email_changed", MembersRead, "The address of an account whose home is this tenant was changed."),
    of("user.email_verified", MembersRead, "The address of an account whose home is this tenant was proven."),
    of("user.reinstated", MembersRead, "The suspension of an account whose home is this tenant was ended."),
    of("user.suspended", MembersRead, "An account whose home is this tenant was suspended."),
    of("user.updated", MembersRead, "An account was changed by somebody who acts in this tenant."),
    of("webhook.created", WebhooksRead, "A webhook was made."),
    of("webhook.deleted", WebhooksRead, "A webhook was deleted."),
    of("webhook.deliveries_resent", WebhooksRead, "Deliveries are sent again."),
    of("webhook.disabled", WebhooksRead, "A webhook was switched off because it failed for too long."),
    of("webhook.paused", WebhooksRead, "A webhook was paused."),
    of("webhook.resumed", WebhooksRead, "A webhook was switched on again."),
    of("webhook.rotated", WebhooksRead, "A webhook got a new secret."),
    of("webhook.updated", WebhooksRead, "A webhook was changed."),
    of("wizard.completed", SitesRead, "A site was made by the wizard."),
    of("wizard.content_failed", SitesRead, "The texts of a wizard could not be written."),
    of("wizard.content_generated", SitesRead, "The texts of a wizard are written."),
    of("wizard.deleted", SitesRead, "A run through the wizard was given up."),
    of("wizard.started", SitesRead, "A run through the wizard was begun."),
    of("wizard.updated", SitesRead, "A step of the wizard was saved."),
];

/// How the outside hears of an event that the log calls `kind`; `None` for one that stays inside.
pub fn published(kind: &str) -> Option<&'static Published> {
    PUBLISHED.iter().find(|published| published.kind == kind)
}

/// Everything that is published, in the order of names. Two kinds of the log may go by one name.
pub fn all() -> &'static [Published] {
    PUBLISHED
}

/// Whether something is published under this name.
pub fn is_name(name: &str) -> bool {
    PUBLISHED.iter().any(|published| published.name == name)
}

/// Whether somebody with these permissions may hear of an event.
pub fn may_hear(permissions: Permissions, kind: &str) -> bool {
    published(kind).is_some_and(|published| permissions.contains(published.permission))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TenantRole;

    #[test]
    fn kinds_are_unique_and_names_are_in_order() {
        assert!(PUBLISHED.windows(2).all(|pair| pair[0].name <= pair[1].name));
        for (position, published) in PUBLISHED.iter().enumerate() {
            assert!(published.name.split_once('.').is_some_and(|(resource, verb)| {
                [resource, verb].iter().all(|word| {
                    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                })
            }));
            assert!(PUBLISHED[position + 1..].iter().all(|other| other.kind != published.kind));
        }
    }

    #[test]
    fn who_may_hear_what_follows_the_role() {
        let viewer = TenantRole::Viewer.permissions();
        assert!(may_hear(viewer, "page.updated"));
        assert!(!may_hear(viewer, "submission.received"), "editors and above read what visitors sent");
        assert!(!may_hear(viewer, "webhook.created"));
        assert!(may_hear(TenantRole::Admin.permissions(), "webhook.created"));
        for inside in ["session.started", "user.totp_added", "audit.expired", "*", TEST, ""] {
            assert!(!may_hear(Permissions::of(&Permission::ALL), inside), "{inside}");
        }
    }

    #[test]
    fn a_registration_is_a_new_user_to_the_outside() {
        assert_eq!(published("user.registered").map(|published| published.name), Some("user.created"));
        assert!(is_name("user.created") && !is_name("user.registered"));
    }
}
