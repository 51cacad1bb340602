//! Activations and their gradients, one pass each over f32 numbers in memory.

use super::{
    derivative::Rectifier,
    exponential::{exp, exp_m1, mish_factor, normal, sigmoid, softplus, tanh},
};
use crate::activations::{ActivationFunction, SELU_ALPHA, SELU_SCALE};

/// 2·√(2/π) and its product with 0.044715, of gelu's approximation: x·sigmoid(x·(A + B·x²)).
pub(super) const GELU: [f32; 2] = [1.595_769, 0.071_354_82];

/// Replaces every number by its activation; softmax over rows of `width`. Of many rows at once the
/// exponentials fill whole vectors, which those of one narrow row do not.
#[inline(always)]
pub(crate) fn apply(function: ActivationFunction, numbers: &mut [f32], width: usize) {
    match function {
        ActivationFunction::Linear => {}
        ActivationFunction::Sigmoid => map(numbers, sigmoid),
        ActivationFunction::Relu => map(numbers, |x| if x <= 0.0 { 0.0 } else { x }),
        ActivationFunction::Tanh => map(numbers, tanh),
        ActivationFunction::LeakyRelu { negative_slope } => {
            let slope = negative_slope as f32;
            map(numbers, |x| if x > 0.0 { x } else { slope * x });
        }
        ActivationFunction::Elu { alpha } => {
            let alpha = alpha as f32;
            map(numbers, |x| if x > 0.0 { x } else { alpha * exp_m1(x) });
        }
        ActivationFunction::Softmax => {
            subtract_greatest(numbers, width);
            map(numbers, exp);
            for row in numbers.chunks_exact_mut(width) {
                divide_by_sum(row);
            }
        }
        _ => apply_other(function, numbers, width),
    }
}

/// Those of `apply` that are less frequent, apart so that the others' code stays small.
#[inline(always)]
fn apply_other(function: ActivationFunction, numbers: &mut [f32], width: usize) {
    match function {
        ActivationFunction::HardSigmoid => map(numbers, hard_sigmoid),
        ActivationFunction::LogSigmoid => map(numbers, |x| -softplus(-x)),
        ActivationFunction::SparseSigmoid => map(numbers, |x| limit(0.5 * (x + 1.0), 0.0, 1.0)),
        ActivationFunction::HardTanh => map(numbers, |x| limit(x, -1.0, 1.0)),
        ActivationFunction::TanhShrink => map(numbers, |x| x - tanh(x)),
        ActivationFunction::Relu6 => map(numbers, |x| limit(x, 0.0, 6.0)),
        ActivationFunction::ReluWith {
            negative_slope,
            max_value,
            threshold,
        } => {
            let relu = Rectifier::new(negative_slope, max_value, threshold);
            map(numbers, |x| relu.value(x));
        }
        ActivationFunction::Celu { alpha } => {
            let alpha = alpha as f32;
            map(numbers, |x| {
                if x > 0.0 {
                    x
                } else {
                    alpha * exp_m1(x / alpha)
                }
            });
        }
        ActivationFunction::Selu => {
            let (scale, alpha) = (SELU_SCALE as f32, (SELU_SCALE * SELU_ALPHA) as f32);
            map(numbers, |x| {
                if x > 0.0 {
                    scale * x
                } else {
                    alpha * exp_m1(x)
                }
            });
        }
        ActivationFunction::Gelu { approximate: false } => map(numbers, |x| x * normal(x).0),
        ActivationFunction::Gelu { approximate: true } => {
            map(numbers, |x| x * sigmoid(x * (GELU[0] + GELU[1] * x * x)));
        }
        ActivationFunction::Silu => map(numbers, |x| x * sigmoid(x)),
        ActivationFunction::HardSilu => map(numbers, |x| x * hard_sigmoid(x)),
        ActivationFunction::Mish => map(numbers, |x| x * mish_factor(x).0),
        ActivationFunction::Softplus => map(numbers, softplus),
        ActivationFunction::Softsign => map(numbers, |x| x / (1.0 + x.abs())),
        ActivationFunction::SparsePlus => map(numbers, |x| {
            let half = limit(0.5 * (x + 1.0), 0.0, 1.0);
            if x >= 1.0 { x } else { half * half }
        }),
        ActivationFunction::Squareplus { b } => {
            let b = b as f32;
            map(numbers, |x| {
                // As in `call`; for b = 0, x < 0 gives 0/far, and 0 itself must not give 0/0.
                let far = 0.5 * ((x * x + b).sqrt() + x.abs());
                if x >= 0.0 { far } else { 0.25 * b / far }
            });
        }
        ActivationFunction::SoftShrink { threshold } => {
            let threshold = threshold as f32;
            map(numbers, |x| {
                let below = if x < -threshold {
                    x + threshold
                } else {
                    x * 0.0
                };
                if x > threshold { x - threshold } else { below }
            });
        }
        ActivationFunction::HardShrink { threshold } => {
            let threshold = threshold as f32;
            map(numbers, |x| if x.abs() <= threshold { 0.0 } else { x });
        }
        ActivationFunction::Threshold {
            threshold,
            default_value,
        } => {
            let (threshold, value) = (threshold as f32, default_value as f32);
            map(numbers, |x| if x > threshold { x } else { value });
        }
        ActivationFunction::Exponential => map(numbers, exp),
        ActivationFunction::LogSoftmax => {
            subtract_greatest(numbers, width);
            for row in numbers.chunks_exact_mut(width) {
                // One logarithm a row, libm's.
                let log = f64::from(sum_of(row, exp)).ln() as f32;
                map(row, |x| x - log);
            }
        }
        ActivationFunction::Sparsemax => {
            subtract_greatest(numbers, width);
            let mut sorted = vec![0.0; width];
            for row in numbers.chunks_exact_mut(width) {
                let threshold = sparsemax_threshold(row, &mut sorted);
                map(row, |x| limit(x - threshold, 0.0, 1.0));
            }
        }
        // Its output is of another size: `glu`. The frequent ones are in `apply`.
        _ => {}
    }
}

