use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Numbers, Pass, layer_access,
    layer_setters, numbers::spread,
};
use crate::{
    Axes, Data, Error, Result,
    data::Rows,
    error::{batched, tuple},
    initializers::{Initializer, Ones, Zeros},
    ops::all_finite,
    seed::Stream,
    weights::WeightBuilder,
};
use candle_core::{DType, Device, Tensor};
use serde::{Deserialize, Deserializer, Serialize};

/// Keras's `epsilon()`: the least standard deviation that is divided by.
const EPSILON: f64 = 1e-7;

/// How many samples [`Normalization::adapt`] looks at together.
const ADAPT_BATCH: usize = 1024;

/// Shifts and scales features to mean 0 and variance 1, by a mean and variance that are given or
/// found in data beforehand: y = (x - mean) / max(√variance, 1e-7).
///
/// # Shapes
/// Outputs have the shape of the inputs. Every index along `axis` has a mean and a variance of its
/// own. Where they are not given, they are weights that training does not change: `mean` and
/// `variance`, with the lengths of the axes, and `count`, a number that Keras keeps for its old
/// files.
///
/// # Defaults
/// The last axis; mean 0 and variance 1.
///
/// ```
/// use candle_keras::{layers::Normalization, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let x = Tensor::new(&[[0f32, 7.0], [2.0, 9.0], [0.0, 7.0], [2.0, 9.0]], &Device::Cpu)?;
/// let model = Sequential::new()
///     .add(Input::new(2))
///     .add(Normalization::new().adapt(&x)?)
///     .build(&Device::Cpu)?;
/// assert_eq!(model.predict(&x.narrow(0, 0, 2)?)?.to_vec2::<f32>()?, [[-1.0, -1.0], [1.0, 1.0]]);
///
/// Normalization::new().mean([1.0, 8.0]).variance([1.0, 1.0]); // the same
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for an axis that samples do not have, for a mean without a variance or of another
/// shape, for numbers that do not fit the axes or are not finite, and for a variance below 0.
///
/// Keras: `Normalization`, whose axis `None` is `[]` here. There `adapt` is called on a layer in its
/// model, here before it is added, and it adds up in f64. An axis 0 is an error, as the count of a
/// batch is not known.
#[derive(Debug, Serialize, Deserialize)]
pub struct Normalization {
    #[serde(deserialize_with = "axes")]
    axis: Vec<i64>,
    mean: Option<Numbers>,
    variance: Option<Numbers>,
    invert: bool,
    /// What `adapt` found.
    #[serde(skip)]
    adapted: Option<Moments>,
    /// The mean and variance that were given, in the inputs' rank, once it is built.
    #[serde(skip)]
    given: Option<(Tensor, Tensor)>,
    #[serde(flatten)]
    base: Base,
}

/// The mean and variance of data.
#[derive(Debug)]
struct Moments {
    /// The lengths of the axes along which each index has its own.
    lengths: Vec<usize>,
    mean: Values,
    variance: Values,
}

/// Numbers that a weight starts with.
#[derive(Debug)]
struct Values(Vec<f32>);

impl Initializer for Values {
    fn values(&self, _shape: &[usize], _stream: &mut Stream) -> Result<Vec<f32>> {
        Ok(self.0.clone())
    }
}

/// One axis, several, or `null`, which is none.
fn axes<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<i64>, D::Error> {
    let axes = Option::<Axes>::deserialize(from)?;
    Ok(axes.map_or_else(Vec::new, listed))
}

fn listed(axes: Axes) -> Vec<i64> {
    match axes {
        Axes::One(axis) => vec![axis],
        Axes::Several(axes) => axes,
    }
}

impl Default for Normalization {
    fn default() -> Self {
        Self::new()
    }
}

impl Normalization {
    /// A layer that leaves its inputs as they are until it is given a mean and variance, or adapted.
    pub fn new() -> Self {
        Self {
            axis: vec![-1],
            mean: None,
            variance: None,
            invert: false,
            adapted: None,
            given: None,
            base: Base::default(),
        }
    }

