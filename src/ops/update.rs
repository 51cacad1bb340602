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

/// Changes every number of a weight and of its slots in one pass, by `rule`, which gives all anew
/// from the weight's number, its gradient and the slots' numbers. `rule` must be
/// `#[inline(always)]`.
pub(crate) fn with_slots<const N: usize>(
    weight: &mut [f32],
    gradient: &[f32],
    slots: [&mut [f32]; N],
    rule: impl Fn(f32, f32, [f32; N]) -> (f32, [f32; N]),
) {
    let count = slots.iter().fold(weight.len(), |n, slot| n.min(slot.len()));
    vectorized(
        #[inline(always)]
        move || {
            // All of one length, so that the loop needs no look at the slots' ends.
            let slots = slots.map(
                #[inline(always)]
                |slot| &mut slot[..count],
            );
            for (index, (w, g)) in weight[..count].iter_mut().zip(gradient).enumerate() {
                let old = std::array::from_fn(
                    #[inline(always)]
                    |slot| slots[slot][index],
                );
                let (new, kept) = rule(*w, *g, old);
                *w = new;
                for slot in 0..N {
                    slots[slot][index] = kept[slot];
                }
            }
        },
    );
}
