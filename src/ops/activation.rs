//! Activations and their gradients, one pass each over f32 numbers in memory.

use crate::activations::ActivationFunction;

/// Replaces every number by its activation; softmax over rows of `width`.
#[inline(always)]
pub(crate) fn apply(function: ActivationFunction, numbers: &mut [f32], width: usize) {
    match function {
        ActivationFunction::Linear => {}
        ActivationFunction::Sigmoid => map(numbers, sigmoid),
        ActivationFunction::Relu => map(numbers, |x| if x <= 0.0 { 0.0 } else { x }),
        ActivationFunction::Tanh => map(numbers, f32::tanh),
        ActivationFunction::LeakyRelu { negative_slope } => {
            let slope = negative_slope as f32;
            map(numbers, |x| if x > 0.0 { x } else { slope * x });
        }
        ActivationFunction::Elu { alpha } => {
            let alpha = alpha as f32;
            map(numbers, |x| if x > 0.0 { x } else { alpha * x.exp_m1() });
        }
        ActivationFunction::Softmax => {
            for row in numbers.chunks_exact_mut(width) {
                softmax(row);
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

/// 1 / (1 + e⁻ˣ): 0 and 1, never NaN, where e⁻ˣ overflows or vanishes.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Replaces a row by its softmax, and gives the greatest number z and ln Σ e^(x - z). z is
/// subtracted first, so that no exponential overflows.
#[inline(always)]
pub(crate) fn softmax(row: &mut [f32]) -> (f32, f32) {
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in &mut *row {
        *x = (*x - greatest).exp();
        sum += *x;
    }
    map(row, |x| x / sum);
    (greatest, sum.ln())
}

#[inline(always)]
fn map(numbers: &mut [f32], function: impl Fn(f32) -> f32) {
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
