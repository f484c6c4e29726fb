//! An uploaded image, re-encoded, and smaller copies of it.

use std::io::Cursor;

use image::{
    DynamicImage, ExtendedColorType, ImageBuffer, ImageEncoder, Pixel,
    codecs::{gif::GifEncoder, jpeg::JpegEncoder, png::PngEncoder, webp::WebPEncoder},
    error::ImageError as CodecError,
    imageops::{self, FilterType},
};
use portico_kernel::images::{FittedPicture, ImageError, Picture, PictureFormat, Size};

/// JPEG and WebP quality of the image itself: it may be printed, or encoded again.
const ORIGINAL_QUALITY: u8 = 90;

/// WebP quality of smaller copies, which pages show. Half the bytes of a JPEG that looks the same.
const VARIANT_QUALITY: u8 = 80;

/// Maximum side length of a WebP file in pixels (RFC 9649 section 2.7).
const WEBP_SIDE: u32 = 16_383;

/// The image and its smaller copies, narrowest first.
pub(crate) fn fit(
    image: DynamicImage,
    format: PictureFormat,
    widths: &[u32],
) -> Result<FittedPicture, ImageError> {
    let size = Size { width: image.width(), height: image.height() };
    // From here on there is one copy of the pixels, in the format that encoders take.
    let image = if format == PictureFormat::Png { image } else { plain(image) };
    let original = Picture { size, format, bytes: whole(&image, format)? };
    let image = plain(image);
    let mut wanted: Vec<u32> = widths.iter().copied().filter(|width| *width < size.width).collect();
    if widths.iter().any(|width| *width >= size.width) {
        wanted.push(size.width);
    }
    wanted.sort_unstable_by(|one, other| other.cmp(one));
    wanted.dedup();
    let mut variants = Vec::with_capacity(wanted.len());
    // Each is made from the one before it: from the whole image, each would take as long as the first.
    let mut larger = None;
    for width in wanted {
        let size = scaled(size, width);
        if size.height > WEBP_SIDE || size.width > WEBP_SIDE {
            continue;
        }
        let source = larger.as_ref().unwrap_or(&image);
        let resized = (source.width(), source.height()) != (size.width, size.height);
        let resized = resized.then(|| resize(source, size));
        let smaller = resized.as_ref().unwrap_or(source);
        variants.push(Picture {
            size,
            format: PictureFormat::Webp,
            bytes: smallest_webp(smaller, VARIANT_QUALITY)?,
        });
        larger = resized.or(larger);
    }
    variants.reverse();
    Ok(FittedPicture { original, variants })
}

/// Width of a strip that is resized at a time, in pixels.
const STRIP: u32 = 256;

/// Resizes an image. In strips, first in one direction and then in the other: a filter takes sixteen bytes for each
/// intermediate pixel, which for a whole photo is several times its size.
fn resize(image: &DynamicImage, size: Size) -> DynamicImage {
    match image {
        DynamicImage::ImageRgb8(pixels) => resize_pixels(pixels, size).into(),
        DynamicImage::ImageRgba8(pixels) => resize_pixels(pixels, size).into(),
        other => other.resize_exact(size.width, size.height, FilterType::Lanczos3),
    }
}

fn resize_pixels<P: Pixel<Subpixel = u8> + 'static>(
    pixels: &ImageBuffer<P, Vec<u8>>,
    size: Size,
) -> ImageBuffer<P, Vec<u8>> {
    let (width, height) = pixels.dimensions();
    let mut lower = ImageBuffer::new(width, size.height);
    for left in (0..width).step_by(STRIP as usize) {
        let wide = STRIP.min(width - left);
        let strip = imageops::crop_imm(pixels, left, 0, wide, height);
        let strip = imageops::resize(&*strip, wide, size.height, FilterType::Lanczos3);
        imageops::replace(&mut lower, &strip, i64::from(left), 0);
    }
    let mut narrower = ImageBuffer::new(size.width, size.height);
    for top in (0..size.height).step_by(STRIP as usize) {
        let high = STRIP.min(size.height - top);
        let strip = imageops::crop_imm(&lower, 0, top, width, high);
        let strip = imageops::resize(&*strip, size.width, high, FilterType::Lanczos3);
        imageops::replace(&mut narrower, &strip, 0, i64::from(top));
    }
    narrower
}

/// The size at this width, with the same aspect ratio.
fn scaled(size: Size, width: u32) -> Size {
    let height =
        (u64::from(size.height) * u64::from(width) + u64::from(size.width) / 2) / u64::from(size.width);
    Size { width, height: u32::try_from(height).unwrap_or(u32::MAX).max(1) }
}

/// The whole image, re-encoded.
fn whole(image: &DynamicImage, format: PictureFormat) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    match format {
        PictureFormat::Png => image.write_with_encoder(PngEncoder::new(&mut bytes)).map_err(failed)?,
        PictureFormat::Jpeg => {
            let encoder = JpegEncoder::new_with_quality(&mut bytes, ORIGINAL_QUALITY);
            match image {
                DynamicImage::ImageLuma8(_) | DynamicImage::ImageRgb8(_) => {
                    image.write_with_encoder(encoder).map_err(failed)?;
                }
                _ => image.to_rgb8().write_with_encoder(encoder).map_err(failed)?,
            }
        }
        PictureFormat::Webp => return smallest_webp(image, ORIGINAL_QUALITY),
        PictureFormat::Gif => {
            let converted = match image {
                DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_) => None,
                other => Some(DynamicImage::from(other.to_rgba8())),
            };
            let image = converted.as_ref().unwrap_or(image);
            GifEncoder::new_with_speed(&mut bytes, 10)
                .encode(image.as_bytes(), image.width(), image.height(), image.color().into())
                .map_err(failed)?;
        }
    }
    Ok(bytes.into_inner())
}

/// With 8 bits for each of three colours, and an alpha channel if there are transparent pixels. Grey stays grey.
fn plain(image: DynamicImage) -> DynamicImage {
    if matches!(image, DynamicImage::ImageLuma8(_)) {
        return image;
    }
    if !image.color().has_alpha() {
        return image.into_rgb8().into();
    }
    let pixels = image.into_rgba8();
    match pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX) {
        true => DynamicImage::ImageRgba8(pixels).into_rgb8().into(),
        false => pixels.into(),
    }
}

/// The smaller of lossy WebP (better for photos) and lossless WebP (better for drawings). For [`plain`] images.
fn smallest_webp(image: &DynamicImage, quality: u8) -> Result<Vec<u8>, ImageError> {
    let converted = match image {
        DynamicImage::ImageRgb8(_) | DynamicImage::ImageRgba8(_) => None,
        other => Some(DynamicImage::from(other.to_rgb8())),
    };
    let image = converted.as_ref().unwrap_or(image);
    let (pixels, width, height) = (image.as_bytes(), image.width(), image.height());
    let (encoder, color) = match image.color().has_alpha() {
        true => (webp::Encoder::from_rgba(pixels, width, height), ExtendedColorType::Rgba8),
        false => (webp::Encoder::from_rgb(pixels, width, height), ExtendedColorType::Rgb8),
    };
    let lossy = encoder
        .encode_simple(false, f32::from(quality))
        .map_err(|error| ImageError::Failed(format!("WebP: {error:?}")))?;
    let mut lossless = Vec::new();
    WebPEncoder::new_lossless(&mut lossless).write_image(pixels, width, height, color).map_err(failed)?;
    Ok(if lossy.len() < lossless.len() { lossy.to_vec() } else { lossless })
}

fn failed(error: CodecError) -> ImageError {
    ImageError::Failed(error.to_string())
}
