//! The filters of chunks: gzip, shuffle and Fletcher-32.

use super::super::Result;
use super::cursor::{Block, Cursor};
use std::io::Read;

/// The most filters, the C library's `H5Z_MAX_NFILTERS`. A chunk's mask has a bit for each.
const MAX_FILTERS: u8 = 32;

/// A filter of a dataset.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter {
    id: u16,
    /// Its first parameter; shuffle has an element's size there.
    parameter: u32,
}

/// The filters' numbers.
mod id {
    pub(super) const DEFLATE: u16 = 1;
    pub(super) const SHUFFLE: u16 = 2;
    pub(super) const FLETCHER_32: u16 = 3;
}

/// Parses a filter pipeline message.
pub(super) fn filters(mut cursor: Cursor<'_>) -> Result<Vec<Filter>> {
    let start = cursor;
    let (version, count) = (cursor.u8()?, cursor.u8()?);
    if !matches!(version, 1 | 2) || count > MAX_FILTERS {
        return Err(start.error("expected filters of version 1 or 2, at most 32"));
    }
    let first = version == 1;
    cursor.skip(if first { 6 } else { 0 })?;
    let mut filters = Vec::new();
    for _ in 0..count {
        let start = cursor;
        let id = cursor.u16()?;
        let name = if first || id >= 256 { cursor.u16()? } else { 0 };
        cursor.skip(2)?; // flags
        let parameters = usize::from(cursor.u16()?);
        cursor.skip(usize::from(name).next_multiple_of(if first { 8 } else { 1 }))?;
        let mut values = cursor.part(4 * parameters)?;
        let parameter = if parameters > 0 { values.u32()? } else { 0 };
        cursor.skip(if first && parameters % 2 == 1 { 4 } else { 0 })?;
        if !matches!(id, id::DEFLATE | id::SHUFFLE | id::FLETCHER_32) {
            return Err(start.error(format_args!(
                "expected data that are plain or with gzip, shuffle and Fletcher-32, got filter {id}, \
                 which is not read"
            )));
        }
        filters.push(Filter { id, parameter });
    }
    Ok(filters)
}

/// Undoes the filters of a chunk, but those whose bit `mask` has. The result has at most a little
/// more than `size` bytes.
pub(super) fn undo(filters: &[Filter], mask: u32, size: usize, mut chunk: Block) -> Result<Block> {
    for (index, filter) in filters.iter().enumerate().rev() {
        if mask.checked_shr(index as u32).unwrap_or(0) & 1 == 0 {
            chunk.bytes = match filter.id {
                id::DEFLATE => inflated(&chunk, size)?,
                id::SHUFFLE => unshuffled(&chunk.bytes, filter.parameter),
                _ => checked(&chunk)?,
            };
        }
    }
    Ok(chunk)
}

fn inflated(chunk: &Block, size: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // A checksum of four bytes may be inside; one more byte shows that there are too many.
    let most = (size as u64).saturating_add(5);
    flate2::read::ZlibDecoder::new(chunk.bytes.as_slice())
        .take(most)
        .read_to_end(&mut bytes)
        .map_err(|error| {
            let what = format_args!("expected a chunk of gzip, got an error: {error}");
            chunk.cursor().error(what)
        })?;
    Ok(bytes)
}

/// Shuffled are first the first bytes of all elements, then the second ones, and so on.
fn unshuffled(shuffled: &[u8], element: u32) -> Vec<u8> {
    let element = usize::try_from(element).unwrap_or(usize::MAX).max(1);
    let count = shuffled.len() / element;
    let mut bytes = shuffled.to_vec(); // what is left of a last element stays
    if count == 0 {
        return bytes;
    }
    for (place, column) in shuffled.chunks_exact(count).take(element).enumerate() {
        let to = bytes.iter_mut().skip(place).step_by(element);
        for (to, &byte) in to.zip(column) {
            *to = byte;
        }
    }
    bytes
}

