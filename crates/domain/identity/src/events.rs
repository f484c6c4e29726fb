//! The events of accounts, sessions and API keys. The only place that defines who receives each, which caches it invalidates and
//! how it is audited.

use portico_kernel::{
    Permission::{ApiKeysRead, MembersRead},
    declare_events,
    event::{
        Audience::{Holders, HoldersUnderName, Internal},
        AuditClass::Sealed,
        CacheTopic::{SessionOwner, Tenant, User},
    },
};

declare_events! {
    "An account got a role on the platform."
    USER_APPOINTED { name: "user.appointed", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account was made by the operator; its home is this tenant."
    USER_CREATED { name: "user.created", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "Passkeys, linked accounts and second factors of an account were taken away."
    USER_CREDENTIALS_REVOKED { name: "user.credentials_revoked", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account whose home is this tenant was deleted."
    USER_DELETED { name: "user.deleted", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "A change of address was stopped."
    USER_EMAIL_CHANGE_CANCELLED { name: "user.email_change_cancelled", audience: Internal, invalidates: &[User], audit: Sealed }

    "Another address was asked for."
    USER_EMAIL_CHANGE_REQUESTED { name: "user.email_change_requested", audience: Internal, invalidates: &[User], audit: Sealed }

    "The address of an account whose home is this tenant was changed."
    USER_EMAIL_CHANGED { name: "user.email_changed", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The address of an account whose home is this tenant was proven."
    USER_EMAIL_VERIFIED { name: "user.email_verified", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The personal data of an account was erased."
    USER_ERASED { name: "user.erased", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account elsewhere was linked."
    USER_IDENTITY_LINKED { name: "user.identity_linked", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account elsewhere was unlinked."
    USER_IDENTITY_UNLINKED { name: "user.identity_unlinked", audience: Internal, invalidates: &[User], audit: Sealed }

    "A sign-in from a device that the account had not used before."
    USER_NEW_DEVICE { name: "user.new_device", audience: Internal, invalidates: &[], audit: Sealed }

    "A passkey was added."
    USER_PASSKEY_ADDED { name: "user.passkey_added", audience: Internal, invalidates: &[User], audit: Sealed }

    "A passkey was removed."
    USER_PASSKEY_REMOVED { name: "user.passkey_removed", audience: Internal, invalidates: &[User], audit: Sealed }

    "A passkey was renamed."
    USER_PASSKEY_UPDATED { name: "user.passkey_updated", audience: Internal, invalidates: &[User], audit: Sealed }

    "A password was changed."
    USER_PASSWORD_CHANGED { name: "user.password_changed", audience: Internal, invalidates: &[User], audit: Sealed }

    "A password was set by a link."
    USER_PASSWORD_RESET { name: "user.password_reset", audience: Internal, invalidates: &[User], audit: Sealed }

    "A link to set a new password was asked for."
    USER_PASSWORD_RESET_REQUESTED { name: "user.password_reset_requested", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account lost its password, because others claimed its address too."
    USER_PASSWORD_REVOKED { name: "user.password_revoked", audience: Internal, invalidates: &[User], audit: Sealed }

    "A sign-in with a recovery code."
    USER_RECOVERY_CODE_USED { name: "user.recovery_code_used", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account got new recovery codes."
    USER_RECOVERY_CODES_RENEWED { name: "user.recovery_codes_renewed", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account was registered; its home is this tenant."
    USER_REGISTERED { name: "user.registered", audience: HoldersUnderName(MembersRead, "user.created"), invalidates: &[], audit: Sealed }

    "An account was made for the buyer of a site; its home is this tenant."
    USER_REGISTERED_BY_PURCHASE { name: "user.registered_by_purchase", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The suspension of an account whose home is this tenant was ended."
    USER_REINSTATED { name: "user.reinstated", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The operator took all second factors of an account away."
    USER_SECOND_FACTOR_RESET { name: "user.second_factor_reset", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account whose home is this tenant was suspended."
    USER_SUSPENDED { name: "user.suspended", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "An authenticator app was added."
    USER_TOTP_ADDED { name: "user.totp_added", audience: Internal, invalidates: &[User], audit: Sealed }

    "The set-up of an authenticator app was begun."
    USER_TOTP_BEGUN { name: "user.totp_begun", audience: Internal, invalidates: &[User], audit: Sealed }

    "An authenticator app was removed."
    USER_TOTP_REMOVED { name: "user.totp_removed", audience: Internal, invalidates: &[User], audit: Sealed }

    "An account was changed by a user who acts in this tenant."
    USER_UPDATED { name: "user.updated", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "A session ended before its time."
    SESSION_ENDED { name: "session.ended", audience: Internal, invalidates: &[SessionOwner], audit: Sealed }

    "One of the operator's people began to act as a customer."
    SESSION_IMPERSONATED { name: "session.impersonated", audience: Internal, invalidates: &[], audit: Sealed }

    "A passkey was used whose counter says that it was copied."
    SESSION_PASSKEY_CLONED { name: "session.passkey_cloned", audience: Internal, invalidates: &[], audit: Sealed }

    "A user reauthenticated."
    SESSION_REAUTHENTICATED { name: "session.reauthenticated", audience: Internal, invalidates: &[], audit: Sealed }

    "A reauthentication failed."
    SESSION_REAUTHENTICATION_FAILED { name: "session.reauthentication_failed", audience: Internal, invalidates: &[], audit: Sealed }

    "A refresh token was used twice."
    SESSION_REUSE_DETECTED { name: "session.reuse_detected", audience: Internal, invalidates: &[], audit: Sealed }

    "A second factor was wrong."
    SESSION_SECOND_FACTOR_FAILED { name: "session.second_factor_failed", audience: Internal, invalidates: &[], audit: Sealed }

    "A sign-in failed because of a wrong password."
    SESSION_SIGN_IN_FAILED { name: "session.sign_in_failed", audience: Internal, invalidates: &[], audit: Sealed }

    "A user signed in."
    SESSION_STARTED { name: "session.started", audience: Internal, invalidates: &[], audit: Sealed }

    "A session went on in another tenant."
    SESSION_TENANT_SWITCHED { name: "session.tenant_switched", audience: Internal, invalidates: &[], audit: Sealed }

    "Tries to sign in were too many."
    SESSION_THROTTLED { name: "session.throttled", audience: Internal, invalidates: &[], audit: Sealed }

    "An API key was made."
    API_KEY_CREATED { name: "api_key.created", audience: Holders(ApiKeysRead), invalidates: &[Tenant], audit: Sealed }

    "An API key was used from a new address."
    API_KEY_NEW_ADDRESS { name: "api_key.new_address", audience: Internal, invalidates: &[], audit: Sealed }

    "An API key was refused many times."
    API_KEY_REFUSALS { name: "api_key.refusals", audience: Internal, invalidates: &[], audit: Sealed }

    "An API key was revoked."
    API_KEY_REVOKED { name: "api_key.revoked", audience: Holders(ApiKeysRead), invalidates: &[Tenant], audit: Sealed }

    "An API key got a new secret."
    API_KEY_ROTATED { name: "api_key.rotated", audience: Holders(ApiKeysRead), invalidates: &[Tenant], audit: Sealed }

    "An API key was changed, activated or deactivated."
    API_KEY_UPDATED { name: "api_key.updated", audience: Holders(ApiKeysRead), invalidates: &[Tenant], audit: Sealed }
}
