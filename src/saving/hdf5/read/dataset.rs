//! Datasets: what a header says about them, and their numbers.

use super::super::{BFLOAT16, Dtype, Error, Result, UNDEFINED, elements, message};
use super::attribute::{self, Attribute};
use super::chunks::{self, Chunks};
use super::cursor::Cursor;
use super::datatype::{self, Datatype, Format};
use super::filter;
use super::number::{Number, bytes_of, decode};
use super::object::{self, Message};
use super::reads::{Bytes, Reads, filled};
use crate::ops::threads::each;

/// A dataset, without its numbers.
#[derive(Debug)]
pub(crate) struct Dataset {
    path: String,
    /// That of the header.
    address: u64,
    format: Format,
    shape: Vec<usize>,
    elements: u64,
    storage: Storage,
    /// The bytes of an element that was never written; empty means zeros.
    fill: Vec<u8>,
}

/// Where the elements are.
#[derive(Debug)]
enum Storage {
    /// Nowhere: every element has the fill value.
    Nothing,
    Contiguous {
        at: u64,
    },
    /// Inside the header.
    Compact(Vec<u8>),
    Chunked(Chunks),
}

impl Dataset {
    /// Where it is in the file.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Numbers that lie side by side from `at` on, little-endian; none where they are too many to
    /// count.
    pub(crate) fn plain(path: String, dtype: Dtype, shape: Vec<usize>, at: u64) -> Option<Self> {
        let (elements, _) = sizes(&shape, dtype)?;
        Some(Self {
            path,
            address: at,
            format: Format {
                dtype,
                big_endian: false,
            },
            shape,
            elements,
            storage: Storage::Contiguous { at },
            fill: Vec::new(),
        })
    }

    /// The type in the file.
    pub(crate) fn dtype(&self) -> Dtype {
        self.format.dtype
    }

    /// The shape, empty for a single number.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many numbers there are.
    pub(crate) fn elements(&self) -> u64 {
        self.elements
    }
}

/// The dataset with these messages.
pub(super) fn dataset(
    reads: &mut Reads<'_>,
    path: &str,
    address: u64,
    messages: &[Message],
) -> Result<Dataset> {
    if object::find(messages, message::EXTERNAL_FILES).is_some() {
        let what = "expected data in this file, got data in others, which is not read";
        return Err(Error::at(address, what));
    }
    let message = |kind, name| {
        let missing = || Error::at(address, format_args!("expected a {name}, got none"));
        object::find(messages, kind).ok_or_else(missing)
    };
    let format = format(reads, messages, message(message::DATATYPE, "datatype")?)?;
    let shape = datatype::shape(message(message::DATASPACE, "dataspace")?)?;
    let (elements, size) = sizes(&shape, format.dtype)
        .ok_or_else(|| Error::at(address, format_args!("the shape {shape:?} is too large")))?;
    let layout = message(message::LAYOUT, "data layout")?;
    let storage = storage(layout, messages, format.dtype, &shape, size)?;
    let fill = match object::find(messages, message::FILL_VALUE) {
        Some(cursor) => fill_value(cursor)?,
        None => Vec::new(),
    };
    Ok(Dataset {
        path: path.into(),
        address,
        format,
        shape,
        elements,
        storage,
        fill,
    })
}

/// The elements and the bytes of a shape.
fn sizes(shape: &[usize], dtype: Dtype) -> Option<(u64, u64)> {
    let elements = elements(shape)?;
    Some((elements, elements.checked_mul(dtype.size().into())?))
}

fn format(reads: &mut Reads<'_>, messages: &[Message], cursor: Cursor<'_>) -> Result<Format> {
    match datatype::datatype(cursor)? {
        Datatype::Numbers(mut format) => {
            if format.dtype == Dtype::Opaque(2) && is_bfloat16(reads, messages)? {
                format.dtype = Dtype::Bf16;
                format.big_endian = false;
            }
            Ok(format)
        }
        Datatype::Strings | Datatype::FixedStrings(_) => {
            Err(cursor.error("expected numbers, got strings"))
        }
        Datatype::Other(class) => Err(cursor.error(format_args!(
            "expected numbers, got the datatype of class {class}"
        ))),
    }
}

fn is_bfloat16(reads: &mut Reads<'_>, messages: &[Message]) -> Result<bool> {
    let (name, value) = BFLOAT16;
    let mark = Attribute::Strings(vec![value.into()]);
    let attributes = attribute::attributes(reads, messages)?;
    Ok(attributes.contains(&(name.into(), mark)))
}

