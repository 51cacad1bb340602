//! Matrix products of f32 numbers in memory, by the `gemm` crate that candle uses as well.
//!
//! Called directly because each product of candle's own reads the machine's list of processors
//! (/proc/cpuinfo) to choose its thread count, which takes longer than a small product, and because
//! threads that meet within every product wait longer than they work: here a product is cut into
//! blocks, each of which one thread computes alone.

use super::{Destination, threads, zero_skipping};
use gemm::Parallelism;
use std::ops::Range;

/// Multiplications that are worth a second thread: some 5 µs of work, where handing it over takes
/// about one.
const WORTH_THREADS: usize = 1 << 18;

/// Multiplications in a block, and blocks at most: with more of them, the same numbers are packed
/// for the vectors more often; with fewer, threads wait longer for the last one.
const BLOCK: usize = 1 << 21;
const BLOCKS: usize = 16;

/// What a block's first row or column is a multiple of, so that gemm's tiles fit it.
const TILE: usize = 16;

/// Numbers as a matrix, in rows or, transposed, in columns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    /// From a number to that of the next row, and to that of the next column.
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A matrix in row-major order; `columns` must divide the count of the numbers.
    pub(super) fn new(numbers: &'a [f32], columns: usize) -> Self {
        let rows = numbers.len() / columns;
        debug_assert_eq!(rows * columns, numbers.len());
        Self {
            numbers,
            rows,
            columns,
            row_stride: columns,
            column_stride: 1,
        }
    }

    /// Its numbers, from the first one in its first row on.
    pub(super) fn numbers(self) -> &'a [f32] {
        self.numbers
    }

    /// How many rows it has.
    pub(super) fn height(self) -> usize {
        self.rows
    }

    /// How many columns it has.
    pub(super) fn width(self) -> usize {
        self.columns
    }

    /// From a number to that of the next row.
    pub(super) fn row_stride(self) -> usize {
        self.row_stride
    }

    /// From a number to that of the next column.
    pub(super) fn column_stride(self) -> usize {
        self.column_stride
    }

    /// The same numbers with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// Some of its rows.
    pub(super) fn rows(self, range: Range<usize>) -> Self {
        assert!(range.end <= self.rows, "rows of a matrix");
        let first = (range.start * self.row_stride).min(self.numbers.len());
        Self {
            numbers: &self.numbers[first..],
            rows: range.len(),
            ..self
        }
    }

    /// Some of its columns.
    pub(super) fn columns(self, range: Range<usize>) -> Self {
        self.transposed().rows(range).transposed()
    }

    /// The product `self`·`right`, in row-major order, into `product`. Where `self` is mostly 0,
    /// its zeros are skipped.
    ///
    /// # Panics
    /// When `self` has not as many columns as `right` has rows, or `product` another size than
    /// the product: layers give matching shapes.
    pub(super) fn times(self, right: Matrix<'_>, product: &mut [f32]) {
        self.check(right, product);
        if self.columns == 0 || product.is_empty() {
            product.fill(0.0);
        } else if right.column_stride == 1 && zero_skipping::pays(self) {
            zero_skipping::times(self, right, product);
        } else {
            self.times_dense(right, product);
        }
    }

    fn check(self, right: Matrix<'_>, product: &[f32]) {
        let size = self.rows * right.columns;
        assert_eq!(self.columns, right.rows, "inner lengths of a product");
        assert_eq!(product.len(), size, "numbers of a product");
    }

    /// The same, with zeros like all other numbers.
    pub(super) fn times_dense(self, right: Matrix<'_>, product: &mut [f32]) {
        self.check(right, product);
        let width = right.columns;
        let product = Destination::new(product.as_mut_ptr());
        threads::each(blocks(self.rows, width, self.columns), |(rows, columns)| {
            let place = rows.start * width + columns.start;
            let left = self.rows(rows);
            let right = right.columns(columns);
            // SAFETY: `new`, `transposed`, `rows` and `columns` are the only ways to a Matrix, so
            // that what the strides lead to lies within the numbers of both. `check` saw that their
            // inner lengths are the same, and the product's size: `blocks` gives ranges within it.
            // No two of them have a number in common, and nobody else has one while the product is
            // mutably borrowed. gemm writes all of a block without reading it (the flag `read_dst`).
            #[allow(unsafe_code, reason = "gemm takes pointers")]
            unsafe {
                gemm::gemm(
                    left.rows,
                    right.columns,
                    left.columns,
                    product.at(place),
                    1,
                    width as isize,
                    false,
                    left.numbers.as_ptr(),
                    left.column_stride as isize,
                    left.row_stride as isize,
                    right.numbers.as_ptr(),
                    right.column_stride as isize,
                    right.row_stride as isize,
                    0.0,
                    1.0,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
            }
        });
    }
}