    /// The axes of which every index has its own mean and variance: 1 is the first of a sample, -1
    /// the last one, `[]` none, for one mean of all numbers.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = listed(axis.into());
        self
    }

    /// The mean: a number, or one for each index along the axes. Needs a `variance` as well.
    pub fn mean(mut self, mean: impl Into<Numbers>) -> Self {
        self.mean = Some(mean.into());
        self
    }

    /// The variance, in the mean's shape.
    pub fn variance(mut self, variance: impl Into<Numbers>) -> Self {
        self.variance = Some(variance.into());
        self
    }

    /// Whether it turns numbers of mean 0 and variance 1 back: y = x·max(√variance, 1e-7) + mean.
    pub fn invert(mut self, invert: bool) -> Self {
        self.invert = invert;
        self
    }

    layer_setters!();

    /// Takes the mean and variance of `data`, in place of those of an earlier call. The variance
    /// is that of these samples alone, divided by their count.
    ///
    /// Call it after `axis`, and before the layer is added to a model. Keras's `adapt`.
    ///
    /// # Errors
    /// When a mean or variance is given already, there are no samples, they do not have the axes,
    /// or a number is not finite.
    pub fn adapt(mut self, data: impl Into<Data>) -> Result<Self> {
        if self.mean.is_some() || self.variance.is_some() {
            let expected = "a layer without a mean and variance";
            let advice = "leave out mean(..) and variance(..), or adapt";
            return Err(Error::argument("adapt", expected, "one with them", advice));
        }
        let data = data.into();
        if data.is_empty() {
            return Err(Error::Empty { argument: "data" });
        }
        let shape = data.sample_shape();
        let kept = self.kept(shape)?;
        let reduced: Vec<usize> = (0..=shape.len())
            .filter(|axis| !kept.contains(axis))
            .collect();
        let own: usize = lengths(shape, &kept).iter().product();
        let count = data.len() * shape.iter().product::<usize>() / own.max(1);
        let average = |number: &dyn Fn(Tensor) -> Result<Tensor>| -> Result<Tensor> {
            let mut sum: Option<Tensor> = None;
            for rows in Rows::batches(data.len(), ADAPT_BATCH) {
                let numbers = number(data.gather(rows, DType::F64, &Device::Cpu)?)?;
                let part = numbers.sum_keepdim(&reduced[..])?;
                sum = Some(match sum {
                    Some(sum) => (sum + part)?,
                    None => part,
                });
            }
            let sum = sum.ok_or(Error::Empty { argument: "data" })?;
            Ok((sum / count.max(1) as f64)?)
        };
        let mean = average(&Ok)?;
        let variance = average(&|numbers| Ok(numbers.broadcast_sub(&mean)?.sqr()?))?;
        self.adapted = Some(Moments {
            lengths: lengths(shape, &kept),
            mean: rounded(&mean)?,
            variance: rounded(&variance)?,
        });
        Ok(self)
    }

    /// The axes of which every index has its own mean, ascending, in a batch of samples of `shape`.
    fn kept(&self, shape: &[usize]) -> Result<Vec<usize>> {
        if self.axis.is_empty() {
            return Ok(Vec::new());
        }
        let kept = Axes::Several(self.axis.clone()).resolve(shape.len() + 1)?;
        if kept.contains(&0) {
            let expected = "axes of a sample, counted from 1, or from the last one, -1";
            let advice = "0 is the batch's, whose length is not known";
            let got = format!("{:?}", self.axis);
            return Err(Error::argument("axis", expected, got, advice));
        }
        Ok(kept)
    }

    /// The mean and variance that were given, in the inputs' rank.
    fn spread_given(
        &self,
        input_shape: &[usize],
        place: (DType, &Device),
    ) -> Result<Option<(Tensor, Tensor)>> {
        let (mean, variance) = match (&self.mean, &self.variance) {
            (None, None) => return Ok(None),
            (Some(mean), Some(variance)) => (mean, variance),
            (mean, _) => {
                let given = if mean.is_some() { "mean" } else { "variance" };
                let advice = "give both, or neither and adapt the layer";
                let expected = "a mean and a variance";
                return Err(Error::argument("mean, variance", expected, given, advice));
            }
        };
        let (mean, variance) = (mean.tensor("mean")?, variance.tensor("variance")?);
        if mean.dims() != variance.dims() {
            let expected = format!("the mean's shape {}", tuple(mean.dims()));
            let advice = "give one for each mean";
            let got = tuple(variance.dims());
            return Err(Error::argument("variance", expected, got, advice));
        }
        let least = variance.flatten_all()?.min(0)?.to_scalar::<f64>()?;
        if least < 0.0 {
            let advice = "it is a mean of squares";
            return Err(Error::argument("variance", "at least 0", least, advice));
        }
        let kept = self.kept(input_shape)?;
        let along = |argument, numbers: &Tensor| -> Result<Tensor> {
            let numbers = self.along_axes(argument, numbers, &kept, input_shape.len() + 1)?;
            spread(argument, &numbers, input_shape, place)
        };
        Ok(Some((along("mean", &mean)?, along("variance", &variance)?)))
    }

    /// `numbers` with their axes at the last ones of `kept`, in a tensor of `rank`.
    fn along_axes(
        &self,
        argument: &str,
        numbers: &Tensor,
        kept: &[usize],
        rank: usize,
    ) -> Result<Tensor> {
        if numbers.rank() > kept.len() {
            let expected = format!("at most as many axes as `axis` has, {}", kept.len());
            let got = format!("numbers of shape {}", tuple(numbers.dims()));
            let advice = "give a number for each index along `axis`, or one for all";
            return Err(Error::argument(argument, expected, got, advice));
        }
        let mut shape = vec![1; rank];
        for (axis, length) in kept.iter().rev().zip(numbers.dims().iter().rev()) {
            if let Some(place) = shape.get_mut(*axis) {
                *place = *length;
            }
        }
        Ok(numbers.reshape(shape)?)
    }

    /// Adds the weights that stand for a mean and variance that are not given.
    fn add_weights(&self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        let kept = self.kept(input_shape)?;
        let own = lengths(input_shape, &kept);
        let (mean, variance): (&dyn Initializer, &dyn Initializer) = match &self.adapted {
            Some(moments) if moments.lengths == own => (&moments.mean, &moments.variance),
            Some(moments) => {
                let axis = &self.axis;
                return Err(Error::shape(
                    format!("of lengths {} along axis {axis:?}", tuple(&moments.lengths)),
                    batched(input_shape),
                    "adapt the layer to data like the model's, with the axis that it has now",
                ));
            }
            None => (&Zeros, &Ones),
        };
        weights.add_non_trainable("mean", &own, mean)?;
        weights.add_non_trainable("variance", &own, variance)?;
        weights.add_non_trainable("count", &[], &Zeros)
    }

    /// The mean and the standard deviation, in the inputs' rank.
    fn moments(
        &self,
        input_shape: &[usize],
        weight: impl Fn(&str) -> Result<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let (mean, variance) = match &self.given {
            Some(given) => given.clone(),
            None => {
                let kept = self.kept(input_shape)?;
                let shape: Vec<usize> = std::iter::once(1)
                    .chain(input_shape.iter().enumerate().map(|(index, length)| {
                        if kept.contains(&(index + 1)) {
                            *length
                        } else {
                            1
                        }
                    }))
                    .collect();
                let in_rank = |name| -> Result<Tensor> { Ok(weight(name)?.reshape(&shape[..])?) };
                (in_rank("mean")?, in_rank("variance")?)
            }
        };
        Ok((mean, variance.sqrt()?.maximum(EPSILON)?))
    }
}

