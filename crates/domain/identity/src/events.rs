//! The events of accounts, sessions and API keys. The only place that defines who receives each, which caches it invalidates and
//! how it is audited.

use portico_kernel::{
    Permission::{ApiKeysRead, MembersRead},
    declare_events,
    event::{
        Audience::{Holders, HoldersUnderName, Nobody},
        AuditClass::Sealed,
        CacheTopic::{SessionOwner, Tenant, User},
    },
};

declare_events! {
    "An account got a role on the platform."
    USER_APPOINTED { word: "user.appointed", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account was made by the operator; its home is this tenant."
    USER_CREATED { word: "user.created", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "Passkeys, linked accounts and second factors of an account were taken away."
    USER_CREDENTIALS_REVOKED { word: "user.credentials_revoked", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account whose home is this tenant was deleted."
    USER_DELETED { word: "user.deleted", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "A change of address was stopped."
    USER_EMAIL_CHANGE_CANCELLED { word: "user.email_change_cancelled", audience: Nobody, invalidates: &[User], audit: Sealed }

    "Another address was asked for."
    USER_EMAIL_CHANGE_REQUESTED { word: "user.email_change_requested", audience: Nobody, invalidates: &[User], audit: Sealed }

    "The address of an account whose home is this tenant was changed."
    USER_EMAIL_CHANGED { word: "user.email_changed", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The address of an account whose home is this tenant was proven."
    USER_EMAIL_VERIFIED { word: "user.email_verified", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The personal data of an account was erased."
    USER_ERASED { word: "user.erased", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account elsewhere was linked."
    USER_IDENTITY_LINKED { word: "user.identity_linked", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account elsewhere was unlinked."
    USER_IDENTITY_UNLINKED { word: "user.identity_unlinked", audience: Nobody, invalidates: &[User], audit: Sealed }

    "A sign-in from a device that the account had not used before."
    USER_NEW_DEVICE { word: "user.new_device", audience: Nobody, invalidates: &[], audit: Sealed }

    "A passkey was added."
    USER_PASSKEY_ADDED { word: "user.passkey_added", audience: Nobody, invalidates: &[User], audit: Sealed }

    "A passkey was removed."
    USER_PASSKEY_REMOVED { word: "user.passkey_removed", audience: Nobody, invalidates: &[User], audit: Sealed }

    "A passkey was renamed."
    USER_PASSKEY_UPDATED { word: "user.passkey_updated", audience: Nobody, invalidates: &[User], audit: Sealed }

    "A password was changed."
    USER_PASSWORD_CHANGED { word: "user.password_changed", audience: Nobody, invalidates: &[User], audit: Sealed }

    "A password was set by a link."
    USER_PASSWORD_RESET { word: "user.password_reset", audience: Nobody, invalidates: &[User], audit: Sealed }

    "A link to set a new password was asked for."
    USER_PASSWORD_RESET_REQUESTED { word: "user.password_reset_requested", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account lost its password, because others claimed its address too."
    USER_PASSWORD_REVOKED { word: "user.password_revoked", audience: Nobody, invalidates: &[User], audit: Sealed }

    "A sign-in with a recovery code."
    USER_RECOVERY_CODE_USED { word: "user.recovery_code_used", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account got new recovery codes."
    USER_RECOVERY_CODES_RENEWED { word: "user.recovery_codes_renewed", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account was registered; its home is this tenant."
    USER_REGISTERED { word: "user.registered", audience: HoldersUnderName(MembersRead, "user.created"), invalidates: &[], audit: Sealed }

    "The suspension of an account whose home is this tenant was ended."
    USER_REINSTATED { word: "user.reinstated", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "The operator took all second factors of an account away."
    USER_SECOND_FACTOR_RESET { word: "user.second_factor_reset", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account whose home is this tenant was suspended."
    USER_SUSPENDED { word: "user.suspended", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "An authenticator app was added."
    USER_TOTP_ADDED { word: "user.totp_added", audience: Nobody, invalidates: &[User], audit: Sealed }

    "The set-up of an authenticator app was begun."
    USER_TOTP_BEGUN { word: "user.totp_begun", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An authenticator app was removed."
    USER_TOTP_REMOVED { word: "user.totp_removed", audience: Nobody, invalidates: &[User], audit: Sealed }

    "An account was changed by a user who acts in this tenant."
    USER_UPDATED { word: "user.updated", audience: Holders(MembersRead), invalidates: &[User], audit: Sealed }

    "A session ended before its time."
    SESSION_ENDED { word: "session.ended", audience: Nobody, invalidates: &[SessionOwner], audit: Sealed }

    "One of the operator's people began to act as a customer."
    SESSION_IMPERSONATED { word: "session.impersonated", audience: Nobody, invalidates: &[], audit: Sealed }

    "A passkey was used whose counter says that it was copied."
    SESSION_PASSKEY_CLONED { word: "session.passkey_cloned", audience: Nobody, invalidates: &[], audit: Sealed }

    "A user reauthenticated."
    SESSION_REAUTHENTICATED { word: "session.reauthenticated", audience: Nobody, invalidates: &[], audit: Sealed }

    "A reauthentication failed."
    SESSION_REAUTHENTICATION_FAILED { word: "session.reauthentication_failed", audience: Nobody, invalidates: &[], audit: Sealed }

    "A refresh token was used twice."
    SESSION_REUSE_DETECTED { word: "session.reuse_detected", audience: Nobody, invalidates: &[], audit: Sealed }

    "A second factor was wrong."
    SESSION_SECOND_FACTOR_FAILED { word: "session.second_factor_failed", audience: Nobody, invalidates: &[], audit: Sealed }

    "A sign-in failed because of a wrong password."
    SESSION_SIGN_IN_FAILED { word: "session.sign_in_failed", audience: Nobody, invalidates: &[], audit: Sealed }

    "A user signed in."
    SESSION_STARTED { word: "session.started", audience: Nobody, invalidates: &[], audit: Sealed }

    "A session went on in another tenant."
    SESSION_TENANT_SWITCHED { word: "session.tenant_switched", audience: Nobody, invalidates: &[], audit: Sealed }

    "Tries to sign in were too many."
    SESSION_THROTTLED { word: "session.throttled", audience: Nobody, invalidates: &[], audit: Sealed }

    "An API key was made."
    API_KEY_CREATED { word: "api_key.created", audience: Holders(ApiKeysRead), invalidates: &[Tenant], audit: Sealed }

    "An API key was used from a new address."
    API_KEY_NEW_ADDRESS { word: "api_key.new_address", audience: Nobody, invalidates: &[], audit: Sealed }

    "An API key was refused many times."
    API_KEY_REFUSALS { word: "api_key.refusals", audience: Nobody, invalidates: &[], audit: Sealed }

    "An API key was revoked."
    API_KEY_REVOKED { word: "api_key.revoked", audience: Holders(ApiKeysRead), invalidates: &[Tenant], audit: Sealed }

    "An API key got a new secret."
    API_KEY_ROTATED { word: "api_key.rotated", audience: Holders(ApiKeysRead), invalidates: &[Tenant], audit: Sealed }

    "An API key was changed, activated or deactivated."
    API_KEY_UPDATED { word: "api_key.updated", audience: Holders(ApiKeysRead), invalidates: &[Tenant], audit: Sealed }
}
