//! Rows of channels, (rows, channels), and numbers of channels, (channels).

use crate::{Result, ops, ops::batch_normalization as fused};
use candle_core::Tensor;

/// Keras's `epsilon()`.
const EPSILON: f64 = 1e-7;

/// The mean and the biased variance of every channel over all rows.
pub(super) fn moments(x: &Tensor) -> Result<(Tensor, Tensor)> {
    let channels = x.dim(1)?;
    if ops::in_memory(&[x]) {
        let (mean, variance) = fused::moments(&ops::numbers(x)?, channels);
        let tensor = |numbers| Tensor::from_vec(numbers, channels, x.device());
        return Ok((tensor(mean)?, tensor(variance)?));
    }
    let mean = x.mean(0)?;
    let variance = x.broadcast_sub(&mean)?.sqr()?.mean(0)?;
    Ok((mean, variance))
}

/// The same over those numbers that count, which are 1 in `counted` and the rest 0.
pub(super) fn moments_of_counted(x: &Tensor, counted: &Tensor) -> Result<(Tensor, Tensor)> {
    let (zeros, counts) = (x.zeros_like()?, counted.ne(0.0)?);
    let count = count(counted)?;
    // Chosen, not multiplied: what does not count may be infinite.
    let mean = counts.where_cond(x, &zeros)?.sum(0)?.div(&count)?;
    let distances = counts.where_cond(&x.broadcast_sub(&mean)?, &zeros)?;
    let variance = distances.sqr()?.sum(0)?.div(&count)?;
    Ok((mean, variance))
}

/// How many numbers of every channel count, a bit above it, so that it is never 0.
pub(super) fn count(counted: &Tensor) -> Result<Tensor> {
    Ok((counted.sum(0)? + EPSILON)?)
}

/// (x - mean)·factor + offset.
pub(super) fn normalize(
    x: &Tensor,
    mean: &Tensor,
    factor: &Tensor,
    offset: &Tensor,
) -> Result<Tensor> {
    if ops::in_memory(&[x, mean, factor, offset]) {
        let outputs = fused::normalize(
            &ops::numbers(x)?,
            &ops::numbers(mean)?,
            &ops::numbers(factor)?,
            &ops::numbers(offset)?,
        );
        return Ok(Tensor::from_vec(outputs, x.shape(), x.device())?);
    }
    let distances = x.broadcast_sub(mean)?;
    Ok(distances.broadcast_mul(factor)?.broadcast_add(offset)?)
}

/// Σ g and Σ g·(x - mean) of every channel over all rows.
pub(super) fn gradient_sums(x: &Tensor, g: &Tensor, mean: &Tensor) -> Result<[Tensor; 2]> {
    if ops::in_memory(&[x, g, mean]) {
        let [sums, along] =
            fused::gradient_sums(&ops::numbers(x)?, &ops::numbers(g)?, &ops::numbers(mean)?);
        let tensor = |sums: Vec<f64>| {
            let sums: Vec<f32> = sums.into_iter().map(|sum| sum as f32).collect();
            Tensor::from_vec(sums, mean.shape(), x.device())
        };
        return Ok([tensor(sums)?, tensor(along)?]);
    }
    let along = (g * x.broadcast_sub(mean)?)?.sum(0)?;
    Ok([g.sum(0)?, along])
}

/// g·of_gradient + (x - mean)·of_input + offset.
pub(super) fn input_gradient(
    x: &Tensor,
    g: &Tensor,
    mean: &Tensor,
    [of_gradient, of_input, offset]: [&Tensor; 3],
) -> Result<Tensor> {
    if ops::in_memory(&[x, g, mean, of_gradient, of_input, offset]) {
        let outputs = fused::input_gradient(
            &ops::numbers(x)?,
            &ops::numbers(g)?,
            &ops::numbers(mean)?,
            &ops::numbers(of_gradient)?,
            &ops::numbers(of_input)?,
            &ops::numbers(offset)?,
        );
        return Ok(Tensor::from_vec(outputs, x.shape(), x.device())?);
    }
    let distances = x.broadcast_sub(mean)?.broadcast_mul(of_input)?;
    let gradient = (g.broadcast_mul(of_gradient)? + distances)?;
    Ok(gradient.broadcast_add(offset)?)
}
