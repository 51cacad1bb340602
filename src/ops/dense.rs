//! A dense layer's forward pass and gradients on numbers in memory.

use super::{activation, matmul::Matrix, vectorized};
use crate::activations::ActivationFunction;

/// f(x·W + b) for rows `x`, a kernel of `units` columns and perhaps a bias. The bias is added and
/// the activation applied row by row, while the row is in cache.
pub(crate) fn forward(
    x: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    units: usize,
    function: ActivationFunction,
) -> Vec<f32> {
    let kernel = Matrix::new(kernel, units); // (features, units)
    let mut outputs = Matrix::new(x, kernel.rows()).times(kernel); // (rows, units)
    vectorized(|| {
        for row in outputs.chunks_exact_mut(units) {
            if let Some(bias) = bias {
                for (x, b) in row.iter_mut().zip(bias) {
                    *x += b;
                }
            }
            activation::apply(function, row, units);
        }
    });
    outputs
}

/// xᵀ·g: the kernel's gradient, (features, units).
pub(crate) fn kernel_gradient(x: &[f32], gradient: &[f32], units: usize) -> Vec<f32> {
    let gradient = Matrix::new(gradient, units); // (rows, units)
    let features = x.len() / gradient.rows().max(1);
    Matrix::new(x, features).transposed().times(gradient)
}

/// The sum of the rows of `units` numbers: the bias's gradient.
pub(crate) fn bias_gradient(gradient: &[f32], units: usize) -> Vec<f32> {
    let mut sums = vec![0.0; units];
    vectorized(|| {
        for row in gradient.chunks_exact(units) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += x;
            }
        }
    });
    sums
}

/// g·Wᵀ: the inputs' gradient, (rows, features).
pub(crate) fn input_gradient(gradient: &[f32], kernel: &[f32], units: usize) -> Vec<f32> {
    Matrix::new(gradient, units).times(Matrix::new(kernel, units).transposed())
}
