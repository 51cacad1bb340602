//! A dense layer's products on numbers in memory. The gradients of its weights are a
//! [`Gradient`](super::Gradient).

use super::{activation, matmul::Matrix, threads, vectorized};
use crate::activations::ActivationFunction;
use std::{cell::RefCell, ops::Range};

/// Into how many parts features are cut where threads share them.
const FEATURE_PARTS: usize = 4;

/// Multiplications that are worth sharing.
const WORTH_SHARING: usize = 1 << 18;

/// Outputs that a thread finishes at a time.
const WORTH_FINISHING: usize = 1 << 14;

/// f(x·W + b) for rows `x` of `features`, a kernel of `units` columns and perhaps a bias.
pub(crate) fn forward(
    x: &[f32],
    kernel: &[f32],
    bias: Option<&[f32]>,
    units: usize,
    function: ActivationFunction,
) -> Vec<f32> {
    let kernel = Matrix::new(kernel, units); // (features, units)
    let x = Matrix::new(x, kernel.height()); // (rows, features)
    let mut outputs = vec![0.0; x.height() * units];
    if x.height() * x.width() * units >= WORTH_SHARING && x.width() >= FEATURE_PARTS * x.height() {
        times_by_features(x, kernel, &mut outputs);
    } else {
        x.times(kernel, &mut outputs);
    } // (rows, units)
    let rows = (WORTH_FINISHING / units).max(1);
    let parts = outputs.chunks_mut(rows * units).collect();
    threads::each(parts, |rows| finish(rows, bias, units, function));
    outputs
}

/// Adds the bias to rows of a product, and applies the activation.
fn finish(rows: &mut [f32], bias: Option<&[f32]>, units: usize, function: ActivationFunction) {
    vectorized(
        #[inline(always)]
        || {
            if let Some(bias) = bias {
                for row in rows.chunks_exact_mut(units) {
                    for (x, b) in row.iter_mut().zip(bias) {
                        *x += b;
                    }
                }
            }
            activation::apply(function, rows, units);
        },
    );
}

/// x·W as the sum of the products of each half of the features. Every thread reads those rows of a large
/// kernel that it also updates, and those numbers of x that it gathered, while the sums that it
/// gives to others are small: from core to core, a number takes longer than its arithmetic.
fn times_by_features(x: Matrix<'_>, kernel: Matrix<'_>, outputs: &mut [f32]) {
    thread_local! {
        static SUMS: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
    }
    let units = kernel.width();
    let height = x.height().div_ceil(2).next_multiple_of(2);
    let half = 2 * feature_part(x.width());
    let halves = [0..half.min(x.width()), half.min(x.width())..x.width()];
    // Taken out, not borrowed: whoever comes here within the work finds none, and makes his own.
    let mut sums = SUMS.take();
    sums.resize(2 * outputs.len(), 0.0);
    let parts = halves.iter().zip(sums.chunks_exact_mut(outputs.len()));
    let parts = parts.flat_map(|(features, sums)| {
        let sums = sums.chunks_mut(height * units).enumerate();
        sums.map(move |(part, sums)| (features.clone(), part * height, sums))
    });
    threads::each(parts.collect(), |(features, first, sums)| {
        let rows = x.rows(first..first + sums.len() / units);
        rows.columns(features.clone())
            .times(kernel.rows(features), sums);
    });
    let (first, second) = sums.split_at(outputs.len());
    vectorized(
        #[inline(always)]
        || {
            for (output, (a, b)) in outputs.iter_mut().zip(first.iter().zip(second)) {
                *output = a + b;
            }
        },
    );
    SUMS.set(sums);
}

/// How many features are in a part.
pub(super) fn feature_part(features: usize) -> usize {
    features.div_ceil(FEATURE_PARTS).next_multiple_of(2)
}

/// The features of each part, which may be none.
pub(super) fn feature_parts(features: usize) -> impl Iterator<Item = Range<usize>> {
    let length = feature_part(features);
    let place = move |part: usize| (part * length).min(features);
    (0..FEATURE_PARTS).map(move |part| place(part)..place(part + 1))
}

/// g·Wᵀ: the inputs' gradient, (rows, features).
pub(crate) fn input_gradient(gradient: &[f32], kernel: &[f32], units: usize) -> Vec<f32> {
    let gradient = Matrix::new(gradient, units); // (rows, units)
    let kernel = Matrix::new(kernel, units).transposed(); // (units, features)
    let mut product = vec![0.0; gradient.height() * kernel.width()];
    gradient.times(kernel, &mut product);
    product
}