fn storage(
    mut cursor: Cursor<'_>,
    messages: &[Message],
    dtype: Dtype,
    shape: &[usize],
    size: u64,
) -> Result<Storage> {
    /// The classes of layouts.
    const COMPACT: u8 = 0;
    const CONTIGUOUS: u8 = 1;
    const CHUNKED: u8 = 2;
    let start = cursor;
    let (version, class) = (cursor.u8()?, cursor.u8()?);
    let held = match (version, class) {
        (3 | 4, COMPACT) => {
            let held = cursor.u16()?;
            let bytes = cursor.take(held.into())?.to_vec();
            (u64::from(held), Storage::Compact(bytes))
        }
        (3 | 4, CONTIGUOUS) => match (cursor.u64()?, cursor.u64()?) {
            (UNDEFINED, _) => (size, Storage::Nothing),
            (at, held) => (held, Storage::Contiguous { at }),
        },
        (3, CHUNKED) => {
            let filters = match object::find(messages, message::FILTERS) {
                Some(cursor) => filter::filters(cursor)?,
                None => Vec::new(),
            };
            let chunks = chunks::chunks(cursor, filters, dtype, shape)?;
            (size, chunks.map_or(Storage::Nothing, Storage::Chunked))
        }
        _ => {
            let what = format!(
                "expected data that are contiguous, compact or in chunks with a tree of version 1, got \
                 layout {version} of class {class}, which is not read: write the file without \
                 libver='latest'"
            );
            return Err(start.error(what));
        }
    };
    match held {
        (held, storage) if held >= size => Ok(storage),
        (held, _) => Err(start.error(format_args!(
            "expected the {size} bytes of the shape {shape:?} in {dtype}, got {held}"
        ))),
    }
}

fn fill_value(mut cursor: Cursor<'_>) -> Result<Vec<u8>> {
    let version = cursor.u8()?;
    let defined = if version == 3 {
        cursor.u8()? & 0x20 != 0
    } else {
        cursor.skip(2)?; // when space is allocated, when the value is written
        cursor.u8()? != 0
    };
    if !defined {
        return Ok(Vec::new());
    }
    let size = cursor.size()?;
    Ok(cursor.take(size)?.to_vec())
}

/// All numbers of a dataset, where they are at most `limit`. Beside the result, this takes one piece
/// of a contiguous dataset, or one chunk.
pub(super) fn numbers<T: Number>(
    reads: &mut Reads<'_>,
    dataset: &Dataset,
    limit: u64,
) -> Result<Vec<T>> {
    let elements = dataset.elements;
    if elements > limit {
        let what = format!("expected at most {limit} numbers, got {elements}");
        return Err(Error::at(dataset.address, what));
    }
    // Opaque data are no numbers: known before memory is taken for them.
    decoded::<T>(dataset, &[], &mut [])?;
    check_contiguous(reads, dataset)?;
    let mut values = filled(dataset.address, elements, T::default())?;
    numbers_into(reads, dataset, &mut values, &|_| true)?;
    Ok(values)
}

/// An error where the file does not have the bytes that it claims, before memory is taken for them.
fn check_contiguous(reads: &mut Reads<'_>, dataset: &Dataset) -> Result<()> {
    match dataset.storage {
        Storage::Contiguous { at } => {
            let size = u64::from(dataset.dtype().size());
            reads.check(at, dataset.elements.saturating_mul(size))
        }
        _ => Ok(()),
    }
}

/// The same into memory that is there; whether all pass a test.
pub(super) fn numbers_into<T: Number>(
    reads: &mut Reads<'_>,
    dataset: &Dataset,
    into: &mut [T],
    test: &(impl Fn(T) -> bool + Sync),
) -> Result<bool> {
    if into.len() as u64 != dataset.elements {
        let what = format!("expected {} numbers, got {}", into.len(), dataset.elements);
        return Err(Error::at(dataset.address, what));
    }
    match &dataset.storage {
        Storage::Contiguous { at } => return by_threads(reads, dataset, *at, into, test),
        Storage::Compact(bytes) => decoded(dataset, bytes, into)?,
        Storage::Nothing => into.fill(fill_number(dataset)?),
        Storage::Chunked(chunks) => {
            into.fill(fill_number(dataset)?);
            let mut place = |bytes: &[u8], at: usize, count: usize| {
                let end = at.saturating_add(count);
                decoded(dataset, bytes, into.get_mut(at..end).unwrap_or_default())
            };
            chunks.read(reads, &dataset.shape, dataset.dtype(), &mut place)?;
        }
    }
    Ok(all_pass(into, test))
}

