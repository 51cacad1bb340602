//! Cross-entropies from logits: every sample's loss and its gradient in one pass.

use super::activation::{sigmoid, softmax};

/// Categorical cross-entropy of rows of `width` logits with one row of targets each:
/// loss = -Σ y·(z - ln Σ eᶻ), gradient = softmax(z)·Σy - y. Returns (losses, gradient).
pub(crate) fn categorical(targets: &[f32], logits: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut gradient = logits.to_vec();
    let rows = targets.chunks_exact(width).zip(logits.chunks_exact(width));
    let losses = rows
        .zip(gradient.chunks_exact_mut(width))
        .map(|((y, z), g)| {
            // The greatest logit and the logarithm stay apart: beside a large first, their sum
            // would lose the digits of the second.
            let (greatest, log_sum) = softmax(g);
            let terms = y.iter().zip(z).map(|(y, z)| y * (log_sum - (z - greatest)));
            let loss = terms.sum();
            let total: f32 = y.iter().sum();
            for (g, y) in g.iter_mut().zip(y) {
                *g = *g * total - y;
            }
            loss
        })
        .collect();
    (losses, gradient)
}

/// The same with the index of the true class, whole and below `width`, in place of a row:
/// loss = ln Σ eᶻ - z[label], gradient = softmax(z) - onehot(label).
pub(crate) fn sparse(labels: &[f32], logits: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let mut gradient = logits.to_vec();
    let rows = labels.iter().zip(logits.chunks_exact(width));
    let losses = rows
        .zip(gradient.chunks_exact_mut(width))
        .map(|((label, z), g)| {
            let label = *label as usize;
            let (greatest, log_sum) = softmax(g);
            let loss = log_sum - (z[label] - greatest);
            g[label] -= 1.0;
            loss
        })
        .collect();
    (losses, gradient)
}

/// Binary cross-entropy of logits, averaged over rows of `width`:
/// loss = max(z, 0) - z·y + ln(1 + e^-|z|), gradient = (sigmoid(z) - y) / width.
pub(crate) fn binary(targets: &[f32], logits: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let scale = 1.0 / width as f32;
    let pairs = || targets.iter().zip(logits);
    let gradient = pairs().map(|(y, z)| (sigmoid(*z) - y) * scale).collect();
    let each: Vec<f32> = pairs()
        .map(|(y, z)| z.max(0.0) - z * y + (-z.abs()).exp().ln_1p())
        .collect();
    let losses = each
        .chunks_exact(width)
        .map(|row| row.iter().sum::<f32>() * scale)
        .collect();
    (losses, gradient)
}
