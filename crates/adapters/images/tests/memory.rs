//! Memory consumption of hostile files. The only test of its process, because it measures the whole process.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail the test")]
#![expect(clippy::print_stdout, reason = "the figures are what one wants to see when it fails")]

use std::{fs, io::Cursor};

use image::{DynamicImage, ImageFormat, RgbImage};
use portico_images::BoundedImages;
use portico_kernel::images::{ImageProcessor, Size};

const WIDTHS: [u32; 4] = [320, 640, 1280, 1920];
const MIB: u64 = 1 << 20;

/// A value of this process in bytes, see proc_pid_status(5).
fn status(name: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// The peak memory consumption of a file on top of the process's own, once as an asset, once as an avatar.
fn peak(what: &str, file: &[u8]) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut most = 0;
    for as_asset in [true, false] {
        let images = BoundedImages::default();
        // Resets the peak, see proc_pid_clear_refs(5).
        fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status("VmRSS");
        let source = file.to_vec();
        let result = match as_asset {
            true => runtime.block_on(images.fit(source, WIDTHS.to_vec())).map(drop),
            false => runtime.block_on(images.cover(source, vec![Size::square(256)])).map(drop),
        };
        let peak = status("VmHWM").saturating_sub(before);
        println!("{what}, {}: {:.1} MiB, {result:?}", if as_asset { "asset" } else { "avatar" }, mib(peak));
        most = most.max(peak);
    }
    most
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

fn file(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
    let pixels = RgbImage::from_fn(width, height, |x, y| image::Rgb([(x / 16) as u8, (y / 16) as u8, 90]));
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(pixels).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
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

/// Zeros as a zlib stream (RFC 1950, RFC 1951): one literal, then 258 times the byte before, again and again.
fn deflated_zeros(bytes: usize) -> Vec<u8> {
    let mut stream = vec![0x78, 0x9c];
    let (mut buffer, mut filled) = (0u64, 0);
    let mut put = |stream: &mut Vec<u8>, bits: u64, count: u32| {
        buffer |= bits << filled;
        filled += count;
        while filled >= 8 {
            stream.push(buffer as u8);
            buffer >>= 8;
            filled -= 8;
        }
        filled
    };
    // The last block, with fixed codes. They are sent with the highest bit first: literal 0 is 00110000.
    put(&mut stream, 0b011, 3);
    put(&mut stream, 0b0000_1100, 8);
    let repeats = bytes / 258;
    for _ in 0..repeats {
        // Length 258 is code 285, 11000101; distance 1 is code 0.
        put(&mut stream, 0b1010_0011, 8);
        put(&mut stream, 0, 5);
    }
    // The end of the block, and bits up to the next byte.
    let filled = put(&mut stream, 0, 7);
    if filled > 0 {
        put(&mut stream, 0, 8 - filled);
    }
    let length = (1 + repeats * 258) as u32;
    stream.extend((((length % 65_521) << 16) | 1).to_be_bytes());
    stream
}

/// A small PNG with additional chunks after its header.
fn png_with(chunks: &[u8]) -> Vec<u8> {
    let mut png = file(64, 64, ImageFormat::Png);
    png.splice(33..33, chunks.iter().copied());
    png
}

/// A GIF with this number of copies of one frame.
fn gif_of(frames: usize, width: u32, height: u32) -> Vec<u8> {
    let once = file(width, height, ImageFormat::Gif);
    // The frame: from the extension before it to the end of the file.
    let start = once.windows(3).position(|part| part == [0x21, 0xf9, 0x04]).unwrap();
    let frame = &once[start..once.len() - 1];
    [&once[..start], &frame.repeat(frames), &[0x3b]].concat()
}

#[test]
fn what_is_hidden_in_a_file_takes_no_memory() {
    // One-time allocations of encoders and allocator.
    peak("a small picture", &file(64, 64, ImageFormat::Png));
    let plain = peak("a picture of 4 megapixels", &file(2000, 2000, ImageFormat::Gif));
    let animated = peak("60 frames of 4 megapixels", &gif_of(60, 2000, 2000));

    let profile = [b"icc\0\0".as_slice(), &deflated_zeros(300 << 20)].concat();
    let profile = png_with(&chunk(b"iCCP", &profile));
    let text = [b"Comment\0\0".as_slice(), &deflated_zeros(300 << 20)].concat();
    let text = png_with(&chunk(b"zTXt", &text));
    let international = [b"Comment\0\x01\0\0\0".as_slice(), &deflated_zeros(300 << 20)].concat();
    let international = png_with(&chunk(b"iTXt", &international));
    for (what, bomb) in [
        ("a colour profile of 300 MiB", profile),
        ("a text of 300 MiB", text),
        ("a text of 300 MiB in Unicode", international),
    ] {
        let taken = peak(what, &bomb);
        // The file itself, twice: as it was sent, and its copy here.
        let most = 2 * bomb.len() as u64 + 8 * MIB;
        assert!(taken < most, "{what}: {:.1} MiB for a file of {:.1}", mib(taken), mib(bomb.len() as u64));
    }
    // Additional frames cost only the bytes to read.
    let more = animated.saturating_sub(plain);
    assert!(more < 16 * MIB, "{:.1} MiB more", mib(more));
    assert!(plain < 72 * MIB, "{:.1} MiB for 4 megapixels", mib(plain));
}