/// The rows and columns of the blocks of a product. The shape alone decides, so that it is the same
/// on any number of threads.
fn blocks(rows: usize, columns: usize, inner: usize) -> Vec<(Range<usize>, Range<usize>)> {
    let size = rows.max(columns);
    let count = match rows * columns * inner {
        work if work < WORTH_THREADS => 1,
        work => (work / BLOCK).clamp(2, BLOCKS),
    };
    let length = size.div_ceil(count).next_multiple_of(TILE);
    let ranges = (0..size).step_by(length);
    let ranges = ranges.map(|start| start..(start + length).min(size));
    if rows >= columns {
        ranges.map(|range| (range, 0..columns)).collect()
    } else {
        ranges.map(|range| (0..rows, range)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_that_do_not_fit_are_seen_before_memory_is_read() {
        let numbers = [1.0; 12];
        for (rows, size) in [(2, 4), (3, 3), (3, 5)] {
            let product = |dense: bool| {
                let (left, right) = (Matrix::new(&numbers, 3), Matrix::new(&numbers, 1));
                let (left, right) = (left.rows(0..4), right.rows(0..rows));
                let mut product = vec![0.0; size];
                match dense {
                    true => left.times_dense(right, &mut product),
                    false => left.times(right, &mut product),
                }
            };
            for dense in [true, false] {
                assert!(std::panic::catch_unwind(|| product(dense)).is_err());
            }
        }
    }

    #[test]
    fn products_are_those_of_the_definition_in_every_orientation() {
        let number = |index: usize| ((index * 7919) % 31) as f32 - 15.0;
        for (m, n, k) in [
            (1, 1, 1),
            (2, 3, 4),
            (64, 10, 33),
            (1, 17, 5),
            (70, 1, 9),
            (100, 90, 130), // in blocks of rows
            (90, 300, 70),  // and of columns
            (0, 3, 2),
        ] {
            let left: Vec<f32> = (0..m * k).map(number).collect();
            let right: Vec<f32> = (0..k * n).map(|index| number(index + 3)).collect();
            // Whole numbers this small add up without rounding, in any order.
            let expected: Vec<f32> = (0..m * n)
                .map(|index| {
                    (0..k)
                        .map(|i| left[index / n * k + i] * right[i * n + index % n])
                        .sum()
                })
                .collect();
            let flip = |numbers: &[f32], columns: usize| -> Vec<f32> {
                let rows = numbers.len() / columns;
                (0..numbers.len())
                    .map(|i| numbers[i % rows * columns + i / rows])
                    .collect()
            };
            let (a, b) = (Matrix::new(&left, k), Matrix::new(&right, n));
            let times = |a: Matrix<'_>, b: Matrix<'_>| {
                let mut product = vec![f32::NAN; m * n];
                a.times(b, &mut product);
                product
            };
            assert_eq!(times(a, b), expected, "{m}×{k}·{k}×{n}");
            if m == 0 || k == 0 {
                continue;
            }
            let (left, right) = (flip(&left, k), flip(&right, n));
            let (a, b) = (
                Matrix::new(&left, m).transposed(),
                Matrix::new(&right, k).transposed(),
            );
            assert_eq!(times(a, b), expected, "transposed {m}×{k}·{k}×{n}");
        }
    }
}
