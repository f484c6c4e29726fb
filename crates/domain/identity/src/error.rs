//! Errors of identity.

use std::borrow::Cow;

use portico_kernel::{Denied, EntitlementError, Fault, FieldError, Kind, StoreError};

/// Everything that can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Not allowed.
    #[error(transparent)]
    Denied(#[from] Denied),
    /// The input breaks rules.
    #[error("invalid input: {0:?}")]
    Invalid(Vec<FieldError>),
    /// The input breaks rules, and the current password in it is wrong: the sender may be guessing.
    #[error("wrong current password")]
    WrongPassword(Vec<FieldError>),
    /// The person has to prove their identity again: the last proof is too long ago for this action.
    #[error("reauthentication required")]
    ReauthenticationRequired,
    /// Address and password do not match. Never reveals which of the two is wrong.
    #[error("wrong address or password")]
    InvalidCredentials,
    /// The account is suspended. Only reported to a caller who has the password.
    #[error("account suspended")]
    AccountSuspended,
    /// A refresh token that is malformed, expired, of an ended session, or used before.
    #[error("refresh token not valid")]
    InvalidRefreshToken,
    /// A verification or reset token that is unknown, expired, or used before.
    #[error("one-time token not valid")]
    InvalidToken,
    /// The tenant has as many API keys as it can have.
    #[error("too many API keys")]
    TooManyApiKeys,
    /// A sign-in at a provider that was not begun here, by this browser or this person, is too old, or came back before.
    #[error("sign-in state not valid")]
    InvalidState,
    /// The provider does not vouch for the person, or not in a way that can be trusted.
    #[error("the provider's answer is not to be believed: {0}")]
    SignInRejected(String),
    /// The provider cannot be reached.
    #[error("identity provider: {0}")]
    ProviderUnavailable(String),
    /// The provider sends no address that a new account could have.
    #[error("the provider tells no email address")]
    EmailRequired,
    /// The account at the provider is linked to another account here.
    #[error("identity is linked to another account")]
    IdentityTaken,
    /// No credential to sign in with would be left.
    #[error("last way to sign in")]
    LastSignInMethod,
    /// The tenant is suspended by the operator; reported to its members only.
    #[error("tenant suspended")]
    TenantSuspended,
    /// The first factor was right, and the account has a second one.
    #[error("second factor required")]
    SecondFactorRequired {
        /// The token to continue with.
        token: secrecy::SecretString,
        /// How to continue.
        methods: Vec<crate::pending_sign_in::FactorMethod>,
    },
    /// A sign-in that waits for its second factor is unknown, over, or has had too many tries.
    #[error("mfa token not valid")]
    InvalidMfaToken,
    /// A wrong code of an authenticator app, or a wrong recovery code, or one that was used before.
    #[error("wrong code")]
    InvalidCode,
    /// A passkey that is unknown or whose answer is wrong. Never reveals which.
    #[error("passkey not valid")]
    InvalidPasskey,
    /// No challenge is pending for this answer.
    #[error("no challenge waits")]
    ChallengeExpired,
    /// The account has an authenticator app already.
    #[error("authenticator app is there already")]
    TotpEnabled,
    /// No authenticator app is pending.
    #[error("no authenticator app waits")]
    TotpNotPending,
    /// The account has no second factor.
    #[error("no second factor")]
    NoSecondFactor,
    /// The account has no passkey.
    #[error("no passkey")]
    NoPasskey,
    /// The account has as many passkeys as it can have.
    #[error("too many passkeys")]
    TooManyPasskeys,
    /// Not there, or not to be seen by this caller.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// No user changes their own role, or locks themselves out.
    #[error("own account")]
    OwnAccount,
    /// At least one super admin has to remain.
    #[error("last super admin")]
    LastSuperAdmin,
    /// An account has proven the address. Only reported to those who see all accounts anyway.
    #[error("address taken")]
    EmailTaken,
    /// The account is suspended or deleted. Only reported to those who may know.
    #[error("account not active")]
    AccountNotActive,
    /// The other account has the same role on the platform as the caller, or a higher one.
    #[error("role too high")]
    RoleTooHigh,
    /// `If-Match` names an older version.
    #[error("precondition failed")]
    PreconditionFailed,
    /// Too many wrong guesses. Reveals nothing of whether there is such an account.
    #[error("throttled for {seconds} s")]
    Throttled {
        /// Seconds to wait.
        seconds: u64,
    },
    /// The plan does not include more.
    #[error(transparent)]
    Entitlement(#[from] EntitlementError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many passwords are queued for hashing. Trying again makes sense.
    #[error("password hashing is overloaded")]
    Overloaded,
    /// Hashing, signing or another internal part failed.
    #[error("internal: {0}")]
    Internal(String),
}

impl Fault for IdentityError {
    fn kind(&self) -> Kind {
        match self {
            Self::Denied(denied) => denied.kind(),
            Self::Invalid(_) | Self::WrongPassword(_) => Kind::Invalid,
            Self::InvalidCredentials | Self::InvalidRefreshToken => Kind::Unauthenticated,
            Self::AccountSuspended | Self::ReauthenticationRequired => Kind::Forbidden,
            Self::InvalidToken | Self::InvalidState | Self::SignInRejected(_) | Self::EmailRequired => {
                Kind::Invalid
            }
            Self::IdentityTaken | Self::LastSignInMethod => Kind::Conflict,
            Self::ProviderUnavailable(_) => Kind::Unavailable,
            Self::TooManyApiKeys => Kind::Conflict,
            Self::SecondFactorRequired { .. } => Kind::Forbidden,
            Self::InvalidMfaToken | Self::InvalidCode | Self::InvalidPasskey => Kind::Unauthenticated,
            Self::ChallengeExpired | Self::TotpEnabled | Self::TotpNotPending => Kind::Conflict,
            Self::NoSecondFactor | Self::NoPasskey | Self::TooManyPasskeys => Kind::Conflict,
            Self::TenantSuspended => Kind::Forbidden,
            Self::NotFound(_) => Kind::NotFound,
            Self::OwnAccount | Self::LastSuperAdmin | Self::EmailTaken | Self::AccountNotActive => {
                Kind::Conflict
            }
            Self::RoleTooHigh => Kind::Forbidden,
            Self::PreconditionFailed => Kind::PreconditionFailed,
            Self::Throttled { .. } => Kind::RateLimited,
            Self::Entitlement(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::Overloaded => Kind::Unavailable,
            Self::Internal(_) => Kind::Internal,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Denied(denied) => denied.code(),
            Self::Invalid(_) | Self::WrongPassword(_) => "invalid",
            Self::ReauthenticationRequired => "reauthentication_required",
            Self::InvalidCredentials => "invalid_credentials",
            Self::AccountSuspended => "account_suspended",
            Self::InvalidRefreshToken => "invalid_refresh_token",
            Self::InvalidToken => "invalid_token",
            Self::InvalidState => "invalid_state",
            Self::SignInRejected(_) => "sign_in_rejected",
            Self::ProviderUnavailable(_) => "provider_unavailable",
            Self::EmailRequired => "email_required",
            Self::IdentityTaken => "identity_taken",
            Self::LastSignInMethod => "last_sign_in_method",
            Self::TooManyApiKeys => "too_many_api_keys",
            Self::SecondFactorRequired { .. } => "second_factor_required",
            Self::InvalidMfaToken => "invalid_mfa_token",
            Self::InvalidCode => "invalid_code",
            Self::InvalidPasskey => "invalid_passkey",
            Self::ChallengeExpired => "challenge_expired",
            Self::TotpEnabled => "totp_enabled",
            Self::TotpNotPending => "totp_not_pending",
            Self::NoSecondFactor => "no_second_factor",
            Self::NoPasskey => "no_passkey",
            Self::TooManyPasskeys => "too_many_passkeys",
            Self::TenantSuspended => "tenant_suspended",
            Self::NotFound(_) => "not_found",
            Self::OwnAccount => "own_account",
            Self::LastSuperAdmin => "last_super_admin",
            Self::EmailTaken => "email_taken",
            Self::AccountNotActive => "account_not_active",
            Self::RoleTooHigh => "role_too_high",
            Self::PreconditionFailed => "precondition_failed",
            Self::Throttled { .. } => "too_many_attempts",
            Self::Entitlement(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Overloaded => "overloaded",
            Self::Internal(_) => "internal",
        }
    }

    fn detail(&self) -> Cow<'static, str> {
        match self {
            Self::Denied(denied) => denied.detail(),
            Self::Invalid(_) | Self::WrongPassword(_) => "Some fields are not valid.".into(),
            Self::ReauthenticationRequired => {
                "Prove again who you are (POST /api/v1/auth/reauthenticate), then repeat this.".into()
            }
            Self::InvalidCredentials => "The email address or the password is wrong.".into(),
            Self::AccountSuspended => "This account is suspended. Contact support.".into(),
            Self::InvalidRefreshToken => "The refresh token is not valid any more. Sign in again.".into(),
            Self::InvalidToken => "The link is not valid any more. Ask for a new one.".into(),
            Self::TooManyApiKeys => "Revoke API keys that are not needed any more first.".into(),
            Self::InvalidState => "This sign-in is not valid any more. Begin again.".into(),
            Self::SignInRejected(_) => "The provider did not confirm this sign-in. Begin again.".into(),
            Self::ProviderUnavailable(_) => "The provider does not answer right now. Try again shortly.".into(),
            Self::EmailRequired => {
                "The provider does not tell us an email address. Allow it there, or register with one here.".into()
            }
            Self::IdentityTaken => "This account is linked to another user here.".into(),
            Self::LastSignInMethod => {
                "Nothing would be left to sign in with. Set a password or link another account first.".into()
            }
            Self::TenantSuspended => "This tenant is suspended. Contact support.".into(),
            Self::SecondFactorRequired { .. } => {
                "Go on with the second factor: POST /api/v1/auth/mfa/verify or /api/v1/auth/mfa/passkey-options.".into()
            }
            Self::InvalidMfaToken => "This sign-in cannot go on. Begin again.".into(),
            Self::InvalidCode => "The code is wrong, or was used before.".into(),
            Self::InvalidPasskey => "The passkey could not be confirmed.".into(),
            Self::ChallengeExpired => "No options wait for this answer any more. Ask for new ones.".into(),
            Self::TotpEnabled => "There is an authenticator app already. Remove it first.".into(),
            Self::TotpNotPending => "No authenticator app waits to be confirmed. Begin again.".into(),
            Self::NoSecondFactor => "The account has no second factor.".into(),
            Self::NoPasskey => "The account has no passkey.".into(),
            Self::TooManyPasskeys => "The account has as many passkeys as it can have. Remove one first.".into(),
            Self::NotFound(what) => format!("There is no such {what}.").into(),
            Self::OwnAccount => "Another administrator has to do this to your account.".into(),
            Self::LastSuperAdmin => "This is the last super admin. Make another one first.".into(),
            Self::EmailTaken => "Another account has this address.".into(),
            Self::AccountNotActive => "The account is not in use.".into(),
            Self::RoleTooHigh => "The account has the same role on the platform as yours, or a higher one.".into(),
            Self::PreconditionFailed => "It was changed since you read it. Read it again.".into(),
            Self::Throttled { seconds } => {
                format!("Too many wrong attempts. Try again in {seconds} s, or ask for a link to set a new password.")
                    .into()
            }
            Self::Entitlement(error) => error.detail(),
            Self::Store(error) => error.detail(),
            Self::Overloaded => "Too many people are signing in right now. Try again shortly.".into(),
            Self::Internal(_) => "Something went wrong on our side.".into(),
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Throttled { seconds } => Some(*seconds),
            _ => None,
        }
    }

    fn fields(&self) -> &[FieldError] {
        match self {
            Self::Invalid(errors) | Self::WrongPassword(errors) => errors,
            _ => &[],
        }
    }

    fn members(&self) -> Vec<(&'static str, serde_json::Value)> {
        match self {
            Self::SecondFactorRequired { token, methods } => vec![
                ("mfaToken", secrecy::ExposeSecret::expose_secret(token).into()),
                ("methods", serde_json::json!(methods)),
            ],
            Self::Entitlement(error) => error.members(),
            _ => Vec::new(),
        }
    }
}