/// `x` between two numbers; NaN stays, as both comparisons fail.
#[inline(always)]
pub(super) fn limit(x: f32, least: f32, greatest: f32) -> f32 {
    let x = if x > greatest { greatest } else { x };
    if x < least { least } else { x }
}

#[inline(always)]
pub(super) fn hard_sigmoid(x: f32) -> f32 {
    limit(x + 3.0, 0.0, 6.0) / 6.0
}

/// The τ for which Σ max(x - τ, 0) = 1, for a row whose greatest number is 0.
fn sparsemax_threshold(row: &[f32], sorted: &mut [f32]) -> f32 {
    sorted.copy_from_slice(row);
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut threshold) = (0.0, -1.0);
    for (index, z) in sorted.iter().enumerate() {
        let count = (index + 1) as f32;
        sum += z;
        // The first always stays; NaN, which is sorted to an end, makes the row NaN.
        if 1.0 + count * z <= sum {
            break;
        }
        threshold = (sum - 1.0) / count;
    }
    if row.iter().any(|x| x.is_nan()) {
        return f32::NAN;
    }
    threshold
}

/// The gated linear unit of rows of `width`: their first halves times the sigmoids of the second.
pub(crate) fn glu(x: &[f32], width: usize) -> Vec<f32> {
    let half = width / 2;
    let mut outputs = Vec::with_capacity(x.len() / 2);
    if half == 0 {
        return outputs;
    }
    super::vectorized(
        #[inline(always)]
        || {
            for row in x.chunks_exact(width) {
                let (a, b) = row.split_at(half);
                outputs.extend(a.iter().zip(b).map(|(a, b)| a * sigmoid(*b)));
            }
        },
    );
    outputs
}

/// The gradient of [`glu`]'s inputs, from that of its outputs.
pub(crate) fn glu_gradient(x: &[f32], gradient: &[f32], width: usize) -> Vec<f32> {
    let half = width / 2;
    let mut before = vec![0.0; x.len()];
    if half == 0 {
        return before;
    }
    super::vectorized(
        #[inline(always)]
        || {
            let rows = x.chunks_exact(width).zip(gradient.chunks_exact(half));
            for ((x, g), before) in rows.zip(before.chunks_exact_mut(width)) {
                let (a, b) = x.split_at(half);
                let (of_a, of_b) = before.split_at_mut(half);
                for ((of_a, b), g) in of_a.iter_mut().zip(b).zip(g) {
                    *of_a = g * sigmoid(*b);
                }
                for (((of_b, a), b), g) in of_b.iter_mut().zip(a).zip(b).zip(g) {
                    *of_b = g * a * sigmoid(*b) * sigmoid(-*b);
                }
            }
        },
    );
    before
}

