//! Addresses at which a ticket is answered by mail.
//!
//! `{ticket}{tag}@{domain}`: the id of the ticket in 32 hexadecimal digits, then 20 of a signature over ticket and person. Each person has
//! an address of their own, so one that a customer has got is no good for somebody who claims to be of the staff. In lower case and
//! shorter than 64 characters, because some servers on the way change the case, and more is not allowed (RFC 5321, section 4.5.3.1.1).

use std::sync::Arc;

use portico_kernel::{SupportTicketId, Timestamp, UserId, signing::LinkSigner};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// Keeps these signatures apart from those of links.
const PURPOSE: &str = "support reply";

/// Hexadecimal digits of the id.
const ID_DIGITS: usize = 32;

/// Hexadecimal digits of the signature: 80 bits. A guess is a mail, and has to name the address of the person besides.
const TAG_DIGITS: usize = 20;

/// Makes and reads these addresses.
#[derive(Clone)]
pub struct ReplyAddresses {
    signer: Arc<dyn LinkSigner>,
    /// The domain whose mail comes here.
    domain: Option<String>,
}

impl ReplyAddresses {
    /// For a domain whose mail comes here; for none there are no addresses.
    pub fn new(signer: Arc<dyn LinkSigner>, domain: Option<String>) -> Self {
        Self { signer, domain: domain.map(|domain| domain.to_lowercase()) }
    }

    /// Where a person answers a ticket, if mail comes here.
    pub fn address(&self, ticket: SupportTicketId, person: UserId) -> Option<String> {
        let domain = self.domain.as_ref()?;
        let signature = self.signer.sign(PURPOSE, &payload(ticket, person), always());
        Some(format!("{}{}@{domain}", ticket.uuid().simple(), tag(&signature)))
    }

    /// The ticket that an address names, and its signature, which is not checked yet; `None` for any other address.
    pub fn read(&self, address: &str) -> Option<(SupportTicketId, String)> {
        let address = address.trim().to_lowercase();
        let (local, domain) = address.rsplit_once('@')?;
        if self.domain.as_deref() != Some(domain)
            || local.len() != ID_DIGITS + TAG_DIGITS
            || !local.is_ascii()
        {
            return None;
        }
        let (id, tag) = local.split_at(ID_DIGITS);
        let id = Uuid::try_parse(id).ok()?;
        Some((SupportTicketId::from_uuid(id), tag.to_owned()))
    }

    /// Whether the signature is one of this person for the ticket, made with the signing secret or an earlier one that is still accepted.
    /// It does not expire: until when a ticket may be answered is a rule of its own.
    pub fn verify(&self, ticket: SupportTicketId, person: UserId, shown: &str) -> bool {
        let accepted = self.signer.accepted(PURPOSE, &payload(ticket, person), always());
        accepted.iter().any(|signature| tag(signature).as_bytes().ct_eq(shown.as_bytes()).into())
    }
}

fn payload(ticket: SupportTicketId, person: UserId) -> String {
    format!("{ticket}/{person}")
}

/// A signature is for a time; these have no end, so they are for the same one always.
fn always() -> Timestamp {
    Timestamp::new(time::OffsetDateTime::UNIX_EPOCH)
}

/// A signature has letters of both cases, which are lost on the way: a digest of it has digits only.
fn tag(signature: &str) -> String {
    let digest = Sha256::digest(signature.as_bytes());
    let mut tag = String::with_capacity(TAG_DIGITS);
    for byte in digest.iter().take(TAG_DIGITS / 2) {
        tag.push_str(&format!("{byte:02x}"));
    }
    tag
}

#[cfg(test)]
mod tests {
    use portico_kernel::signing::MockLinkSigner;

    use super::*;
    use crate::testing::env;

    /// Signs with the first of these keys, and accepts all of them.
    fn addresses(domain: Option<&str>, keys: &'static [&'static str]) -> ReplyAddresses {
        let signature = |key: &str, purpose: &str, payload: &str| format!("{key}/{purpose}/{payload}");
        let mut signer = MockLinkSigner::new();
        signer.expect_sign().returning(move |purpose, payload, _| signature(keys[0], purpose, payload));
        signer.expect_accepted().returning(move |purpose, payload, _| {
            keys.iter().map(|key| signature(key, purpose, payload)).collect()
        });
        ReplyAddresses::new(Arc::new(signer), domain.map(str::to_owned))
    }

    #[test]
    fn an_address_is_good_for_one_ticket_and_one_person() {
        let env = env();
        let (ticket, other): (SupportTicketId, SupportTicketId) = (env.new_id(), env.new_id());
        let (ada, eve): (UserId, UserId) = (env.new_id(), env.new_id());
        let addresses = addresses(Some("Reply.example.com"), &["Key"]);
        let address = addresses.address(ticket, ada).unwrap();
        let local = address.split('@').next().unwrap();
        assert!(local.len() <= 64 && address.ends_with("@reply.example.com"), "{address}");
        let (read, tag) = addresses.read(&format!(" {} ", address.to_uppercase())).unwrap();
        assert_eq!(read, ticket);
        assert!(addresses.verify(ticket, ada, &tag));
        assert!(!addresses.verify(ticket, eve, &tag) && !addresses.verify(other, ada, &tag));
        for bad in ["", &tag[1..], &format!("{tag}0")] {
            assert!(!addresses.verify(ticket, ada, bad), "{bad}");
        }
    }

    #[test]
    fn addresses_of_an_earlier_secret_are_good_until_it_is_left_out() {
        let env = env();
        let (ticket, ada): (SupportTicketId, UserId) = (env.new_id(), env.new_id());
        let with = |keys| addresses(Some("reply.example.com"), keys);
        let (earlier, rotated, later) = (with(&["Key"]), with(&["New", "Key"]), with(&["New"]));
        let given = earlier.address(ticket, ada).unwrap();
        let (_, tag) = rotated.read(&given).unwrap();
        assert!(rotated.verify(ticket, ada, &tag) && !rotated.verify(ticket, env.new_id(), &tag));
        assert!(!later.verify(ticket, ada, &tag));
        assert_ne!(rotated.address(ticket, ada), Some(given), "made with the current one");
    }

    #[test]
    fn other_addresses_name_no_ticket() {
        let (env, ours) = (env(), addresses(Some("reply.example.com"), &["Key"]));
        let address = ours.address(env.new_id(), env.new_id()).unwrap();
        for bad in [
            address.replace("reply.", "other."),
            address.replacen(&address[..2], "zz", 1),
            address[1..].to_owned(),
            format!("é{}", &address[2..]),
            "sales@reply.example.com".to_owned(),
            "@".to_owned(),
        ] {
            assert!(ours.read(&bad).is_none(), "{bad}");
        }
        let none = addresses(None, &["Key"]);
        assert_eq!(none.address(env.new_id(), env.new_id()), None);
        assert!(none.read(&address).is_none());
    }
}
