//! Matrix products that leave out what is multiplied by 0.
//!
//! Four fifths of MNIST's pixels are 0, and all but a few of the words of a text: then most of a
//! first layer's arithmetic adds nothing. Rows of the left matrix are taken in pairs, and for every
//! number that is not 0 in one of the two a row of the right matrix is added to both of their sums,
//! which stay in registers. Leaving out 0·b changes no sum, but for a b that is not finite.

use super::{matmul::Matrix, threads, vectorized};
use pulp::{Arch, Simd, WithSimd};

/// Rows looked at to tell whether skipping pays.
const PROBES: usize = 8;

/// Whether so many of a matrix's numbers are 0 that skipping them is faster: two in three, of which
/// pairs of rows have both numbers 0 in 4 of 9 places or, as zeros come together, in more. With
/// fewer, gemm's tiles are as fast, which load less for each product.
pub(super) fn pays(matrix: Matrix<'_>) -> bool {
    let matrix = in_rows(matrix);
    if matrix.height() == 0 || matrix.width() < 16 || matrix.row_stride() < 32 {
        return false;
    }
    let step = matrix.height().div_ceil(PROBES);
    let rows = (0..matrix.height()).step_by(step);
    let zeros = |row: usize| {
        let row = &matrix.numbers()[row * matrix.row_stride()..][..matrix.width()];
        row.iter().map(|x| usize::from(*x == 0.0)).sum::<usize>()
    };
    let count = rows.len() * matrix.width();
    3 * vectorized(
        #[inline(always)]
        || rows.map(zeros).sum::<usize>(),
    ) >= 2 * count
}

/// A matrix as it lies in memory: each row in one piece.
fn in_rows(matrix: Matrix<'_>) -> Matrix<'_> {
    if matrix.column_stride() == 1 {
        matrix
    } else {
        matrix.transposed()
    }
}

/// The product `left`·`right`, where the rows of `right` lie in one piece each.
pub(super) fn times(left: Matrix<'_>, right: Matrix<'_>, product: &mut [f32]) {
    // Enough rows to read `right` from the cache, enough parts to share.
    let height = (left.height() / 4).next_multiple_of(2).clamp(8, 32);
    let parts = product.chunks_mut(height * right.width()).enumerate();
    threads::each(parts.collect(), |(part, product)| {
        let rows = product.len() / right.width();
        let left = left.rows(part * height..part * height + rows);
        Sparse::new(left).rows_times(0, right, product);
    });
}

/// A matrix, and for every pair of its rows a bit for each column in which one is not 0.
pub(super) struct Sparse<'a> {
    matrix: Matrix<'a>,
    /// In words of 32 columns, those of a pair together.
    words: Vec<u32>,
    words_of_pair: usize,
}

impl<'a> Sparse<'a> {
    pub(super) fn new(matrix: Matrix<'a>) -> Self {
        vectorized(
            #[inline(always)]
            || Self::marked(matrix),
        )
    }

    /// Its rows from `first`, an even number, on, times `right`, whose rows lie in one piece each:
    /// as many rows as `product` holds.
    pub(super) fn rows_times(&self, first: usize, right: Matrix<'_>, product: &mut [f32]) {
        Arch::new().dispatch(Pairs {
            left: self,
            first: first / 2,
            right,
            product,
        });
    }

    #[inline(always)]
    fn marked(matrix: Matrix<'a>) -> Self {
        let words_of_pair = matrix.width().div_ceil(32);
        let mut words = vec![0; matrix.height().div_ceil(2) * words_of_pair];
        if matrix.column_stride() == 1 {
            for row in 0..matrix.height() {
                let numbers = &matrix.numbers()[row * matrix.row_stride()..][..matrix.width()];
                mark_row(numbers, &mut words[row / 2 * words_of_pair..]);
            }
        } else {
            let mut of_rows = vec![0; matrix.height()];
            for word in 0..words_of_pair {
                let columns = 32 * word..(32 * word + 32).min(matrix.width());
                of_rows.fill(0);
                for (bit, column) in columns.enumerate() {
                    let numbers =
                        &matrix.numbers()[column * matrix.column_stride()..][..matrix.height()];
                    for (word, x) in of_rows.iter_mut().zip(numbers) {
                        *word |= if *x != 0.0 { 1 << bit } else { 0 };
                    }
                }
                for (pair, rows) in of_rows.chunks(2).enumerate() {
                    words[pair * words_of_pair + word] = rows.iter().fold(0, |a, b| a | b);
                }
            }
        }
        Self {
            matrix,
            words,
            words_of_pair,
        }
    }
}

