//! The derivatives of those activations whose inputs decide, in one pass over f32 numbers in
//! memory.

use super::{
    activation::{GELU, hard_sigmoid, limit, zip},
    exponential::{mish_factor, normal, sigmoid, tanh},
};
use crate::activations::ActivationFunction;

/// Multiplies `gradient`, of the loss with respect to the activation's output, by the activation's
/// derivative at `input`.
#[inline(always)]
pub(crate) fn apply(function: ActivationFunction, input: &[f32], gradient: &mut [f32]) {
    match function {
        ActivationFunction::LeakyRelu { negative_slope } => {
            let slope = negative_slope as f32;
            zip(input, gradient, |x, g| if x > 0.0 { g } else { g * slope });
        }
        ActivationFunction::Elu { alpha } => {
            let alpha = alpha as f32;
            zip(input, gradient, |x, g| {
                g * if x > 0.0 {
                    1.0
                } else {
                    alpha * super::exponential::exp(x)
                }
            });
        }
        // 1 at both ends, as in Keras.
        ActivationFunction::HardTanh => {
            zip(input, gradient, |x, g| if x.abs() > 1.0 { 0.0 } else { g });
        }
        ActivationFunction::TanhShrink => zip(input, gradient, |x, g| {
            let t = tanh(x);
            g * (t * t)
        }),
        ActivationFunction::ReluWith {
            negative_slope,
            max_value,
            threshold,
        } => {
            let relu = Rectifier::new(negative_slope, max_value, threshold);
            zip(input, gradient, |x, g| g * relu.derivative(x));
        }
        // Φ + x·φ
        ActivationFunction::Gelu { approximate: false } => zip(input, gradient, |x, g| {
            let (distribution, density) = normal(x);
            g * (distribution + x * density)
        }),
        // s + x·s·(1 - s)·u' with s = sigmoid(u), u = A·x + B·x³
        ActivationFunction::Gelu { approximate: true } => zip(input, gradient, |x, g| {
            let square = x * x;
            let u = x * (GELU[0] + GELU[1] * square);
            let (s, rest) = (sigmoid(u), sigmoid(-u));
            g * (s + x * (s * rest) * (GELU[0] + 3.0 * GELU[1] * square))
        }),
        // s + x·s·(1 - s)
        ActivationFunction::Silu => zip(input, gradient, |x, g| {
            let (s, rest) = (sigmoid(x), sigmoid(-x));
            g * (s + x * (s * rest))
        }),
        ActivationFunction::HardSilu => zip(input, gradient, |x, g| {
            let moved = x + 3.0;
            let slope = if moved > 0.0 && moved < 6.0 {
                x / 6.0
            } else {
                0.0
            };
            g * (hard_sigmoid(x) + slope)
        }),
        ActivationFunction::Mish => zip(input, gradient, |x, g| {
            let (t, derivative) = mish_factor(x);
            g * (t + x * derivative)
        }),
        // 1/(1 + |x|)²
        ActivationFunction::Softsign => zip(input, gradient, |x, g| {
            let inverse = 1.0 / (1.0 + x.abs());
            g * (inverse * inverse)
        }),
        ActivationFunction::HardShrink { threshold } => {
            let threshold = threshold as f32;
            zip(
                input,
                gradient,
                |x, g| {
                    if x.abs() <= threshold { 0.0 } else { g }
                },
            );
        }
        ActivationFunction::Threshold { threshold, .. } => {
            let threshold = threshold as f32;
            zip(input, gradient, |x, g| if x > threshold { g } else { 0.0 });
        }
        // The others' gradients are found from their outputs: `activation::apply_gradient`.
        _ => {}
    }
}

/// Keras's relu with its arguments, in numbers of f32.
#[derive(Clone, Copy)]
pub(super) struct Rectifier {
    slope: f32,
    threshold: f32,
    /// The least and the greatest output above the threshold.
    least: f32,
    greatest: f32,
    /// The derivatives where the input is the threshold, and where it is the greatest output.
    at_threshold: f32,
    at_greatest: f32,
}

impl Rectifier {
    #[inline(always)]
    pub(super) fn new(slope: f64, max_value: Option<f64>, threshold: f64) -> Self {
        let leaky = max_value.is_none() && threshold == 0.0;
        // Keras on TensorFlow takes relu6 for this one, whose gradient at 6 is 0.
        let six = max_value == Some(6.0) && threshold == 0.0;
        Self {
            slope: slope as f32,
            threshold: threshold as f32,
            least: max_value.map_or(f32::NEG_INFINITY, |_| 0.0),
            greatest: max_value.map_or(f32::INFINITY, |value| value as f32),
            at_threshold: if leaky { slope as f32 } else { 0.0 },
            at_greatest: if six { 0.0 } else { 1.0 },
        }
    }

    #[inline(always)]
    pub(super) fn value(self, x: f32) -> f32 {
        if x <= self.threshold {
            self.slope * (x - self.threshold)
        } else {
            limit(x, self.least, self.greatest)
        }
    }

    #[inline(always)]
    pub(super) fn derivative(self, x: f32) -> f32 {
        let inside = if x == self.greatest {
            self.at_greatest
        } else {
            1.0
        };
        let above = if x < self.least || x > self.greatest {
            0.0
        } else {
            inside
        };
        let below = if x == self.threshold {
            self.at_threshold
        } else {
            self.slope
        };
        if x > self.threshold { above } else { below }
    }
}
