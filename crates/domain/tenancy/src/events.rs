//! The events of tenants, their members, branding, webhooks and audit trail. The only place that defines who receives each, which
//! caches it invalidates and how it is audited.

use portico_kernel::{
    Permission::{BrandingRead, MembersRead, TenantRead, WebhooksRead},
    declare_events,
    event::{
        Audience::{Holders, Internal},
        AuditClass::Sealed,
        CacheTopic::{Hosts, Responses, Tenant, User},
    },
};

declare_events! {
    "The tenant was made."
    TENANT_CREATED { name: "tenant.created", audience: Holders(TenantRead), invalidates: &[Responses], audit: Sealed }

    "The tenant was deleted."
    TENANT_DELETED { name: "tenant.deleted", audience: Internal, invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "The deletion of the tenant was taken back."
    TENANT_DELETION_CANCELLED { name: "tenant.deletion_cancelled", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "The tenant will be deleted."
    TENANT_DELETION_SCHEDULED { name: "tenant.deletion_scheduled", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "The suspension of the tenant was ended."
    TENANT_REINSTATED { name: "tenant.reinstated", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "Settings of the tenant were changed."
    TENANT_SETTINGS_UPDATED { name: "tenant.settings_updated", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "The tenant was suspended."
    TENANT_SUSPENDED { name: "tenant.suspended", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "Name or subdomain of the tenant were changed."
    TENANT_UPDATED { name: "tenant.updated", audience: Holders(TenantRead), invalidates: &[Tenant, Hosts, Responses], audit: Sealed }

    "A user became a member."
    MEMBER_CREATED { name: "member.created", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "A user is no member any more."
    MEMBER_DELETED { name: "member.deleted", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The role of a member was changed."
    MEMBER_UPDATED { name: "member.updated", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "An invitation was accepted."
    INVITATION_ACCEPTED { name: "invitation.accepted", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "An address was invited."
    INVITATION_CREATED { name: "invitation.created", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "An invitation was declined."
    INVITATION_DECLINED { name: "invitation.declined", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "An invitation was sent again."
    INVITATION_RESENT { name: "invitation.resent", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "An invitation was taken back."
    INVITATION_REVOKED { name: "invitation.revoked", audience: Holders(MembersRead), invalidates: &[], audit: Sealed }

    "The tenant got its first branding."
    BRANDING_CREATED { name: "branding.created", audience: Internal, invalidates: &[Responses], audit: Sealed }

    "Colours, fonts or logo were changed or reset."
    BRANDING_UPDATED { name: "branding.updated", audience: Holders(BrandingRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was made."
    WEBHOOK_CREATED { name: "webhook.created", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was deleted."
    WEBHOOK_DELETED { name: "webhook.deleted", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "Deliveries are sent again."
    WEBHOOK_DELIVERIES_RESENT { name: "webhook.deliveries_resent", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was switched off because it failed for too long."
    WEBHOOK_DISABLED { name: "webhook.disabled", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was paused."
    WEBHOOK_PAUSED { name: "webhook.paused", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook was switched on again."
    WEBHOOK_RESUMED { name: "webhook.resumed", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A webhook got a new secret."
    WEBHOOK_ROTATED { name: "webhook.rotated", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "A test message was sent to a webhook."
    WEBHOOK_TESTED { name: "webhook.tested", audience: Internal, invalidates: &[Responses], audit: Sealed }

    "A webhook was changed."
    WEBHOOK_UPDATED { name: "webhook.updated", audience: Holders(WebhooksRead), invalidates: &[Responses], audit: Sealed }

    "The tenant has no dealer any more."
    DEALER_DELETED { name: "dealer.deleted", audience: Holders(TenantRead), invalidates: &[Responses], audit: Sealed }

    "Staff wrote a note about a customer."
    CUSTOMER_NOTE_CREATED { name: "customer_note.created", audience: Internal, invalidates: &[], audit: Sealed }

    "A note about a customer was deleted."
    CUSTOMER_NOTE_DELETED { name: "customer_note.deleted", audience: Internal, invalidates: &[], audit: Sealed }

    "The dealer of the tenant was named or changed."
    DEALER_UPDATED { name: "dealer.updated", audience: Holders(TenantRead), invalidates: &[Responses], audit: Sealed }

    "Entries of the audit trail were deleted, because their time was up."
    AUDIT_EXPIRED { name: "audit.expired", audience: Internal, invalidates: &[], audit: Sealed }
}
