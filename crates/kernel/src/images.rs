//! Preparing uploaded pictures for display: the port to image processing.

use async_trait::async_trait;

/// Width and height in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Size {
    /// As wide as it is high.
    pub const fn square(side: u32) -> Self {
        Self { width: side, height: side }
    }
}

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureFormat {
    /// PNG.
    Png,
    /// JPEG.
    Jpeg,
    /// WebP.
    Webp,
    /// GIF.
    Gif,
}

impl PictureFormat {
    /// Media type.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::Webp => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// The format of a file, by how it begins.
    pub fn of_content(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&[0xff, 0xd8, 0xff]) {
            return Some(Self::Jpeg);
        }
        if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
            return Some(Self::Png);
        }
        if bytes.starts_with(b"GIF87a") || bytes.starts_with(b"GIF89a") {
            return Some(Self::Gif);
        }
        (bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP")).then_some(Self::Webp)
    }
}

/// A picture that we have encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Width and height.
    pub size: Size,
    /// How it is encoded.
    pub format: PictureFormat,
    /// The file.
    pub bytes: Vec<u8>,
}

/// A picture that we have encoded, in several widths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FittedPicture {
    /// All of the picture, as large as it came, in the format that it came in.
    pub original: Picture,
    /// The same picture in smaller widths, narrowest first, uncut and in its shape. WebP. Empty where its height is more than
    /// WebP can hold.
    pub variants: Vec<Picture>,
}

/// Decodes and encodes pictures.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ImageProcessor: Send + Sync {
    /// Makes a picture of each size out of a file, in the order of `sizes`: turned upright, cut out of the middle, and
    /// encoded anew.
    ///
    /// MUST detect the format by the content alone. MUST refuse more pixels than it is set up for by the size that the file
    /// declares, before it allocates memory for them. MUST NOT carry anything of the file over but its pixels: no metadata, no
    /// trailing bytes. MUST NOT block the threads that serve requests.
    async fn cover(&self, source: Vec<u8>, sizes: Vec<Size>) -> Result<Vec<Picture>, ImageError>;

    /// Makes a picture out of a file: turned upright and encoded anew, and the same in each of `widths` that is less than its own
    /// width, and in its own where one of `widths` is not less. Of one with several frames, the first is taken.
    ///
    /// MUST keep the shape and MUST NOT enlarge. What [`ImageProcessor::cover`] MUST do holds here too.
    async fn fit(&self, source: Vec<u8>, widths: Vec<u32>) -> Result<FittedPicture, ImageError>;
}

/// Why no picture could be made of a file.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Not a format that is accepted, whatever the file is called.
    #[error("not an accepted image format")]
    UnknownFormat,
    /// Width times height is more than this.
    #[error("more than {0} pixels")]
    TooManyPixels(u64),
    /// It begins like an image, and cannot be read to its end.
    #[error("damaged image")]
    Damaged,
    /// Too many images are queued. Trying again makes sense.
    #[error("image processing is overloaded")]
    Overloaded,
    /// Encoding failed.
    #[error("encoding an image: {0}")]
    Failed(String),
}
