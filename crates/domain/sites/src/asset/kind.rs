//! The format of a file, detected by its content and nothing else.

use serde::{Deserialize, Serialize};

/// What sort of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AssetKind {
    /// A picture: PNG, JPEG, WebP or GIF.
    Image,
    /// A PDF document.
    Pdf,
}

/// The formats of files that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum AssetType {
    /// Portable Network Graphics.
    #[serde(rename = "image/png")]
    Png,
    /// JPEG.
    #[serde(rename = "image/jpeg")]
    Jpeg,
    /// WebP.
    #[serde(rename = "image/webp")]
    Webp,
    /// Graphics Interchange Format.
    #[serde(rename = "image/gif")]
    Gif,
    /// Portable Document Format.
    #[serde(rename = "application/pdf")]
    Pdf,
}

impl AssetType {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Png, Self::Jpeg, Self::Webp, Self::Gif, Self::Pdf];

    /// The format of a file, by how it begins; 16 bytes are enough. The rest of the file still has to be checked.
    pub fn of_content(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        if bytes.starts_with(b"\xff\xd8\xff") {
            return Some(Self::Jpeg);
        }
        if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
            return Some(Self::Webp);
        }
        if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            return Some(Self::Gif);
        }
        // Readers take a header anywhere in the first kilobyte, which is how other formats hide a PDF behind theirs.
        bytes.starts_with(b"%PDF-").then_some(Self::Pdf)
    }

    /// Whether a file of no known format looks like SVG: XML, which may carry scripts, so that it is refused by its name.
    pub fn is_svg(bytes: &[u8]) -> bool {
        let head: Vec<u8> =
            bytes.iter().take(1024).filter(|byte| **byte != 0).map(u8::to_ascii_lowercase).collect();
        let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head).trim_ascii_start();
        text.first() == Some(&b'<') && text.windows(4).any(|part| part == b"<svg")
    }

    /// What sort of file it is.
    pub const fn kind(self) -> AssetKind {
        match self {
            Self::Pdf => AssetKind::Pdf,
            _ => AssetKind::Image,
        }
    }

    /// Most bytes of an upload.
    pub const fn max_bytes(self) -> usize {
        match self.kind() {
            AssetKind::Image => 5 << 20,
            AssetKind::Pdf => 20 << 20,
        }
    }

    /// Media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
            Self::Pdf => "application/pdf",
        }
    }

    /// The format of this media type.
    pub fn parse(content_type: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.content_type() == content_type)
    }

    /// What names of such files end in; the first one is put behind a name that ends in none of them.
    pub const fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Png => &["png"],
            Self::Jpeg => &["jpg", "jpeg"],
            Self::Webp => &["webp"],
            Self::Gif => &["gif"],
            Self::Pdf => &["pdf"],
        }
    }
}
