//! Access tokens (JWT, RFC 7519; profile of RFC 9068 as far as it fits) and refresh tokens.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use portico_identity::{
    IdentityError,
    email_change::EmailChangeId,
    ports::{AccessClaims, TokenIssuer},
    ticket::Ticket,
};
use portico_kernel::{SessionId, TenantId, Timestamp, UserId};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::keys::{KeyRing, Macs, Secrets};

const ISSUER: &str = "portico";
/// Media type of an access token (RFC 9068 section 2.1), which excludes other kinds of JWT.
const KIND: &str = "at+jwt";
/// Media type of a ticket.
const TICKET: &str = "ticket+jwt";
/// Maximum length of our tokens; longer ones are rejected without parsing.
const LONGEST_TOKEN: usize = 2048;

/// Tolerated clock difference of other instances, in seconds.
const LEEWAY: i64 = 60;

/// Session id, generation, MAC.
const REFRESH_TOKEN_BYTES: usize = 16 + 4 + 32;

/// Id of the change, MAC.
const EMAIL_CHANGE_TOKEN_BYTES: usize = 16 + 32;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    sid: SessionId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tid: Option<TenantId>,
    iat: i64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    nbf: Option<i64>,
    exp: i64,
}

#[derive(Serialize, Deserialize)]
struct TicketClaims {
    iss: String,
    sub: UserId,
    sid: SessionId,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    tid: Option<TenantId>,
    jti: String,
    /// SHA-256 of path and query, base64url.
    target: String,
    /// When the access ends that the ticket gives.
    until: i64,
    exp: i64,
}

/// Issues and verifies tokens with keys derived from the signing secret of the installation.
///
/// Access tokens are signed with HS256. A refresh token is base64url(session id ‖ generation ‖ HMAC-SHA256 of both): it
/// needs no row of its own, and cannot be made without the key.
pub struct JwtIssuer {
    encoding: EncodingKey,
    /// The current one, and earlier ones.
    decoding: Vec<DecodingKey>,
    header: Header,
    validation: Validation,
    refresh_macs: Macs,
    email_change_macs: Macs,
}

impl JwtIssuer {
    /// With keys derived from the signing secret of the installation.
    pub fn new(secrets: &Secrets) -> Self {
        let access_key = |ring: KeyRing| ring.derive("portico access token");
        let current = access_key(secrets.ring());
        let decoding = |key: &[u8]| DecodingKey::from_secret(key);
        let earlier = secrets.earlier_rings().map(|ring| decoding(access_key(ring).expose_secret()));
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some(KIND.into());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.set_issuer(&[ISSUER]);
        // Times are compared with the time given by the caller, not with the clock of the machine.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Self {
            encoding: EncodingKey::from_secret(current.expose_secret()),
            decoding: std::iter::once(decoding(current.expose_secret())).chain(earlier).collect(),
            header,
            validation,
            refresh_macs: secrets.macs("portico refresh token"),
            email_change_macs: secrets.macs("portico change of address"),
        }
    }
}

impl TokenIssuer for JwtIssuer {
    fn access_token(&self, claims: &AccessClaims, now: Timestamp) -> Result<String, IdentityError> {
        let claims = Claims {
            iss: ISSUER.into(),
            sub: claims.user,
            sid: claims.session,
            tid: claims.tenant,
            iat: now.unix_seconds(),
            nbf: None,
            exp: claims.expires_at.unix_seconds(),
        };
        encode(&self.header, &claims, &self.encoding)
            .map_err(|error| IdentityError::Internal(format!("signing a token: {error}")))
    }

