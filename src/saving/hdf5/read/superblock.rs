//! The superblock, with which a file starts.

use super::super::{Error, Result, SIGNATURE};
use super::cursor::Cursor;
use super::reads::Reads;

/// The place in error messages.
const PLACE: &str = "superblock";

/// The address of the root group.
pub(super) fn root(reads: &mut Reads<'_>, size: u64) -> Result<u64> {
    /// The bytes of the longest one, version 1 without the root's cache.
    const MOST: u64 = 8 + 20 + 4 * 8 + 2 * 8;
    let block = reads.block(0, size.min(MOST))?;
    let mut cursor = block.cursor();
    let start = cursor.expect(SIGNATURE);
    start.map_err(|_| Error::new(PLACE, "expected an HDF5 file, got something else"))?;
    parse(cursor, size)
}

fn parse(mut cursor: Cursor<'_>, size: u64) -> Result<u64> {
    let version = cursor.u8()?;
    let old = version < 2;
    match version {
        0..=3 => cursor.skip(if old { 4 } else { 0 })?, // versions of other structures
        _ => {
            let what = format!("expected version 0 to 3, got {version}");
            return Err(Error::new(PLACE, what));
        }
    }
    let sizes = [cursor.u8()?, cursor.u8()?];
    cursor.skip(match version {
        0 => 9, // nodes of groups, flags
        1 => 13,
        _ => 1,
    })?;
    let base = cursor.u64()?;
    if sizes != [8, 8] || base != 0 {
        let [address, length] = sizes;
        let what = format!(
            "expected addresses and sizes of 8 bytes, counted from the start, got {address} and \
             {length} bytes, counted from {base}"
        );
        return Err(Error::new(PLACE, what));
    }
    cursor.skip(8)?; // free space, or the superblock's extension
    let end = cursor.u64()?;
    if end > size {
        let what = format!("expected a file of {end} bytes, got {size}: the file is cut off");
        return Err(Error::new(PLACE, what));
    }
    cursor.skip(if old { 16 } else { 0 })?; // the driver's block, the root's name
    cursor.u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<u64> {
        root(&mut Reads::new(&bytes.to_vec()), bytes.len() as u64)
    }

    /// A superblock whose numbers are the version, the sizes, the base and the end.
    fn superblock(version: u8, sizes: u8, base: u64, end: u64) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        let (before, after, skipped) = match version {
            0 => (4, 9, 2),
            1 => (4, 13, 2),
            _ => (0, 1, 0),
        };
        bytes.push(version);
        bytes.extend(vec![0; before]);
        bytes.extend([sizes, sizes]);
        bytes.extend(vec![0; after]);
        bytes.extend([base.to_le_bytes(), [0xff; 8], end.to_le_bytes()].concat());
        bytes.extend(vec![0; skipped * 8]);
        bytes.extend(77u64.to_le_bytes());
        bytes
    }

    #[test]
    fn finds_the_root_in_versions_0_to_3() -> Result<()> {
        for version in 0..=3 {
            assert_eq!(read(&superblock(version, 8, 0, 40))?, 77);
        }
        Ok(())
    }

    #[test]
    fn other_files_are_errors_that_say_why() {
        let error = |bytes: &[u8]| read(bytes).expect_err("an error").to_string();
        let what = "superblock: expected an HDF5 file, got something else";
        assert_eq!(error(b"PK\x03\x04 a zip file"), what);
        assert_eq!(error(b""), what);
        let what = "superblock: expected version 0 to 3, got 4";
        assert_eq!(error(&superblock(4, 8, 0, 40)), what);
        let what = "superblock: expected a file of 4000 bytes, got 72: the file is cut off";
        assert_eq!(error(&superblock(0, 8, 0, 4000)), what);
        let what = "superblock: expected addresses and sizes of 8 bytes, counted from the start, got 4 \
                    and 4 bytes, counted from 512";
        assert_eq!(error(&superblock(0, 4, 512, 40)), what);
        assert!(read(&superblock(0, 8, 0, 40)[..60]).is_err());
    }
}
