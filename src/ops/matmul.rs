//! Matrix products of f32 numbers in memory, by the `gemm` crate that candle uses as well.
//!
//! Called directly because each product of candle's own reads the machine's list of processors
//! (/proc/cpuinfo) to choose its thread count, which takes longer than a small product.

use gemm::Parallelism;

/// From how many multiplications on a product is shared among threads. On two cores the walkthrough
/// (6 million in its largest product) takes 0.34 s an epoch with one thread and 0.35 to 0.51 s with
/// two, which wait for each other; predictions in batches of 1,000 (100 million) gain by them
/// (`cargo bench --bench walkthrough`, with this number changed).
const WORTH_THREADS: usize = 1 << 24;

/// Numbers as a matrix, in rows or, transposed, in columns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    numbers: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: isize,
    column_stride: isize,
}

impl<'a> Matrix<'a> {
    /// A matrix in row-major order; `columns` must divide the count of the numbers.
    pub(crate) fn new(numbers: &'a [f32], columns: usize) -> Self {
        let rows = numbers.len() / columns;
        debug_assert_eq!(rows * columns, numbers.len());
        Self {
            numbers,
            rows,
            columns,
            row_stride: columns as isize,
            column_stride: 1,
        }
    }

    /// How many rows it has.
    pub(crate) fn rows(self) -> usize {
        self.rows
    }

    /// The same numbers with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    /// The product `self`·`right`, in row-major order.
    ///
    /// # Panics
    /// When `self` has not as many columns as `right` has rows: layers give matching shapes.
    pub(crate) fn times(self, right: Matrix<'_>) -> Vec<f32> {
        assert_eq!(self.columns, right.rows, "inner lengths of a product");
        let (rows, columns) = (self.rows, right.columns);
        if self.columns == 0 {
            return vec![0.0; rows * columns];
        }
        let parallelism = if rows * columns * self.columns < WORTH_THREADS {
            Parallelism::None
        } else {
            Parallelism::Rayon(0) // as many threads as rayon's pool has
        };
        let mut product: Vec<f32> = Vec::with_capacity(rows * columns);
        // SAFETY: `new` and `transposed` are the only ways to a Matrix, so that every index
        // row·row_stride + column·column_stride of `self` and `right` lies within its numbers;
        // `product` has room for rows·columns numbers at strides (columns, 1), which gemm writes
        // without reading them (the flag `read_dst`), all of them as the inner length is not 0,
        // and no other reference to it exists.
        #[allow(unsafe_code, reason = "gemm takes pointers")]
        unsafe {
            gemm::gemm(
                rows,
                columns,
                self.columns,
                product.as_mut_ptr(),
                1,
                columns as isize,
                false,
                self.numbers.as_ptr(),
                self.column_stride,
                self.row_stride,
                right.numbers.as_ptr(),
                right.column_stride,
                right.row_stride,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
            product.set_len(rows * columns);
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_the_definition_in_every_orientation() {
        let number = |index: usize| ((index * 7919) % 31) as f32 - 15.0;
        for (m, n, k) in [
            (1, 1, 1),
            (2, 3, 4),
            (64, 10, 33),
            (1, 17, 5),
            (70, 1, 9),
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
            assert_eq!(a.times(b), expected, "{m}×{k}·{k}×{n}");
            if m == 0 || k == 0 {
                continue;
            }
            let (left, right) = (flip(&left, k), flip(&right, n));
            let (a, b) = (
                Matrix::new(&left, m).transposed(),
                Matrix::new(&right, k).transposed(),
            );
            assert_eq!(a.times(b), expected, "transposed {m}×{k}·{k}×{n}");
        }
    }
}