/// Multiplies `gradient`, of the loss with respect to the activation's output, by the
/// activation's derivative, which is found from that output alone.
#[inline(always)]
pub(crate) fn apply_gradient(
    function: ActivationFunction,
    output: &[f32],
    gradient: &mut [f32],
    width: usize,
) {
    match function {
        ActivationFunction::Linear => {}
        ActivationFunction::Sigmoid => zip(output, gradient, |y, g| g * y * (1.0 - y)),
        ActivationFunction::Relu => zip(output, gradient, |y, g| if y > 0.0 { g } else { 0.0 }),
        ActivationFunction::Tanh => zip(output, gradient, |y, g| g * (1.0 - y * y)),
        ActivationFunction::LeakyRelu { negative_slope } => {
            let slope = negative_slope as f32;
            zip(output, gradient, |y, g| if y > 0.0 { g } else { g * slope });
        }
        ActivationFunction::Elu { alpha } => {
            let alpha = alpha as f32;
            zip(
                output,
                gradient,
                |y, g| if y > 0.0 { g } else { g * (y + alpha) },
            );
        }
        ActivationFunction::Softmax => {
            let rows = output
                .chunks_exact(width)
                .zip(gradient.chunks_exact_mut(width));
            for (y, g) in rows {
                let along: f32 = y.iter().zip(&*g).map(|(y, g)| y * g).sum();
                zip(y, g, |y, g| y * (g - along));
            }
        }
        _ => apply_other_gradient(function, output, gradient, width),
    }
}

/// Those of `apply_gradient` that are less frequent.
#[inline(always)]
fn apply_other_gradient(
    function: ActivationFunction,
    output: &[f32],
    gradient: &mut [f32],
    width: usize,
) {
    match function {
        ActivationFunction::HardSigmoid => zip(output, gradient, |y, g| {
            if y > 0.0 && y < 1.0 { g / 6.0 } else { 0.0 }
        }),
        // 1 - eʸ, as y = ln of the sigmoid.
        ActivationFunction::LogSigmoid => zip(output, gradient, |y, g| -g * exp_m1(y)),
        ActivationFunction::SparseSigmoid => zip(output, gradient, |y, g| {
            if y > 0.0 && y < 1.0 { 0.5 * g } else { 0.0 }
        }),
        ActivationFunction::Relu6 => {
            zip(
                output,
                gradient,
                |y, g| {
                    if y > 0.0 && y < 6.0 { g } else { 0.0 }
                },
            )
        }
        ActivationFunction::Celu { alpha } => {
            let alpha = alpha as f32;
            zip(output, gradient, |y, g| {
                if y > 0.0 { g } else { g * (y / alpha + 1.0) }
            });
        }
        ActivationFunction::Selu => {
            let (scale, alpha) = (SELU_SCALE as f32, (SELU_SCALE * SELU_ALPHA) as f32);
            zip(output, gradient, |y, g| {
                g * if y >= 0.0 { scale } else { y + alpha }
            });
        }
        // 1 - e⁻ʸ, as 1 + eˣ = eʸ.
        ActivationFunction::Softplus => zip(output, gradient, |y, g| -g * exp_m1(-y)),
        // (x + 1) / 2 in the bend, whose square is y.
        ActivationFunction::SparsePlus => zip(output, gradient, |y, g| {
            g * if y < 1.0 { y.sqrt() } else { 1.0 }
        }),
        ActivationFunction::Squareplus { b } => {
            let quarter = 0.25 * b as f32;
            zip(output, gradient, |y, g| {
                // y² / (y² + b/4), without a square that overflows, and 0 at 0 for b = 0.
                let ratio = quarter / (y * y);
                if y > 0.0 { g / (1.0 + ratio) } else { y * 0.0 }
            });
        }
        ActivationFunction::SoftShrink { .. } => {
            zip(output, gradient, |y, g| if y == 0.0 { 0.0 } else { g });
        }
        ActivationFunction::Exponential => zip(output, gradient, |y, g| g * y),
        ActivationFunction::LogSoftmax => {
            let rows = output
                .chunks_exact(width)
                .zip(gradient.chunks_exact_mut(width));
            for (y, g) in rows {
                let along = sum(g);
                zip(y, g, |y, g| g - along * exp(y));
            }
        }
        ActivationFunction::Sparsemax => {
            let rows = output
                .chunks_exact(width)
                .zip(gradient.chunks_exact_mut(width));
            for (y, g) in rows {
                let (mut along, mut count) = (0.0, 0.0);
                for (y, g) in y.iter().zip(&*g) {
                    if *y > 0.0 {
                        along += g;
                        count += 1.0;
                    }
                }
                let mean = along / count;
                zip(y, g, |y, g| if y > 0.0 { g - mean } else { 0.0 });
            }
        }
        // The others' gradients are found from their inputs: `derivative::apply`.
        _ => {}
    }
}

