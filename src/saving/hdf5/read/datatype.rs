//! Datatype and dataspace messages, of datasets and attributes.

use super::super::{Dtype, MAX_RANK, Result};
use super::cursor::Cursor;

/// How numbers stand in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) dtype: Dtype,
    pub(super) big_endian: bool,
}

/// A datatype.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datatype {
    Numbers(Format),
    /// Strings of this length, filled up with NULs or spaces.
    FixedStrings(usize),
    /// Strings in a global heap.
    Strings,
    /// Another class, by its number.
    Other(u8),
}

/// The classes that we read, by their numbers.
pub(super) mod class {
    pub(super) const INTEGER: u8 = 0;
    pub(super) const FLOAT: u8 = 1;
    pub(super) const STRING: u8 = 3;
    pub(in super::super) const OPAQUE: u8 = 5;
    pub(super) const ENUMERATION: u8 = 8;
    pub(super) const VARIABLE_LENGTH: u8 = 9;
}

/// Parses a datatype message.
pub(super) fn datatype(mut cursor: Cursor<'_>) -> Result<Datatype> {
    let class = cursor.u8()? & 15; // beside the version
    let bits = cursor.number(3)?;
    let size = cursor.u32()?;
    let big_endian = bits & 1 != 0;
    let dtype = match class {
        class::INTEGER => integer(cursor, size, bits & 8 != 0)?,
        class::FLOAT => float(cursor, size, bits)?,
        class::OPAQUE if size > 0 => Some(Dtype::Opaque(size)),
        class::ENUMERATION => return enumeration(cursor, size),
        class::STRING if size > 0 => {
            return Ok(usize::try_from(size).map_or(Datatype::Other(class), Datatype::FixedStrings));
        }
        class::VARIABLE_LENGTH if bits & 15 == 1 => return Ok(Datatype::Strings),
        _ => None,
    };
    Ok(match dtype {
        Some(dtype) => Datatype::Numbers(Format { dtype, big_endian }),
        None => Datatype::Other(class),
    })
}

fn integer(mut cursor: Cursor<'_>, size: u32, signed: bool) -> Result<Option<Dtype>> {
    if !fills(&mut cursor, size)? {
        return Ok(None);
    }
    Ok(Some(match (size, signed) {
        (1, true) => Dtype::I8,
        (2, true) => Dtype::I16,
        (4, true) => Dtype::I32,
        (8, true) => Dtype::I64,
        (1, false) => Dtype::U8,
        (2, false) => Dtype::U16,
        (4, false) => Dtype::U32,
        (8, false) => Dtype::U64,
        _ => return Ok(None),
    }))
}

/// Whether numbers have no bits to spare, as all of a processor have none.
fn fills(cursor: &mut Cursor<'_>, size: u32) -> Result<bool> {
    let (offset, precision) = (cursor.u16()?, cursor.u16()?);
    Ok(offset == 0 && size.checked_mul(8) == Some(precision.into()))
}

fn float(mut cursor: Cursor<'_>, size: u32, bits: u64) -> Result<Option<Dtype>> {
    /// The byte order of a VAX.
    const VAX: u64 = 0x40;
    if bits & VAX != 0 || !fills(&mut cursor, size)? {
        return Ok(None);
    }
    let exponent = [cursor.u8()?, cursor.u8()?]; // first bit, bits
    let mantissa = [cursor.u8()?, cursor.u8()?];
    let bias = cursor.u32()?;
    Ok(match (size, exponent, mantissa, bias) {
        (2, [10, 5], [0, 10], 15) => Some(Dtype::F16),
        (4, [23, 8], [0, 23], 127) => Some(Dtype::F32),
        (8, [52, 11], [0, 52], 1023) => Some(Dtype::F64),
        _ => None,
    })
}

/// An enumeration is read as its numbers where it has one byte: so h5py writes a bool.
fn enumeration(cursor: Cursor<'_>, size: u32) -> Result<Datatype> {
    let mut base = cursor;
    if size != 1 || base.u8()? & 15 != class::INTEGER {
        return Ok(Datatype::Other(class::ENUMERATION));
    }
    datatype(cursor)
}

/// Parses a dataspace message. Data without a space (h5py's `Empty`) have the shape (0,).
pub(super) fn shape(mut cursor: Cursor<'_>) -> Result<Vec<usize>> {
    let start = cursor;
    let (version, rank, _flags, kind) = (cursor.u8()?, cursor.u8()?, cursor.u8()?, cursor.u8()?);
    match version {
        1 => cursor.skip(4)?,
        2 if kind == 2 => return Ok(vec![0]),
        2 => {}
        _ => return Err(start.error(format_args!("expected dataspace 1 or 2, got {version}"))),
    }
    if usize::from(rank) > MAX_RANK {
        let what = format!("expected at most {MAX_RANK} dimensions, got {rank}");
        return Err(start.error(what));
    }
    (0..rank)
        .map(|_| {
            let dimension = cursor.u64()?;
            usize::try_from(dimension)
                .map_err(|_| start.error(format_args!("a dimension of {dimension} is too large")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::cursor::Block;
    use super::*;

    fn block(bytes: &[u8]) -> Block {
        let bytes = bytes.to_vec();
        Block { at: 0, bytes }
    }

    #[test]
    fn integers_with_bits_to_spare_are_not_read() -> Result<()> {
        let int16 = |offset, bits| block(&[0x10, 8, 0, 0, 2, 0, 0, 0, offset, 0, bits, 0]);
        let format = Format {
            dtype: Dtype::I16,
            big_endian: false,
        };
        assert_eq!(datatype(int16(0, 16).cursor())?, Datatype::Numbers(format));
        assert_eq!(datatype(int16(0, 12).cursor())?, Datatype::Other(0));
        assert_eq!(datatype(int16(4, 16).cursor())?, Datatype::Other(0));
        Ok(())
    }

    #[test]
    fn only_an_enumeration_of_one_byte_is_read() -> Result<()> {
        let byte = [0x10, 8, 0, 0, 1, 0, 0, 0, 0, 0, 8, 0];
        let bool_like = [&[0x18, 2, 0, 0, 1, 0, 0, 0][..], &byte].concat();
        let format = Format {
            dtype: Dtype::I8,
            big_endian: false,
        };
        assert_eq!(
            datatype(block(&bool_like).cursor())?,
            Datatype::Numbers(format)
        );
        let nested = [0x18, 0, 0, 0, 1, 0, 0, 0].repeat(2);
        assert_eq!(datatype(block(&nested).cursor())?, Datatype::Other(8));
        Ok(())
    }

    #[test]
    fn a_dataspace_has_at_most_32_dimensions_of_this_computer() -> Result<()> {
        let mut bytes = vec![1, 2, 0, 0, 0, 0, 0, 0];
        bytes.extend([5u64.to_le_bytes(), 7u64.to_le_bytes()].concat());
        assert_eq!(shape(block(&bytes).cursor())?, [5, 7]);
        assert_eq!(shape(block(&[2, 0, 0, 2]).cursor())?, [0]);
        assert_eq!(shape(block(&[2, 0, 0, 0]).cursor())?, [0; 0]);
        let error = shape(block(&[2, 33, 0, 0]).cursor()).expect_err("an error");
        let what = "byte 0: expected at most 32 dimensions, got 33";
        assert_eq!(error.to_string(), what);
        let error = shape(block(&[3, 0, 0, 0]).cursor()).expect_err("an error");
        assert_eq!(
            error.to_string(),
            "byte 0: expected dataspace 1 or 2, got 3"
        );
        Ok(())
    }
}
