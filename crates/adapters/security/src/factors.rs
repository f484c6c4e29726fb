//! The cryptography of second factors: codes of authenticator apps (RFC 6238), their secrets at rest (AES-256-GCM), keyed
//! hashes, and the tokens of sign-ins that wait for a second factor.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use portico_identity::{
    IdentityError, pending_sign_in::PendingSignInId, ports::FactorSecrets, totp::TotpEnrolment, user::User,
};
use portico_kernel::{Timestamp, UserId};
use secrecy::ExposeSecret;
use sha2::Sha256;
use totp_rs::{Builder, Totp};
use uuid::Uuid;

use crate::keys::{KeyRing, Macs, Secrets};

/// The name that apps show above the code.
const ISSUER: &str = "Portico";
/// Number of steps before and after the current one whose codes are accepted, because clocks differ (RFC 6238 section 5.2).
const SKEW: u16 = 1;
/// Id and MAC.
const TOKEN_BYTES: usize = 16 + 32;

/// With keys derived from the secrets of the installation: what is stored goes by the sealing secret, tokens by the signing one.
pub struct FactorKeys {
    seal: LessSafeKey,
    /// Of earlier sealing secrets; they only open.
    earlier: Vec<LessSafeKey>,
    digest: Macs,
    token: Macs,
}

impl FactorKeys {
    /// With keys derived from the sealing and the signing secret of the installation. Errors: [`IdentityError::Internal`].
    pub fn new(sealing: &Secrets, signing: &Secrets) -> Result<Self, IdentityError> {
        let key = |ring: KeyRing| {
            UnboundKey::new(&AES_256_GCM, ring.derive("portico authenticator app").expose_secret())
                .map(LessSafeKey::new)
                .map_err(|_| IdentityError::Internal("the key for sealing".into()))
        };
        Ok(Self {
            seal: key(sealing.ring())?,
            earlier: sealing.earlier_rings().map(key).collect::<Result<_, _>>()?,
            digest: sealing.macs("portico factor digest"),
            token: signing.macs("portico second factor token"),
        })
    }

    fn open(&self, user: UserId, sealed: &[u8]) -> Result<Vec<u8>, IdentityError> {
        let mut keys = std::iter::once(&self.seal).chain(&self.earlier);
        keys.find_map(|key| open(key, user, sealed)).ok_or_else(|| {
            let why = "a sealed secret does not open: has security.sealing_secret changed?";
            IdentityError::Internal(why.into())
        })
    }
}

fn open(key: &LessSafeKey, user: UserId, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut body = body.to_vec();
    let secret = key.open_in_place(nonce, Aad::from(user.uuid().as_bytes()), &mut body).ok()?;
    Some(secret.to_vec())
}

/// The length separates purpose and value unambiguously.
fn over(digest: Hmac<Sha256>, purpose: &str, value: &[u8]) -> Hmac<Sha256> {
    digest.chain_update((purpose.len() as u64).to_be_bytes()).chain_update(purpose).chain_update(value)
}

fn app(secret: &[u8], account: &str) -> Result<Totp, IdentityError> {
    // SHA-1, six digits and thirty seconds are the defaults, which every app supports.
    Builder::new()
        .with_secret(secret)
        .with_skew(SKEW)
        .with_issuer(Some(ISSUER))
        .with_account_name(account)
        .build()
        .map_err(|error| IdentityError::Internal(format!("authenticator app: {error}")))
}

impl FactorSecrets for FactorKeys {
    fn enrolment(&self, user: &User, secret: &[u8]) -> Result<TotpEnrolment, IdentityError> {
        // A colon separates issuer and account; an address with one in quotes is shown with a space.
        let app = app(secret, &user.email.as_str().replace(':', " "))?;
        let otpauth_uri =
            app.to_url().map_err(|error| IdentityError::Internal(format!("otpauth address: {error}")))?;
        Ok(TotpEnrolment { secret: app.secret().to_base32(), otpauth_uri })
    }

