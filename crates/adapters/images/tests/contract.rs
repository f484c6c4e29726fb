//! The contract of `ImageProcessor`, including hostile files.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]

use std::{io::Cursor, time::Instant};

use futures_util::future::join_all;
use image::{DynamicImage, GenericImageView, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use portico_images::{BoundedImages, ImageBounds};
use portico_kernel::images::{FittedPicture, ImageError, ImageProcessor, Picture, PictureFormat, Size};

const SQUARE: Size = Size::square(64);

async fn cover(source: &[u8], size: Size) -> Result<Picture, ImageError> {
    let pictures = BoundedImages::default().cover(source.to_vec(), vec![size]).await?;
    assert_eq!(pictures.len(), 1);
    Ok(pictures.into_iter().next().unwrap())
}

fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// Red on the left, blue on the right, noise over both, as a photo has.
fn photo(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| {
        let noise = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)).to_be_bytes()[1] / 8;
        if x < width / 2 { Rgb([220 + noise, noise, noise]) } else { Rgb([noise, noise, 220 + noise]) }
    })
}

fn pixels(picture: &Picture) -> DynamicImage {
    let image = image::load_from_memory(&picture.bytes).unwrap();
    assert_eq!(PictureFormat::of_content(&picture.bytes), Some(picture.format));
    assert_eq!(image.dimensions(), (picture.size.width, picture.size.height));
    image
}

fn is_red(pixel: Rgba<u8>) -> bool {
    pixel.0[0] > 150 && pixel.0[2] < 100
}

fn is_blue(pixel: Rgba<u8>) -> bool {
    pixel.0[2] > 150 && pixel.0[0] < 100
}

/// CRC-32 of PNG (ISO 3309).
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 },
        )
    };
    !bytes.iter().fold(u32::MAX, step)
}

fn chunk(kind: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

/// A PNG with these dimensions in its header, and next to no data.
fn declared(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 6, 0, 0, 0]].concat();
    let nothing = [0x78, 0x9c, 0x03, 0, 0, 0, 0, 1];
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &nothing), chunk(b"IEND", &[])]
        .concat()
}

/// A JPEG with an EXIF segment: an orientation, and a GPS position.
fn with_exif(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value].concat()
    };
    // The orientation, and the offset of the GPS directory, which follows this one.
    tiff.extend(2u16.to_le_bytes());
    tiff.extend(entry(0x0112, 3, 1, [orientation, 0, 0, 0]));
    tiff.extend(entry(0x8825, 4, 1, 38u32.to_le_bytes()));
    tiff.extend([0; 4]);
    tiff.extend(1u16.to_le_bytes());
    tiff.extend(entry(0x0001, 2, 2, *b"N\0\0\0"));
    tiff.extend([0; 4]);
    let exif = [b"Exif\0\0", &tiff[..], b"GPS 14.6349 -90.5069"].concat();
    let length = ((exif.len() + 2) as u16).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

#[tokio::test]
async fn every_accepted_format_is_read_and_cut_out_of_the_middle() {
    let source = photo(300, 100);
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif] {
        let picture = cover(&file(source.clone(), format), SQUARE).await.unwrap();
        let image = pixels(&picture);
        assert!(is_red(image.get_pixel(8, 32)) && is_blue(image.get_pixel(56, 32)), "{format:?}");
    }
}

#[tokio::test]
async fn several_sizes_come_in_their_order() {
    let sizes = vec![Size::square(256), Size { width: 40, height: 20 }, Size::square(1)];
    let source = file(photo(90, 120), ImageFormat::Png);
    let pictures = BoundedImages::default().cover(source, sizes.clone()).await.unwrap();
    assert_eq!(pictures.iter().map(|picture| picture.size).collect::<Vec<_>>(), sizes);
    pictures.iter().for_each(|picture| drop(pixels(picture)));
}

#[tokio::test]
async fn extreme_shapes_are_cut_too() {
    for (width, height) in [(1, 1), (2000, 1), (1, 2000)] {
        pixels(&cover(&file(photo(width, height), ImageFormat::Png), SQUARE).await.unwrap());
    }
}

