//! Webhooks of the provider, which Svix sends: the signature, and what an event is about.
//!
//! The signature is HMAC-SHA256 over `{svix-id}.{svix-timestamp}.{body}`, keyed by the part of a secret behind `whsec_`, decoded from
//! base64. The header `svix-signature` holds several, divided by spaces, each behind its version (`v1,`).

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use hmac::{Hmac, KeyInit, Mac};
use portico_billing::payment::{InboundEvent, InboundSubject, SignatureError};
use portico_kernel::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;

use crate::objects::is_id;

/// How secrets begin.
const PREFIX: &str = "whsec_";

/// Seconds between the time of a signature and now.
const TOLERANCE: u64 = 300;

/// The most characters of the id and of the kind of an event.
const NAME: usize = 200;

/// Groups of events about the attempt to pay a checkout: one for all means of payment, and beside it an older one for each of them. A
/// payment is told of by one of each.
const INTENTS: [&str; 6] =
    ["intent", "payment_intent", "bank_transfer_intent", "crypto_intent", "balance_intent", "cash_intent"];

/// The event about money that was given back, by the API or in the panel.
const REFUND: &str = "refund.create";

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret that is not `whsec_` and base64. Does not say what it is instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret of Recurrente is whsec_ and base64")]
pub struct InvalidSecret;

/// The secrets that webhooks are signed with: several while one is replaced. Without one, no webhook is believed.
#[derive(Clone, Default)]
pub struct WebhookSecrets(Vec<Hmac<Sha256>>);

impl WebhookSecrets {
    /// Of texts as the provider shows them.
    ///
    /// # Errors
    /// For one that is not well formed, also for an empty one: everybody knows it.
    pub fn new(secrets: &[SecretString]) -> Result<Self, InvalidSecret> {
        let keyed = secrets.iter().map(|secret| {
            let text = secret.expose_secret().trim().strip_prefix(PREFIX).ok_or(InvalidSecret)?;
            let key = BASE64.decode(text).map_err(|_| InvalidSecret)?;
            if key.is_empty() {
                return Err(InvalidSecret);
            }
            Hmac::new_from_slice(&key).map_err(|_| InvalidSecret)
        });
        Ok(Self(keyed.collect::<Result<_, _>>()?))
    }

    /// The headers of a webhook, signed with the first secret: how the stand-in sends its own.
    pub fn sign(&self, id: &str, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
        let time = now.unix_seconds().to_string();
        let signatures = self.0.iter().take(1).map(|keyed| {
            format!("v1,{}", BASE64.encode(signed(keyed, id, &time, body).finalize().into_bytes()))
        });
        vec![
            ("svix-id".to_owned(), id.to_owned()),
            ("svix-timestamp".to_owned(), time.clone()),
            ("svix-signature".to_owned(), signatures.collect()),
        ]
    }

    /// See [`PaymentProvider::verify`](portico_billing::payment::PaymentProvider::verify).
    pub(crate) fn verify(
        &self,
        headers: &[(String, String)],
        body: &[u8],
        now: Timestamp,
    ) -> Result<InboundEvent, SignatureError> {
        let header = |name: &str| {
            let found = headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str()).ok_or(SignatureError)
        };
        let (id, time) = (header("svix-id")?, header("svix-timestamp")?);
        let at: i64 = time.parse().map_err(|_| SignatureError)?;
        if now.unix_seconds().abs_diff(at) > TOLERANCE || id.is_empty() || id.len() > NAME {
            return Err(SignatureError);
        }
        let given: Vec<Vec<u8>> = header("svix-signature")?
            .split_ascii_whitespace()
            .filter_map(|signature| BASE64.decode(signature.strip_prefix("v1,")?).ok())
            .collect();
        // Compared in constant time.
        let is_ours = self.0.iter().any(|keyed| {
            let expected = signed(keyed, id, time, body);
            given.iter().any(|signature| expected.clone().verify_slice(signature).is_ok())
        });
        if !is_ours {
            return Err(SignatureError);
        }
        let event: Value = serde_json::from_slice(body).unwrap_or_default();
        let kind = event["event_type"].as_str().or(event["data"]["event_type"].as_str()).unwrap_or("unknown");
        let kind: String = kind.chars().take(NAME).collect();
        Ok(InboundEvent { id: id.to_owned(), subject: subject(&kind, &event), kind })
    }
}

fn signed(keyed: &Hmac<Sha256>, id: &str, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed.clone();
    for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac
}