/// Adds to `words` a bit for each number that is not 0.
#[inline(always)]
fn mark_row(numbers: &[f32], words: &mut [u32]) {
    let (whole, rest) = numbers.as_chunks::<32>();
    let mut last = [0.0; 32];
    last[..rest.len()].copy_from_slice(rest);
    for (word, numbers) in words.iter_mut().zip(whole.iter().chain([&last])) {
        let mut bits = 0;
        for (bit, x) in numbers.iter().enumerate() {
            bits |= u32::from(*x != 0.0) << bit;
        }
        *word |= bits;
    }
}

/// Rows of a product, two at a time: Σⱼ left[row][j]·right[j].
struct Pairs<'a> {
    left: &'a Sparse<'a>,
    /// The first pair.
    first: usize,
    right: Matrix<'a>,
    product: &'a mut [f32],
}

impl WithSimd for Pairs<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Sparse { matrix, words, .. } = self.left;
        let words = &words[self.first * self.left.words_of_pair..];
        let numbers = &matrix.numbers()[2 * self.first * matrix.row_stride()..];
        // Sums of two rows, some of a row of `right` and two numbers of `left` are to find room.
        let widest = if S::REGISTER_COUNT >= 32 { 8 } else { 4 };
        let units = self.right.width();
        let mut first = 0;
        // Columns outside, pairs inside: the columns of `right` stay in the cache.
        while first < units {
            let vectors = ((units - first) / S::F32_LANES).min(widest);
            let nonzero = words.chunks_exact(self.left.words_of_pair);
            let pairs = nonzero.zip(self.product.chunks_mut(2 * units));
            for (pair, (nonzero, product)) in pairs.enumerate() {
                let sum = Sum {
                    left: &numbers[2 * pair * matrix.row_stride()..],
                    strides: [matrix.row_stride(), matrix.column_stride()],
                    nonzero,
                    right: self.right,
                    first,
                };
                if product.len() == 2 * units {
                    sum.columns::<S, 2>(simd, vectors, product);
                } else {
                    sum.columns::<S, 1>(simd, vectors, product);
                }
            }
            first += match vectors {
                0 => units - first,
                1 => S::F32_LANES,
                2..4 => 2 * S::F32_LANES,
                4..8 => 4 * S::F32_LANES,
                _ => 8 * S::F32_LANES,
            };
        }
    }
}

/// Some columns of one or two rows of a product.
struct Sum<'a> {
    left: &'a [f32],
    /// From a number of `left` to that of the next row, and to the next in its own.
    strides: [usize; 2],
    nonzero: &'a [u32],
    right: Matrix<'a>,
    first: usize,
}

