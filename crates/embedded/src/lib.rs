//! Files that are compiled in compressed (ADR 109). A build script packs them ([`pack_file`], [`pack_folder`], [`pack`]), [`packed!`] compiles
//! them in, and [`Packed`] is what the program then has.

use std::{
    env, fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, bufread::GzDecoder, write::GzEncoder};

/// A file that a build script of the same crate has packed under this name.
#[macro_export]
macro_rules! packed {
    ($name:literal) => {
        $crate::Packed::new(include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".gz")))
    };
}

/// A file in the program, as gzip (RFC 1952).
#[derive(Clone, Copy, Debug)]
pub struct Packed(&'static [u8]);

impl Packed {
    /// With what [`pack`] wrote; see [`packed!`].
    pub const fn new(gzip: &'static [u8]) -> Self {
        Self(gzip)
    }

    /// The file as gzip, as it is in the program.
    pub const fn gzip(self) -> &'static [u8] {
        self.0
    }

    /// Differs between files with different contents: their CRC-32 and length, which gzip ends with. Against accidents only; nothing is
    /// unpacked for it.
    pub fn fingerprint(self) -> u64 {
        self.0.last_chunk().map_or(0, |end| u64::from_le_bytes(*end))
    }

    /// Bytes of the file as it was.
    pub fn length(self) -> u64 {
        self.fingerprint() >> 32
    }

    /// Unpacks the file as it is read. Fails where the program is damaged.
    pub fn reader(self) -> impl Read {
        GzDecoder::new(self.0)
    }

    /// The file as it was: some milliseconds for a megabyte. Nothing of it is kept.
    ///
    /// # Errors
    /// When the program is damaged.
    pub fn unpack(self) -> io::Result<Vec<u8>> {
        let mut plain = Vec::with_capacity(usize::try_from(self.length()).unwrap_or_default());
        self.reader().read_to_end(&mut plain)?;
        Ok(plain)
    }

    /// The same of a text.
    ///
    /// # Errors
    /// When it is none, or the program is damaged.
    pub fn text(self) -> io::Result<String> {
        String::from_utf8(self.unpack()?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// For build scripts: packs a file under its name, again whenever it changes.
///
/// # Errors
/// When it cannot be read, or the result not be written.
pub fn pack_file(path: impl AsRef<Path>) -> io::Result<()> {
    watch(path.as_ref())?;
    pack_named(path.as_ref())
}

/// For build scripts: packs every file of a folder under its name, again whenever one changes.
///
/// # Errors
/// As for [`pack_file`].
pub fn pack_folder(folder: impl AsRef<Path>) -> io::Result<()> {
    watch(folder.as_ref())?;
    fs::read_dir(folder)?.try_for_each(|entry| pack_named(&entry?.path()))
}

/// For build scripts: packs a content under a name.
///
/// # Errors
/// When the result cannot be written.
pub fn pack(name: &str, content: &[u8]) -> io::Result<()> {
    let folder = env::var_os("OUT_DIR").map(PathBuf::from).ok_or(io::ErrorKind::NotFound)?;
    fs::write(folder.join(format!("{name}.gz")), compressed(content)?)
}

fn pack_named(path: &Path) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(io::ErrorKind::InvalidInput)?;
    pack(name, &fs::read(path)?)
}

/// Tells Cargo to run the build script again when a file, or a file of a folder, changes.
fn watch(path: &Path) -> io::Result<()> {
    writeln!(io::stdout(), "cargo::rerun-if-changed={}", path.display())
}

/// Without a time or a name in it, so that the same content makes the same program.
fn compressed(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(content: &[u8]) -> Packed {
        Packed::new(compressed(content).unwrap().leak())
    }

    #[test]
    fn a_file_is_unpacked_as_it_was() {
        let text = "Fresh bread, every morning, for everybody. ".repeat(1000);
        for content in [text.as_bytes(), &[], &[0x00, 0xff]] {
            assert_eq!(packed(content).unpack().unwrap(), content);
            assert_eq!(packed(content).length(), content.len() as u64);
        }
        let file = packed(text.as_bytes());
        assert!(file.gzip().len() * 20 < text.len(), "{} bytes", file.gzip().len());
        assert_eq!(file.text().unwrap(), text);
        assert_eq!(compressed(text.as_bytes()).unwrap(), file.gzip(), "the same each time");
    }

    #[test]
    fn a_fingerprint_follows_the_content() {
        let one = packed(b"one").fingerprint();
        assert_eq!(packed(b"one").fingerprint(), one);
        assert_ne!(packed(b"two").fingerprint(), one);
        assert_eq!(Packed::new(b"").fingerprint(), 0);
    }

    #[test]
    fn what_is_damaged_is_told() {
        let mut gzip = compressed(b"Fresh bread").unwrap();
        *gzip.last_mut().unwrap() ^= 1;
        assert!(Packed::new(gzip.leak()).unpack().is_err());
        assert!(Packed::new(b"").unpack().is_err());
        assert!(packed(b"\xff").text().is_err());
    }
}