#[tokio::test]
async fn a_photo_becomes_small_and_what_is_see_through_stays_so() {
    let picture = cover(&file(photo(800, 800), ImageFormat::Png), Size::square(256)).await.unwrap();
    assert_eq!(picture.format, PictureFormat::Jpeg);
    assert!(picture.bytes.len() < 40_000, "{}", picture.bytes.len());
    let drawing = RgbImage::from_pixel(800, 800, Rgb([10, 120, 90]));
    let picture = cover(&file(drawing, ImageFormat::Png), Size::square(256)).await.unwrap();
    assert_eq!(picture.format, PictureFormat::Webp);
    let hole = RgbaImage::from_fn(100, 100, |x, _| Rgba([200, 0, 0, if x < 50 { 0 } else { 255 }]));
    let picture = cover(&file(hole, ImageFormat::Png), SQUARE).await.unwrap();
    assert_eq!(picture.format, PictureFormat::Webp);
    assert_eq!(pixels(&picture).get_pixel(4, 32).0[3], 0);
}

#[tokio::test]
async fn a_photo_is_turned_upright_and_loses_where_it_was_taken() {
    let source = with_exif(&file(photo(200, 200), ImageFormat::Jpeg), 6);
    assert!(source.windows(3).any(|part| part == b"GPS"));
    let picture = cover(&source, SQUARE).await.unwrap();
    let image = pixels(&picture);
    // Turned by 90 degrees clockwise, what was on the left is on top.
    assert!(is_red(image.get_pixel(32, 8)) && is_blue(image.get_pixel(32, 56)));
    for trace in [&b"Exif"[..], b"GPS", b"14.6349"] {
        assert!(!picture.bytes.windows(trace.len()).any(|part| part == trace));
    }
}

#[tokio::test]
async fn a_flood_of_pixels_is_refused_before_it_takes_memory() {
    for (width, height) in [(60_000, 60_000), (5001, 5000), (25_000_001, 1)] {
        let bomb = declared(width, height);
        assert!(bomb.len() < 100);
        let begun = Instant::now();
        let result = cover(&bomb, SQUARE).await;
        assert!(matches!(result, Err(ImageError::TooManyPixels(25_000_000))), "{width}×{height}: {result:?}");
        assert!(begun.elapsed().as_millis() < 500, "{width}×{height}");
    }
    // Dimensions whose product could overflow 64 bits.
    assert!(cover(&declared(u32::MAX >> 1, u32::MAX >> 1), SQUARE).await.is_err());
}

#[tokio::test]
async fn what_ends_early_or_lies_is_damaged() {
    let png = file(photo(200, 200), ImageFormat::Png);
    let gif = file(photo(50, 50), ImageFormat::Gif);
    let webp = file(photo(50, 50), ImageFormat::WebP);
    for (what, source) in [
        ("half a PNG", png[..png.len() / 2].to_vec()),
        ("a PNG of a header", png[..40].to_vec()),
        ("a PNG without pixels", declared(100, 100)),
        ("a PNG of no size", declared(0, 0)),
        ("half a GIF", gif[..gif.len() / 8].to_vec()),
        ("half a WebP", webp[..webp.len() / 2].to_vec()),
        ("a JPEG of two bytes", vec![0xff, 0xd8, 0xff]),
    ] {
        let result = cover(&source, SQUARE).await;
        assert!(matches!(result, Err(ImageError::Damaged)), "{what}: {result:?}");
    }
}

