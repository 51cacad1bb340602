//! Attributes of groups and datasets.

use super::super::{Result, UNDEFINED, elements, message};
use super::cursor::{Block, Cursor, text};
use super::datatype::{self, Datatype};
use super::number::{Number, decode};
use super::object::Message;
use super::reads::{Reads, filled};
use std::collections::BTreeMap;

/// The value of an attribute: one element or an array, flattened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Attribute {
    Strings(Vec<String>),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    /// Another datatype, by its HDF5 class.
    Other(u8),
}

impl Attribute {
    /// A single string.
    pub(crate) fn string(&self) -> Option<&str> {
        match self {
            Self::Strings(strings) => match strings.as_slice() {
                [string] => Some(string),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Names and values.
pub(crate) type Attributes = Vec<(String, Attribute)>;

/// All attributes among an object's messages, in the order of the file.
pub(super) fn attributes(reads: &mut Reads<'_>, messages: &[Message]) -> Result<Attributes> {
    let (mut attributes, mut heaps) = (Vec::new(), Heaps::default());
    for message in messages {
        let cursor = message.body.cursor();
        match message.kind {
            message::ATTRIBUTE => attributes.push(attribute(reads, &mut heaps, cursor)?),
            message::ATTRIBUTE_INFO => check_compact(cursor)?,
            _ => {}
        }
    }
    Ok(attributes)
}

fn check_compact(mut cursor: Cursor<'_>) -> Result<()> {
    let start = cursor;
    cursor.expect(&[0])?; // version
    let flags = cursor.u8()?;
    cursor.skip(if flags & 1 != 0 { 2 } else { 0 })?;
    if cursor.u64()? == UNDEFINED {
        return Ok(());
    }
    let what = "expected attributes in the header, got a fractal heap, which is not read: write the \
                file without libver='latest'";
    Err(start.error(what))
}

fn attribute(
    reads: &mut Reads<'_>,
    heaps: &mut Heaps,
    mut cursor: Cursor<'_>,
) -> Result<(String, Attribute)> {
    let start = cursor;
    let (version, flags) = (cursor.u8()?, cursor.u8()?);
    let shared = version > 1 && flags & 3 != 0;
    if !matches!(version, 1..=3) || shared {
        let what = "expected an attribute of version 1 to 3 with a type of its own";
        return Err(start.error(what));
    }
    let sizes = [cursor.u16()?, cursor.u16()?, cursor.u16()?].map(usize::from);
    cursor.skip(if version == 3 { 1 } else { 0 })?; // the character set
    let multiple = if version == 1 { 8 } else { 1 };
    let [name, kind, space] = sizes.map(|size| size.next_multiple_of(multiple));
    let name = text(cursor.take(name)?);
    let datatype = datatype::datatype(cursor.part(kind)?)?;
    let shape = datatype::shape(cursor.part(space)?)?;
    let count = elements(&shape)
        .and_then(|count| usize::try_from(count).ok())
        .ok_or_else(|| start.error(format_args!("the shape {shape:?} is too large")))?;
    Ok((name, value(reads, heaps, datatype, count, cursor)?))
}

fn value(
    reads: &mut Reads<'_>,
    heaps: &mut Heaps,
    datatype: Datatype,
    count: usize,
    mut cursor: Cursor<'_>,
) -> Result<Attribute> {
    match datatype {
        Datatype::Other(class) => Ok(Attribute::Other(class)),
        Datatype::FixedStrings(size) => {
            let bytes = cursor.take(count.saturating_mul(size))?;
            Ok(Attribute::Strings(
                bytes.chunks_exact(size).map(text).collect(),
            ))
        }
        Datatype::Strings => {
            /// The bytes of a string's length, heap and number in the heap.
            const REFERENCE: usize = 16;
            let mut references = cursor.part(count.saturating_mul(REFERENCE))?;
            (0..count)
                .map(|_| heaps.string(reads, &mut references))
                .collect::<Result<_>>()
                .map(Attribute::Strings)
        }
        Datatype::Numbers(format) => {
            let start = cursor;
            let bytes = cursor.take(count.saturating_mul(format.dtype.size() as usize))?;
            use super::super::Dtype::*;
            match format.dtype {
                F16 | Bf16 | F32 | F64 => {
                    numbers(start, format, count, bytes).map(Attribute::Floats)
                }
                Opaque(_) => Ok(Attribute::Other(datatype::class::OPAQUE)),
                _ => numbers(start, format, count, bytes).map(Attribute::Integers),
            }
        }
    }
}

fn numbers<T: Number>(
    start: Cursor<'_>,
    format: datatype::Format,
    count: usize,
    bytes: &[u8],
) -> Result<Vec<T>> {
    let mut values = filled(start.at, count as u64, T::default())?;
    decode(format, bytes, &mut values).map_err(|what| start.error(what))?;
    Ok(values)
}

/// The global heaps that were read, with the place of every object in them: arrays hold many strings
/// of one heap.
#[derive(Default)]
struct Heaps(BTreeMap<u64, Heap>);

struct Heap {
    block: Block,
    objects: BTreeMap<u16, std::ops::Range<usize>>,
}

impl Heaps {
    /// The string that a reference names.
    fn string(&mut self, reads: &mut Reads<'_>, reference: &mut Cursor<'_>) -> Result<String> {
        let start = *reference;
        let (length, at) = (reference.size()?, reference.u64()?);
        let number = reference.u32()?;
        if length == 0 {
            return Ok(String::new());
        }
        let heap = match self.0.entry(at) {
            std::collections::btree_map::Entry::Occupied(heap) => heap.into_mut(),
            std::collections::btree_map::Entry::Vacant(empty) => empty.insert(heap(reads, at)?),
        };
        let bytes = u16::try_from(number)
            .ok()
            .and_then(|number| heap.block.bytes.get(heap.objects.get(&number)?.clone()))
            .and_then(|object| object.get(..length))
            .ok_or_else(|| {
                start.error(format_args!(
                    "expected {length} bytes as object {number} of the heap at {at}, got fewer"
                ))
            })?;
        reads.spend(at, length as u64)?;
        Ok(text(bytes))
    }
}

fn heap(reads: &mut Reads<'_>, at: u64) -> Result<Heap> {
    let head = reads.block(at, 16)?;
    let mut cursor = head.cursor();
    cursor.expect(b"GCOL\x01")?;
    cursor.skip(3)?;
    let size = cursor.u64()?;
    let block = reads.block(at, size)?;
    let mut objects = BTreeMap::new();
    let mut cursor = block.cursor();
    cursor.skip(16)?;
    while cursor.left() >= 16 {
        let (number, _references) = (cursor.u16()?, cursor.u16()?);
        cursor.skip(4)?;
        let size = usize::try_from(cursor.u64()?).unwrap_or(usize::MAX);
        if number == 0 {
            break; // the rest is free
        }
        let start = block.bytes.len() - cursor.left();
        cursor.take(size)?;
        objects.insert(number, start..start.saturating_add(size));
        let padding = size.next_multiple_of(8) - size; // `take` knows the size
        cursor.skip(padding.min(cursor.left()))?;
    }
    Ok(Heap { block, objects })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heap of these strings, numbered from 1, at byte 0.
    fn heap_of(strings: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"GCOL\x01\0\0\0".to_vec();
        bytes.extend([0; 8]);
        for (index, string) in strings.iter().enumerate() {
            bytes.extend([index as u8 + 1, 0, 1, 0, 0, 0, 0, 0]);
            bytes.extend((string.len() as u64).to_le_bytes());
            bytes.extend(*string);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        let size = bytes.len() as u64;
        bytes[8..16].copy_from_slice(&size.to_le_bytes());
        bytes
    }

    fn string(heap: &[u8], length: u32, number: u32) -> Result<String> {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend(0u64.to_le_bytes());
        bytes.extend(number.to_le_bytes());
        let block = Block { at: 500, bytes };
        Heaps::default().string(&mut Reads::new(&heap), &mut block.cursor())
    }

    #[test]
    fn finds_strings_in_a_heap() -> Result<()> {
        let heap = heap_of(&[b"one", "zwölf".as_bytes()]);
        assert_eq!(string(&heap, 3, 1)?, "one");
        assert_eq!(string(&heap, 6, 2)?, "zwölf");
        assert_eq!(string(&heap, 2, 1)?, "on");
        assert_eq!(string(&heap, 0, 9)?, "");
        Ok(())
    }

    #[test]
    fn a_string_that_is_not_in_its_heap_is_an_error() {
        let heap = heap_of(&[b"one"]);
        for (length, number) in [(4, 1), (1, 2), (1, 0), (u32::MAX, 1), (1, 1 << 16 | 1)] {
            let error = string(&heap, length, number)
                .expect_err("an error")
                .to_string();
            let expected =
                format!("byte 500: expected {length} bytes as object {number} of the heap");
            assert!(error.starts_with(&expected), "{error}");
        }
        assert!(string(&[0; 64], 1, 1).is_err());
    }

    #[test]
    fn an_object_over_its_heap_is_an_error() {
        let mut heap = heap_of(&[b"one"]);
        heap[24..32].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(string(&heap, 3, 1).is_err());
    }

    #[test]
    fn dense_attributes_are_an_error_that_says_what_to_do() {
        let message = Message {
            kind: message::ATTRIBUTE_INFO,
            body: Block {
                at: 8,
                bytes: vec![0; 18],
            },
        };
        let error = attributes(&mut Reads::new(&vec![0u8; 8]), &[message]).expect_err("an error");
        let error = error.to_string();
        assert!(
            error.contains("a fractal heap, which is not read: write"),
            "{error}"
        );
    }

    #[test]
    fn only_one_string_is_a_single_string() {
        let strings =
            |strings: &[&str]| Attribute::Strings(strings.iter().map(|s| s.to_string()).collect());
        assert_eq!(strings(&["a"]).string(), Some("a"));
        assert_eq!(strings(&["a", "b"]).string(), None);
        assert_eq!(Attribute::Integers(vec![1]).string(), None);
    }
}