/// Takes the checksum off the chunk's end, where it is right.
fn checked(chunk: &Block) -> Result<Vec<u8>> {
    let Some((bytes, &expected)) = chunk.bytes.split_last_chunk::<4>() else {
        return Err(chunk.cursor().error("expected a chunk with its checksum"));
    };
    let (expected, got) = (u32::from_le_bytes(expected), fletcher_32(bytes));
    if got != expected {
        let what =
            format_args!("expected the checksum {expected:08x}, got {got:08x}: damaged data");
        return Err(chunk.cursor().error(what));
    }
    Ok(bytes.to_vec())
}

/// The C library's checksum: two sums modulo 65,535 over big-endian words of 16 bits.
fn fletcher_32(bytes: &[u8]) -> u32 {
    let (words, last) = bytes.as_chunks::<2>();
    let last = last.first().map(|&byte| [byte, 0]);
    let (mut low, mut high) = (0u32, 0u32);
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    for word in words.iter().copied().chain(last) {
        low = fold(low + u32::from(u16::from_be_bytes(word)));
        high = fold(high + low);
    }
    fold(high) << 16 | fold(low)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn block(bytes: &[u8]) -> Block {
        let bytes = bytes.to_vec();
        Block { at: 64, bytes }
    }

    fn filter(id: u16, parameter: u32) -> Filter {
        Filter { id, parameter }
    }

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Default::default());
        encoder.write_all(bytes).expect("a vector");
        encoder.finish().expect("a vector")
    }

    #[test]
    fn undoes_filters_from_the_last_to_the_first() -> Result<()> {
        let filters = [filter(id::SHUFFLE, 2), filter(id::DEFLATE, 6)];
        let chunk = block(&deflated(b"abcABC!"));
        assert_eq!(undo(&filters, 0, 7, chunk)?.bytes, b"aAbBcC!");
        Ok(())
    }

    #[test]
    fn leaves_out_the_filters_of_the_mask() -> Result<()> {
        let filters = [filter(id::SHUFFLE, 2), filter(id::DEFLATE, 6)];
        assert_eq!(undo(&filters, 2, 4, block(b"abAB"))?.bytes, b"aAbB");
        assert_eq!(undo(&filters, 3, 4, block(b"abAB"))?.bytes, b"abAB");
        Ok(())
    }

    #[test]
    fn an_element_larger_than_the_chunk_is_not_shuffled() {
        assert_eq!(unshuffled(b"abc", 4), b"abc");
        assert_eq!(unshuffled(b"abc", u32::MAX), b"abc");
        assert_eq!(unshuffled(b"abc", 0), b"abc");
    }

    #[test]
    fn a_bomb_inflates_to_little_more_than_the_chunk() -> Result<()> {
        let bomb = block(&deflated(&vec![0; 1 << 22]));
        assert_eq!(
            undo(&[filter(id::DEFLATE, 6)], 0, 100, bomb)?.bytes.len(),
            105
        );
        Ok(())
    }

    #[test]
    fn damaged_chunks_are_errors() {
        let result = undo(&[filter(id::DEFLATE, 6)], 0, 9, block(b"no zlib"));
        let error = result.expect_err("an error").to_string();
        assert!(
            error.starts_with("byte 64: expected a chunk of gzip"),
            "{error}"
        );
        let result = undo(&[filter(id::FLETCHER_32, 0)], 0, 4, block(b"abcd\0\0\0\0"));
        let error = result.expect_err("an error").to_string();
        assert!(error.ends_with("damaged data"), "{error}");
        assert!(undo(&[filter(id::FLETCHER_32, 0)], 0, 4, block(b"abc")).is_err());
    }

    #[test]
    fn an_unknown_filter_is_an_error_with_its_number() {
        let lzf = block(b"\x02\x01\x00\x7d\0\0\0\0\0\0");
        let error = filters(lzf.cursor()).expect_err("an error").to_string();
        assert!(
            error.ends_with("got filter 32000, which is not read"),
            "{error}"
        );
        assert!(filters(block(b"\x02\x21").cursor()).is_err());
        assert!(filters(block(b"\x03\x00").cursor()).is_err());
    }
}