    fn read_access_token(&self, token: &str, now: Timestamp) -> Option<AccessClaims> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        let mut keys = self.decoding.iter();
        let token = keys.find_map(|key| decode::<Claims>(token, key, &self.validation).ok())?;
        if token.header.typ.as_deref() != Some(KIND) || token.claims.exp <= now.unix_seconds() {
            return None;
        }
        // Issued by another instance, whose clock may be slightly ahead.
        let begins = token.claims.nbf.unwrap_or(token.claims.iat).max(token.claims.iat);
        if begins > now.unix_seconds().saturating_add(LEEWAY) {
            return None;
        }
        Some(AccessClaims {
            user: token.claims.sub,
            session: token.claims.sid,
            tenant: token.claims.tid,
            expires_at: Timestamp::from_unix_seconds(token.claims.exp)?,
        })
    }

    fn refresh_token(&self, session: SessionId, generation: i32) -> String {
        let mut bytes = [0; REFRESH_TOKEN_BYTES];
        let (body, tag) = bytes.split_at_mut(20);
        body[..16].copy_from_slice(session.uuid().as_bytes());
        body[16..].copy_from_slice(&generation.to_be_bytes());
        let mut mac = self.refresh_macs.current();
        mac.update(body);
        tag.copy_from_slice(&mac.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read_refresh_token(&self, token: &str) -> Option<(SessionId, i32)> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (body, tag) = bytes.split_at_checked(20)?;
        if !self.refresh_macs.verify(tag, |mac| mac.chain_update(body)) {
            return None;
        }
        let (session, generation) = body.split_at_checked(16)?;
        Some((
            SessionId::from_uuid(Uuid::from_slice(session).ok()?),
            i32::from_be_bytes(generation.try_into().ok()?),
        ))
    }

    fn email_change_token(&self, id: EmailChangeId) -> String {
        let mut bytes = [0; EMAIL_CHANGE_TOKEN_BYTES];
        let (body, tag) = bytes.split_at_mut(16);
        body.copy_from_slice(id.uuid().as_bytes());
        let mut mac = self.email_change_macs.current();
        mac.update(body);
        tag.copy_from_slice(&mac.finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read_email_change_token(&self, token: &str) -> Option<EmailChangeId> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (body, tag) = bytes.split_at_checked(16)?;
        if !self.email_change_macs.verify(tag, |mac| mac.chain_update(body)) {
            return None;
        }
        Some(EmailChangeId::from_uuid(Uuid::from_slice(body).ok()?))
    }

    fn ticket(&self, ticket: &Ticket) -> Result<String, IdentityError> {
        let claims = TicketClaims {
            iss: ISSUER.into(),
            sub: ticket.claims.user,
            sid: ticket.claims.session,
            tid: ticket.claims.tenant,
            jti: ticket.nonce.clone(),
            target: URL_SAFE_NO_PAD.encode(ticket.target),
            until: ticket.claims.expires_at.unix_seconds(),
            exp: ticket.expires_at.unix_seconds(),
        };
        let header = Header { typ: Some(TICKET.into()), ..self.header.clone() };
        encode(&header, &claims, &self.encoding)
            .map_err(|error| IdentityError::Internal(format!("signing a ticket: {error}")))
    }

    fn read_ticket(&self, text: &str, now: Timestamp) -> Option<Ticket> {
        if text.len() > LONGEST_TOKEN {
            return None;
        }
        let mut keys = self.decoding.iter();
        let read = keys.find_map(|key| decode::<TicketClaims>(text, key, &self.validation).ok())?;
        if read.header.typ.as_deref() != Some(TICKET) || read.claims.exp <= now.unix_seconds() {
            return None;
        }
        let TicketClaims { sub, sid, tid, jti, target, until, exp, .. } = read.claims;
        let expires_at = Timestamp::from_unix_seconds(until)?;
        Some(Ticket {
            claims: AccessClaims { user: sub, session: sid, tenant: tid, expires_at },
            target: URL_SAFE_NO_PAD.decode(target).ok()?.try_into().ok()?,
            nonce: jti,
            expires_at: Timestamp::from_unix_seconds(exp)?,
        })
    }

    fn digest(&self, secret: &str) -> [u8; 32] {
        Sha256::digest(secret.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::system_env;

    fn issuer(letter: &str) -> JwtIssuer {
        JwtIssuer::new(&letter.repeat(43).into())
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn claims() -> AccessClaims {
        let env = system_env();
        AccessClaims {
            user: env.new_id(),
            session: env.new_id(),
            tenant: Some(env.new_id()),
            expires_at: at(2000),
        }
    }

    /// A token with this header and these changes to the claims, signed with the right key.
    fn signed(header: Header, change: impl FnOnce(&mut Value)) -> String {
        let claims = claims();
        let mut value = json!({
            "iss": "portico", "sub": claims.user, "sid": claims.session, "iat": 1000, "exp": 2000
        });
        change(&mut value);
        encode(&header, &value, &issuer("a").encoding).unwrap()
    }

    fn header() -> Header {
        issuer("a").header
    }

    #[test]
    fn reads_what_it_wrote() {
        let (issuer, claims) = (issuer("a"), claims());
        let token = issuer.access_token(&claims, at(1000)).unwrap();
        assert_eq!(issuer.read_access_token(&token, at(1999)), Some(claims.clone()));
        let without = AccessClaims { tenant: None, ..claims };
        let token = issuer.access_token(&without, at(1000)).unwrap();
        assert_eq!(issuer.read_access_token(&token, at(1999)), Some(without));
    }

    #[test]
    fn a_ticket_is_read_until_it_expires_and_is_no_other_token() {
        let (issuer, other) = (issuer("a"), issuer("b"));
        let ticket =
            Ticket { claims: claims(), target: [7; 32], nonce: "nonce".to_owned(), expires_at: at(1060) };
        let text = issuer.ticket(&ticket).unwrap();
        assert_eq!(issuer.read_ticket(&text, at(1059)), Some(ticket.clone()));
        assert_eq!(issuer.read_ticket(&text, at(1060)), None, "expired");
        assert_eq!(other.read_ticket(&text, at(1000)), None, "another key");
        assert_eq!(issuer.read_access_token(&text, at(1000)), None, "a ticket is no access token");
        let access = issuer.access_token(&ticket.claims, at(1000)).unwrap();
        assert_eq!(issuer.read_ticket(&access, at(1000)), None, "an access token is no ticket");
        // Signed with the right key, but not as we sign.
        let forged = |header: Header, issuer_name: &str| {
            let claims = json!({
                "iss": issuer_name, "sub": ticket.claims.user, "sid": ticket.claims.session, "jti": "nonce",
                "target": URL_SAFE_NO_PAD.encode([7; 32]), "until": 2000, "exp": 1060
            });
            encode(&header, &claims, &issuer.encoding).unwrap()
        };
        let kind = |algorithm| Header { typ: Some(TICKET.into()), ..Header::new(algorithm) };
        assert!(issuer.read_ticket(&forged(kind(Algorithm::HS256), ISSUER), at(1000)).is_some());
        assert_eq!(issuer.read_ticket(&forged(kind(Algorithm::HS512), ISSUER), at(1000)), None);
        assert_eq!(issuer.read_ticket(&forged(kind(Algorithm::HS256), "another"), at(1000)), None);
        assert_eq!(issuer.read_ticket(&"x".repeat(LONGEST_TOKEN + 1), at(1000)), None);
    }

    #[test]
    fn a_token_ends_at_the_given_time_without_leeway() {
        let issuer = issuer("a");
        let token = issuer.access_token(&claims(), at(1000)).unwrap();
        assert_eq!(issuer.read_access_token(&token, at(2000)), None);
    }

    #[test]
    fn a_token_is_not_good_before_its_time() {
        let ours = issuer("a");
        let read = |name: &str, value: Value, now| {
            let token = signed(header(), |claims| claims[name] = value);
            ours.read_access_token(&token, at(now)).is_some()
        };
        for name in ["nbf", "iat"] {
            assert!(
                read(name, json!(1100), 1100) && read(name, json!(1100), 1040),
                "{name}: a clock may be ahead"
            );
            assert!(!read(name, json!(1100), 1039), "{name}");
            for odd in [json!(i64::MAX), json!("1000"), json!(1e300), json!([1000])] {
                assert!(!read(name, odd.clone(), 1000), "{name} {odd}");
            }
        }
        assert!(read("nbf", json!(i64::MIN), 1000));
    }

    #[test]
    fn the_token_of_a_change_of_address_is_the_same_each_time_and_good_for_nothing_else() {
        let (ours, id) = (issuer("a"), system_env().new_id());
        let token = ours.email_change_token(id);
        assert_eq!(token, issuer("a").email_change_token(id));
        assert_eq!(ours.read_email_change_token(&token), Some(id));
        assert_eq!(issuer("b").read_email_change_token(&token), None);
        assert_eq!(ours.read_refresh_token(&token), None);
        let session = SessionId::from_uuid(id.uuid());
        assert_eq!(ours.read_email_change_token(&ours.refresh_token(session, 1)), None);
        let bytes = URL_SAFE_NO_PAD.decode(&token).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(ours.read_email_change_token(&URL_SAFE_NO_PAD.encode(changed)), None, "byte {place}");
        }
        for cut in [&bytes[..16], &bytes[..47], &bytes[..0]] {
            assert_eq!(ours.read_email_change_token(&URL_SAFE_NO_PAD.encode(cut)), None);
        }
    }

    #[test]
    fn tokens_of_an_earlier_secret_are_read_until_it_is_left_out() {
        let (before, session, id) = (issuer("a"), claims().session, system_env().new_id());
        let (old, new) = ("a".repeat(43), "b".repeat(43));
        let access = before.access_token(&claims(), at(1000)).unwrap();
        let tokens = |issuer: &JwtIssuer| (issuer.refresh_token(session, 7), issuer.email_change_token(id));
        let read = |issuer: &JwtIssuer, (refresh, change): &(String, String)| {
            let access = issuer.read_access_token(&access, at(1000)).is_some();
            [
                access,
                issuer.read_refresh_token(refresh).is_some(),
                issuer.read_email_change_token(change).is_some(),
            ]
        };
        let rotated = JwtIssuer::new(&Secrets::new(new.clone().into(), [old.into()]));
        assert_eq!(read(&rotated, &tokens(&before)), [true; 3]);
        assert_ne!(tokens(&rotated), tokens(&before), "new ones are made with the current secret");
        assert_eq!(read(&JwtIssuer::new(&new.into()), &tokens(&before)), [false; 3]);
    }

    #[test]
    fn another_key_is_refused() {
        let token = issuer("b").access_token(&claims(), at(1000)).unwrap();
        assert_eq!(issuer("a").read_access_token(&token, at(1000)), None);
    }

    #[test]
    fn only_our_kind_of_token_is_read() {
        let issuer = issuer("a");
        assert!(issuer.read_access_token(&signed(header(), |_| {}), at(1000)).is_some());
        let plain = Header::new(Algorithm::HS256);
        assert_eq!(issuer.read_access_token(&signed(plain, |_| {}), at(1000)), None);
        let stronger = Header { alg: Algorithm::HS512, ..header() };
        assert_eq!(issuer.read_access_token(&signed(stronger, |_| {}), at(1000)), None);
    }

    #[test]
    fn every_claim_is_needed() {
        let issuer = issuer("a");
        for name in ["iss", "sub", "sid", "iat", "exp"] {
            let token = signed(header(), |claims| {
                claims.as_object_mut().unwrap().remove(name);
            });
            assert_eq!(issuer.read_access_token(&token, at(1000)), None, "{name}");
        }
        let foreign = signed(header(), |claims| claims["iss"] = "somebody".into());
        assert_eq!(issuer.read_access_token(&foreign, at(1000)), None);
    }

    #[test]
    fn an_unsigned_token_is_refused() {
        let token = issuer("a").access_token(&claims(), at(1000)).unwrap();
        let body = token.split('.').nth(1).unwrap();
        for algorithm in ["none", "None", "NONE"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"typ": "at+jwt", "alg": algorithm}).to_string());
            for unsigned in [format!("{header}.{body}."), format!("{header}.{body}")] {
                assert_eq!(issuer("a").read_access_token(&unsigned, at(1000)), None);
            }
        }
    }

    #[test]
    fn a_refresh_token_is_no_access_token_and_the_reverse() {
        let (issuer, claims) = (issuer("a"), claims());
        let access = issuer.access_token(&claims, at(1000)).unwrap();
        let refresh = issuer.refresh_token(claims.session, 1);
        assert_eq!(issuer.read_refresh_token(&access), None);
        assert_eq!(issuer.read_access_token(&refresh, at(1000)), None);
    }

    #[test]
    fn a_refresh_token_is_the_same_each_time_and_of_one_key() {
        let session = claims().session;
        let token = issuer("a").refresh_token(session, 7);
        assert_eq!(issuer("a").refresh_token(session, 7), token);
        assert_eq!(issuer("a").read_refresh_token(&token), Some((session, 7)));
        assert_eq!(issuer("b").read_refresh_token(&token), None);
        assert_ne!(issuer("a").refresh_token(session, 8), token);
    }

    #[test]
    fn a_refresh_token_with_any_bit_changed_is_refused() {
        let issuer = issuer("a");
        let bytes = URL_SAFE_NO_PAD.decode(issuer.refresh_token(claims().session, 1)).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(issuer.read_refresh_token(&URL_SAFE_NO_PAD.encode(changed)), None, "bit {bit}");
        }
        for length in 0..bytes.len() {
            assert_eq!(issuer.read_refresh_token(&URL_SAFE_NO_PAD.encode(&bytes[..length])), None);
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        // FIPS 180-4, example of the empty message.
        assert_eq!(issuer("a").digest("")[..4], [0xe3, 0xb0, 0xc4, 0x42]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn garbage_is_refused_quietly(token in ".{0,300}", dotted in "[A-Za-z0-9_-]{0,80}(\\.[A-Za-z0-9_-]{0,80}){0,4}") {
            let issuer = issuer("a");
            for token in [token, dotted] {
                prop_assert_eq!(issuer.read_access_token(&token, at(0)), None);
                prop_assert_eq!(issuer.read_refresh_token(&token), None);
            }
        }

        #[test]
        fn an_access_token_cut_or_changed_anywhere_is_refused(position in 0usize..1000, letter in "[A-Za-z0-9._-]") {
            let issuer = issuer("a");
            let token = issuer.access_token(&claims(), at(1000)).unwrap();
            let position = position % token.len();
            prop_assert_eq!(issuer.read_access_token(&token[..position], at(1000)), None);
            let mut changed = token.clone();
            changed.replace_range(position..=position, &letter);
            // The last character of a part may contain unused bits; a strict decoder rejects those.
            if changed != token {
                prop_assert_eq!(issuer.read_access_token(&changed, at(1000)), None);
            }
        }
    }
}