/// Without an end in the middle the loop runs in vectors.
fn all_pass<T: Number>(numbers: &[T], test: &(impl Fn(T) -> bool + Sync)) -> bool {
    let tests = numbers.iter().map(|number| test(*number));
    tests.fold(true, |all, one| all & one)
}

fn decoded<T: Number>(dataset: &Dataset, bytes: &[u8], into: &mut [T]) -> Result<()> {
    decode(dataset.format, bytes, into).map_err(|what| Error::at(dataset.address, what))
}

fn fill_number<T: Number>(dataset: &Dataset) -> Result<T> {
    let mut value = [T::default()];
    decoded(dataset, &dataset.fill, &mut value)?; // an empty one leaves the default
    let [value] = value;
    Ok(value)
}

/// The elements of a piece: so few that its bytes stay in the processor's cache, so many that the
/// calls to the system do not count.
const PIECE: usize = 1 << 15;

/// Whether all numbers pass a test. Of those that are contiguous, one piece is in memory.
pub(super) fn all<T: Number>(
    reads: &mut Reads<'_>,
    dataset: &Dataset,
    test: &(impl Fn(T) -> bool + Sync),
) -> Result<bool> {
    let Storage::Contiguous { at } = dataset.storage else {
        let numbers = numbers::<T>(reads, dataset, dataset.elements)?;
        return Ok(all_pass(&numbers, test));
    };
    check_contiguous(reads, dataset)?;
    let size = u64::from(dataset.dtype().size());
    let mut piece = filled(at, dataset.elements.min(PIECE as u64), T::default())?;
    let (mut from, mut left) = (at, dataset.elements);
    while left > 0 {
        let count = left.min(PIECE as u64);
        let piece = piece.get_mut(..count as usize).unwrap_or_default();
        if !contiguous(reads.bytes(), dataset, from, piece, test)? {
            return Ok(false);
        }
        from = from.saturating_add(count.saturating_mul(size));
        left -= count;
    }
    Ok(true)
}

/// The elements of a part of a dataset that one thread reads.
const PART: usize = 1 << 20;

/// A large dataset on all threads: most of the time goes by while the system finds memory for it.
fn by_threads<T: Number>(
    reads: &Reads<'_>,
    dataset: &Dataset,
    at: u64,
    into: &mut [T],
    test: &(impl Fn(T) -> bool + Sync),
) -> Result<bool> {
    let (bytes, size) = (
        reads.bytes(),
        PART as u64 * u64::from(dataset.dtype().size()),
    );
    let mut results = Vec::new();
    results.resize_with(into.len().div_ceil(PART), || Ok(true));
    let starts = (0..).map(|index: u64| at.saturating_add(index.saturating_mul(size)));
    let parts = into.chunks_mut(PART).zip(starts).zip(&mut results);
    each(parts.collect(), |((part, from), result)| {
        *result = contiguous(bytes, dataset, from, part, test);
    });
    results
        .into_iter()
        .try_fold(true, |all, one| Ok(all & one?))
}

