//! The ceremonies of WebAuthn, on webauthn-rs.
//!
//! Every assertion is begun as a discoverable one, with the acceptable passkeys added to its options: so an answer is
//! always verified against the currently stored key with its counter, and never against a copy in the challenge.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use portico_identity::{
    IdentityError,
    passkey::{Assertion, Ceremony, NewPasskey, Passkey, PasskeyRefusal},
    ports::PasskeyCeremonies,
    user::User,
};
use portico_kernel::UserId;
use serde::Serialize;
use serde_json::{Value, json};
use webauthn_rs::{
    Webauthn, WebauthnBuilder,
    prelude::{
        DiscoverableAuthentication, DiscoverableKey, Passkey as Key, PasskeyRegistration,
        PublicKeyCredential, RegisterPublicKeyCredential, Url, WebauthnError,
    },
};

/// Name of the relying party in authenticators.
const NAME: &str = "Portico";

/// One relying party.
pub struct WebauthnCeremonies(Webauthn);

impl WebauthnCeremonies {
    /// For the domain `rp_id` and front ends at `origins`, each of which must be at that domain or below it. Errors: what
    /// is invalid in the settings.
    pub fn new(rp_id: &str, origins: &[Url]) -> Result<Self, String> {
        let [first, others @ ..] = origins else { return Err("there is no origin".into()) };
        let mut builder = WebauthnBuilder::new(rp_id, first)
            .map_err(|_| format!("{first} is not at {rp_id} or below it"))?
            .rp_name(NAME);
        for origin in others {
            WebauthnBuilder::new(rp_id, origin)
                .map_err(|_| format!("{origin} is not at {rp_id} or below it"))?;
            builder = builder.append_allowed_origin(origin);
        }
        builder.build().map(Self).map_err(|error| error.to_string())
    }
}

fn internal(error: impl std::fmt::Display) -> IdentityError {
    IdentityError::Internal(format!("passkeys: {error}"))
}

fn text(value: &impl Serialize) -> Result<String, IdentityError> {
    serde_json::to_string(value).map_err(internal)
}

impl PasskeyCeremonies for WebauthnCeremonies {
    fn begin_registration(&self, user: &User, known: &[Passkey]) -> Result<Ceremony, IdentityError> {
        let known = known.iter().map(|passkey| passkey.credential_id.clone()).collect();
        let (challenge, state) = self
            .0
            .start_passkey_registration(user.id.uuid(), user.email.as_str(), &user.full_name, Some(known))
            .map_err(internal)?;
        let mut options = serde_json::to_value(challenge).map_err(internal)?;
        // The library discourages discoverable credentials. Without, a passkey is a second factor, but cannot sign in
        // without a password.
        if let Some(selection) = options.pointer_mut("/publicKey/authenticatorSelection") {
            selection["residentKey"] = json!("preferred");
        }
        Ok(Ceremony { options, state: text(&state)? })
    }

    fn finish_registration(&self, state: &str, credential: &Value) -> Option<NewPasskey> {
        let state: PasskeyRegistration = serde_json::from_str(state).ok()?;
        let credential: RegisterPublicKeyCredential = serde_json::from_value(credential.clone()).ok()?;
        let key = self.0.finish_passkey_registration(&credential, &state).ok()?;
        let credential_id = key.cred_id().to_vec();
        Some(NewPasskey { credential_id, data: serde_json::to_string(&key).ok()? })
    }

    fn begin_assertion(&self, allowed: &[Passkey]) -> Result<Ceremony, IdentityError> {
        let (challenge, state) = self.0.start_discoverable_authentication().map_err(internal)?;
        let mut options = serde_json::to_value(challenge).map_err(internal)?;
        if !allowed.is_empty() {
            let ids = allowed.iter().map(
                |passkey| json!({"type": "public-key", "id": URL_SAFE_NO_PAD.encode(&passkey.credential_id)}),
            );
            options["publicKey"]["allowCredentials"] = ids.collect();
        }
        // Whether to offer it in an input field is up to the front end.
        if let Some(options) = options.as_object_mut() {
            options.remove("mediation");
        }
        Ok(Ceremony { options, state: text(&state)? })
    }

    fn read_assertion(&self, credential: &Value) -> Option<Assertion> {
        let credential: PublicKeyCredential = serde_json::from_value(credential.clone()).ok()?;
        let user = match credential.get_user_unique_id() {
            Some(handle) => Some(UserId::from_uuid(uuid::Uuid::from_slice(handle).ok()?)),
            None => None,
        };
        Some(Assertion { credential_id: credential.get_credential_id().to_vec(), user })
    }

    fn finish_assertion(
        &self,
        state: &str,
        credential: &Value,
        passkey: &Passkey,
    ) -> Result<String, PasskeyRefusal> {
        let wrong = |_| PasskeyRefusal::Wrong;
        let state: DiscoverableAuthentication = serde_json::from_str(state).map_err(wrong)?;
        let credential: PublicKeyCredential = serde_json::from_value(credential.clone()).map_err(wrong)?;
        let mut key: Key = serde_json::from_str(&passkey.data).map_err(wrong)?;
        let result = self
            .0
            .finish_discoverable_authentication_v2(&credential, state, DiscoverableKey::from(&key))
            .map_err(|error| match error {
                WebauthnError::CredentialPossibleCompromise => PasskeyRefusal::Cloned,
                _ => PasskeyRefusal::Wrong,
            })?;
        // Required in the options; verified again, because both factors depend on it.
        if !result.user_verified() {
            return Err(PasskeyRefusal::Wrong);
        }
        key.update_credential(&result);
        serde_json::to_string(&key).map_err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_must_belong_to_the_relying_party() {
        let new = |rp_id: &str, origins: &[&str]| {
            let origins: Vec<Url> = origins.iter().map(|origin| origin.parse().unwrap()).collect();
            WebauthnCeremonies::new(rp_id, &origins).is_ok()
        };
        assert!(new("example.com", &["https://portal.example.com", "https://example.com"]));
        assert!(new("localhost", &["http://localhost:7600"]));
        assert!(!new("example.com", &["https://badexample.com"]));
        assert!(!new("example.com", &["https://example.com", "https://example.org"]));
        assert!(!new("127.0.0.1", &["http://127.0.0.1:7600"]));
        assert!(!new("example.com", &[]));
    }
}
