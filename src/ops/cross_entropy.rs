//! Cross-entropies from logits: every sample's loss and its gradient.

use super::{
    activation::{divide_by_sum, map, subtract_greatest, sum},
    exponential::{exp, ln_1p, sigmoid},
    vectorized,
};

/// Categorical cross-entropy of rows of `width` logits with one row of targets each:
/// loss = -Σ y·(z - ln Σ eᶻ), gradient = softmax(z)·Σy - y. Returns (losses, gradient).
pub(crate) fn categorical(targets: &[f32], logits: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut shifted = logits.to_vec();
    let mut gradient = logits.to_vec();
    let mut losses = Vec::with_capacity(logits.len() / width);
    vectorized(
        #[inline(always)]
        || {
            shift_and_exponentiate(&mut shifted, &mut gradient, width);
            let rows = targets
                .chunks_exact(width)
                .zip(shifted.chunks_exact_mut(width))
                .zip(gradient.chunks_exact_mut(width));
            for ((y, terms), g) in rows {
                let log_sum = divide_by_sum(g).ln();
                for (z, y) in terms.iter_mut().zip(y) {
                    *z = y * (log_sum - *z);
                }
                losses.push(sum(terms));
                let total = sum(y);
                for (g, y) in g.iter_mut().zip(y) {
                    *g = *g * total - y;
                }
            }
        },
    );
    (losses, gradient)
}

/// The same with the index of the true class, whole and below `width`, in place of a row:
/// loss = ln Σ eᶻ - z[label], gradient = softmax(z) - onehot(label).
pub(crate) fn sparse(labels: &[f32], logits: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut shifted = logits.to_vec();
    let mut gradient = logits.to_vec();
    let mut losses = Vec::with_capacity(labels.len());
    vectorized(
        #[inline(always)]
        || {
            shift_and_exponentiate(&mut shifted, &mut gradient, width);
            let rows = labels
                .iter()
                .zip(shifted.chunks_exact(width))
                .zip(gradient.chunks_exact_mut(width));
            for ((label, z), g) in rows {
                let label = *label as usize;
                losses.push(divide_by_sum(g).ln() - z[label]);
                g[label] -= 1.0;
            }
        },
    );
    (losses, gradient)
}

/// Subtracts its greatest logit from every row, and puts their exponentials beside them. The
/// greatest is added to no logarithm: beside a large first, their sum would lose the digits of
/// the second.
#[inline(always)]
fn shift_and_exponentiate(logits: &mut [f32], exponentials: &mut [f32], width: usize) {
    subtract_greatest(logits, width);
    exponentials.copy_from_slice(logits);
    map(exponentials, exp);
}

/// Binary cross-entropy of logits, averaged over rows of `width`:
/// loss = max(z, 0) - z·y + ln(1 + e^-|z|), gradient = (sigmoid(z) - y) / width.
pub(crate) fn binary(targets: &[f32], logits: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let scale = 1.0 / width as f32;
    let mut each = logits.to_vec();
    let mut gradient = logits.to_vec();
    let mut losses = Vec::with_capacity(logits.len() / width);
    vectorized(
        #[inline(always)]
        || {
            for (z, y) in each.iter_mut().zip(targets) {
                *z = z.max(0.0) - *z * y + ln_1p(exp(-z.abs()));
            }
            for (z, y) in gradient.iter_mut().zip(targets) {
                *z = (sigmoid(*z) - y) * scale;
            }
            for row in each.chunks_exact(width) {
                losses.push(sum(row) * scale);
            }
        },
    );
    (losses, gradient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_of_rows_of_any_width_are_those_of_f64() {
        for width in [1, 10, 16, 37] {
            let logits: Vec<f32> = (0..3 * width).map(|i| (i as f32).sin() * 9.0).collect();
            let labels = [0.0, (width / 2) as f32, (width - 1) as f32];
            let mut targets = vec![0.0; 3 * width];
            for (row, label) in targets.chunks_mut(width).zip(labels) {
                row[label as usize] = 1.0;
            }
            let (losses, gradient) = sparse(&labels, &logits, width);
            assert_eq!(
                categorical(&targets, &logits, width),
                (losses.clone(), gradient)
            );
            for ((z, label), loss) in logits.chunks(width).zip(labels).zip(losses) {
                let sum: f64 = z.iter().map(|z| f64::from(*z).exp()).sum();
                let expected = sum.ln() - f64::from(z[label as usize]);
                let error = (f64::from(loss) - expected).abs();
                assert!(
                    error <= 1e-6 * (1.0 + expected),
                    "{width}: {loss}, {expected}"
                );
            }
        }
    }
}
