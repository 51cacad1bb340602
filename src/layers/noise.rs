//! What the layers that add noise while training share.

use crate::{Error, Result, error::batched, error::tuple, ops, seed::Stream};
use candle_core::{DType, Tensor};

/// The shape of noise that is repeated along some axes: `None` stands for the input's length.
pub(super) type NoiseShape = Option<Vec<Option<usize>>>;

/// An error for a rate that is not from 0 to 1, or for 1 where `all` does not say that everything
/// may be dropped.
pub(super) fn check_rate(rate: f64, all: bool) -> Result<()> {
    if (0.0..1.0).contains(&rate) || (all && rate == 1.0) {
        return Ok(());
    }
    let (expected, advice) = match all {
        true => ("a fraction from 0 to 1", "0.2 drops a fifth of the inputs"),
        false => (
            "a fraction from 0 to below 1",
            "0.2 is a noise of a fifth; with 1 it would be infinite",
        ),
    };
    Err(Error::argument("rate", expected, rate, advice))
}

/// An error for noise that cannot be repeated to inputs of `input_shape`.
pub(super) fn check_shape(noise_shape: &NoiseShape, input_shape: &[usize]) -> Result<()> {
    let Some(lengths) = noise_shape else {
        return Ok(());
    };
    let fits = |(noise, input): (&Option<usize>, &usize)| {
        noise.is_none_or(|noise| noise == 1 || noise == *input)
    };
    let of_samples = lengths.get(1..).unwrap_or_default();
    let repeats = lengths.len() == input_shape.len() + 1
        && lengths[0] != Some(0)
        && of_samples.iter().zip(input_shape).all(fits);
    if repeats {
        return Ok(());
    }
    Err(Error::argument(
        "noise_shape",
        format!(
            "for each axis of {} its length, 1 or None",
            batched(input_shape)
        ),
        format!("{lengths:?}"),
        "1 repeats the noise along an axis, None stands for its length; the batch's is the first",
    ))
}

/// The shape of the noise for inputs of shape `dims`.
fn noise_dims(noise_shape: &NoiseShape, dims: &[usize]) -> Result<Vec<usize>> {
    let Some(lengths) = noise_shape else {
        return Ok(dims.to_vec());
    };
    let lengths = lengths.iter().zip(dims);
    let lengths: Vec<usize> = lengths
        .map(|(noise, input)| noise.unwrap_or(*input))
        .collect();
    // Other axes were checked when the layer was built; batches differ.
    if lengths
        .first()
        .is_some_and(|batch| *batch == 1 || *batch == dims[0])
    {
        return Ok(lengths);
    }
    let advice = "give the first axis None, for any batch, or 1, for the same noise in all samples";
    let expected = format!("a noise_shape that fits a batch of {}", dims[0]);
    Err(Error::argument(
        "noise_shape",
        expected,
        tuple(&lengths),
        advice,
    ))
}

/// 0 for the share `rate` of the inputs, `kept` for the others, to be multiplied with them.
pub(super) fn mask(
    inputs: &Tensor,
    noise_shape: &NoiseShape,
    rate: f64,
    kept: f64,
    stream: &Stream,
) -> Result<Tensor> {
    let dims = noise_dims(noise_shape, inputs.dims())?;
    let count = dims.iter().product();
    let single = inputs.dtype() == DType::F32;
    let drawn = if single { kept as f32 } else { 1.0 };
    let mask = ops::noise::mask(stream, count, rate as f32, 0.0, drawn);
    let mask = Tensor::from_vec(mask, dims, inputs.device())?;
    if single {
        return Ok(mask);
    }
    Ok((mask.to_dtype(inputs.dtype())? * kept)?)
}

/// Normal numbers of `mean` and `stddev` in the inputs' shape.
pub(super) fn normal(
    inputs: &Tensor,
    mean: f64,
    stddev: f64,
    mut stream: Stream,
) -> Result<Tensor> {
    let numbers = (0..inputs.elem_count()).map(|_| (mean + stddev * stream.normal()) as f32);
    let numbers = Tensor::from_vec(numbers.collect(), inputs.shape(), inputs.device())?;
    Ok(numbers.to_dtype(inputs.dtype())?)
}

/// x·factors, which are repeated where they are fewer.
pub(super) fn multiply(x: &Tensor, factors: &Tensor) -> Result<Tensor> {
    if ops::in_memory(&[x, factors]) && x.dims() == factors.dims() {
        let product = ops::noise::product(&ops::numbers(x)?, &ops::numbers(factors)?);
        return Ok(Tensor::from_vec(product, x.shape(), x.device())?);
    }
    Ok(x.broadcast_mul(factors)?)
}
