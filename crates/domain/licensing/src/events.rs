//! The events of licenses and releases. The only place that defines who receives each, which caches it invalidates and how it is audited.

use portico_kernel::{
    Permission::LicensesRead,
    declare_events,
    event::{
        Audience::{Holders, Internal},
        AuditClass::Sealed,
    },
};

declare_events! {
    "Somebody got a link to download a release."
    DOWNLOAD_LINKED { name: "download.linked", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A license is used on another machine."
    LICENSE_ACTIVATED { name: "license.activated", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A license is no longer used on a machine: the product said so, or its seat was freed."
    LICENSE_DEACTIVATED { name: "license.deactivated", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "The term of a license is over."
    LICENSE_EXPIRED { name: "license.expired", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A license file was made for a machine."
    LICENSE_FILE_ISSUED { name: "license.file_issued", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A license was issued, for a purchase or by staff."
    LICENSE_ISSUED { name: "license.issued", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "The key of a license was replaced; its machines stay."
    LICENSE_KEY_ROTATED { name: "license.key_rotated", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A machine was not heard of for as long as its lease of a seat: the seat is free for others."
    LICENSE_LEASE_ENDED { name: "license.lease_ended", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A license was offered to somebody else; it stays as it is until they accept."
    LICENSE_TRANSFER_OFFERED { name: "license.transfer_offered", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "The offer of a license to somebody else was taken back."
    LICENSE_TRANSFER_WITHDRAWN { name: "license.transfer_withdrawn", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "It was set for the first time what licenses of a product allow."
    LICENSE_POLICY_CREATED { name: "license_policy.created", audience: Internal, invalidates: &[], audit: Sealed }
    "What licenses of a product allow was changed, for those that are issued from then on."
    LICENSE_POLICY_UPDATED { name: "license_policy.updated", audience: Internal, invalidates: &[], audit: Sealed }
    "A license that was suspended may be used again."
    LICENSE_RESUMED { name: "license.resumed", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A license has ended for good: the money was given back, or staff decided so."
    LICENSE_REVOKED { name: "license.revoked", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A license may not be used for now: its payment is disputed, or staff decided so."
    LICENSE_SUSPENDED { name: "license.suspended", audience: Holders(LicensesRead), invalidates: &[], audit: Sealed }
    "A draft of a release was made."
    RELEASE_CREATED { name: "release.created", audience: Internal, invalidates: &[], audit: Sealed }
    "The bytes of the file of a release that was withdrawn were deleted."
    RELEASE_FILE_DELETED { name: "release.file_deleted", audience: Internal, invalidates: &[], audit: Sealed }
    "A scanner found malware in the file of a release, which is deleted."
    RELEASE_FILE_INFECTED { name: "release.file_infected", audience: Internal, invalidates: &[], audit: Sealed }
    "A scanner for malware has passed the file of a release, does not take it, or did not answer."
    RELEASE_FILE_SCANNED { name: "release.file_scanned", audience: Internal, invalidates: &[], audit: Sealed }
    "The file of a release was uploaded."
    RELEASE_FILE_STORED { name: "release.file_stored", audience: Internal, invalidates: &[], audit: Sealed }
    "A release was published."
    RELEASE_PUBLISHED { name: "release.published", audience: Internal, invalidates: &[], audit: Sealed }
    "Name or notes of a release were changed."
    RELEASE_UPDATED { name: "release.updated", audience: Internal, invalidates: &[], audit: Sealed }
    "An upload of the file of a release, in parts, was given up."
    RELEASE_UPLOAD_ABORTED { name: "release.upload_aborted", audience: Internal, invalidates: &[], audit: Sealed }
    "An upload of the file of a release, in parts, has begun."
    RELEASE_UPLOAD_BEGUN { name: "release.upload_begun", audience: Internal, invalidates: &[], audit: Sealed }
    "A release was withdrawn, or a draft of one discarded."
    RELEASE_WITHDRAWN { name: "release.withdrawn", audience: Internal, invalidates: &[], audit: Sealed }
}
