//! Names of files, as they come from other people's machines, made safe to show and to save.

use super::AssetType;

/// The most characters of a name.
pub const MAX_FILENAME: usize = 150;

/// The last part of a path, without what a file system, a header or a reader could be tricked with: control characters,
/// marks that turn the direction of writing (`gpj.exe` shown as `exe.jpg`), and characters without a width. It ends as
/// files of the format do.
pub(super) fn clean(name: &str, format: AssetType) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| !is_treacherous(*c)).collect();
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let trimmed = words.trim_matches(['.', ' ']);
    let (stem, extension) = match trimmed.rsplit_once('.') {
        Some((stem, extension)) if fits(extension, format) => (stem.trim_end_matches(['.', ' ']), extension),
        _ => (trimmed, format.extensions()[0]),
    };
    let stem: String = stem.chars().take(MAX_FILENAME - 1 - extension.len()).collect();
    let stem = stem.trim_end_matches(['.', ' ']);
    format!("{}.{extension}", if stem.is_empty() { "file" } else { stem })
}

fn fits(extension: &str, format: AssetType) -> bool {
    format.extensions().iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// Characters that show something else than what is there (Unicode TR 36), or mean something to file systems.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '"' | '<' | '>' | '|' | '?' | '*' | ':'
            | '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff0}'..='\u{ffff}'
            | '\u{e0000}'..='\u{e0fff}')
}