/// The lengths of the axes `kept` in a batch of samples of `shape`.
fn lengths(shape: &[usize], kept: &[usize]) -> Vec<usize> {
    let lengths = kept
        .iter()
        .filter_map(|axis| shape.get(axis.checked_sub(1)?));
    lengths.copied().collect()
}

/// Numbers as a weight's, if all are finite.
fn rounded(numbers: &Tensor) -> Result<Values> {
    let numbers = numbers.to_dtype(DType::F32)?.flatten_all()?;
    if all_finite(&numbers)? {
        return Ok(Values(numbers.to_vec1()?));
    }
    let advice = "mend or remove the samples that are not finite";
    let expected = "numbers of a finite mean and variance";
    Err(Error::argument("data", expected, "others", advice))
}

impl Layer for Normalization {
    layer_access!("Normalization");

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        self.given = self.spread_given(input_shape, (weights.dtype, weights.device))?;
        if self.given.is_none() {
            self.add_weights(input_shape, weights)?;
        }
        Ok(())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let weight = |name: &str| pass.weight(name).cloned();
        let (_, sample) = inputs.dims().split_at(1);
        let (mean, deviation) = self.moments(sample, weight)?;
        Ok(if self.invert {
            inputs.broadcast_mul(&deviation)?.broadcast_add(&mean)?
        } else {
            inputs.broadcast_sub(&mean)?.broadcast_div(&deviation)?
        })
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Normalization {
            axis: &self.axis,
            given: self.given.as_ref(),
            epsilon: EPSILON,
            invert: self.invert,
        })
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Normalization {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let weight = |name: &str| step.weight(name).cloned();
        let (_, sample) = step.inputs.dims().split_at(1);
        let (_, deviation) = self.moments(sample, weight)?;
        let inputs = if self.invert {
            gradient.broadcast_mul(&deviation)?
        } else {
            gradient.broadcast_div(&deviation)?
        };
        Ok(Gradients {
            inputs: Some(inputs),
            weights: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn build(layer: Normalization) -> Result<Sequential> {
        let model = Sequential::new().add(Input::new((2, 3))).add(layer);
        model.build(&Device::Cpu)
    }

    fn text<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn data_of_many_batches_far_from_zero_have_their_own_mean_and_variance() -> Result<()> {
        let count = 2 * ADAPT_BATCH + 7;
        let values = (0..count).map(|index| 1e4 + (index % 5) as f32);
        let data = Tensor::from_iter(values, &Device::Cpu)?.reshape((count, 1))?;
        let adapted = Normalization::new().adapt(&data)?;
        let all: Vec<f64> = (0..count).map(|index| (index % 5) as f64).collect();
        let mean = all.iter().sum::<f64>() / count as f64;
        let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count as f64;
        let moments = adapted.adapted.expect("it was adapted");
        assert_eq!(moments.mean.0, [(1e4 + mean) as f32]);
        assert!((f64::from(moments.variance.0[0]) / variance - 1.0).abs() < 1e-7);
        Ok(())
    }

    #[test]
    fn adapting_again_forgets_what_was_found_before_and_scaled_bytes_are_scaled_first() -> Result<()>
    {
        let first = Tensor::new(&[[100f32], [300.0]], &Device::Cpu)?;
        let bytes = Tensor::new(&[[0u8], [2]], &Device::Cpu)?;
        let layer = Normalization::new().adapt(&first)?;
        let layer = layer.adapt(Data::from(&bytes).scale(0.5)?)?;
        let model = Sequential::new().add(Input::new(1)).add(layer);
        let model = model.build(&Device::Cpu)?;
        assert_eq!(model.weight("normalization/mean")?.to_vec1::<f32>()?, [0.5]);
        let variance = model.weight("normalization/variance")?;
        assert_eq!(variance.to_vec1::<f32>()?, [0.25]);
        assert_eq!(
            model.weight("normalization/count")?.to_scalar::<f32>()?,
            0.0
        );
        assert!(model.weights().all(|weight| !weight.trainable()));
        Ok(())
    }

    #[test]
    fn without_data_and_numbers_the_inputs_stay_as_they_are() -> Result<()> {
        let x = Tensor::new(&[[[1f32, -2.0, 3.0], [0.5, 0.0, 9.0]]], &Device::Cpu)?;
        let y = build(Normalization::new())?.predict(&x)?;
        assert_eq!(y.to_vec3::<f32>()?, x.to_vec3::<f32>()?);
        Ok(())
    }

    #[test]
    fn a_mean_of_fewer_axes_than_axis_has_is_for_the_last_of_them() -> Result<()> {
        let layer = Normalization::new().axis([1, 2]).mean([1.0, 2.0, 3.0]);
        let model = build(layer.variance([1.0, 1.0, 1.0]))?;
        let y = model.predict(&Tensor::zeros((1, 2, 3), DType::F32, &Device::Cpu)?)?;
        assert_eq!(
            y.to_vec3::<f32>()?,
            [[[-1.0, -2.0, -3.0], [-1.0, -2.0, -3.0]]]
        );
        Ok(())
    }

    #[test]
    fn an_axis_may_be_read_as_a_number_a_list_or_null() {
        let read = |axis: &str| -> Vec<i64> {
            let config =
                format!(r#"{{"class_name": "Normalization", "config": {{"axis": {axis}}}}}"#);
            let layer: Box<dyn Layer> = serde_json::from_str(&config).expect("a layer");
            let written = layer.config().expect("a configuration").arguments["axis"].clone();
            serde_json::from_value(written).expect("a list")
        };
        assert_eq!(read("-1"), [-1]);
        assert_eq!(read("[1, 2]"), [1, 2]);
        assert!(read("null").is_empty());
        assert!(read("[]").is_empty());
    }

    #[test]
    fn numbers_and_axes_that_do_not_fit_are_errors() {
        let new = Normalization::new;
        assert_eq!(
            text(build(new().mean(1.0))),
            "layer `normalization` (Normalization): `mean, variance`: expected a mean and a \
             variance, got mean: give both, or neither and adapt the layer"
        );
        assert_eq!(
            text(build(new().mean(1.0).variance([1.0]))),
            "layer `normalization` (Normalization): `variance`: expected the mean's shape (), got \
             (1,): give one for each mean"
        );
        assert_eq!(
            text(build(new().mean([1.0, 1.0]).variance([1.0, 1.0]))),
            "layer `normalization` (Normalization): `mean`: expected a number, or numbers for the \
             last axes of samples of shape (2, 3), got numbers of shape (1, 1, 2): give one number \
             for each place along these axes"
        );
        let two = [[1.0; 3]; 2];
        assert_eq!(
            text(build(new().mean(two).variance(two))),
            "layer `normalization` (Normalization): `mean`: expected at most as many axes as `axis` \
             has, 1, got numbers of shape (2, 3): give a number for each index along `axis`, or one \
             for all"
        );
        let negative = new().mean(0.0).variance(-1.0);
        assert!(text(build(negative)).contains("`variance`: expected at least 0, got -1"));
        assert!(text(build(new().axis(3))).contains("`axis`: expected an axis of 3"));
        assert_eq!(
            text(build(new().axis(0))),
            "layer `normalization` (Normalization): `axis`: expected axes of a sample, counted from \
             1, or from the last one, -1, got [0]: 0 is the batch's, whose length is not known"
        );
    }

    #[test]
    fn data_that_cannot_be_adapted_to_are_errors() -> Result<()> {
        let ones = Tensor::ones((2, 4), DType::F32, &Device::Cpu)?;
        let given = Normalization::new().mean(0.0).variance(1.0);
        assert_eq!(
            text(given.adapt(&ones)),
            "`adapt`: expected a layer without a mean and variance, got one with them: leave out \
             mean(..) and variance(..), or adapt"
        );
        let none = Tensor::zeros((0, 4), DType::F32, &Device::Cpu)?;
        assert!(text(Normalization::new().adapt(&none)).contains("`data` holds no samples"));
        let infinite = Tensor::new(&[[f32::INFINITY]], &Device::Cpu)?;
        assert_eq!(
            text(Normalization::new().adapt(&infinite)),
            "`data`: expected numbers of a finite mean and variance, got others: mend or remove the \
             samples that are not finite"
        );
        assert_eq!(
            text(build(Normalization::new().adapt(&ones)?)),
            "layer `normalization` (Normalization): expected an input of shape of lengths (4,) along \
             axis [-1], got (None, 2, 3): adapt the layer to data like the model's, with the axis \
             that it has now"
        );
        Ok(())
    }
}
