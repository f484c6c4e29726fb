//! What is signed for programs, in the form of license files: `enc` is the content, `sig` an Ed25519 signature of a prefix followed by
//! `enc`, and `kid` names the key. The prefix says what it is, so that nothing that is signed can be taken for something else.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::ports::LicenseSigner;

/// How `enc` and `sig` are made.
pub(crate) const ALGORITHM: &str = "base64+ed25519";

/// Signed content. Members in alphabetical order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Envelope {
    /// Always `base64+ed25519`.
    #[cfg_attr(feature = "openapi", schema(example = "base64+ed25519"))]
    pub alg: String,
    /// The content: base64 (RFC 4648 section 4) of JSON without white space, its members in alphabetical order.
    #[cfg_attr(feature = "openapi", schema(example = "eyJjaGFubmVsIjoic3RhYmxlIiwi…"))]
    pub enc: String,
    /// Id of the key, see `GET /licenses/keys`.
    #[cfg_attr(feature = "openapi", schema(example = "3f1c9a0b5d7e2468"))]
    pub kid: String,
    /// Base64 of the Ed25519 signature (RFC 8032) of the prefix followed by `enc` as it stands there.
    #[cfg_attr(feature = "openapi", schema(example = "p2Vtb25zdHJhdGlvbg…"))]
    pub sig: String,
}

impl Envelope {
    /// Signs content with the current key. `prefix` is that of its kind, with a slash at its end.
    pub(crate) fn sign(signer: &dyn LicenseSigner, prefix: &str, content: &impl Serialize) -> Self {
        let enc = STANDARD.encode(json(content));
        let sig = STANDARD.encode(signer.sign(format!("{prefix}{enc}").as_bytes()));
        Self { alg: ALGORITHM.to_owned(), enc, kid: signer.current_id(), sig }
    }
}

/// Structs of texts and numbers can always be written.
pub(crate) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