fn contiguous<T: Number>(
    source: Bytes<'_>,
    dataset: &Dataset,
    at: u64,
    into: &mut [T],
    test: &(impl Fn(T) -> bool + Sync),
) -> Result<bool> {
    let size = dataset.dtype().size() as usize;
    let alike = bytes_of(dataset.format, into).is_some();
    let most = if alike {
        0
    } else {
        into.len().min(PIECE).saturating_mul(size)
    };
    let mut bytes = filled(at, most as u64, 0u8)?;
    let (mut from, mut all) = (at, true);
    for piece in into.chunks_mut(PIECE) {
        match bytes_of(dataset.format, piece) {
            Some(bytes) => source.read(from, bytes)?,
            None => {
                let bytes = bytes.get_mut(..piece.len() * size).unwrap_or_default();
                source.read(from, bytes)?;
                decoded(dataset, bytes, piece)?;
            }
        }
        all &= all_pass(piece, test); // while the cache has it
        from += (piece.len() * size) as u64; // inside the file, as checked
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::cursor::Block;
    use super::*;

    /// float32 of shape (3,) at byte 40 of 52, with one message in place of that of its kind, or added.
    fn read(kind: u16, body: Option<&[u8]>) -> Result<Vec<f32>> {
        let float32 = b"\x11\x20\x1f\0\x04\0\0\0\0\0\x20\0\x17\x08\0\x17\x7f\0\0\0";
        let layout = [&[3, 1][..], &40u64.to_le_bytes(), &12u64.to_le_bytes()].concat();
        let mut bodies = vec![
            (message::DATATYPE, float32.to_vec()),
            (
                message::DATASPACE,
                [&[2, 1, 0, 1][..], &3u64.to_le_bytes()].concat(),
            ),
            (message::LAYOUT, layout),
        ];
        bodies.retain(|(other, _)| *other != kind);
        bodies.extend(body.map(|body| (kind, body.to_vec())));
        let message = |(kind, bytes)| Message {
            kind,
            body: Block { at: 8, bytes },
        };
        let messages: Vec<_> = bodies.into_iter().map(message).collect();
        let mut source = vec![0; 40];
        [1f32, 2.0, 3.0]
            .iter()
            .for_each(|number| source.extend(number.to_le_bytes()));
        let reads = &mut Reads::new(&source);
        let dataset = dataset(reads, "x", 0, &messages)?;
        numbers(reads, &dataset, 1000)
    }

    fn error(kind: u16, body: Option<&[u8]>) -> String {
        read(kind, body).expect_err("an error").to_string()
    }

    /// A layout of contiguous data.
    fn contiguous(at: u64, size: u64) -> Vec<u8> {
        [&[3, 1][..], &at.to_le_bytes(), &size.to_le_bytes()].concat()
    }

    #[test]
    fn a_message_that_is_missing_is_named() -> Result<()> {
        assert_eq!(read(message::ATTRIBUTE, None)?, [1.0, 2.0, 3.0]);
        for (kind, name) in [
            (message::DATATYPE, "datatype"),
            (message::DATASPACE, "dataspace"),
            (message::LAYOUT, "data layout"),
        ] {
            assert_eq!(
                error(kind, None),
                format!("byte 0: expected a {name}, got none")
            );
        }
        Ok(())
    }

    #[test]
    fn data_that_are_not_in_the_file_are_an_error() {
        let what = "byte 44: expected 12 bytes, got the end: the file has 52 bytes";
        assert_eq!(error(message::LAYOUT, Some(&contiguous(44, 12))), what);
        let what = "byte 8: expected the 12 bytes of the shape [3] in float32, got 8";
        assert_eq!(error(message::LAYOUT, Some(&contiguous(40, 8))), what);
        assert_eq!(
            error(message::LAYOUT, Some(&[3, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            what
        );
        let what = "byte 0: expected data in this file, got data in others, which is not read";
        assert_eq!(error(message::EXTERNAL_FILES, Some(&[])), what);
    }

    #[test]
    fn a_shape_that_is_too_large_takes_no_memory() {
        let shape = |sizes: [u64; 2]| {
            let sizes = sizes.map(u64::to_le_bytes).concat();
            error(
                message::DATASPACE,
                Some(&[&[2, 2, 0, 1][..], &sizes].concat()),
            )
        };
        assert!(shape([1 << 32, 1 << 32]).ends_with("[4294967296, 4294967296] is too large"));
        assert!(shape([1 << 30, 1 << 30]).ends_with("in float32, got 12"));
    }

    #[test]
    fn data_that_were_never_written_are_zeros_or_the_fill_value() -> Result<()> {
        let nothing = contiguous(UNDEFINED, 0);
        assert_eq!(read(message::LAYOUT, Some(&nothing))?, [0.0; 3]);
        for (fill, expected) in [
            (&b"\x03\x2a\x02\0\0\0ab"[..], &b"ab"[..]),
            (b"\x03\x0a", b""),
            (b"\x02\x02\x02\x01\x02\0\0\0ab", b"ab"),
            (b"\x02\x02\x02\0", b""),
        ] {
            let bytes = fill.to_vec();
            assert_eq!(fill_value(Block { at: 0, bytes }.cursor())?, expected);
        }
        let bytes = b"\x03\x2a\xff\xff\xff\xffab".to_vec();
        assert!(fill_value(Block { at: 0, bytes }.cursor()).is_err());
        Ok(())
    }
}
