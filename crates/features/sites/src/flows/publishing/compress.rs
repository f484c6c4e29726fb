//! Compression of files once, when they are published, and not on every request.

use std::io::{self, Write};

use crate::hosting::encoding::Encoding;

/// Files below this size fit into one packet uncompressed.
pub const WORTHWHILE: usize = 256;

/// Brotli takes 10 s for a megabyte at 11 and a tenth of that at 9, for 3 % more.
const BROTLI_QUALITY: i32 = 9;
/// The maximum.
const GZIP_LEVEL: u32 = 9;

/// Compresses a file with one of [`Encoding::COMPRESSED`]. Deterministic. CPU-bound and slow.
pub fn compress(bytes: &[u8], encoding: Encoding) -> io::Result<Vec<u8>> {
    match encoding {
        Encoding::Identity => Ok(bytes.to_vec()),
        Encoding::Gzip => {
            let capacity = bytes.len() / 3;
            let level = flate2::Compression::new(GZIP_LEVEL);
            // No name and no modification time in the header, so that the output is reproducible.
            let mut encoder = flate2::write::GzEncoder::new(Vec::with_capacity(capacity), level);
            encoder.write_all(bytes)?;
            encoder.finish()
        }
        Encoding::Brotli => {
            let mut compressed = Vec::with_capacity(bytes.len() / 4);
            let parameters = brotli::enc::BrotliEncoderParams {
                quality: BROTLI_QUALITY,
                lgwin: window(bytes.len()),
                mode: brotli::enc::backward_references::BrotliEncoderMode::BROTLI_MODE_TEXT,
                size_hint: bytes.len(),
                ..Default::default()
            };
            brotli::BrotliCompress(&mut &*bytes, &mut compressed, &parameters)?;
            Ok(compressed)
        }
    }
}

/// The smallest window (as a power of two, RFC 7932 section 9.1) that the file fits into: a larger one costs memory on both
/// sides.
fn window(bytes: usize) -> i32 {
    (10..=22).find(|power| bytes < (1_usize << power) - 16).unwrap_or(22)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn page() -> Vec<u8> {
        let paragraph =
            |number: u32| format!("<p class=\"text\">Paragraph {number} about bread & café.</p>\n");
        (0..400).map(paragraph).collect::<String>().into_bytes()
    }

    #[test]
    fn what_is_compressed_comes_back() {
        for bytes in [page(), Vec::new(), b"x".to_vec(), (0..=255).collect(), vec![7; 300_000]] {
            let gzip = compress(&bytes, Encoding::Gzip).unwrap();
            let mut read = Vec::new();
            flate2::read::GzDecoder::new(&*gzip).read_to_end(&mut read).unwrap();
            assert!(read == bytes);
            let brotli = compress(&bytes, Encoding::Brotli).unwrap();
            let mut read = Vec::new();
            brotli::BrotliDecompress(&mut &*brotli, &mut read).unwrap();
            assert!(read == bytes);
        }
    }

    #[test]
    fn it_is_worth_it_and_repeats() {
        let page = page();
        let brotli = compress(&page, Encoding::Brotli).unwrap();
        let gzip = compress(&page, Encoding::Gzip).unwrap();
        assert!(brotli.len() < gzip.len() && gzip.len() * 5 < page.len(), "{} {}", brotli.len(), gzip.len());
        assert_eq!(compress(&page, Encoding::Brotli).unwrap(), brotli);
        assert_eq!(compress(&page, Encoding::Gzip).unwrap(), gzip);
    }

    #[test]
    fn windows_fit() {
        for (bytes, power) in [(0, 10), (1007, 10), (1008, 11), (100_000, 17), (1 << 22, 22), (1 << 30, 22)] {
            assert_eq!(window(bytes), power, "{bytes}");
        }
    }
}
