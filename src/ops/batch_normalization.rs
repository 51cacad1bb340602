//! Batch normalisation of rows of channels, in passes over f32 numbers in memory.
//!
//! Sums over rows are taken of eight rows at a time in f32, which a rounding of 2⁻²⁴ of each term
//! may change, and added up in f64, so that they stay that exact over any count of rows. Rows are
//! cut into parts by their shape alone, and parts are added in their order.

use super::{threads, vectorized};

/// Numbers that a thread works on at a time, and that stay in its fastest cache from pass to pass.
const PART: usize = 1 << 13;

/// Rows that are added up in f32.
const AT_ONCE: usize = 8;

/// The mean and the biased variance of every channel over all rows.
pub(crate) fn moments(x: &[f32], channels: usize) -> (Vec<f32>, Vec<f32>) {
    let mut parts: Vec<_> = x
        .chunks(part_length(channels))
        .map(|x| (x, Moments::default()))
        .collect();
    threads::each(parts.iter_mut().collect(), |(x, moments)| {
        *moments = vectorized(
            #[inline(always)]
            || Moments::of(x, channels),
        );
    });
    let mut all = Moments::new(channels);
    for (_, part) in parts {
        all.join(&part);
    }
    let variance = all.squares.iter().map(|squares| squares / all.rows);
    (
        all.mean.iter().map(|mean| *mean as f32).collect(),
        variance.map(|variance| variance as f32).collect(),
    )
}

/// (x - mean)·factor + offset, each with one number a channel.
pub(crate) fn normalize(x: &[f32], mean: &[f32], factor: &[f32], offset: &[f32]) -> Vec<f32> {
    let channels = mean.len();
    let [mean, factor, offset] = [mean, factor, offset].map(tiled);
    let mut outputs = vec![0.0; x.len()];
    let length = part_length(channels);
    let parts = outputs.chunks_mut(length).zip(x.chunks(length)).collect();
    threads::each(parts, |(outputs, x): (&mut [f32], &[f32])| {
        vectorized(
            #[inline(always)]
            || {
                let width = mean.len();
                for (y, x) in outputs.chunks_mut(width).zip(x.chunks(width)) {
                    let channels = mean.iter().zip(&factor).zip(&offset);
                    for ((y, x), ((mean, factor), offset)) in y.iter_mut().zip(x).zip(channels) {
                        *y = (x - mean) * factor + offset;
                    }
                }
            },
        );
    });
    outputs
}

/// Σ g and Σ g·(x - mean) of every channel over all rows.
pub(crate) fn gradient_sums(x: &[f32], g: &[f32], mean: &[f32]) -> [Vec<f64>; 2] {
    let channels = mean.len();
    let length = part_length(channels);
    let mut parts: Vec<_> = x
        .chunks(length)
        .zip(g.chunks(length))
        .map(|both| (both, [Vec::new(), Vec::new()]))
        .collect();
    threads::each(parts.iter_mut().collect(), |((x, g), sums)| {
        *sums = vectorized(
            #[inline(always)]
            || column_sums(x, g, mean, |x, g, mean| [g, g * (x - mean)]),
        );
    });
    let mut all = [vec![0.0; channels], vec![0.0; channels]];
    for (_, sums) in parts {
        for (all, sums) in all.iter_mut().zip(sums) {
            add(all, &sums);
        }
    }
    all
}

/// g·of_gradient + (x - mean)·of_input + offset, each with one number a channel.
pub(crate) fn input_gradient(
    x: &[f32],
    g: &[f32],
    mean: &[f32],
    of_gradient: &[f32],
    of_input: &[f32],
    offset: &[f32],
) -> Vec<f32> {
    let channels = mean.len();
    let [mean, of_gradient, of_input, offset] = [mean, of_gradient, of_input, offset].map(tiled);
    let mut outputs = vec![0.0; x.len()];
    let length = part_length(channels);
    let inputs = x.chunks(length).zip(g.chunks(length));
    let parts = outputs.chunks_mut(length).zip(inputs).collect();
    threads::each(
        parts,
        |(outputs, (x, g)): (&mut [f32], (&[f32], &[f32]))| {
            vectorized(
                #[inline(always)]
                || {
                    let width = mean.len();
                    let rows = x.chunks(width).zip(g.chunks(width));
                    for (y, (x, g)) in outputs.chunks_mut(width).zip(rows) {
                        let factors = of_gradient.iter().zip(&of_input);
                        let channels = mean.iter().zip(&offset).zip(factors);
                        for ((y, (x, g)), ((mean, offset), (of_gradient, of_input))) in
                            y.iter_mut().zip(x.iter().zip(g)).zip(channels)
                        {
                            *y = g * of_gradient + ((x - mean) * of_input + offset);
                        }
                    }
                },
            );
        },
    );
    outputs
}