impl Sum<'_> {
    /// The columns that fit into at most this many vectors; with 0 the last few.
    #[inline(always)]
    fn columns<S: Simd, const R: usize>(&self, simd: S, vectors: usize, product: &mut [f32]) {
        match vectors {
            0 => self.rest::<S, R>(simd, product),
            1 => self.whole::<S, R, 1>(simd, product),
            2..4 => self.whole::<S, R, 2>(simd, product),
            4..8 => self.whole::<S, R, 4>(simd, product),
            _ => self.whole::<S, R, 8>(simd, product),
        }
    }

    #[inline(always)]
    fn whole<S: Simd, const R: usize, const V: usize>(&self, simd: S, product: &mut [f32]) {
        let width = V * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        self.each_nonzero::<R>(|a, b| {
            let a = a.map(|a| simd.splat_f32s(a));
            let (b, _) = S::as_simd_f32s(&b[..width]);
            for v in 0..V {
                for r in 0..R {
                    sums[r][v] = simd.mul_add_e_f32s(a[r], b[v], sums[r][v]);
                }
            }
        });
        for (sums, row) in sums
            .iter()
            .zip(product.chunks_exact_mut(self.right.width()))
        {
            let (row, _) = S::as_mut_simd_f32s(&mut row[self.first..self.first + width]);
            row.copy_from_slice(sums);
        }
    }

    #[inline(always)]
    fn rest<S: Simd, const R: usize>(&self, simd: S, product: &mut [f32]) {
        let width = self.right.width() - self.first;
        let mut sums = [simd.splat_f32s(0.0); R];
        self.each_nonzero::<R>(|a, b| {
            let b = simd.partial_load_f32s(&b[..width]);
            for r in 0..R {
                sums[r] = simd.mul_add_e_f32s(simd.splat_f32s(a[r]), b, sums[r]);
            }
        });
        for (sum, row) in sums
            .iter()
            .zip(product.chunks_exact_mut(self.right.width()))
        {
            simd.partial_store_f32s(&mut row[self.first..], *sum);
        }
    }

    /// For every j to add, in order, calls `add` with the rows' numbers in column j and with row j of
    /// `right` from column `first` on.
    #[inline(always)]
    fn each_nonzero<const R: usize>(&self, mut add: impl FnMut([f32; R], &[f32])) {
        for (word, bits) in self.nonzero.iter().enumerate() {
            let mut bits = *bits;
            while bits != 0 {
                let j = 32 * word + bits.trailing_zeros() as usize;
                bits &= bits - 1; // without its lowest bit
                let place = j * self.strides[1];
                let a = std::array::from_fn(|row| self.left[place + row * self.strides[0]]);
                add(
                    a,
                    &self.right.numbers()[j * self.right.row_stride() + self.first..],
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole numbers, the given share of them not 0: sums without rounding, in any order.
    fn numbers(count: usize, nonzero: usize) -> Vec<f32> {
        let number = |index: usize| (index * 7919 + index / 5) % 1000;
        let kept = |number: usize| match number % 100 < nonzero {
            true => (number % 31) as f32 - 15.0,
            false => 0.0,
        };
        (0..count).map(|index| kept(number(index))).collect()
    }

    #[test]
    fn products_are_those_of_the_definition_for_every_shape() {
        for (rows, features, units) in [
            (1, 32, 1),
            (2, 33, 10),
            (7, 100, 16),
            (64, 784, 128),
            (65, 31, 47),
            (33, 64, 200),
            (130, 40, 260),
        ] {
            for nonzero in [0, 20, 100] {
                let (x, b) = (
                    numbers(rows * features, nonzero),
                    numbers(features * units, 100),
                );
                let mut product = vec![f32::NAN; rows * units];
                times(
                    Matrix::new(&x, features),
                    Matrix::new(&b, units),
                    &mut product,
                );
                let expected: Vec<f32> = (0..rows * units)
                    .map(|i| {
                        let terms = (0..features)
                            .map(|j| x[i / units * features + j] * b[j * units + i % units]);
                        terms.sum()
                    })
                    .collect();
                assert_eq!(
                    product, expected,
                    "{rows}×{features}·{features}×{units}, {nonzero} %"
                );

                let b = numbers(rows * units, 100);
                let mut product = vec![f32::NAN; features * units];
                let left = Matrix::new(&x, features).transposed();
                times(left, Matrix::new(&b, units), &mut product);
                let expected: Vec<f32> = (0..features * units)
                    .map(|i| {
                        let terms = (0..rows)
                            .map(|j| x[j * features + i / units] * b[j * units + i % units]);
                        terms.sum()
                    })
                    .collect();
                assert_eq!(
                    product, expected,
                    "({rows}×{features})ᵀ·{rows}×{units}, {nonzero} %"
                );
            }
        }
    }

    #[test]
    fn skipping_pays_from_two_zeros_in_three_on() {
        let with_zeros = |zeros: usize| -> Vec<f32> {
            (0..300)
                .map(|i| f32::from(u8::from(i % 30 >= zeros)))
                .collect()
        };
        let pays = |numbers: &[f32], columns| {
            let matrix = Matrix::new(numbers, columns);
            assert_eq!(pays(matrix), pays(matrix.transposed()));
            pays(matrix)
        };
        assert!(pays(&with_zeros(20), 300));
        assert!(pays(&with_zeros(20), 60));
        assert!(!pays(&with_zeros(19), 300));
        assert!(!pays(&[], 300));
    }
}