    fn seal(&self, user: UserId, secret: &[u8], nonce: [u8; 12]) -> Result<Vec<u8>, IdentityError> {
        let mut body = secret.to_vec();
        self.seal
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(user.uuid().as_bytes()),
                &mut body,
            )
            .map_err(|_| IdentityError::Internal("sealing a secret".into()))?;
        Ok([nonce.as_slice(), &body].concat())
    }

    fn matching_step(
        &self,
        user: UserId,
        sealed: &[u8],
        code: &str,
        now: Timestamp,
    ) -> Result<Option<i64>, IdentityError> {
        let app = app(&self.open(user, sealed)?, "")?;
        let step = app.check(code, now.unix_seconds().max(0) as u64);
        Ok(step.and_then(|step| i64::try_from(step).ok()))
    }

    fn reseal(&self, user: UserId, sealed: &[u8], nonce: [u8; 12]) -> Result<Option<Vec<u8>>, IdentityError> {
        if open(&self.seal, user, sealed).is_some() {
            return Ok(None);
        }
        self.seal(user, &self.open(user, sealed)?, nonce).map(Some)
    }

    fn digest(&self, purpose: &str, value: &[u8]) -> [u8; 32] {
        over(self.digest.current(), purpose, value).finalize().into_bytes().into()
    }

    fn digests(&self, purpose: &str, value: &[u8]) -> Vec<[u8; 32]> {
        self.digest.all(|key| over(key, purpose, value))
    }

    fn pending_token(&self, id: PendingSignInId) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        let (body, tag) = bytes.split_at_mut(16);
        body.copy_from_slice(id.uuid().as_bytes());
        let mut token = self.token.current();
        token.update(body);
        tag.copy_from_slice(&token.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read_pending_token(&self, token: &str) -> Option<PendingSignInId> {
        let bytes = URL_SAFE_NO_PAD.decode(token.get(..token.len().min(200))?).ok()?;
        let (body, tag) = bytes.split_at_checked(16)?;
        if !self.token.verify(tag, |mac| mac.chain_update(body)) {
            return None;
        }
        Some(PendingSignInId::from_uuid(Uuid::from_slice(body).ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system_env;

    fn keys(letter: &str) -> FactorKeys {
        let secrets = letter.repeat(43).into();
        FactorKeys::new(&secrets, &secrets).unwrap()
    }

    #[test]
    fn what_earlier_secrets_made_is_good_until_they_are_left_out() {
        let secret = |letter: &str| secrecy::SecretString::from(letter.repeat(43));
        let (before, user) = (keys("a"), system_env().new_id());
        let sealed = before.seal(user, b"12345678901234567890", [7; 12]).unwrap();
        let token = before.pending_token(system_env().new_id());
        let secrets = Secrets::new(secret("b"), [secret("a")]);
        let rotated = FactorKeys::new(&secrets, &secrets).unwrap();
        assert_eq!(rotated.open(user, &sealed).unwrap(), b"12345678901234567890");
        assert!(rotated.read_pending_token(&token).is_some());
        let known = rotated.digests("code", b"1");
        assert_eq!(known, [rotated.digest("code", b"1"), before.digest("code", b"1")]);
        let anew = rotated.reseal(user, &sealed, [8; 12]).unwrap().unwrap();
        assert_eq!(rotated.reseal(user, &anew, [9; 12]).unwrap(), None);
        let without = keys("b");
        assert_eq!(without.open(user, &anew).unwrap(), b"12345678901234567890");
        assert!(without.open(user, &sealed).is_err() && without.reseal(user, &sealed, [9; 12]).is_err());
        assert!(without.read_pending_token(&token).is_none());
        let signing_only = FactorKeys::new(&"a".repeat(43).into(), &"c".repeat(43).into()).unwrap();
        assert!(signing_only.open(user, &sealed).is_ok(), "another signing secret opens what is stored");
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    /// RFC 6238, appendix B, rows for SHA-1; the last six of its eight digits.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        let (keys, user) = (keys("a"), system_env().new_id());
        let sealed = keys.seal(user, b"12345678901234567890", [7; 12]).unwrap();
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(keys.matching_step(user, &sealed, code, at(time)).unwrap(), Some(time / 30), "{time}");
        }
    }

    #[test]
    fn clocks_may_be_one_step_off_and_no_more() {
        let (keys, user) = (keys("a"), system_env().new_id());
        let sealed = keys.seal(user, b"12345678901234567890", [7; 12]).unwrap();
        let now = 1_111_111_109;
        for (offset, expected) in [(-2, None), (-1, Some(1)), (0, Some(0)), (1, Some(-1)), (2, None)] {
            let found = keys.matching_step(user, &sealed, "081804", at(now + 30 * offset)).unwrap();
            let wanted = expected.map(|steps| (now + 30 * (offset + steps)) / 30);
            assert_eq!(found, wanted, "{offset} steps off");
        }
        for code in ["", "81804", "0818040", "08180a", "+81804", "081804 "] {
            assert_eq!(keys.matching_step(user, &sealed, code, at(now)).unwrap(), None, "{code:?}");
        }
    }

    #[test]
    fn a_sealed_secret_opens_for_its_user_and_its_key_only() {
        let (user, other) = (system_env().new_id(), system_env().new_id());
        let sealed = keys("a").seal(user, b"12345678901234567890", [7; 12]).unwrap();
        assert!(!sealed.windows(20).any(|part| part == b"12345678901234567890"));
        assert_eq!(keys("a").open(user, &sealed).unwrap(), b"12345678901234567890");
        assert!(keys("a").open(other, &sealed).is_err());
        assert!(keys("b").open(user, &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut changed = sealed.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(keys("a").open(user, &changed).is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(keys("a").open(user, &sealed[..length]).is_err());
        }
    }

    #[test]
    fn an_app_is_told_the_secret_the_account_and_us() {
        let env = system_env();
        let mut user = user(env.new_id());
        let enrolment = keys("a").enrolment(&user, b"12345678901234567890").unwrap();
        assert_eq!(enrolment.secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert!(
            enrolment.otpauth_uri.starts_with("otpauth://totp/Portico:ada%40example"),
            "{}",
            enrolment.otpauth_uri
        );
        assert!(enrolment.otpauth_uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"));
        assert!(enrolment.otpauth_uri.contains("issuer=Portico"));
        user.email = portico_identity::user::EmailAddress::trusted("\"a:b\"@example.com".into());
        keys("a").enrolment(&user, b"12345678901234567890").unwrap();
    }

    fn user(id: UserId) -> User {
        let now = system_env().now();
        User {
            id,
            email: portico_identity::user::EmailAddress::trusted("ada@example.com".into()),
            email_verified: true,
            full_name: "Ada".into(),
            phone: None,
            mobile: None,
            company: None,
            language: "en".into(),
            address: None,
            notes: None,
            avatar_url: None,
            role: Default::default(),
            staff_areas: None,
            status: Default::default(),
            last_login_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        }
    }

    #[test]
    fn a_token_is_read_by_its_own_installation_and_with_no_bit_changed() {
        let id = system_env().new_id();
        let token = keys("a").pending_token(id);
        assert_eq!(keys("a").read_pending_token(&token), Some(id));
        assert_eq!(keys("b").read_pending_token(&token), None);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(keys("a").read_pending_token(&URL_SAFE_NO_PAD.encode(changed)), None, "bit {bit}");
        }
        for garbage in ["", "x", "ñandú", &"a".repeat(10_000), &format!("{}ñ", "a".repeat(199))] {
            assert_eq!(keys("a").read_pending_token(garbage), None);
        }
    }

    #[test]
    fn digests_differ_by_purpose_value_and_installation() {
        let digest = keys("a").digest("one", b"value");
        assert_eq!(digest, keys("a").digest("one", b"value"));
        for other in [
            keys("a").digest("two", b"value"),
            keys("a").digest("one", b"other"),
            keys("a").digest("onev", b"alue"),
            keys("b").digest("one", b"value"),
        ] {
            assert_ne!(digest, other);
        }
    }
}
