//! Uploaded images, decoded within limits and re-encoded.
//!
//! An uploaded file is never passed on: what is stored is made from its pixels. That removes metadata such as where a photo
//! was taken, data hidden behind the image, and content that a browser might interpret otherwise. A decoder does not even
//! see them: it is given only the first frame.

mod essence;
mod fit;

use std::io::Cursor;

use async_trait::async_trait;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits, RgbImage,
    codecs::{jpeg::JpegEncoder, webp::WebPEncoder},
    error::ImageError as CodecError,
    imageops::FilterType,
    metadata::Orientation,
};
use portico_compute::{Pool, PoolError, PoolSize};
use portico_kernel::images::{FittedPicture, ImageError, ImageProcessor, Picture, PictureFormat, Size};

/// Supported formats. Of several frames, the first is used.
const FORMATS: [(ImageFormat, PictureFormat); 4] = [
    (ImageFormat::Png, PictureFormat::Png),
    (ImageFormat::Jpeg, PictureFormat::Jpeg),
    (ImageFormat::WebP, PictureFormat::Webp),
    (ImageFormat::Gif, PictureFormat::Gif),
];

/// JPEG quality: artefacts are hard to see, and a face at 256 pixels stays below 20 KB.
const QUALITY: u8 = 85;

/// Limits on concurrency and on the size of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageBounds {
    /// Maximum number of pixels of a source.
    pub max_pixels: u64,
    /// Maximum memory of a decoded source, and again of the decoder's working memory, in bytes.
    pub max_memory: u64,
    /// Images processed concurrently.
    pub threads: usize,
    /// Images that may wait; further ones are refused.
    pub waiting: usize,
}

impl Default for ImageBounds {
    /// 25 megapixels, as phone cameras produce, two at a time.
    fn default() -> Self {
        Self { max_pixels: 25_000_000, max_memory: 128 << 20, threads: 2, waiting: 16 }
    }
}

/// Processes images on a bounded number of threads.
pub struct BoundedImages {
    bounds: ImageBounds,
    pool: Pool,
}

impl Default for BoundedImages {
    fn default() -> Self {
        Self::new(ImageBounds::default())
    }
}

impl BoundedImages {
    /// Within these limits.
    pub fn new(bounds: ImageBounds) -> Self {
        let size = PoolSize { threads: bounds.threads, waiting: bounds.waiting };
        Self { bounds, pool: Pool::new("images", size) }
    }

    /// Decodes a file and passes it to `work`, on a thread of the pool, as soon as one is free. An aborted request does not let another
    /// image in before its own is done.
    async fn with_image<T: Send + 'static>(
        &self,
        source: Vec<u8>,
        work: impl FnOnce(DynamicImage, PictureFormat) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, ImageError> {
        let bounds = self.bounds;
        let work = move || {
            let (image, format) = decode(source, bounds)?;
            work(image, format)
        };
        self.pool.run(work).await.unwrap_or_else(|error| match error {
            PoolError::Overloaded => Err(ImageError::Overloaded),
            // A panic of a decoder means that the file is invalid.
            PoolError::Panicked => Err(ImageError::Damaged),
        })
    }
}

#[async_trait]
impl ImageProcessor for BoundedImages {
    async fn cover(&self, source: Vec<u8>, sizes: Vec<Size>) -> Result<Vec<Picture>, ImageError> {
        let work = move |image: DynamicImage, _| {
            sizes.into_iter().map(|size| encode(cut(&image, size), size)).collect()
        };
        self.with_image(source, work).await
    }

    async fn fit(&self, source: Vec<u8>, widths: Vec<u32>) -> Result<FittedPicture, ImageError> {
        self.with_image(source, move |image, format| fit::fit(image, format, &widths)).await
    }
}

fn decode(mut source: Vec<u8>, bounds: ImageBounds) -> Result<(DynamicImage, PictureFormat), ImageError> {
    let (codec, format) = image::guess_format(&source)
        .ok()
        .and_then(|codec| FORMATS.into_iter().find(|(known, _)| *known == codec))
        .ok_or(ImageError::UnknownFormat)?;
    essence::keep(&mut source, format);
    let mut reader = ImageReader::with_format(Cursor::new(source), codec);
    let mut limits = Limits::default();
    limits.max_alloc = Some(bounds.max_memory);
    reader.limits(limits);
    let unreadable = |error| match error {
        CodecError::Limits(_) => ImageError::TooManyPixels(bounds.max_pixels),
        _ => ImageError::Damaged,
    };
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > bounds.max_pixels || decoder.total_bytes() > bounds.max_memory {
        return Err(ImageError::TooManyPixels(bounds.max_pixels));
    }
    // Invalid metadata is no reason to refuse the image.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    image.apply_orientation(orientation);
    if image.width() == 0 || image.height() == 0 {
        return Err(ImageError::Damaged);
    }
    Ok((image, format))
}

/// The largest centred part with the aspect ratio of `size`, scaled to it.
fn cut(image: &DynamicImage, size: Size) -> DynamicImage {
    let (width, height) = (u64::from(image.width()), u64::from(image.height()));
    let (wide, high) = (u64::from(size.width), u64::from(size.height));
    let (part_width, part_height) = match width * high > height * wide {
        true => ((height * wide / high).max(1), height),
        false => (width, (width * high / wide).max(1)),
    };
    let (left, top) = ((width - part_width) / 2, (height - part_height) / 2);
    image.crop_imm(left as u32, top as u32, part_width as u32, part_height as u32).resize_exact(
        size.width,
        size.height,
        FilterType::Lanczos3,
    )
}

/// The smaller of JPEG (for photos) and lossless WebP (for drawings and transparency).
fn encode(image: DynamicImage, size: Size) -> Result<Picture, ImageError> {
    let failed = |error: CodecError| ImageError::Failed(error.to_string());
    let pixels = image.into_rgba8();
    let is_opaque = pixels.pixels().all(|pixel| pixel.0[3] == u8::MAX);
    let mut webp = Vec::new();
    if !is_opaque {
        let encoder = WebPEncoder::new_lossless(&mut webp);
        encoder.write_image(&pixels, size.width, size.height, ExtendedColorType::Rgba8).map_err(failed)?;
        return Ok(Picture { size, format: PictureFormat::Webp, bytes: webp });
    }
    let pixels: RgbImage = DynamicImage::ImageRgba8(pixels).into_rgb8();
    let encoder = WebPEncoder::new_lossless(&mut webp);
    encoder.write_image(&pixels, size.width, size.height, ExtendedColorType::Rgb8).map_err(failed)?;
    let mut jpeg = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    encoder.write_image(&pixels, size.width, size.height, ExtendedColorType::Rgb8).map_err(failed)?;
    Ok(match jpeg.len() < webp.len() {
        true => Picture { size, format: PictureFormat::Jpeg, bytes: jpeg },
        false => Picture { size, format: PictureFormat::Webp, bytes: webp },
    })
}
