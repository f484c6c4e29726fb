//! Keyed hashes of license keys.

use hmac::{Hmac, Mac};
use portico_licensing::ports::KeyDigests;
use sha2::Sha256;

use crate::keys::{Macs, Secrets};

/// Hashes with HMAC-SHA256, with keys derived from the sealing secret of the installation: what is stored goes by that one.
pub struct MacKeyDigests(Macs);

impl MacKeyDigests {
    /// With keys derived from the sealing secret of the installation.
    pub fn new(sealing: &Secrets) -> Self {
        Self(sealing.macs("portico license key"))
    }
}

impl KeyDigests for MacKeyDigests {
    fn digest(&self, key: &str) -> [u8; 32] {
        self.0.current().chain_update(key).finalize().into_bytes().into()
    }

    fn digests(&self, key: &str) -> Vec<[u8; 32]> {
        self.0.all(|mac: Hmac<Sha256>| mac.chain_update(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_under_earlier_secrets_until_they_are_left_out() {
        let (old, new) = ("a".repeat(40), "b".repeat(40));
        let before = MacKeyDigests::new(&old.clone().into()).digest("1000ABCDEFGHJKMN");
        let rotated = MacKeyDigests::new(&Secrets::new(new.clone().into(), [old.into()]));
        let known = rotated.digests("1000ABCDEFGHJKMN");
        assert_eq!(known, [rotated.digest("1000ABCDEFGHJKMN"), before]);
        assert_ne!(known[0], known[1]);
        assert!(!MacKeyDigests::new(&new.into()).digests("1000ABCDEFGHJKMN").contains(&before));
        assert_ne!(rotated.digest("1000ABCDEFGHJKMP"), known[0]);
    }
}
