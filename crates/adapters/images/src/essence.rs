//! Reduces a file to the parts that its pixels are decoded from.
//!
//! Everything else is cut out before a decoder sees the file: colour profiles and texts (which PNG may store compressed to
//! a thousandth), comments, thumbnails, and every frame after the first. So none of it can consume resources, and each
//! decoder gets only input that it has limits for: one image of known size.
//!
//! A file that ends early or has another format is left unchanged from there on; the decoder reports it as damaged.

use portico_kernel::images::PictureFormat;

/// Maximum size of EXIF data, which has the orientation of a photo: as much as fits into a segment of a JPEG file.
const MAX_EXIF: usize = 0xffff;

/// Removes what is not needed to decode the first frame. In place: the file does not get longer, and no copy is made of it.
pub(crate) fn keep(file: &mut Vec<u8>, format: PictureFormat) {
    match format {
        PictureFormat::Png => png(file),
        PictureFormat::Jpeg => jpeg(file),
        PictureFormat::Webp => webp(file),
        PictureFormat::Gif => gif(file),
    }
}

/// Moves parts of a file to its front, in order.
struct Compaction<'a> {
    file: &'a mut Vec<u8>,
    /// Position of the next part.
    end: usize,
}

impl<'a> Compaction<'a> {
    /// Keeps the first `kept` bytes.
    fn new(file: &'a mut Vec<u8>, kept: usize) -> Self {
        let end = kept.min(file.len());
        Self { file, end }
    }

    /// Keeps a part, and drops the bytes between the last one and this one.
    fn keep(&mut self, from: usize, to: usize) {
        let to = to.min(self.file.len());
        self.file.copy_within(from..to, self.end);
        self.end += to - from;
    }

    /// Truncates the file after the last part that was kept.
    fn finish(self) {
        self.file.truncate(self.end);
    }
}

fn u32_at(file: &[u8], at: usize, read: fn([u8; 4]) -> u32) -> Option<usize> {
    let bytes = file.get(at..at.checked_add(4)?)?;
    Some(read(bytes.try_into().ok()?) as usize)
}

/// Chunks (PNG specification, section 5.3): length, type, data, CRC. Of an animation the default image is kept, which
/// decoders without animation show.
fn png(file: &mut Vec<u8>) {
    let mut at = 8;
    let mut kept = Compaction::new(file, at);
    while let Some(length) = u32_at(kept.file, at, u32::from_be_bytes) {
        let end = at.saturating_add(length).saturating_add(12);
        let needed = match kept.file.get(at + 4..at + 8) {
            Some(b"IHDR" | b"PLTE" | b"tRNS" | b"IDAT" | b"IEND") => true,
            Some(b"eXIf") => length <= MAX_EXIF,
            _ => false,
        };
        if needed {
            kept.keep(at, end);
        }
        at = end;
    }
    kept.finish();
}

/// Segments (ITU-T T.81, annex B.1.1) until the first scan; from there on everything stays. `APP0` and `APP14` contain the
/// colour encoding, `APP1` is EXIF data; other `APPn` and comments are dropped.
fn jpeg(file: &mut Vec<u8>) {
    let mut at = 2;
    let mut has_exif = false;
    let mut kept = Compaction::new(file, at);
    while let Some(&[0xff, marker, high, low]) = kept.file.get(at..at + 4) {
        let length = usize::from(u16::from_be_bytes([high, low]));
        match marker {
            // A fill byte.
            0xff => {
                at += 1;
                continue;
            }
            // The first scan, and markers without a length.
            0xda | 0xd0..=0xd9 | 0x01 | 0x00 => break,
            _ if length < 2 => break,
            _ => {}
        }
        let end = at + 2 + length;
        let needed = match marker {
            0xe1 => !has_exif && kept.file[at + 4..].starts_with(b"Exif\0"),
            0xe2..=0xed | 0xef | 0xfe => false,
            _ => true,
        };
        has_exif |= needed && marker == 0xe1;
        if end > kept.file.len() {
            break;
        }
        if needed {
            kept.keep(at, end);
        }
        at = end;
    }
    let end = kept.file.len();
    kept.keep(at.min(end), end);
    kept.finish();
}

/// Chunks (RFC 9649, section 2.3) behind the twelve bytes of the container. Of an animation the first frame is kept.
fn webp(file: &mut Vec<u8>) {
    let mut at = 12;
    let (mut has_frame, mut has_exif) = (false, false);
    let mut kept = Compaction::new(file, at);
    while let Some(length) = u32_at(kept.file, at + 4, u32::from_le_bytes) {
        let end = at.saturating_add(length).saturating_add(8 + length % 2);
        let needed = match &kept.file[at..at + 4] {
            b"VP8X" | b"ALPH" | b"VP8 " | b"VP8L" | b"ANIM" => true,
            b"ANMF" => !std::mem::replace(&mut has_frame, true),
            b"EXIF" => length <= MAX_EXIF && !std::mem::replace(&mut has_exif, true),
            _ => false,
        };
        if needed {
            kept.keep(at, end);
        }
        at = end;
    }
    // The size in the container. The last chunk of a truncated file still has its full length.
    let size = u32::try_from(kept.end.saturating_sub(8)).unwrap_or(u32::MAX);
    kept.finish();
    if let Some(place) = file.get_mut(4..8) {
        place.copy_from_slice(&size.to_le_bytes());
    }
    // The flags of dropped chunks: colour profile and XMP, perhaps EXIF.
    let gone = if has_exif { 0x24 } else { 0x2c };
    if file.get(12..16) == Some(b"VP8X")
        && let Some(flags) = file.get_mut(20)
    {
        *flags &= !gone;
    }
}

/// Blocks (GIF89a specification, section 17 to 26): the screen with its colours, and the first image with the extension
/// that defines its transparent colour.
fn gif(file: &mut Vec<u8>) {
    let Some(flags) = file.get(10).copied() else { return };
    let mut at = 13 + colors(flags);
    let mut kept = Compaction::new(file, at);
    loop {
        let end = match kept.file.get(at..at + 2) {
            // An extension: its label, then sub-blocks.
            Some(&[0x21, _]) => sub_blocks(kept.file, at + 2),
            // An image: its position and colours, the size of its codes, then sub-blocks.
            Some(&[0x2c, _]) => {
                let flags = kept.file.get(at + 9).copied().unwrap_or(0);
                sub_blocks(kept.file, at + 11 + colors(flags))
            }
            _ => None,
        };
        let begin = kept.file.get(at..at + 2).map(|bytes| [bytes[0], bytes[1]]);
        let (Some(end), Some(begin)) = (end, begin) else { break };
        match begin {
            [0x21, 0xf9] => kept.keep(at, end),
            [0x21, _] => {}
            _ => {
                kept.keep(at, end);
                // There is room for the trailer: at least one byte followed.
                if kept.end < kept.file.len() {
                    let end = kept.end;
                    kept.file[end] = 0x3b;
                    kept.end += 1;
                }
                return kept.finish();
            }
        }
        at = end;
    }
    let end = kept.file.len();
    kept.keep(at.min(end), end);
    kept.finish();
}

/// Size of a colour table by its flags.
fn colors(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// The end of the sub-blocks that begin here; `None` when the file ends first.
fn sub_blocks(file: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*file.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}
