//! The events of tenants, their members, branding, webhooks and audit trail. The only place that defines who receives each, which
//! caches it invalidates and how it is audited.

use portico_kernel::{
    Permission::{BrandingRead, MembersRead, TenantRead, WebhooksRead},
    declare_events,
    event::{
        Audience::{Holders, Nobody},
        AuditClass::Sealed,
        CacheTopic::{Hosts, Responses, Tenant, User},
    },
};

declare_events! {
    "The tenant was made."
    TENANT_CREATED { word: "tenant.created", audience: Holders(TenantRead), invalidates: &[Responses], audit: Sealed }

    "The tenant was deleted."
    TENANT_DELETED { word: "tenant.deleted", audience: Nobody, invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "The deletion of the tenant was taken back."
    TENANT_DELETION_CANCELLED { word: "tenant.deletion_cancelled", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "The tenant will be deleted."
    TENANT_DELETION_SCHEDULED { word: "tenant.deletion_scheduled", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "The suspension of the tenant was ended."
    TENANT_REINSTATED { word: "tenant.reinstated", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "Settings of the tenant were changed."
    TENANT_SETTINGS_UPDATED { word: "tenant.settings_updated", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "The tenant was suspended."
    TENANT_SUSPENDED { word: "tenant.suspended", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "Name or subdomain of the tenant were changed."
    TENANT_UPDATED { word: "tenant.updated", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "A user became a member."
    MEMBER_CREATED { word: "member.created", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "A user is no member any more."
    MEMBER_DELETED { word: "member.deleted", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The role of a member was changed."
    MEMBER_UPDATED { word: "member.updated", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "An invitation was accepted."
    INVITATION_ACCEPTED { word: "invitation.accepted", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "An address was invited."
    INVITATION_CREATED { word: "invitation.created", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "An invitation was declined."
    INVITATION_DECLINED { word: "invitation.declined", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "An invitation was sent again."
    INVITATION_RESENT { word: "invitation.resent", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "An invitation was taken back."
    INVITATION_REVOKED { word: "invitation.revoked", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "The tenant got its first branding."
    BRANDING_CREATED { word: "branding.created", audience: Nobody, invalidates: &[Responses], audit: Sealed }

    "Colours, fonts or logo were changed or reset."
    BRANDING_UPDATED { word: "branding.updated", audience: Holders(BrandingRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was made."
    WEBHOOK_CREATED { word: "webhook.created", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was deleted."
    WEBHOOK_DELETED { word: "webhook.deleted", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "Deliveries are sent again."
    WEBHOOK_DELIVERIES_RESENT { word: "webhook.deliveries_resent", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was switched off because it failed for too long."
    WEBHOOK_DISABLED { word: "webhook.disabled", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was paused."
    WEBHOOK_PAUSED { word: "webhook.paused", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was switched on again."
    WEBHOOK_RESUMED { word: "webhook.resumed", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook got a new secret."
    WEBHOOK_ROTATED { word: "webhook.rotated", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A test message was sent to a webhook."
    WEBHOOK_TESTED { word: "webhook.tested", audience: Nobody, invalidates: &[Responses], audit: Sealed }

    "A webhook was changed."
    WEBHOOK_UPDATED { word: "webhook.updated", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "The tenant has no dealer any more."
    DEALER_DELETED { word: "dealer.deleted", audience: Holders(TenantRead), invalidates: &[Responses], audit: Sealed }

    "The dealer of the tenant was named or changed."
    DEALER_UPDATED { word: "dealer.updated", audience: Holders(TenantRead), invalidates: &[Responses], audit: Sealed }

    "Entries of the audit trail were deleted, because their time was up."
    AUDIT_EXPIRED { word: "audit.expired", audience: Nobody, invalidates: &[], audit: Sealed }
}