/// Numbers in a part: whole rows, as many as are added up at once or a multiple of them.
fn part_length(channels: usize) -> usize {
    let block = AT_ONCE * tile(channels) * channels;
    block * (PART / block.max(1)).max(1)
}

/// Rows that are treated as one, to fill vectors.
fn tile(channels: usize) -> usize {
    (64 / channels.max(1)).max(1)
}

/// Numbers of channels, repeated for every row of a tile.
fn tiled(channels: &[f32]) -> Vec<f32> {
    channels.repeat(tile(channels.len()))
}

/// The moments of some rows.
#[derive(Debug, Default)]
struct Moments {
    rows: f64,
    mean: Vec<f64>,
    /// Σ (x - mean)².
    squares: Vec<f64>,
}

impl Moments {
    /// Those of no rows.
    fn new(channels: usize) -> Self {
        Self {
            rows: 0.0,
            mean: vec![0.0; channels],
            squares: vec![0.0; channels],
        }
    }

    /// In two passes: squares of distances from a mean lose no digits, wherever the numbers lie.
    #[inline(always)]
    fn of(x: &[f32], channels: usize) -> Self {
        let rows = (x.len() / channels) as f64;
        let [sums] = column_sums(x, x, &vec![0.0; channels], |x, _, _| [x]);
        let near: Vec<f32> = sums.iter().map(|sum| (sum / rows) as f32).collect();
        let [sums, squares] = column_sums(x, x, &near, |x, _, near| {
            let distance = x - near;
            [distance, distance * distance]
        });
        // What rounding left between `near` and the mean.
        let rest = sums.iter().map(|sum| sum / rows);
        let squares = squares.iter().zip(rest.clone());
        Self {
            rows,
            squares: squares
                .map(|(squares, rest)| squares - rows * rest * rest)
                .collect(),
            mean: near
                .iter()
                .zip(rest)
                .map(|(near, rest)| f64::from(*near) + rest)
                .collect(),
        }
    }

    /// Those of these and of other rows (Chan, Golub and LeVeque, 1979, "Updating formulae and a
    /// pairwise algorithm for computing sample variances").
    fn join(&mut self, other: &Self) {
        let rows = self.rows + other.rows;
        let share = other.rows / rows;
        let of_channels = self.mean.iter_mut().zip(&mut self.squares);
        let others = other.mean.iter().zip(&other.squares);
        for ((mean, squares), (other_mean, other_squares)) in of_channels.zip(others) {
            let distance = other_mean - *mean;
            *mean += distance * share;
            *squares += other_squares + distance * distance * self.rows * share;
        }
        self.rows = rows;
    }
}

/// Sums over rows of what `terms` gives for a number of `x`, one of `g` and its channel's of
/// `center`, for every channel.
#[inline(always)]
fn column_sums<const N: usize>(
    x: &[f32],
    g: &[f32],
    center: &[f32],
    terms: impl Fn(f32, f32, f32) -> [f32; N],
) -> [Vec<f64>; N] {
    let channels = center.len();
    let center = tiled(center);
    let width = center.len();
    let mut sums = [(); N].map(|()| vec![0.0; width]);
    let block = AT_ONCE * width;
    let blocks = x.chunks_exact(block).zip(g.chunks_exact(block));
    for (x, g) in blocks {
        add_block(x, g, &center, &terms, &mut sums);
    }
    let done = x.len() - x.len() % block;
    for (x, g) in x[done..].chunks(width).zip(g[done..].chunks(width)) {
        for (index, ((x, g), center)) in x.iter().zip(g).zip(&center).enumerate() {
            for (sums, term) in sums.iter_mut().zip(terms(*x, *g, *center)) {
                sums[index] += f64::from(term);
            }
        }
    }
    sums.map(|sums| {
        let mut all = vec![0.0; channels];
        for row in sums.chunks_exact(channels) {
            add(&mut all, row);
        }
        all
    })
}

