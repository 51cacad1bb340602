//! Activations and their gradients, one pass each over f32 numbers in memory.

use super::exponential::{exp, exp_m1, sigmoid, tanh};
use crate::activations::ActivationFunction;

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
    }
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
fn zip(output: &[f32], gradient: &mut [f32], function: impl Fn(f32, f32) -> f32) {
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
