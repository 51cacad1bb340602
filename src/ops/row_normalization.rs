//! Normalisation of each row by its own moments, one pass each over f32 numbers in memory.

use super::{threads, vectorized};

/// What rows are normalised with; y = (x - mean) / √(variance + ε)·γ + β.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowNormalization<'a> {
    /// γ, one number for each of a row.
    pub(crate) gamma: &'a [f32],
    /// β, as many.
    pub(crate) beta: &'a [f32],
    /// ε.
    pub(crate) epsilon: f64,
    /// Whether the mean is subtracted; without it, 0 stands for the mean above.
    pub(crate) centered: bool,
}

/// The gradients of rows and of what they were normalised with.
#[derive(Debug)]
pub(crate) struct RowGradients {
    pub(crate) x: Vec<f32>,
    pub(crate) gamma: Vec<f32>,
    pub(crate) beta: Vec<f32>,
}

/// Numbers that a thread works on at a time, and rows at least: each part has sums of its own.
const PART: usize = 1 << 13;
const ROWS: usize = 16;

/// Numbers whose sum is taken in f32.
const AT_ONCE: usize = 256;

impl RowNormalization<'_> {
    /// The normalised rows.
    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let width = self.gamma.len();
        let mut outputs = vec![0.0; x.len()];
        let length = part_length(width);
        let parts = outputs.chunks_mut(length).zip(x.chunks(length)).collect();
        threads::each(parts, |(outputs, x): (&mut [f32], &[f32])| {
            vectorized(
                #[inline(always)]
                || {
                    for (y, x) in outputs.chunks_exact_mut(width).zip(x.chunks_exact(width)) {
                        self.normalize(x, y);
                    }
                },
            );
        });
        outputs
    }

    /// The gradients from `g`, the one with respect to the normalised rows.
    pub(crate) fn backward(&self, x: &[f32], g: &[f32]) -> RowGradients {
        let width = self.gamma.len();
        let mut gradient = vec![0.0; x.len()];
        let length = part_length(width);
        let mut sums = vec![0.0; 2 * width * x.len().div_ceil(length)];
        let inputs = x.chunks(length).zip(g.chunks(length));
        let outputs = gradient.chunks_mut(length).zip(sums.chunks_mut(2 * width));
        threads::each(
            outputs.zip(inputs).collect(),
            |((gradient, sums), (x, g))| {
                vectorized(
                    #[inline(always)]
                    || {
                        let (gamma, beta) = sums.split_at_mut(width);
                        let rows = x.chunks_exact(width).zip(g.chunks_exact(width));
                        for (gradient, (x, g)) in gradient.chunks_exact_mut(width).zip(rows) {
                            self.differentiate(x, g, gradient, gamma, beta);
                        }
                    },
                );
            },
        );
        let mut all = vec![0.0; 2 * width];
        for part in sums.chunks_exact(2 * width) {
            for (all, sum) in all.iter_mut().zip(part) {
                *all += sum;
            }
        }
        let mut all = all.into_iter().map(|sum: f64| sum as f32);
        RowGradients {
            x: gradient,
            gamma: all.by_ref().take(width).collect(),
            beta: all.collect(),
        }
    }

    #[inline(always)]
    fn normalize(&self, x: &[f32], y: &mut [f32]) {
        let (mean, inverse) = self.moments(x);
        let numbers = y.iter_mut().zip(x);
        for ((y, x), (gamma, beta)) in numbers.zip(self.gamma.iter().zip(self.beta)) {
            *y = (x - mean) * inverse * gamma + beta;
        }
    }

    /// The gradient of one row, which adds to the sums for γ and β.
    #[inline(always)]
    fn differentiate(
        &self,
        x: &[f32],
        g: &[f32],
        gradient: &mut [f32],
        of_gamma: &mut [f64],
        of_beta: &mut [f64],
    ) {
        let (mean, inverse) = self.moments(x);
        let count = x.len() as f64;
        for ((out, g), gamma) in gradient.iter_mut().zip(g).zip(self.gamma) {
            *out = g * gamma;
        }
        // With x̂ = (x - mean)/√(variance + ε): dx = (g·γ - mean(g·γ) - x̂·mean(g·γ·x̂))/√(..)
        let along = sum(x, gradient, |x, g| (x - mean) * inverse * g) / count;
        let shift = match self.centered {
            true => sum(gradient, gradient, |g, _| g) / count,
            false => 0.0,
        };
        let (along, shift) = (along as f32, shift as f32);
        for (out, x) in gradient.iter_mut().zip(x) {
            *out = inverse * (*out - shift - (x - mean) * inverse * along);
        }
        for (((x, g), of_gamma), of_beta) in x.iter().zip(g).zip(of_gamma).zip(of_beta) {
            *of_gamma += f64::from((x - mean) * inverse * g);
            *of_beta += f64::from(*g);
        }
    }

    /// A row's mean, if it is subtracted, and 1/√(variance + ε).
    #[inline(always)]
    fn moments(&self, x: &[f32]) -> (f32, f32) {
        let count = x.len() as f64;
        let mean = match self.centered {
            true => (sum(x, x, |x, _| x) / count) as f32,
            false => 0.0,
        };
        let squares = sum(x, x, |x, _| (x - mean) * (x - mean));
        let inverse = 1.0 / (squares / count + self.epsilon).sqrt();
        (mean, inverse as f32)
    }
}

/// Numbers in a part: whole rows.
fn part_length(width: usize) -> usize {
    width.max(1) * (PART / width.max(1)).max(ROWS)
}

/// The sum of what `term` gives for pairs of numbers, in one order on every machine: in 16 lanes of
/// f32, up to 16 terms each, and in f64 over those.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    let mut total = 0.0;
    for (a, b) in a.chunks(AT_ONCE).zip(b.chunks(AT_ONCE)) {
        let (a, a_rest) = a.as_chunks::<16>();
        let (b, b_rest) = b.as_chunks::<16>();
        let mut lanes = [0.0; 16];
        for (a, b) in a.iter().zip(b) {
            for lane in 0..16 {
                lanes[lane] += term(a[lane], b[lane]);
            }
        }
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                lanes[lane] += lanes[lane + half];
            }
        }
        let mut sum = lanes[0];
        for (a, b) in a_rest.iter().zip(b_rest) {
            sum += term(*a, *b);
        }
        total += f64::from(sum);
    }
    total
}
