//! The content encodings in which files are stored, and negotiation with the client (RFC 9110 section 12.5.3).

use serde::{Deserialize, Serialize};

/// Content encoding of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// Brotli (RFC 7932).
    #[serde(rename = "br")]
    Brotli,
    /// Gzip (RFC 1952).
    #[serde(rename = "gzip")]
    Gzip,
    /// Uncompressed.
    #[serde(rename = "identity")]
    Identity,
}

impl Encoding {
    /// The compressed encodings, the better one first.
    pub const COMPRESSED: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// Name in headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    /// Suffix of a stored file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }

    /// Suffix of the entity tag: encodings of one file are different representations.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Brotli => "-br",
            Self::Gzip => "-gz",
            Self::Identity => "",
        }
    }
}

/// The encoding to send, among the stored ones: the one with the highest quality, and among equals the smallest.
/// `Accept-Encoding` is untrusted input; malformed elements count as absent.
pub fn negotiate(accepted: Option<&str>, there: &[Encoding]) -> Encoding {
    let Some(accepted) = accepted else { return Encoding::Identity };
    let mut best = (Encoding::Identity, 0);
    for encoding in there {
        let quality = quality(accepted, encoding.as_str());
        if quality > best.1 {
            best = (*encoding, quality);
        }
    }
    // A client may prefer `identity` explicitly.
    let plain = named_quality(accepted, "identity").unwrap_or(0);
    if plain > best.1 { Encoding::Identity } else { best.0 }
}

/// The quality of a coding in thousandths; 0 if it is not acceptable.
fn quality(accepted: &str, name: &str) -> u16 {
    named_quality(accepted, name).or_else(|| named_quality(accepted, "*")).unwrap_or(0)
}

fn named_quality(accepted: &str, name: &str) -> Option<u16> {
    accepted.split(',').find_map(|part| {
        let (coding, parameters) = part.split_once(';').unwrap_or((part, ""));
        if !coding.trim().eq_ignore_ascii_case(name) {
            return None;
        }
        let weight = parameters.trim().strip_prefix(['q', 'Q']).map(str::trim_start);
        let Some(weight) = weight.and_then(|rest| rest.strip_prefix('=')) else { return Some(1000) };
        let weight: f32 = weight.trim().parse().unwrap_or(0.0);
        Some((weight.clamp(0.0, 1.0) * 1000.0) as u16)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_the_form_that_they_prefer() {
        use Encoding::{Brotli, Gzip, Identity};
        let both = &Encoding::COMPRESSED[..];
        for (accepted, there, expected) in [
            (None, both, Identity),
            (Some(""), both, Identity),
            (Some("gzip, deflate, br, zstd"), both, Brotli),
            (Some("gzip, deflate"), both, Gzip),
            (Some("GZIP"), both, Gzip),
            (Some("br;q=0.5, gzip;q=0.8"), both, Gzip),
            (Some("br;q=0, gzip;q=0"), both, Identity),
            (Some("*"), both, Brotli),
            (Some("*;q=0.3, br;q=0"), both, Gzip),
            (Some("identity"), both, Identity),
            (Some("identity;q=1, gzip;q=0.5"), both, Identity),
            (Some("identity;q=0.5, gzip"), both, Gzip),
            (Some("zstd"), both, Identity),
            (Some("br ; q = 1"), both, Brotli),
            (Some("br;q=x"), both, Identity),
            (Some(";;;,,,q=;br;"), both, Identity),
            (Some("gzip, br"), &[], Identity),
        ] {
            assert_eq!(negotiate(accepted, there), expected, "{accepted:?}");
        }
    }
}
