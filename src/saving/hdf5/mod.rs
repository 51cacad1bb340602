//! HDF5 as Keras writes it, read and written without the C library.
//!
//! Keras keeps weights in HDF5 files, alone (`.weights.h5`) or inside a `.keras` file. h5py writes
//! them with the oldest format that does the job, which is a small part of HDF5: superblock 0,
//! groups with symbol tables, contiguous data, and attributes that are strings. [`mod@write`]
//! writes exactly that. [`mod@read`] also reads what users may have made with other options of
//! h5py: superblocks up to 3, compact links, compact and chunked data, the filters gzip, shuffle
//! and Fletcher-32, and the string arrays of the old `.h5` format of whole models. For everything
//! else it gives an error that names it.
//!
//! It is our own code because the C library needs a C compiler, and the Rust ones hold all data
//! twice, cannot write into a zip, or run out of memory on a hostile file.
//!
//! Numbers, names and layouts come from the HDF5 File Format Specification, version 3.

mod error;
pub(crate) mod read;
pub(crate) mod write;

pub(crate) use error::{Error, Result, quoted};
use std::fmt;

/// The first bytes of every HDF5 file.
const SIGNATURE: &[u8] = b"\x89HDF\r\n\x1a\n";

/// The address that stands for none.
const UNDEFINED: u64 = u64::MAX;

/// The most dimensions that the C library reads, its `H5S_MAX_RANK`.
const MAX_RANK: usize = 32;

/// The most bytes of one object's header. The largest that Keras writes are those of its old format,
/// whose attributes of up to 64 KB hold the names of all layers.
const MAX_HEADER: u64 = 4 << 20;

/// The attribute by which Keras marks opaque data of two bytes as bfloat16: its name, its value.
const BFLOAT16: (&str, &str) = ("dtype", "bfloat16");

/// The kinds of messages in an object's header.
mod message {
    pub(super) const DATASPACE: u16 = 0x01;
    pub(super) const LINK_INFO: u16 = 0x02;
    pub(super) const DATATYPE: u16 = 0x03;
    pub(super) const FILL_VALUE: u16 = 0x05;
    pub(super) const LINK: u16 = 0x06;
    pub(super) const EXTERNAL_FILES: u16 = 0x07;
    pub(super) const LAYOUT: u16 = 0x08;
    pub(super) const FILTERS: u16 = 0x0b;
    pub(super) const ATTRIBUTE: u16 = 0x0c;
    pub(super) const CONTINUATION: u16 = 0x10;
    pub(super) const SYMBOL_TABLE: u16 = 0x11;
    pub(super) const ATTRIBUTE_INFO: u16 = 0x15;
}

/// The type of a dataset's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dtype {
    F16,
    /// Two opaque bytes with the attribute `dtype` = `bfloat16`, which is Keras's way.
    Bf16,
    F32,
    F64,
    /// Also h5py's bool, an enumeration of 0 and 1.
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    /// So many bytes of no known meaning, at least one.
    Opaque(u32),
}

impl Dtype {
    /// The bytes of one element.
    pub(crate) const fn size(self) -> u32 {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::Opaque(size) => size,
        }
    }
}

/// numpy's name.
impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
            Self::F64 => "float64",
            Self::I8 => "int8",
            Self::I16 => "int16",
            Self::I32 => "int32",
            Self::I64 => "int64",
            Self::U8 => "uint8",
            Self::U16 => "uint16",
            Self::U32 => "uint32",
            Self::U64 => "uint64",
            Self::Opaque(size) => return write!(f, "opaque data of {size} bytes"),
        })
    }
}

/// The elements of a shape, or none where that is no number of 64 bits.
fn elements(shape: &[usize]) -> Option<u64> {
    if shape.contains(&0) {
        return Some(0); // also where the other dimensions would overflow
    }
    shape.iter().try_fold(1u64, |count, &dimension| {
        count.checked_mul(u64::try_from(dimension).ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_with_a_zero_has_no_elements_however_large() {
        assert_eq!(elements(&[]), Some(1));
        assert_eq!(elements(&[2, 3]), Some(6));
        assert_eq!(elements(&[usize::MAX, usize::MAX, 0]), Some(0));
        assert_eq!(elements(&[usize::MAX, usize::MAX]), None);
    }

    #[test]
    fn the_size_of_a_type_is_that_of_its_name() {
        assert_eq!(
            (Dtype::Bf16.size(), Dtype::Bf16.to_string()),
            (2, "bfloat16".into())
        );
        assert_eq!(
            (Dtype::U64.size(), Dtype::U64.to_string()),
            (8, "uint64".into())
        );
    }
}