/// What an event is about. Its members are at the top, or in `data`.
fn subject(kind: &str, event: &Value) -> InboundSubject {
    let is_payment = kind.split_once('.').is_some_and(|(group, _)| INTENTS.contains(&group));
    let checkout = [event, &event["data"]].into_iter().find_map(|object| {
        let of_intent = object["intentable"]["checkout"]["id"].as_str();
        let id = object["checkout"]["id"].as_str().or(object["checkout_id"].as_str()).or(of_intent);
        id.filter(|id| is_id(id))
    });
    let refund = [event, &event["data"]].into_iter().find_map(|object| {
        let id = object["refund"]["id"].as_str().or(object["id"].as_str());
        id.filter(|id| is_id(id))
    });
    match checkout {
        // A payment has the id of its checkout here.
        Some(payment) if kind == REFUND => match refund {
            Some(id) => InboundSubject::Refund { id: id.to_owned(), payment: payment.to_owned() },
            None => InboundSubject::Other,
        },
        Some(id) if is_payment => InboundSubject::Checkout { id: id.to_owned() },
        _ => InboundSubject::Other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The vector of Svix's documents.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn secrets(texts: &[&str]) -> WebhookSecrets {
        let texts: Vec<SecretString> = texts.iter().map(|text| (*text).to_owned().into()).collect();
        WebhookSecrets::new(&texts).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds).unwrap()
    }

    fn headers(signature: &str) -> Vec<(String, String)> {
        let pairs = [("svix-id", ID), ("svix-timestamp", "1614265330"), ("svix-signature", signature)];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    #[test]
    fn the_documented_vector_is_valid() {
        let event = secrets(&[SECRET]).verify(&headers(SIGNATURE), BODY, at(TIME)).unwrap();
        assert_eq!((event.id.as_str(), event.kind.as_str()), (ID, "unknown"));
        assert_eq!(event.subject, InboundSubject::Other);
        assert_eq!(secrets(&[SECRET]).sign(ID, BODY, at(TIME)), headers(SIGNATURE));
    }

    #[test]
    fn each_of_several_secrets_and_signatures_will_do() {
        let other = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        for known in [&[SECRET, other][..], &[other, SECRET]] {
            assert!(secrets(known).verify(&headers(SIGNATURE), BODY, at(TIME)).is_ok());
        }
        let several = format!("v1,AAAA v1a,BBBB {SIGNATURE} v2,CCCC");
        assert!(secrets(&[SECRET]).verify(&headers(&several), BODY, at(TIME)).is_ok());
        let unpadded = SIGNATURE.trim_end_matches('=');
        assert!(secrets(&[SECRET]).verify(&headers(unpadded), BODY, at(TIME)).is_ok());
    }

    #[test]
    fn nothing_else_is_believed() {
        let ours = secrets(&[SECRET]);
        let refused = |headers: &[(String, String)], body: &[u8], now: i64| {
            assert_eq!(ours.verify(headers, body, at(now)), Err(SignatureError));
        };
        refused(&headers(SIGNATURE), br#"{"test": 2432232315}"#, TIME);
        for now in [TIME + 301, TIME - 301] {
            refused(&headers(SIGNATURE), BODY, now);
        }
        for now in [TIME + 300, TIME - 300] {
            assert!(ours.verify(&headers(SIGNATURE), BODY, at(now)).is_ok());
        }
        for signature in ["", "v1,", "v1", &SIGNATURE[3..], &SIGNATURE.replace("v1,", "v1a,"), "v1,AAAA"] {
            refused(&headers(signature), BODY, TIME);
        }
        for missing in ["svix-id", "svix-timestamp", "svix-signature"] {
            let left: Vec<_> = headers(SIGNATURE).into_iter().filter(|(name, _)| name != missing).collect();
            refused(&left, BODY, TIME);
        }
        for (name, value) in [
            ("svix-id", "msg_other"),
            ("svix-id", ""),
            ("svix-timestamp", "1614265331"),
            ("svix-timestamp", "x"),
        ] {
            let changed = headers(SIGNATURE).into_iter().map(|(known, old)| {
                let value = if known == name { value.to_owned() } else { old };
                (known, value)
            });
            refused(&changed.collect::<Vec<_>>(), BODY, TIME);
        }
        assert_eq!(secrets(&[]).verify(&headers(SIGNATURE), BODY, at(TIME)), Err(SignatureError));
        let other = secrets(&["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]);
        assert_eq!(other.verify(&headers(SIGNATURE), BODY, at(TIME)), Err(SignatureError));
        for odd in ["", "whsec_", "whsec_???", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(WebhookSecrets::new(&[odd.to_owned().into()]).is_err(), "{odd}");
        }
    }

    #[test]
    fn every_name_and_form_of_a_payment_leads_to_its_checkout() {
        let about = |id: &str| InboundSubject::Checkout { id: id.to_owned() };
        let flat = |kind: &str| json!({"id": "pa_1", "event_type": kind, "checkout": {"id": "ch_1", "status": "paid"}});
        for group in INTENTS {
            for end in ["succeeded", "pending", "failed", "canceled", "paid"] {
                let kind = format!("{group}.{end}");
                assert_eq!(subject(&kind, &flat(&kind)), about("ch_1"), "{kind}");
            }
        }
        for kind in ["setup_intent.succeeded", "subscription.create", "dispute.create", "unknown", ""] {
            assert_eq!(subject(kind, &flat(kind)), InboundSubject::Other, "{kind}");
        }
        let back = |id: &str| InboundSubject::Refund { id: id.to_owned(), payment: "ch_1".to_owned() };
        let named = json!({"refund": {"id": "re_1"}, "intentable": {"checkout": {"id": "ch_1"}}});
        let refund = json!({"id": "re_2", "checkout": {"id": "ch_1"}});
        assert_eq!(subject(REFUND, &named), back("re_1"));
        assert_eq!(subject(REFUND, &refund), back("re_2"));
        assert_eq!(subject(REFUND, &json!({"data": refund})), back("re_2"));
        for odd in [json!({"id": "re_1"}), json!({"checkout": {"id": "ch_1"}, "refund": {"id": "../x"}})] {
            assert_eq!(subject(REFUND, &odd), InboundSubject::Other, "{odd}");
        }
        let kind = "payment_intent.succeeded";
        for nested in [
            json!({"event_type": kind, "data": {"id": "pi_1", "checkout_id": "ch_2"}}),
            json!({"data": {"event_type": kind, "checkout": {"id": "ch_2"}}}),
        ] {
            assert_eq!(subject(kind, &nested), about("ch_2"), "{nested}");
        }
        for odd in
            [json!({}), json!(null), json!({"checkout": {"id": "../users"}}), json!({"checkout": {"id": 7}})]
        {
            assert_eq!(subject(kind, &odd), InboundSubject::Other, "{odd}");
        }
    }
}
