//! Data in chunks of one shape, found by a B-tree.

use super::super::{Dtype, Result, UNDEFINED, elements};
use super::cursor::{Block, Cursor};
use super::filter::{self, Filter};
use super::reads::Reads;
use super::tree::{self, Kind};

/// Chunks may hold so many times the bytes of their data, since those at the edges hang over. The
/// bound keeps a small file from holding many chunks that inflate to nothing that is kept.
const MOST_TIMES: u64 = 16;

/// What chunks may hold beyond that, for small data in chunks that were made for growth.
const MOST_MORE: u64 = 8 << 20;

/// A dataset's chunks.
#[derive(Debug)]
pub(super) struct Chunks {
    tree: u64,
    /// A chunk's shape, in elements.
    shape: Vec<usize>,
    /// A chunk's bytes.
    size: usize,
    /// The chunks that cover the data.
    count: u64,
    filters: Vec<Filter>,
}

/// Takes the bytes of elements that stand side by side, the index of the first, and their count.
type Place<'a> = dyn FnMut(&[u8], usize, usize) -> Result<()> + 'a;

/// Parses the rest of a data layout message. None are chunks that were never written.
pub(super) fn chunks(
    mut cursor: Cursor<'_>,
    filters: Vec<Filter>,
    dtype: Dtype,
    data: &[usize],
) -> Result<Option<Chunks>> {
    let start = cursor;
    let rank = usize::from(cursor.u8()?);
    let tree = cursor.u64()?;
    if rank != data.len() + 1 {
        let what = format!(
            "expected chunks of {} dimensions, got {rank}",
            data.len() + 1
        );
        return Err(start.error(what));
    }
    let shape = (0..data.len())
        .map(|_| cursor.size())
        .collect::<Result<Vec<_>>>()?;
    let element = cursor.u32()?;
    if shape.contains(&0) || element != dtype.size() {
        let what = format!("expected chunks of {dtype}, got shape {shape:?} of {element} bytes");
        return Err(start.error(what));
    }
    if tree == UNDEFINED {
        return Ok(None);
    }
    let (size, count) = bounded(&shape, dtype, data).ok_or_else(|| {
        start.error(format_args!(
            "chunks of shape {shape:?} are too large for the shape {data:?}"
        ))
    })?;
    Ok(Some(Chunks {
        tree,
        shape,
        size,
        count,
        filters,
    }))
}

/// The bytes of a chunk and the number of chunks, unless they hold far more than the data.
fn bounded(chunk: &[usize], dtype: Dtype, data: &[usize]) -> Option<(usize, u64)> {
    let element = u64::from(dtype.size());
    let size = elements(chunk)?.checked_mul(element)?;
    let grid: Vec<usize> = data
        .iter()
        .zip(chunk)
        .map(|(data, chunk)| data.div_ceil(*chunk))
        .collect();
    let count = elements(&grid)?;
    let most = elements(data)?
        .checked_mul(element)?
        .checked_mul(MOST_TIMES)?;
    if size.checked_mul(count)? > most.saturating_add(MOST_MORE) {
        return None;
    }
    Some((usize::try_from(size).ok()?, count))
}

impl Chunks {
    /// Gives `place` all elements of all chunks that are in the data's shape.
    pub(super) fn read(
        &self,
        reads: &mut Reads<'_>,
        data: &[usize],
        dtype: Dtype,
        place: &mut Place<'_>,
    ) -> Result<()> {
        if data.contains(&0) {
            return Ok(());
        }
        let mut walk = Walk {
            chunks: self,
            data,
            element: dtype.size() as usize,
            left: self.count,
            place,
        };
        walk.node(reads, self.tree, None)
    }
}

/// A walk over a tree of chunks.
struct Walk<'a> {
    chunks: &'a Chunks,
    data: &'a [usize],
    element: usize,
    /// The chunks that may still come.
    left: u64,
    place: &'a mut Place<'a>,
}

