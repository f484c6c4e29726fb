//! Input about passkeys.

use portico_kernel::Violations;
use serde::Deserialize;
use serde_json::Value;

use crate::{IdentityError, session::RefreshTokenIn};

/// Adds a passkey.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "Laptop", "credential": {"id": "dGhl…", "rawId": "dGhl…", "type": "public-key", "response": {"clientDataJSON": "eyJ0…", "attestationObject": "o2Nm…"}}})))]
pub struct AddPasskey {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 100))]
    pub name: String,
    /// Result of `navigator.credentials.create`, as JSON (`toJSON()`).
    #[cfg_attr(feature = "openapi", schema(required, value_type = Object))]
    pub credential: Value,
}

/// Renames a passkey.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"name": "Old laptop"})))]
pub struct RenamePasskey {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 100))]
    pub name: String,
}

/// Signs in with a passkey.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"challengeToken": "AZOt…", "credential": {"id": "dGhl…", "rawId": "dGhl…", "type": "public-key", "response": {"clientDataJSON": "eyJ0…", "authenticatorData": "SZYN…", "signature": "MEUC…", "userHandle": "AZOt…"}}})))]
pub struct PasskeySignIn {
    /// The `challengeToken` that came with the options.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 200))]
    pub challenge_token: String,
    /// Result of `navigator.credentials.get`, as JSON (`toJSON()`).
    #[cfg_attr(feature = "openapi", schema(required, value_type = Object))]
    pub credential: Value,
    /// Where the refresh token goes: `token` (the default) or `cookie`.
    pub session: Option<RefreshTokenIn>,
}

/// Requests the options of the second step of a sign-in.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"mfaToken": "AZOt…"})))]
pub struct MfaToken {
    /// The `mfaToken` of the first step's answer.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 200))]
    pub mfa_token: String,
}

/// The second step of a sign-in, with a passkey.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(example = json!({"mfaToken": "AZOt…", "credential": {"id": "dGhl…", "rawId": "dGhl…", "type": "public-key", "response": {"clientDataJSON": "eyJ0…", "authenticatorData": "SZYN…", "signature": "MEUC…", "userHandle": "AZOt…"}}})))]
pub struct VerifyPasskey {
    /// The `mfaToken` of the first step's answer.
    #[cfg_attr(feature = "openapi", schema(required, min_length = 1, max_length = 200))]
    pub mfa_token: String,
    /// Result of `navigator.credentials.get`, as JSON (`toJSON()`).
    #[cfg_attr(feature = "openapi", schema(required, value_type = Object))]
    pub credential: Value,
    /// Where the refresh token goes: `token` (the default) or `cookie`.
    pub session: Option<RefreshTokenIn>,
}

fn check_name(violations: &mut Violations, name: &str) {
    violations.name("name", name, 1, 100);
}

fn check_credential(violations: &mut Violations, credential: &Value) {
    violations.check(!credential.is_null(), "credential", "required", "This field is required.");
}

impl AddPasskey {
    /// Checks the form only. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<Self, IdentityError> {
        let mut violations = Violations::default();
        check_name(&mut violations, &self.name);
        check_credential(&mut violations, &self.credential);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(Self { name: self.name.trim().to_owned(), ..self })
    }
}

impl RenamePasskey {
    /// The name. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<String, IdentityError> {
        let mut violations = Violations::default();
        check_name(&mut violations, &self.name);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self.name.trim().to_owned())
    }
}

impl PasskeySignIn {
    /// Checks the form only. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<Self, IdentityError> {
        let mut violations = Violations::default();
        violations.text("challengeToken", &self.challenge_token, 1, 200);
        check_credential(&mut violations, &self.credential);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self)
    }
}

impl MfaToken {
    /// The token. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<String, IdentityError> {
        let mut violations = Violations::default();
        violations.text("mfaToken", &self.mfa_token, 1, 200);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self.mfa_token)
    }
}

impl VerifyPasskey {
    /// Checks the form only. Errors: [`IdentityError::Invalid`].
    pub fn validate(self) -> Result<Self, IdentityError> {
        let mut violations = Violations::default();
        violations.text("mfaToken", &self.mfa_token, 1, 200);
        check_credential(&mut violations, &self.credential);
        violations.into_result().map_err(IdentityError::Invalid)?;
        Ok(self)
    }
}
