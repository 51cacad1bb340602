//! The bodies of messages: datatypes, dataspaces, layouts, attributes.

use super::super::{Dtype, UNDEFINED, message};

/// A message of an object's header.
pub(super) struct Message {
    pub(super) kind: u16,
    /// Whether it never changes; the C library marks datatypes and fill values so.
    pub(super) constant: bool,
    pub(super) body: Vec<u8>,
}

impl Message {
    fn new(kind: u16, constant: bool, body: Vec<u8>) -> Self {
        Self {
            kind,
            constant,
            body,
        }
    }
}

/// Adds numbers of 16 bits, little-endian as all of HDF5's metadata.
pub(super) fn put_u16(bytes: &mut Vec<u8>, values: &[u16]) {
    values
        .iter()
        .for_each(|value| bytes.extend(value.to_le_bytes()));
}

/// Adds numbers of 64 bits.
pub(super) fn put_u64(bytes: &mut Vec<u8>, values: &[u64]) {
    values
        .iter()
        .for_each(|value| bytes.extend(value.to_le_bytes()));
}

/// Fills up with zeros to a multiple of 8, as most structures want it.
pub(super) fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(8), 0);
}

/// The links of a group: a tree and the heap of the names.
pub(super) fn symbol_table(tree: u64, heap: u64) -> Message {
    let mut body = Vec::new();
    put_u64(&mut body, &[tree, heap]);
    Message::new(message::SYMBOL_TABLE, false, body)
}

/// A shape of at most 32 dimensions.
pub(super) fn dataspace(shape: &[u64]) -> Message {
    let mut body = vec![1, shape.len() as u8, 0, 0, 0, 0, 0, 0];
    put_u64(&mut body, shape);
    Message::new(message::DATASPACE, false, body)
}

/// The type of elements.
pub(super) fn datatype(dtype: Dtype) -> Message {
    let body = match dtype {
        Dtype::F16 => float(dtype, [10, 5], [0, 10], 15),
        Dtype::F32 => float(dtype, [23, 8], [0, 23], 127),
        Dtype::F64 => float(dtype, [52, 11], [0, 52], 1023),
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => integer(dtype, true),
        Dtype::U8 | Dtype::U16 | Dtype::U32 | Dtype::U64 => integer(dtype, false),
        // without a tag, as h5py writes it
        Dtype::Bf16 | Dtype::Opaque(_) => with_size(0x15, [0; 3], dtype),
    };
    Message::new(message::DATATYPE, true, body)
}

/// The head of a datatype: version 1 and class, bits of the class, size.
fn with_size(class: u8, bits: [u8; 3], dtype: Dtype) -> Vec<u8> {
    let mut body = vec![class];
    body.extend(bits);
    body.extend(dtype.size().to_le_bytes());
    body
}

/// The bits of a number of a processor: all, from the first on.
fn all_bits(dtype: Dtype) -> [u16; 2] {
    [0, dtype.size() as u16 * 8] // of at most 8 bytes
}

fn integer(dtype: Dtype, signed: bool) -> Vec<u8> {
    let mut body = with_size(0x10, [u8::from(signed) << 3, 0, 0], dtype);
    put_u16(&mut body, &all_bits(dtype));
    body
}

/// A float with the first bit and the bits of its exponent and mantissa, the sign as last bit, and
/// the mantissa's first bit not stored.
fn float(dtype: Dtype, exponent: [u8; 2], mantissa: [u8; 2], bias: u32) -> Vec<u8> {
    let [_, bits] = all_bits(dtype);
    let mut body = with_size(0x11, [0x20, bits as u8 - 1, 0], dtype);
    put_u16(&mut body, &all_bits(dtype));
    body.extend(exponent);
    body.extend(mantissa);
    body.extend(bias.to_le_bytes());
    body
}

/// No fill value but zeros: version 2, space taken at the end, written if set.
pub(super) fn fill_value() -> Message {
    Message::new(message::FILL_VALUE, true, vec![2, 2, 2, 1, 0, 0, 0, 0])
}

/// Contiguous data; none have no place.
pub(super) fn contiguous(at: u64, size: u64) -> Message {
    let mut body = vec![3, 1];
    put_u64(&mut body, &[if size == 0 { UNDEFINED } else { at }, size]);
    Message::new(message::LAYOUT, false, body)
}

/// A string of variable length in UTF-8, as h5py writes a `str`: its bytes are object `number` of the
/// heap at `heap`. Name and value have less than 64 KB.
pub(super) fn attribute(name: &str, value: &str, heap: u64, number: u16) -> Message {
    const DATATYPE: &[u8; 24] = b"\x19\x01\x01\0\x10\0\0\0\x10\0\0\0\x01\0\0\0\0\0\x08\0\0\0\0\0";
    const SCALAR: &[u8; 8] = b"\x01\0\0\0\0\0\0\0";
    let mut body = Vec::new();
    // The datatype has 20 bytes, and 4 of padding.
    put_u16(&mut body, &[1, name.len() as u16 + 1, 20, 8]);
    body.extend(name.as_bytes());
    body.push(0);
    pad(&mut body);
    body.extend(DATATYPE);
    body.extend(SCALAR);
    body.extend((value.len() as u32).to_le_bytes());
    put_u64(&mut body, &[heap]);
    body.extend(u32::from(number).to_le_bytes());
    Message::new(message::ATTRIBUTE, false, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Bytes from files of h5py 3.14.0.

    #[test]
    fn numbers_are_described_as_h5py_does() {
        let float32 = b"\x11\x20\x1f\0\x04\0\0\0\0\0\x20\0\x17\x08\0\x17\x7f\0\0\0";
        assert_eq!(datatype(Dtype::F32).body, float32);
        let int64 = b"\x10\x08\0\0\x08\0\0\0\0\0\x40\0";
        assert_eq!(datatype(Dtype::I64).body, int64);
    }

    #[test]
    fn an_attribute_holds_a_reference_to_its_string() {
        let body = attribute("name", "dense", 800, 3).body;
        assert_eq!(body.len() % 8, 0);
        assert_eq!(body[..16], *b"\x01\0\x05\0\x14\0\x08\0name\0\0\0\0");
        assert_eq!(body[48..], *b"\x05\0\0\0\x20\x03\0\0\0\0\0\0\x03\0\0\0");
    }

    #[test]
    fn data_of_no_bytes_have_no_place() {
        assert_eq!(contiguous(800, 0).body[2..10], [0xff; 8]);
        assert_eq!(contiguous(800, 4).body[2..10], 800u64.to_le_bytes());
    }
}
