//! What surrounds a dense layer's matrix products, one pass each.

use super::activation;
use crate::activations::ActivationFunction;

/// Adds `bias` to every row and applies the activation, row by row while the row is in cache.
pub(crate) fn finish_rows(
    rows: &mut [f32],
    bias: Option<&[f32]>,
    function: ActivationFunction,
    width: usize,
) {
    for row in rows.chunks_exact_mut(width) {
        if let Some(bias) = bias {
            for (x, b) in row.iter_mut().zip(bias) {
                *x += b;
            }
        }
        activation::apply(function, row, width);
    }
}

/// The sum of the rows of `width` numbers: a bias's gradient.
pub(crate) fn sum_rows(rows: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; width];
    for row in rows.chunks_exact(width) {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
    }
    sums
}
