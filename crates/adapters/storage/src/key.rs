//! Validation of keys.

use object_store::path::Path;
use portico_kernel::files::FileError;

/// Maximum length of a key, in bytes: the limit of S3.
const KEY_MAX: usize = 1024;
/// Maximum length of a key's segment, in bytes: the limit of file systems, less the suffix of an unfinished upload.
const PART_MAX: usize = 240;

/// Validates a key or prefix of any origin: a bug elsewhere must not give access outside of the store.
///
/// Segments contain ASCII letters, digits, `.`, `_` and `-`. That excludes everything with a special meaning in a file
/// system, a URL or a store: other slashes, drive letters, percent signs, `#`, control characters, letters that look alike.
pub fn checked(key: &str) -> Result<Path, FileError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let valid =
        |part: &str| !matches!(part, "" | "." | "..") && part.len() <= PART_MAX && part.bytes().all(allowed);
    if key.len() > KEY_MAX || !key.split('/').all(valid) {
        return Err(FileError::InvalidKey);
    }
    Path::parse(key).map_err(|_| FileError::InvalidKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_we_make_pass_unchanged() {
        for key in [
            "a",
            "sites/0190a5b0-c0d0-7e00-8f00-112233445566/index.html",
            "a/.well-known/x",
            "a/b_c/..d",
            "A/1.2",
        ] {
            assert_eq!(checked(key).unwrap().as_ref(), key);
        }
    }

    #[test]
    fn all_others_are_refused() {
        let long_part = "a".repeat(PART_MAX + 1);
        let long_key = "abc/".repeat(300) + "x";
        for key in [
            "",
            "/",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "../a",
            "a/../b",
            "a/./b",
            "a/..",
            "a\\..\\b",
            "C:/a",
            "a b",
            "a%2e%2e/b",
            "a#1",
            "a\0b",
            "a\nb",
            "é",
            "a?b",
            "~/a",
            long_part.as_str(),
            long_key.as_str(),
        ] {
            assert!(matches!(checked(key), Err(FileError::InvalidKey)), "{key:?}");
        }
    }
}
