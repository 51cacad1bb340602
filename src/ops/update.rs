//! Optimizer updates, one pass each over numbers of a weight, its gradient and its slots.

use super::vectorized;

/// Plain gradient descent: w ← w - η·g.
pub(crate) fn descend(weight: &mut [f32], gradient: &[f32], learning_rate: f32) {
    vectorized(
        #[inline(always)]
        || {
            for (w, g) in weight.iter_mut().zip(gradient) {
                *w -= learning_rate * g;
            }
        },
    );
}

/// Gradient descent with momentum μ: m ← μ·m - η·g, then w ← w + m, or with Nesterov's momentum
/// w ← w + μ·m - η·g with the new m.
pub(crate) fn descend_with_momentum(
    weight: &mut [f32],
    gradient: &[f32],
    velocity: &mut [f32],
    learning_rate: f32,
    momentum: f32,
    nesterov: bool,
) {
    vectorized(
        #[inline(always)]
        || {
            for ((w, g), m) in weight.iter_mut().zip(gradient).zip(velocity) {
                let step = learning_rate * g;
                *m = momentum * *m - step;
                *w += if nesterov { momentum * *m - step } else { *m };
            }
        },
    );
}

/// Adam's constants of one step; see [`Adam`](crate::optimizers::Adam) for what they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdamStep {
    pub(crate) alpha: f32,
    pub(crate) one_minus_beta_1: f32,
    pub(crate) one_minus_beta_2: f32,
    pub(crate) epsilon: f32,
}

/// m ← m + (g - m)·(1 - β₁), v ← v + (g² - v)·(1 - β₂), w ← w - α·m / (√v + ε).
pub(crate) fn adam(
    weight: &mut [f32],
    gradient: &[f32],
    momentum: &mut [f32],
    velocity: &mut [f32],
    step: AdamStep,
) {
    vectorized(
        #[inline(always)]
        || {
            let slots = momentum.iter_mut().zip(velocity);
            for ((w, g), (m, v)) in weight.iter_mut().zip(gradient).zip(slots) {
                *m += (g - *m) * step.one_minus_beta_1;
                *v += (g * g - *v) * step.one_minus_beta_2;
                *w -= *m * step.alpha / (v.sqrt() + step.epsilon);
            }
        },
    );
}