impl Walk<'_> {
    fn node(&mut self, reads: &mut Reads<'_>, at: u64, above: Option<u8>) -> Result<()> {
        let rank = self.data.len();
        let key = 8 + 8 * (rank as u64 + 1); // size, mask, offset with one of the element
        let node = tree::node(reads, at, Kind::Chunks, above, key)?;
        let mut cursor = node.entries.cursor();
        for _ in 0..node.count {
            let start = cursor;
            let (stored, mask) = (cursor.u32()?, cursor.u32()?);
            let offset = (0..rank)
                .map(|_| cursor.u64())
                .collect::<Result<Vec<_>>>()?;
            cursor.skip(8)?;
            let child = cursor.u64()?;
            if node.level > 0 {
                self.node(reads, child, Some(node.level))?;
            } else {
                let offset = self.inside(&offset).ok_or_else(|| {
                    start.error(format_args!(
                        "expected a chunk of the shape, got one at {offset:?}"
                    ))
                })?;
                let chunk = self.chunk(reads, child, stored, mask)?;
                self.rows(&chunk, &offset)?;
            }
        }
        Ok(())
    }

    /// A chunk's offset, where it is one of the shape's.
    fn inside(&mut self, offset: &[u64]) -> Option<Vec<usize>> {
        self.left = self.left.checked_sub(1)?;
        let sizes = self.data.iter().zip(&self.chunks.shape);
        offset
            .iter()
            .zip(sizes)
            .map(|(&offset, (data, chunk))| {
                let offset = usize::try_from(offset).ok()?;
                (offset < *data && offset % chunk == 0).then_some(offset)
            })
            .collect()
    }

    fn chunk(&self, reads: &mut Reads<'_>, at: u64, stored: u32, mask: u32) -> Result<Block> {
        let size = self.chunks.size;
        // Numbers that gzip cannot make smaller grow a little.
        let most = (size as u64).saturating_mul(2).saturating_add(1 << 10);
        let stored = reads.block_within(at, stored.into(), most)?;
        reads.work(at, size as u64)?;
        let chunk = filter::undo(&self.chunks.filters, mask, size, stored)?;
        if chunk.bytes.len() == size {
            return Ok(chunk);
        }
        let got = chunk.bytes.len();
        let what = format_args!("expected a chunk of {size} bytes, got {got}");
        Err(chunk.cursor().error(what))
    }

    /// Places a chunk row by row, a row being the elements along the last dimension. All indices are
    /// of elements inside the chunk or the data, whose sizes were checked.
    fn rows(&mut self, chunk: &Block, offset: &[usize]) -> Result<()> {
        let mut axes: Vec<Axis> = offset
            .iter()
            .zip(self.data.iter().zip(&self.chunks.shape))
            .map(|(&offset, (&data, &chunk))| Axis {
                offset,
                chunk,
                data,
                kept: (data - offset).min(chunk),
            })
            .collect();
        // A row starts at the chunk's edge and takes one step.
        let row = axes
            .last_mut()
            .map_or(1, |axis| std::mem::replace(&mut axis.kept, 1));
        let rows: usize = axes.iter().map(|axis| axis.kept).product();
        for index in 0..rows {
            let (from, to) = starts(&axes, index);
            let (from, end) = (from * self.element, (from + row) * self.element);
            let bytes = chunk.bytes.get(from..end).unwrap_or_default();
            (self.place)(bytes, to, row)?;
        }
        Ok(())
    }
}

/// A dimension of a chunk in its place.
struct Axis {
    offset: usize,
    chunk: usize,
    data: usize,
    /// The steps inside the data.
    kept: usize,
}

/// Where the row of an index starts: in the chunk and in the data.
fn starts(axes: &[Axis], mut index: usize) -> (usize, usize) {
    let (mut from, mut to) = (0, 0);
    let (mut chunk_stride, mut data_stride) = (1, 1);
    for axis in axes.iter().rev() {
        let step = index % axis.kept;
        index /= axis.kept;
        from += step * chunk_stride;
        to += (axis.offset + step) * data_stride;
        chunk_stride *= axis.chunk;
        data_stride *= axis.data;
    }
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(shape: &[u32]) -> Block {
        let mut bytes = vec![shape.len() as u8];
        bytes.extend(64u64.to_le_bytes());
        shape.iter().for_each(|d| bytes.extend(d.to_le_bytes()));
        Block { at: 8, bytes }
    }

    fn parse(shape: &[u32], data: &[usize]) -> Result<Option<Chunks>> {
        chunks(layout(shape).cursor(), Vec::new(), Dtype::F32, data)
    }

    #[test]
    fn counts_the_chunks_that_cover_the_data() -> Result<()> {
        let chunks = parse(&[6, 4, 4], &[20, 10])?.expect("chunks");
        assert_eq!((chunks.size, chunks.count), (96, 12));
        Ok(())
    }

    #[test]
    fn chunks_that_do_not_fit_their_data_are_errors() {
        for (shape, what) in [
            (&[6, 4][..], "expected chunks of 3 dimensions, got 2"),
            (
                &[0, 4, 4],
                "expected chunks of float32, got shape [0, 4] of 4 bytes",
            ),
            (
                &[6, 4, 8],
                "expected chunks of float32, got shape [6, 4] of 8 bytes",
            ),
        ] {
            let error = parse(shape, &[20, 10]).expect_err("an error").to_string();
            assert_eq!(error, format!("byte 8: {what}"));
        }
    }

    #[test]
    fn chunks_far_larger_than_their_data_are_an_error() {
        assert!(parse(&[1 << 20, 2, 4], &[2, 2]).is_ok());
        let error = parse(&[1 << 20, 3, 4], &[2, 2])
            .expect_err("an error")
            .to_string();
        assert!(
            error.ends_with("are too large for the shape [2, 2]"),
            "{error}"
        );
        assert!(parse(&[u32::MAX; 4], &[2, 2, 2]).is_err());
    }

    #[test]
    fn a_row_starts_at_its_place_in_chunk_and_data() {
        let axis = |offset, chunk, data, kept| Axis {
            offset,
            chunk,
            data,
            kept,
        };
        // Data of shape (5, 7, 10); the chunk of shape (2, 3, 4) at (4, 3, 8).
        let axes = [axis(4, 2, 5, 1), axis(3, 3, 7, 3), axis(8, 4, 10, 1)];
        assert_eq!(starts(&axes, 0), (0, (4 * 7 + 3) * 10 + 8));
        assert_eq!(starts(&axes, 2), (8, (4 * 7 + 5) * 10 + 8));
    }
}
