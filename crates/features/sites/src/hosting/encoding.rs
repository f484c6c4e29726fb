//! The forms in which a file is kept, and which of them a client wants (RFC 9110 section 12.5.3).

use serde::{Deserialize, Serialize};

/// A form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Encoding {
    /// Brotli (RFC 7932).
    #[serde(rename = "br")]
    Brotli,
    /// Gzip (RFC 1952).
    #[serde(rename = "gzip")]
    Gzip,
    /// As it is.
    #[serde(rename = "identity")]
    Identity,
}

impl Encoding {
    /// The compressed forms, the better one first.
    pub const COMPRESSED: [Self; 2] = [Self::Brotli, Self::Gzip];

    /// The word for it in headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "identity",
        }
    }

    /// What is added to the name of a file in this form.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
            Self::Identity => "",
        }
    }

    /// What is added to the entity tag: forms of one file are different representations.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Brotli => "-br",
            Self::Gzip => "-gz",
            Self::Identity => "",
        }
    }
}

/// The form to send, of those that there are: the one that the client prefers, and of equals the smallest. What it says in
/// `Accept-Encoding` may be anything, so words that make no sense count for nothing.
pub fn negotiate(accepted: Option<&str>, there: &[Encoding]) -> Encoding {
    let Some(accepted) = accepted else { return Encoding::Identity };
    let mut best = (Encoding::Identity, 0);
    for encoding in there {
        let quality = quality(accepted, encoding.as_str());
        if quality > best.1 {
            best = (*encoding, quality);
        }
    }
    // A client may say that it would rather have it as it is.
    let plain = named_quality(accepted, "identity").unwrap_or(0);
    if plain > best.1 { Encoding::Identity } else { best.0 }
}

/// How much a client wants a coding, in thousandths; 0 for not at all.
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