#[tokio::test]
async fn what_is_no_accepted_image_is_refused_by_its_content() {
    let bmp = [b"BM".as_slice(), &[0; 60]].concat();
    for (what, source) in [
        ("nothing", Vec::new()),
        ("a zip", b"PK\x03\x04 and so on".to_vec()),
        ("an SVG", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>".to_vec()),
        ("HTML", b"<!doctype html><script>alert(1)</script>".to_vec()),
        ("a BMP", bmp),
        ("a TIFF", b"II*\0\x08\0\0\0".to_vec()),
        ("a PDF", b"%PDF-1.7".to_vec()),
    ] {
        let result = cover(&source, SQUARE).await;
        assert!(matches!(result, Err(ImageError::UnknownFormat)), "{what}: {result:?}");
    }
}

#[tokio::test]
async fn what_hides_behind_or_inside_a_picture_is_gone() {
    let script = b"<script>alert(1)</script>";
    let mut polyglot = file(photo(100, 100), ImageFormat::Png);
    let comment = chunk(b"tEXt", &[b"Comment\0".as_slice(), script].concat());
    polyglot.splice(33..33, comment);
    polyglot.extend(b"PK\x03\x04");
    polyglot.extend(script);
    let picture = cover(&polyglot, SQUARE).await.unwrap();
    assert!(!picture.bytes.windows(script.len()).any(|part| part == script));
    assert!(!picture.bytes.windows(4).any(|part| part == b"PK\x03\x04"));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_wait_are_refused_and_the_rest_is_done() {
    let bounds = ImageBounds { threads: 1, waiting: 3, ..ImageBounds::default() };
    let images = BoundedImages::new(bounds);
    let source = file(photo(400, 400), ImageFormat::Png);
    let done = join_all((0..10).map(|_| images.cover(source.clone(), vec![SQUARE]))).await;
    let refused = done.iter().filter(|result| matches!(result, Err(ImageError::Overloaded))).count();
    let made = done.iter().filter(|result| result.is_ok()).count();
    assert_eq!((made, refused), (4, 6));
    assert!(images.cover(source, vec![SQUARE]).await.is_ok(), "and there is room again");
}

const WIDTHS: [u32; 4] = [320, 640, 1280, 1920];

async fn fit(source: &[u8]) -> Result<FittedPicture, ImageError> {
    BoundedImages::default().fit(source.to_vec(), WIDTHS.to_vec()).await
}

fn widths(fitted: &FittedPicture) -> Vec<u32> {
    fitted.variants.iter().map(|picture| picture.size.width).collect()
}

#[tokio::test]
async fn a_picture_keeps_its_format_and_shape_and_is_never_enlarged() {
    for (format, expected) in [
        (ImageFormat::Png, PictureFormat::Png),
        (ImageFormat::Jpeg, PictureFormat::Jpeg),
        (ImageFormat::WebP, PictureFormat::Webp),
        (ImageFormat::Gif, PictureFormat::Gif),
    ] {
        let fitted = fit(&file(photo(700, 351), format)).await.unwrap();
        assert_eq!(
            (fitted.original.format, fitted.original.size),
            (expected, Size { width: 700, height: 351 })
        );
        let sizes: Vec<_> =
            fitted.variants.iter().map(|picture| (picture.size.width, picture.size.height)).collect();
        assert_eq!(sizes, [(320, 160), (640, 321), (700, 351)], "{format:?}");
        for picture in fitted.variants.iter().chain([&fitted.original]) {
            let image = pixels(picture);
            let (width, height) = image.dimensions();
            assert!(is_red(image.get_pixel(width / 8, height / 2)), "{format:?}");
            assert!(is_blue(image.get_pixel(width * 7 / 8, height / 2)), "{format:?}");
        }
        assert!(fitted.variants.iter().all(|picture| picture.format == PictureFormat::Webp));
    }
}

#[tokio::test]
async fn large_pictures_have_every_width_and_small_ones_their_own() {
    let large = fit(&file(photo(2400, 600), ImageFormat::Jpeg)).await.unwrap();
    assert_eq!((widths(&large), large.original.size.width), (WIDTHS.to_vec(), 2400));
    assert_eq!(widths(&fit(&file(photo(1920, 10), ImageFormat::Png)).await.unwrap()), WIDTHS);
    assert_eq!(widths(&fit(&file(photo(320, 10), ImageFormat::Png)).await.unwrap()), [320]);
    assert_eq!(widths(&fit(&file(photo(1, 1), ImageFormat::Gif)).await.unwrap()), [1]);
    let thin = fit(&file(photo(1920, 1), ImageFormat::Png)).await.unwrap();
    assert!(thin.variants.iter().all(|picture| picture.size.height == 1));
    // WebP has at most 16,383 pixels a side.
    let tower = fit(&file(photo(400, 20_000), ImageFormat::Png)).await.unwrap();
    assert_eq!((widths(&tower), tower.original.size.height), (vec![320], 20_000));
}

#[tokio::test]
async fn a_fitted_photo_is_turned_upright_small_and_without_a_trace() {
    let source = with_exif(&file(photo(900, 600), ImageFormat::Jpeg), 6);
    let fitted = fit(&source).await.unwrap();
    assert_eq!(fitted.original.size, Size { width: 600, height: 900 });
    let mut smallest = usize::MAX;
    for picture in fitted.variants.iter().chain([&fitted.original]) {
        let image = pixels(picture);
        let (width, height) = image.dimensions();
        assert!(
            is_red(image.get_pixel(width / 2, height / 8))
                && is_blue(image.get_pixel(width / 2, height * 7 / 8))
        );
        for trace in [&b"Exif"[..], b"EXIF", b"GPS", b"14.6349"] {
            assert!(!picture.bytes.windows(trace.len()).any(|part| part == trace));
        }
        smallest = smallest.min(picture.bytes.len());
    }
    // A photo is encoded with loss: without, these pixels would take half a megabyte.
    assert!(smallest < 40_000, "{smallest}");
}

#[tokio::test]
async fn what_is_see_through_stays_so_and_drawings_stay_sharp() {
    let hole =
        RgbaImage::from_fn(800, 400, |x, _| if x < 400 { Rgba([0; 4]) } else { Rgba([200, 0, 0, 255]) });
    let fitted = fit(&file(hole, ImageFormat::Png)).await.unwrap();
    for picture in fitted.variants.iter().chain([&fitted.original]) {
        let image = pixels(picture);
        assert_eq!(image.get_pixel(image.width() / 8, 2).0[3], 0, "{:?}", picture.size);
        assert_eq!(image.get_pixel(image.width() * 7 / 8, 2), Rgba([200, 0, 0, 255]), "{:?}", picture.size);
    }
}

#[tokio::test]
async fn bombs_and_lies_are_refused_by_fit_too() {
    assert!(matches!(fit(&declared(50_000, 50_000)).await, Err(ImageError::TooManyPixels(_))));
    let png = file(photo(200, 200), ImageFormat::Png);
    assert!(matches!(fit(&png[..png.len() / 2]).await, Err(ImageError::Damaged)));
    assert!(matches!(fit(b"%PDF-1.7").await, Err(ImageError::UnknownFormat)));
    // A screen of 60,000 by 60,000 pixels, and a first frame far outside of a small one.
    let screen = b"GIF89a\x60\xea\x60\xea\x80\x01\0\0\0\0ccc,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;";
    assert!(matches!(fit(screen).await, Err(ImageError::TooManyPixels(_))));
    let frame = b"GIF89a\x01\0\x01\0\x80\x01\0\0\0\0ccc,\0\0\0\0\x60\xea\x60\xea\0\x02\x02D\x01\0;";
    assert!(fit(frame).await.is_err());
}

#[tokio::test]
async fn of_an_animation_the_first_frame_is_kept_however_many_follow() {
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for shade in 0..200u8 {
        let frame = RgbaImage::from_pixel(300, 300, Rgba([shade, 0, 0, 255]));
        encoder.encode_frame(image::Frame::new(frame)).unwrap();
    }
    drop(encoder);
    let fitted = fit(&bytes).await.unwrap();
    assert!(fitted.original.bytes.len() < bytes.len() / 50);
    assert_eq!(pixels(&fitted.original).get_pixel(150, 150), Rgba([0, 0, 0, 255]));
}