/// Adds the terms of `AT_ONCE` rows to the sums.
#[inline(always)]
fn add_block<const N: usize>(
    x: &[f32],
    g: &[f32],
    center: &[f32],
    terms: &impl Fn(f32, f32, f32) -> [f32; N],
    sums: &mut [Vec<f64>; N],
) {
    let width = center.len();
    let mut x_rows = [x; AT_ONCE];
    let mut g_rows = [g; AT_ONCE];
    for row in 0..AT_ONCE {
        x_rows[row] = &x[row * width..][..width];
        g_rows[row] = &g[row * width..][..width];
    }
    let sums = sums.each_mut().map(|sums| &mut sums[..width]);
    for column in 0..width {
        let mut rows = [[0.0; N]; AT_ONCE];
        for row in 0..AT_ONCE {
            rows[row] = terms(x_rows[row][column], g_rows[row][column], center[column]);
        }
        // In pairs: eight terms with three roundings, at any width of vectors.
        let mut left = AT_ONCE / 2;
        while left > 0 {
            for row in 0..left {
                let other = rows[row + left];
                for (term, other) in rows[row].iter_mut().zip(other) {
                    *term += other;
                }
            }
            left /= 2;
        }
        for term in 0..N {
            sums[term][column] += f64::from(rows[0][term]);
        }
    }
}

#[inline(always)]
fn add(sums: &mut [f64], terms: &[f64]) {
    for (sum, term) in sums.iter_mut().zip(terms) {
        *sum += term;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::Stream;

    /// Rows of channels that lie at different places, most of them far from 0 for their spread.
    fn rows(count: usize, channels: usize) -> Vec<f32> {
        let mut stream = Stream::new(1, "rows", 0);
        let place = |index: usize| (index % channels) as f32 * 10.0;
        let number = |index| place(index) + stream.normal() as f32;
        (0..count * channels).map(number).collect()
    }

    fn column(x: &[f32], channels: usize, channel: usize) -> impl Iterator<Item = f64> + Clone {
        x.iter()
            .skip(channel)
            .step_by(channels)
            .map(|x| f64::from(*x))
    }

    #[test]
    fn moments_are_those_of_f64_for_any_shape() {
        for (count, channels) in [
            (1, 1),
            (2, 3),
            (7, 64),
            (8, 64),
            (33, 100),
            (1000, 5),
            (4096, 17),
            (20_000, 1),
        ] {
            let x = rows(count, channels);
            let (means, variances) = moments(&x, channels);
            for channel in 0..channels {
                let numbers = column(&x, channels, channel);
                let mean = numbers.clone().sum::<f64>() / count as f64;
                let variance = numbers.map(|x| (x - mean).powi(2)).sum::<f64>() / count as f64;
                let what = format!("channel {channel} of {count}×{channels}");
                let (got_mean, got_variance) = (means[channel], variances[channel]);
                // 2⁻²⁴ for the result's own rounding of a mean up to 1000.
                let error = (f64::from(got_mean) - mean).abs();
                assert!(
                    error <= 1e-7 * (1.0 + mean.abs()),
                    "{what}: {got_mean}, {mean}"
                );
                let error = (f64::from(got_variance) - variance).abs();
                assert!(
                    error <= 3e-7 * variance,
                    "{what}: {got_variance}, {variance}"
                );
            }
        }
    }

    #[test]
    fn a_variance_keeps_its_digits_beside_a_large_mean_and_an_outlier_at_first() {
        let mut x = vec![1e4; 5000];
        x[0] = 2e4;
        for (index, x) in x.iter_mut().enumerate().skip(1) {
            *x += (index % 3) as f32;
        }
        let (_, variance) = moments(&x, 1);
        let numbers = || x.iter().map(|x| f64::from(*x));
        let mean = numbers().sum::<f64>() / 5000.0;
        let expected = numbers().map(|x| (x - mean).powi(2)).sum::<f64>() / 5000.0;
        let error = (f64::from(variance[0]) - expected).abs();
        assert!(error <= 1e-6 * expected, "{variance:?}, {expected}");
    }
}
