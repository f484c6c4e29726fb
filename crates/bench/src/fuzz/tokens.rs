//! Tokens, keys and signed links: of all inputs, only what was issued is accepted.

use std::sync::{Arc, LazyLock};

use portico_identity::{
    api_key::{KeyText, Mode},
    ports::{AccessClaims, Marks, TokenIssuer},
    verification::VerifyEmail,
};
use portico_kernel::{Clock, Env, Id, Random, Timestamp, UserId, signing::LinkSigner};
use portico_security::{JwtIssuer, MacLinkSigner, MacMarks};
use secrecy::ExposeSecret;
use time::Duration;
use uuid::Uuid;

/// The time at which everything is read.
const NOW: i64 = 1_800_000_000;

/// What the signed link is for.
const PURPOSE: &str = "asset";
const PAYLOAD: &str = "tenant/site/asset";

/// Everything that was issued, and what reads it.
struct Issued {
    issuer: JwtIssuer,
    marks: MacMarks,
    signer: MacLinkSigner,
    now: Timestamp,
    claims: AccessClaims,
    access: String,
    expired: String,
    refresh: String,
    change: String,
    mark: String,
    key: KeyText,
    full_key: String,
    one_time: String,
    link: String,
}

static ISSUED: LazyLock<Issued> = LazyLock::new(|| {
    struct Still;
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_seconds(NOW).unwrap_or_else(|| time::OffsetDateTime::UNIX_EPOCH.into())
        }
    }
    impl Random for Still {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.iter_mut().enumerate().for_each(|(place, byte)| *byte = (place * 37 + 11) as u8);
        }
    }
    let env = Env::new(Arc::new(Still), Arc::new(Still));
    let secret = "fuzz".repeat(11).into();
    let (issuer, marks, signer) =
        (JwtIssuer::new(&secret), MacMarks::new(&secret), MacLinkSigner::new(&secret));
    let (now, id) = (env.now(), Uuid::from_u128(7));
    let claims = AccessClaims {
        user: UserId::from_uuid(id),
        session: Id::from_uuid(id),
        tenant: Some(Id::from_uuid(id)),
        expires_at: now + Duration::minutes(15),
    };
    let old = AccessClaims { expires_at: now, ..claims.clone() };
    let key = KeyText::new(Mode::Live, &env);
    Issued {
        access: issuer.access_token(&claims, now).unwrap_or_default(),
        expired: issuer.access_token(&old, now - Duration::minutes(15)).unwrap_or_default(),
        refresh: issuer.refresh_token(claims.session, 3),
        change: issuer.email_change_token(Id::from_uuid(id)),
        mark: marks.device_mark(id),
        full_key: key.full().expose_secret().to_owned(),
        one_time: env.secret(),
        link: signer.sign(PURPOSE, PAYLOAD, now + Duration::hours(1)),
        issuer,
        marks,
        signer,
        now,
        claims,
        key,
    }
});

/// What was issued, variations of it, and tokens of other issuers.
pub fn corpus() -> &'static [&'static str] {
    static CORPUS: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
        let issued = &*ISSUED;
        let none = |header: &str| {
            let body = issued.access.split('.').nth(1).unwrap_or_default();
            format!("{header}.{body}.")
        };
        let (head, signature) = issued.access.rsplit_once('.').unwrap_or_default();
        let (old_head, _) = issued.expired.rsplit_once('.').unwrap_or_default();
        let made = [
            issued.access.clone(),
            issued.expired.clone(),
            issued.refresh.clone(),
            issued.change.clone(),
            issued.mark.clone(),
            issued.full_key.clone(),
            issued.one_time.clone(),
            issued.link.clone(),
            issued.key.prefix().to_owned(),
            issued.key.secret().to_owned(),
            // {"typ":"at+jwt","alg":"none"}
            none("eyJ0eXAiOiJhdCtqd3QiLCJhbGciOiJub25lIn0"),
            format!("{old_head}.{signature}"),
            format!("{head}.{}", issued.link),
            format!("{head}="),
        ];
        let fixed = [
            "sn_live_", "sn_test_", "Bearer ", "eyJ", ".", "..", "...", "=", "==", "-", "_", "+", "/", "%2e",
            "A", " ", "\0", PAYLOAD,
        ];
        made.into_iter().map(|text| &*text.leak()).chain(fixed).collect()
    });
    &CORPUS
}

/// Reads an input as each kind of token. Returns whether it is one that was issued; `Err` when another one was accepted.
pub fn check(input: &str) -> Result<bool, String> {
    let issued = &*ISSUED;
    let (issuer, now) = (&issued.issuer, issued.now);
    let mut accepted = false;
    let mut judge = |kind: &str, is_accepted: bool, genuine: &str| match (is_accepted, input == genuine) {
        (true, false) => Err(format!("accepted as {kind}")),
        (false, true) => Err(format!("refused, although it was issued as {kind}")),
        (both, _) => {
            accepted |= both;
            Ok(())
        }
    };
    let access = issuer.read_access_token(input, now);
    if access.as_ref().is_some_and(|claims| *claims != issued.claims) {
        return Err(format!("read as {access:?}"));
    }
    judge("an access token", access.is_some(), &issued.access)?;
    judge("a refresh token", issuer.read_refresh_token(input).is_some(), &issued.refresh)?;
    judge("a change of address", issuer.read_email_change_token(input).is_some(), &issued.change)?;
    judge("a device mark", issued.marks.read_device_mark(input).is_some(), &issued.mark)?;
    // A key and the token of a mail link are looked up by what parsing leaves of them.
    let key = KeyText::parse(input);
    if key.as_ref().is_some_and(|key| key.full().expose_secret() != input) {
        return Err("read as another key".to_owned());
    }
    let is_key = key.is_some_and(|key| {
        key.prefix() == issued.key.prefix()
            && issuer.digest(key.secret()) == issuer.digest(issued.key.secret())
    });
    judge("an API key", is_key, &issued.full_key)?;
    let token = VerifyEmail { token: input.to_owned() }.validate();
    let is_one_time = token.is_ok_and(|token| issuer.digest(&token) == issuer.digest(&issued.one_time));
    judge("a link of a mail", is_one_time && input.trim() == input, &issued.one_time)?;
    let until = now + Duration::hours(1);
    let signed =
        |purpose, payload, until, signature| issued.signer.verify(purpose, payload, until, signature, now);
    judge("a signature", signed(PURPOSE, PAYLOAD, until, input), &issued.link)?;
    judge("what a link may do", signed(PURPOSE, input, until, &issued.link), PAYLOAD)?;
    judge("the purpose of a link", signed(input, PAYLOAD, until, &issued.link), PURPOSE)?;
    if signed(PURPOSE, PAYLOAD, until + Duration::seconds(input.len() as i64 + 1), &issued.link) {
        return Err("accepted for longer than it was signed".to_owned());
    }
    Ok(accepted)
}
