//! Where the bytes come from.

use std::{fs, io};

/// Bytes that can be read at any place, on several threads at once.
pub(crate) trait ReadAt: Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Fills `into` with the bytes from `at` on.
    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(at, into)
    }
}

impl ReadAt for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(at)
            .ok()
            .and_then(|at| self.get(at..)?.get(..into.len()))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        into.copy_from_slice(bytes);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(at, into)
    }
}

/// A part of a file, such as an entry that a zip holds uncompressed.
pub(crate) struct FilePart {
    file: fs::File,
    start: u64,
    size: u64,
}

impl FilePart {
    /// The `size` bytes from `start` on.
    ///
    /// # Errors
    /// When the file does not have them.
    pub(crate) fn new(file: fs::File, start: u64, size: u64) -> io::Result<Self> {
        let end = start.checked_add(size);
        if end.is_none_or(|end| end > file.metadata().map_or(0, |data| data.len())) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { file, start, size })
    }

    /// All of a file.
    pub(crate) fn whole(file: fs::File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Self::new(file, 0, size)
    }
}

impl ReadAt for FilePart {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let end = at.checked_add(into.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        read_file(&self.file, self.start + at, into) // cannot overflow: `new` added more
    }
}

/// Fills `into`, by as many calls as the system takes for it.
fn read_file(file: &fs::File, mut at: u64, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        match read_some(file, at, into) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                into = into.get_mut(count..).unwrap_or_default();
                at = at.saturating_add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_some(file: &fs::File, at: u64, into: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, into, at)
}

#[cfg(windows)]
fn read_some(file: &fs::File, at: u64, into: &mut [u8]) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, into, at)
}

#[cfg(not(any(unix, windows)))]
fn read_some(mut file: &fs::File, at: u64, into: &mut [u8]) -> io::Result<usize> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    io::Read::read(&mut file, into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_file_reads_only_itself() -> io::Result<()> {
        let path = std::env::temp_dir().join(format!("hdf5-part-{}", std::process::id()));
        fs::write(&path, b"0123456789")?;
        let part = FilePart::new(fs::File::open(&path)?, 3, 4)?;
        let mut bytes = [0; 4];
        part.read_exact_at(0, &mut bytes)?;
        assert_eq!(&bytes, b"3456");
        for at in [1, 4, u64::MAX] {
            assert!(part.read_exact_at(at, &mut bytes).is_err());
        }
        assert_eq!(FilePart::whole(fs::File::open(&path)?)?.size(), 10);
        for (start, size) in [(7, 4), (u64::MAX, 2), (0, u64::MAX)] {
            assert!(FilePart::new(fs::File::open(&path)?, start, size).is_err());
        }
        let file = fs::File::open(&path)?;
        fs::write(&path, b"01234")?; // cut off after it was opened
        let error = read_file(&file, 3, &mut bytes).expect_err("an error");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        fs::remove_file(path)
    }

    #[test]
    fn a_slice_refuses_reads_beyond_its_end() {
        let bytes: &[u8] = b"abc";
        assert!(bytes.read_exact_at(1, &mut [0; 3]).is_err());
        assert!(bytes.read_exact_at(u64::MAX, &mut [0; 1]).is_err());
    }
}
