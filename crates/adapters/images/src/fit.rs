//! A picture as it came, and smaller copies of it.

use std::io::Cursor;

use image::{
    DynamicImage, ExtendedColorType, ImageEncoder,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    error::ImageError as CodecError,
    imageops::FilterType,
};
use portico_kernel::images::{FittedPicture, ImageError, Picture, PictureFormat, Size};

/// JPEG and WebP quality of the picture itself: it may be printed, or encoded again.
const ORIGINAL_QUALITY: u8 = 90;

/// WebP quality of smaller copies, which pages show. Half the bytes of a JPEG that looks the same.
const VARIANT_QUALITY: u8 = 80;

/// Most pixels of a side of a WebP file (RFC 9649 section 2.7).
const WEBP_SIDE: u32 = 16_383;

/// The picture and its smaller copies, narrowest first.
pub(crate) fn fit(
    image: &DynamicImage,
    format: PictureFormat,
    widths: &[u32],
) -> Result<FittedPicture, ImageError> {
    let size = Size { width: image.width(), height: image.height() };
    let original = Picture { size, format, bytes: whole(image, format)? };
    let mut wanted: Vec<u32> = widths.iter().copied().filter(|width| *width < size.width).collect();
    if widths.iter().any(|width| *width >= size.width) {
        wanted.push(size.width);
    }
    wanted.sort_unstable_by(|one, other| other.cmp(one));
    wanted.dedup();
    let mut variants = Vec::with_capacity(wanted.len());
    // Each is made of the one before it: from the whole picture, each would take as long as the first.
    let mut larger = None;
    for width in wanted {
        let size = scaled(size, width);
        if size.height > WEBP_SIDE || size.width > WEBP_SIDE {
            continue;
        }
        let source = larger.as_ref().unwrap_or(image);
        let smaller = match source.width() == size.width && source.height() == size.height {
            true => source.clone(),
            false => source.resize_exact(size.width, size.height, FilterType::Lanczos3),
        };
        variants.push(Picture {
            size,
            format: PictureFormat::Webp,
            bytes: smallest_webp(&smaller, VARIANT_QUALITY)?,
        });
        larger = Some(smaller);
    }
    variants.reverse();
    Ok(FittedPicture { original, variants })
}

/// As wide as this, in the same shape.
fn scaled(size: Size, width: u32) -> Size {
    let height =
        (u64::from(size.height) * u64::from(width) + u64::from(size.width) / 2) / u64::from(size.width);
    Size { width, height: u32::try_from(height).unwrap_or(u32::MAX).max(1) }
}

/// All of the picture, encoded anew.
fn whole(image: &DynamicImage, format: PictureFormat) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    match format {
        PictureFormat::Png => image.write_with_encoder(PngEncoder::new(&mut bytes)).map_err(failed)?,
        PictureFormat::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(&mut bytes, ORIGINAL_QUALITY);
            match image {
                DynamicImage::ImageLuma8(_) => image.write_with_encoder(encoder).map_err(failed)?,
                _ => image.to_rgb8().write_with_encoder(encoder).map_err(failed)?,
            }
        }
        PictureFormat::Webp => return smallest_webp(image, ORIGINAL_QUALITY),
        PictureFormat::Gif => {
            let pixels = image.to_rgba8();
            GifEncoder::new_with_speed(&mut bytes, 10)
                .encode(&pixels, pixels.width(), pixels.height(), ExtendedColorType::Rgba8)
                .map_err(failed)?;
        }
    }
    Ok(bytes.into_inner())
}

/// Whichever file is smaller: WebP with loss, as for photos, or without, as for drawings.
fn smallest_webp(image: &DynamicImage, quality: u8) -> Result<Vec<u8>, ImageError> {
    let (width, height) = (image.width(), image.height());
    let opaque = !image.color().has_alpha() || image.to_rgba8().pixels().all(|pixel| pixel.0[3] == u8::MAX);
    let (pixels, color) = match opaque {
        true => (image.to_rgb8().into_raw(), ExtendedColorType::Rgb8),
        false => (image.to_rgba8().into_raw(), ExtendedColorType::Rgba8),
    };
    let encoder = match opaque {
        true => webp::Encoder::from_rgb(&pixels, width, height),
        false => webp::Encoder::from_rgba(&pixels, width, height),
    };
    let lossy = encoder
        .encode_simple(false, f32::from(quality))
        .map_err(|error| ImageError::Failed(format!("WebP: {error:?}")))?;
    let mut lossless = Vec::new();
    WebPEncoder::new_lossless(&mut lossless).write_image(&pixels, width, height, color).map_err(failed)?;
    Ok(if lossy.len() < lossless.len() { lossy.to_vec() } else { lossless })
}

fn failed(error: CodecError) -> ImageError {
    ImageError::Failed(error.to_string())
}
