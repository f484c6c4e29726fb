//! Reading local files that are in memory already.
//!
//! A thread for each read, as files that may be on a slow disk need, costs two changes of threads for it. Of a file that many download most
//! reads find what they want in the page cache.

use std::{fs::File, io::IoSliceMut, ops::Range, path::Path};

use rustix::io::{ReadWriteFlags, preadv2};

/// Longest range that is read so: copying it takes a few microseconds, in which the thread does nothing else.
const LONGEST: u64 = 64 * 1024;

/// The whole range of a file, if the system has it in memory. `None` where it would have to wait for a disk, where the file is shorter or
/// absent, and on file systems that cannot tell (tmpfs is one): then it is to be read as any other.
pub fn read(file: &Path, range: &Range<u64>) -> Option<Vec<u8>> {
    let length = range.end.checked_sub(range.start).filter(|length| (1..=LONGEST).contains(length))?;
    let file = File::open(file).ok()?;
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    let mut into = [IoSliceMut::new(&mut bytes)];
    let read = preadv2(&file, &mut into, range.start, ReadWriteFlags::NOWAIT).ok()?;
    (read == bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_was_written_and_never_a_part_of_it() {
        // In the working directory: the folder for temporary files may be a tmpfs.
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..200_000).map(|number| (number % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        for range in [0..1, 7..16_391, 100_000..165_536, 199_999..200_000] {
            let expected = &bytes[range.start as usize..range.end as usize];
            // On a file system that cannot tell, each is `None`.
            assert!(read(&path, &range).is_none_or(|read| read == expected), "{range:?}");
        }
        for range in [0..0, 199_999..200_001, 200_000..200_010, 0..LONGEST + 1, Range { start: 9, end: 3 }] {
            assert_eq!(read(&path, &range), None, "{range:?}");
        }
        assert_eq!(read(folder.path(), &(0..1)), None, "a folder");
        assert_eq!(read(&folder.path().join("absent"), &(0..1)), None);
    }
}
