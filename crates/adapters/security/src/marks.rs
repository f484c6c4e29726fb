//! Device marks, and keyed digests.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::Mac;
use portico_identity::ports::Marks;
use uuid::Uuid;

use crate::keys::{Macs, Secrets};

/// Device id, MAC.
const MARK_BYTES: usize = 16 + 32;

/// Makes and reads marks with keys derived from the signing secret of the installation. A mark is base64url(device id ‖
/// HMAC-SHA256 of it).
pub struct MacMarks {
    device: Macs,
    digest: Macs,
}

impl MacMarks {
    /// With keys derived from the signing secret of the installation.
    pub fn new(secrets: &Secrets) -> Self {
        Self { device: secrets.macs("portico device mark"), digest: secrets.macs("portico failure digest") }
    }
}

impl Marks for MacMarks {
    fn device_mark(&self, device: Uuid) -> String {
        let tag = self.device.current().chain_update(device.as_bytes()).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode([&device.as_bytes()[..], &tag].concat())
    }

    fn read_device_mark(&self, mark: &str) -> Option<Uuid> {
        if mark.len() > MARK_BYTES * 2 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(mark).ok()?;
        let (id, tag) = bytes.split_at_checked(16).filter(|_| bytes.len() == MARK_BYTES)?;
        self.device.verify(tag, |key| key.chain_update(id)).then(|| Uuid::from_slice(id).ok())?
    }

    fn digest(&self, text: &str) -> [u8; 32] {
        self.digest.current().chain_update(text).finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(letter: &str) -> MacMarks {
        MacMarks::new(&letter.repeat(40).into())
    }

    #[test]
    fn only_our_own_marks_are_read() {
        let (ours, theirs) = (marks("a"), marks("b"));
        let device = Uuid::from_u128(7);
        let mark = ours.device_mark(device);
        assert_eq!(ours.read_device_mark(&mark), Some(device));
        assert_eq!(theirs.read_device_mark(&mark), None);
        let other = ours.device_mark(Uuid::from_u128(8));
        let spliced = format!("{}{}", &other[..24], &mark[24..]);
        for bad in ["", "x", "AAAA", &mark[1..], &format!("{mark}A"), &spliced, &"A".repeat(10_000)] {
            assert_eq!(ours.read_device_mark(bad), None, "{bad}");
        }
    }

    #[test]
    fn digests_depend_on_text_and_key() {
        assert_eq!(marks("a").digest("x"), marks("a").digest("x"));
        assert_ne!(marks("a").digest("x"), marks("a").digest("y"));
        assert_ne!(marks("a").digest("x"), marks("b").digest("x"));
    }
}
