//! Optimizer updates, one pass each over numbers of a weight, its gradient and its slots.

use super::vectorized;

/// Weight decay: w ← w - w·δ.
pub(crate) fn decay(weight: &mut [f32], decay: f32) {
    vectorized(
        #[inline(always)]
        || {
            for w in weight {
                *w -= *w * decay;
            }
        },
    );
}

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

/// Changes every number of a weight and of its slot in one pass, by `rule`, which gives both anew
/// from the weight's number, its gradient and the slot's number. `rule` must be
/// `#[inline(always)]`.
pub(crate) fn with_slot(
    weight: &mut [f32],
    gradient: &[f32],
    slot: &mut [f32],
    rule: impl Fn(f32, f32, f32) -> (f32, f32),
) {
    vectorized(
        #[inline(always)]
        move || {
            for ((w, g), a) in weight.iter_mut().zip(gradient).zip(slot) {
                (*w, *a) = rule(*w, *g, *a);
            }
        },
    );
}

/// As [`with_slot`], with two slots.
pub(crate) fn with_two_slots(
    weight: &mut [f32],
    gradient: &[f32],
    [first, second]: [&mut [f32]; 2],
    rule: impl Fn(f32, f32, [f32; 2]) -> (f32, [f32; 2]),
) {
    vectorized(
        #[inline(always)]
        move || {
            let slots = first.iter_mut().zip(second);
            for ((w, g), (a, b)) in weight.iter_mut().zip(gradient).zip(slots) {
                (*w, [*a, *b]) = rule(*w, *g, [*a, *b]);
            }
        },
    );
}

/// As [`with_slot`], with three slots.
pub(crate) fn with_three_slots(
    weight: &mut [f32],
    gradient: &[f32],
    [first, second, third]: [&mut [f32]; 3],
    rule: impl Fn(f32, f32, [f32; 3]) -> (f32, [f32; 3]),
) {
    vectorized(
        #[inline(always)]
        move || {
            let slots = first.iter_mut().zip(second).zip(third);
            for ((w, g), ((a, b), c)) in weight.iter_mut().zip(gradient).zip(slots) {
                (*w, [*a, *b, *c]) = rule(*w, *g, [*a, *b, *c]);
            }
        },
    );
}
