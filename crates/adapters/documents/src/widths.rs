//! How wide texts are: the advance widths of Helvetica, in thousandths of its size (Adobe Font Metrics of the standard fonts). The bold
//! face has the same digits and nearly the same capitals, which is all that is set in bold at the right.

/// Of the bytes from 0x20 on, in Windows-1252.
const HELVETICA: [u16; 224] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, // space to /
    556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, // 0 to ?
    1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, // @ to O
    667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, // P to _
    333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, // ` to o
    556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584, 350, // p to 0x7F
    556, 350, 222, 556, 333, 1000, 556, 556, 333, 1000, 667, 333, 1000, 350, 611, 350, // 0x80
    350, 222, 222, 333, 333, 350, 556, 1000, 333, 1000, 500, 333, 944, 350, 500, 667, // 0x90
    278, 333, 556, 556, 556, 556, 260, 556, 333, 737, 370, 556, 584, 333, 737, 333, // 0xA0
    400, 584, 333, 333, 333, 556, 537, 278, 333, 333, 365, 556, 834, 834, 834, 611, // 0xB0
    667, 667, 667, 667, 667, 667, 1000, 722, 667, 667, 667, 667, 278, 278, 278, 278, // À
    722, 722, 778, 778, 778, 778, 778, 584, 778, 722, 722, 722, 722, 667, 667, 611, // Ð
    556, 556, 556, 556, 556, 556, 889, 500, 556, 556, 556, 556, 278, 278, 278, 278, // à
    556, 556, 556, 556, 556, 556, 556, 584, 611, 556, 556, 556, 556, 500, 556, 500, // ð
];

/// The width of a text in points.
pub fn of(text: &[u8], size: f32) -> f32 {
    let advance = |byte: &u8| HELVETICA.get(usize::from(byte.saturating_sub(b' '))).copied().unwrap_or(0);
    text.iter().map(|byte| f32::from(advance(byte))).sum::<f32>() * size / 1000.0
}

/// The text in lines that fit, broken at spaces, and within words that are longer than a line; at most `most` lines, the last of which is
/// cut.
pub fn wrapped(text: &[u8], size: f32, width: f32, most: usize) -> Vec<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    for word in text.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
        for piece in pieces(word, size, width) {
            let is_full = lines.last().is_none_or(|line| {
                !line.is_empty() && of(line, size) + of(b" ", size) + of(piece, size) > width
            });
            if is_full {
                lines.push(Vec::new());
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(b' ');
                }
                line.extend(piece);
            }
        }
    }
    lines.truncate(most);
    lines
}

/// A word in parts that fit on a line each.
fn pieces(word: &[u8], size: f32, width: f32) -> Vec<&[u8]> {
    let mut rest = word;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let mut end = 0.0;
        let fits = rest.iter().take_while(|byte| {
            end += of(&[**byte], size);
            end <= width
        });
        let fits = fits.count().max(1);
        let (piece, left) = rest.split_at(fits);
        pieces.push(piece);
        rest = left;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_font() {
        assert_eq!(of(b"AVA", 1000.0), 2001.0);
        assert_eq!(of(&[0xf1, 0xff], 10.0), 10.56);
        assert_eq!(of(b"\x00", 10.0), 2.78, "what is not a letter is a space");
    }

    #[test]
    fn lines_fit() {
        let text = b"a license for the base product and for everything that comes with it";
        for width in [5.0, 40.0, 100.0, 1000.0] {
            let lines = wrapped(text, 10.0, width, 1000);
            assert!(lines.iter().all(|line| of(line, 10.0) <= width || line.len() == 1), "{width}");
            let letters = |text: &[u8]| text.iter().filter(|byte| **byte != b' ').count();
            assert_eq!(lines.iter().map(|line| letters(line)).sum::<usize>(), letters(text));
        }
        assert_eq!(wrapped(text, 10.0, 100.0, 2).len(), 2);
        assert_eq!(wrapped(b"", 10.0, 100.0, 2), [b""]);
        assert_eq!(wrapped(&[b'x'; 100], 10.0, 100.0, 2).len(), 2);
    }
}
