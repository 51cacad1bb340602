//! Normalisations as operators, computed as the layers do.
//!
//! ONNX has operators for some of them, but onnxruntime's `BatchNormalization` is x·(γ·r) + (β - m·γ·r),
//! which loses digits near the mean, and the `LayerNormalization` of 1.12 took a variance as a
//! difference of squares: numbers near 1000 came out 0.6 apart.

use super::{graph::Value, layers::Place};
use crate::{Axes, Result};
use candle_core::Tensor;

/// By the moving mean and variance.
pub(super) fn batch<'g>(place: &Place<'g, '_>, axis: i64, epsilon: f64) -> Result<Value<'g>> {
    let axes = Axes::One(axis).resolve(place.rank())?;
    let along = |value: Value<'g>| along_axes(place, value, &axes);
    let inverse = inverse_root(place.weight("moving_variance")?, epsilon);
    let factor = match place.weight_if_any("gamma") {
        Some(gamma) => gamma * inverse,
        None => inverse,
    };
    let distances = place.x - along(place.weight("moving_mean")?);
    let y = distances * along(factor);
    Ok(match place.weight_if_any("beta") {
        Some(beta) => y + along(beta),
        None => y,
    })
}

/// Every sample by its own mean and variance.
pub(super) fn layer<'g>(place: &Place<'g, '_>, axis: &Axes, epsilon: f64) -> Result<Value<'g>> {
    let axes = axis.resolve(place.rank())?;
    let normalized = by_moments(place.x, &axes, epsilon);
    Ok(affine(place, normalized, &axes))
}

/// Every group of channels of a sample by its own mean and variance.
pub(super) fn group<'g>(
    place: &Place<'g, '_>,
    groups: i64,
    axis: i64,
    epsilon: f64,
) -> Result<Value<'g>> {
    let axes = Axes::One(axis).resolve(place.rank())?;
    let axis = axes.first().copied().unwrap_or_default();
    let channels = place.input_shape[axis - 1];
    let groups = usize::try_from(groups).unwrap_or(channels);
    // (batch, .., groups, channels of one, ..)
    let mut apart = place.input_shape.to_vec();
    apart[axis - 1] = channels / groups.max(1);
    apart.insert(axis - 1, groups);
    let within: Vec<usize> = (1..=apart.len()).filter(|index| *index != axis).collect();
    let normalized = by_moments(place.x.reshape(&apart), &within, epsilon);
    Ok(affine(place, normalized.reshape(place.input_shape), &axes))
}

pub(super) fn root_mean_square<'g>(
    place: &Place<'g, '_>,
    axis: &Axes,
    epsilon: f64,
) -> Result<Value<'g>> {
    let axes = axis.resolve(place.rank())?;
    let x = place.x;
    let normalized = x * inverse_root((x * x).mean(&axes), epsilon);
    Ok(normalized * place.weight("scale")?) // along the last axes
}

pub(super) fn unit<'g>(place: &Place<'g, '_>, axis: &Axes, greatest: f64) -> Result<Value<'g>> {
    let axes = axis.resolve(place.rank())?;
    let x = place.x;
    let axes = axes.iter().map(|axis| *axis as i64);
    let inverse = (x * x).sum(axes).apply("Sqrt").apply("Reciprocal");
    Ok(x * inverse.apply_with("Min", &[place.graph.number(greatest)], &[]))
}

/// Features by the mean and variance that were given, or those of the data that the layer saw.
pub(super) fn features<'g>(
    place: &Place<'g, '_>,
    axis: &[i64],
    given: Option<&(Tensor, Tensor)>,
    epsilon: f64,
    invert: bool,
) -> Result<Value<'g>> {
    let (mean, variance) = match given {
        Some((mean, variance)) => (
            place.numbers("mean", mean),
            place.numbers("variance", variance),
        ),
        None => {
            let axes = match axis {
                [] => Vec::new(),
                axis => Axes::Several(axis.to_vec()).resolve(place.rank())?,
            };
            let [mean, variance] = [place.weight("mean")?, place.weight("variance")?];
            let along = |weight| along_axes(place, weight, &axes);
            (along(mean), along(variance))
        }
    };
    let least = place.graph.number(epsilon);
    let deviation = variance.apply("Sqrt").apply_with("Max", &[least], &[]);
    Ok(match invert {
        true => place.x * deviation + mean,
        false => (place.x - mean) / deviation,
    })
}

/// 1/√(variance + ε)
fn inverse_root(variance: Value<'_>, epsilon: f64) -> Value<'_> {
    (variance + epsilon).apply("Sqrt").apply("Reciprocal")
}

/// (x - mean)/√(variance + ε), with the mean and variance along axes.
fn by_moments<'g>(x: Value<'g>, axes: &[usize], epsilon: f64) -> Value<'g> {
    // A sum of many numbers far from 0 is rounded often; that of their distances from its mean
    // mends it.
    let near = x.mean(axes);
    let mean = near + (x - near).mean(axes);
    let distances = x - mean;
    distances * inverse_root((distances * distances).mean(axes), epsilon)
}

/// y·γ + β, as far as the layer has them, along axes of the batch.
fn affine<'g>(place: &Place<'g, '_>, y: Value<'g>, axes: &[usize]) -> Value<'g> {
    let along = |name| Some(along_axes(place, place.weight_if_any(name)?, axes));
    let y = along("gamma").map_or(y, |gamma| y * gamma);
    along("beta").map_or(y, |beta| y + beta)
}

/// A weight that lies along axes of the batch, with length 1 along the others.
fn along_axes<'g>(place: &Place<'g, '_>, weight: Value<'g>, axes: &[usize]) -> Value<'g> {
    let first_of_last = place.rank() - axes.len();
    if axes.iter().copied().eq(first_of_last..place.rank()) {
        return weight; // operators take the axes of the smaller one as the last
    }
    let mut shape = vec![1; place.rank()];
    for axis in axes {
        shape[*axis] = place.input_shape[axis - 1];
    }
    weight.in_shape(&shape)
}