/// Subtracts its greatest number from every row of `width`: no exponential of it overflows, and
/// their sum is at least 1.
#[inline(always)]
pub(super) fn subtract_greatest(numbers: &mut [f32], width: usize) {
    for row in numbers.chunks_exact_mut(width) {
        // A NaN fails the comparison; it stays one when the greatest is subtracted.
        let greatest = fold(row, f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        map(row, |x| x - greatest);
    }
}

/// Divides a row by its sum, which it gives.
#[inline(always)]
pub(super) fn divide_by_sum(row: &mut [f32]) -> f32 {
    let sum = sum(row);
    map(row, |x| x / sum);
    sum
}

/// The sum of a row, in one order on every machine.
#[inline(always)]
pub(super) fn sum(row: &[f32]) -> f32 {
    fold(row, 0.0, |a, b| a + b)
}

/// The sum of a function of every number of a row, in one order on every machine.
#[inline(always)]
fn sum_of(row: &[f32], function: impl Fn(f32) -> f32) -> f32 {
    let mut total = 0.0;
    let mut part = [0.0; 64];
    for numbers in row.chunks(part.len()) {
        let part = &mut part[..numbers.len()];
        part.copy_from_slice(numbers);
        map(part, &function);
        total += sum(part);
    }
    total
}

/// Folds a row in 16 lanes side by side, then over the lanes and what is left: in a vector on the
/// widest machine, in the same order on all. Rows of less than 16 are folded from left to right.
#[inline(always)]
fn fold(row: &[f32], start: f32, step: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = row.as_chunks::<16>();
    let mut all = start;
    if !chunks.is_empty() {
        let mut lanes = [start; 16];
        for chunk in chunks {
            for (lane, x) in lanes.iter_mut().zip(chunk) {
                *lane = step(*lane, *x);
            }
        }
        for lane in lanes {
            all = step(all, lane);
        }
    }
    for x in rest {
        all = step(all, *x);
    }
    all
}

#[inline(always)]
pub(super) fn map(numbers: &mut [f32], function: impl Fn(f32) -> f32) {
    for x in numbers {
        *x = function(*x);
    }
}

#[inline(always)]
pub(super) fn zip(output: &[f32], gradient: &mut [f32], function: impl Fn(f32, f32) -> f32) {
    for (y, g) in output.iter().zip(gradient) {
        *g = function(*y, *g);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_of_rows_of_any_width_is_that_of_f64() {
        for width in [1, 10, 16, 37] {
            let x: Vec<f32> = (0..3 * width).map(|i| (i as f32).sin() * 9.0).collect();
            let mut y = x.clone();
            apply(ActivationFunction::Softmax, &mut y, width);
            for (x, y) in x.chunks(width).zip(y.chunks(width)) {
                let exponentials = || x.iter().map(|x| f64::from(*x).exp());
                let sum: f64 = exponentials().sum();
                for (e, y) in exponentials().zip(y) {
                    // The exponent's rounding, at most 18·2⁻²⁴, comes on top of a few ulp.
                    let (expected, got) = (e / sum, f64::from(*y));
                    assert!(
                        (got - expected).abs() <= 2e-6 * expected,
                        "{width}: {got}, {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_nan_makes_its_own_row_of_a_softmax_nan_and_no_other() {
        for width in [2, 20] {
            let mut y = vec![1.0; 2 * width];
            y[width - 1] = f32::NAN;
            apply(ActivationFunction::Softmax, &mut y, width);
            assert!(y[..width].iter().all(|y| y.is_nan()));
            assert_eq!(y[width..], vec![1.0 / width as f32; width]);
        }
    }
}
