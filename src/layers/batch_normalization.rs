use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass,
    affine::{Affine, affine_setters},
    axes_last::{AxesLast, axes_of_samples, check_epsilon},
    channels, layer_access, layer_setters,
    renormalization::{Correction, RenormClipping, Renormalization},
};
use crate::{
    Axes, Error, Result,
    constraints::Constraint,
    error::tuple,
    initializers::{Initializer, Ones, Zeros},
    ops,
    regularizers::Regularizer,
    weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Brings every channel to a mean near 0 and a standard deviation near 1:
/// y = γ·(x - mean)/√(variance + ε) + β.
///
/// While training, the mean and the variance (Σ (x - mean)²/n, the biased one) are those of the
/// batch, over all axes but `axis`, and the layer follows them by
/// moving ← momentum·moving + (1 - momentum)·batch. Elsewhere, and in training where the layer is
/// frozen, it goes by those moving ones, which no training changes then.
///
/// # Shapes
/// Outputs have the shape of the inputs. Weights, each (channels): `gamma` and `beta`, which the
/// optimizer trains, `moving_mean` and `moving_variance`, which it does not.
///
/// # Defaults
/// `axis` -1, the last one; `momentum` 0.99; `epsilon` 0.001, the ε; `center` and `scale`: β, which
/// starts with zeros, and γ, which starts with ones; the moving mean starts with zeros, the moving
/// variance with ones.
///
/// ```
/// use candle_keras::{layers::BatchNormalization, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new((28, 28, 3)))
///     .add(BatchNormalization::new().momentum(0.9).name("normal"))
///     .build(&Device::Cpu)?;
/// assert_eq!(model.weight("normal/moving_variance")?.to_vec1::<f32>()?, [1.0; 3]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for an axis that the inputs do not have or that is the batch's, for a momentum
/// outside 0..=1, and for an epsilon that is not above 0.
///
/// Keras: `BatchNormalization` (Ioffe and Szegedy, 2015, "Batch normalization: accelerating deep
/// network training by reducing internal covariate shift").
#[derive(Debug, Serialize, Deserialize)]
pub struct BatchNormalization {
    axis: i64,
    momentum: f64,
    epsilon: f64,
    #[serde(flatten)]
    affine: Affine,
    moving_mean_initializer: Box<dyn Initializer>,
    moving_variance_initializer: Box<dyn Initializer>,
    #[serde(flatten)]
    renormalization: Renormalization,
    synchronized: bool,
    #[serde(flatten)]
    base: Base,
}

impl Default for BatchNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchNormalization {
    /// A layer that normalises the channels along the last axis.
    pub fn new() -> Self {
        Self {
            axis: -1,
            momentum: 0.99,
            epsilon: 1e-3,
            affine: Affine::default(),
            moving_mean_initializer: Box::new(Zeros),
            moving_variance_initializer: Box::new(Ones),
            renormalization: Renormalization::default(),
            synchronized: false,
            base: Base::default(),
        }
    }

    /// The axis of the channels; 0 is the batch's, -1, the default, the last one.
    pub fn axis(mut self, axis: i64) -> Self {
        self.axis = axis;
        self
    }

    /// How slowly the moving mean and variance forget, from 0 to 1; 0.99 by default.
    pub fn momentum(mut self, momentum: f64) -> Self {
        self.momentum = momentum;
        self
    }

    /// What is added to the variance, so that its root is not 0; 0.001 by default.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    affine_setters!();

    /// What the moving mean starts with.
    pub fn moving_mean_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.moving_mean_initializer = Box::new(initializer);
        self
    }

    /// What the moving variance starts with.
    pub fn moving_variance_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.moving_variance_initializer = Box::new(initializer);
        self
    }

    /// Whether a batch's outputs are corrected towards those by moving means that follow it faster
    /// (Ioffe, 2017, "Batch renormalization"); they are not by default.
    pub fn renorm(mut self, renorm: bool) -> Self {
        self.renormalization.renorm = renorm;
        self
    }

    /// How far a renormalization may correct; as far as it comes by default.
    pub fn renorm_clipping(mut self, clipping: RenormClipping) -> Self {
        self.renormalization.renorm_clipping = Some(clipping);
        self
    }

    /// How slowly the moving means that a renormalization corrects by forget; 0.99 by default.
    pub fn renorm_momentum(mut self, momentum: f64) -> Self {
        self.renormalization.renorm_momentum = momentum;
        self
    }

    /// Whether the moments are taken over the batches of all devices. A model here is on one, so
    /// that it changes nothing.
    pub fn synchronized(mut self, synchronized: bool) -> Self {
        self.synchronized = synchronized;
        self
    }

    layer_setters!();

    /// The axis of the channels at the end of tensors of shape `dims`.
    fn channels_last(&self, dims: &[usize]) -> Result<AxesLast> {
        let axes = Axes::One(self.axis).resolve(dims.len())?;
        Ok(AxesLast::new(&axes, dims))
    }

    /// 1/√(variance + ε).
    fn inverse(&self, variance: &Tensor) -> Result<Tensor> {
        Ok((variance + self.epsilon)?.sqrt()?.recip()?)
    }

    /// Which numbers of the inputs count, 1 or 0 in their rows; all where there is no mask.
    fn counted(&self, inputs: &Tensor, pass: &Pass<'_>) -> Result<Option<Tensor>> {
        let Some(mask) = pass.mask() else {
            return Ok(None);
        };
        let steps = &inputs.dims()[..inputs.rank() - 1];
        if mask.dims() != steps {
            let advice = "a mask has a number for each row along the last axis";
            let (expected, got) = (tuple(steps), tuple(mask.dims()));
            return Err(Error::argument("mask", expected, got, advice));
        }
        let mask = mask.to_dtype(inputs.dtype())?.unsqueeze(steps.len())?;
        let last = self.channels_last(inputs.dims())?;
        last.rows(&mask.broadcast_as(inputs.shape())?).map(Some)
    }

    /// The batch's moments, after which the moving ones have followed them.
    fn follow(&self, x: &Tensor, counted: Option<Tensor>, pass: &mut Pass<'_>) -> Result<Batch> {
        let (mean, variance) = match &counted {
            Some(counted) => channels::moments_of_counted(x, counted)?,
            None => channels::moments(x)?,
        };
        let correction = if self.renormalization.renorm {
            let deviation = (&variance + self.epsilon)?.sqrt()?;
            Some(Correction::new(
                &self.renormalization,
                &mean,
                &deviation,
                self.epsilon,
                pass,
            )?)
        } else {
            None
        };
        // Where a sample is not finite, the loss says so, and the weights stay as they are. On a
        // device it would take a wait to see it; the end of the epoch does.
        if !mean.device().is_cpu() || (ops::all_finite(&mean)? && ops::all_finite(&variance)?) {
            moving("moving_mean", &mean, self.momentum, pass)?;
            match &correction {
                Some(correction) => correction.follow(&mean, self.momentum, self.epsilon, pass)?,
                None => moving("moving_variance", &variance, self.momentum, pass)?,
            }
        }
        Ok(Batch {
            mean,
            variance,
            correction,
            counted,
        })
    }
}

/// The moments of a batch.
struct Batch {
    mean: Tensor,
    variance: Tensor,
    correction: Option<Correction>,
    /// Which numbers count, where not all do.
    counted: Option<Tensor>,
}

/// moving ← momentum·moving + (1 - momentum)·batch.
pub(super) fn moving(name: &str, batch: &Tensor, momentum: f64, pass: &Pass<'_>) -> Result<()> {
    pass.update(name, &followed(pass.weight(name)?, batch, momentum)?)
}

/// momentum·moving + (1 - momentum)·batch.
pub(super) fn followed(moving: &Tensor, batch: &Tensor, momentum: f64) -> Result<Tensor> {
    Ok(((moving * momentum)? + (batch * (1.0 - momentum))?)?)
}

/// An error for a momentum outside 0..=1.
fn check_momentum(argument: &str, momentum: f64) -> Result<()> {
    if (0.0..=1.0).contains(&momentum) {
        return Ok(());
    }
    let advice = "0.99 keeps that much of a moving mean at each step";
    Err(Error::argument(
        argument,
        "a number from 0 to 1",
        momentum,
        advice,
    ))
}

impl Layer for BatchNormalization {
    layer_access!("BatchNormalization");

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        check_momentum("momentum", self.momentum)?;
        check_momentum("renorm_momentum", self.renormalization.renorm_momentum)?;
        check_epsilon(self.epsilon)?;
        let axes = axes_of_samples(&Axes::One(self.axis), input_shape)?;
        let shape: Vec<usize> = axes.iter().map(|axis| input_shape[axis - 1]).collect();
        self.affine.build(&shape, weights)?;
        weights.add_non_trainable("moving_mean", &shape, &*self.moving_mean_initializer)?;
        let variance = &*self.moving_variance_initializer;
        weights.add_non_trainable("moving_variance", &shape, variance)?;
        let mean = &*self.moving_mean_initializer;
        self.renormalization.build(&shape, mean, variance, weights)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let last = self.channels_last(inputs.dims())?;
        let x = last.rows(inputs)?; // (batch·.., channels)
        let batch = if pass.training() && pass.trainable() {
            let counted = self.counted(inputs, pass)?;
            Some(self.follow(&x, counted, pass)?)
        } else {
            None
        };
        let (mean, variance) = match &batch {
            Some(batch) => (&batch.mean, &batch.variance),
            None => (pass.weight("moving_mean")?, pass.weight("moving_variance")?),
        };
        let inverse = self.inverse(variance)?;
        let zeros = mean.zeros_like()?;
        let gamma = self.affine.gamma(|name| pass.weight(name))?;
        let beta = self.affine.beta(|name| pass.weight(name))?;
        let correction = batch.as_ref().and_then(|batch| batch.correction.as_ref());
        let y = match correction {
            // γ·(x̂·r + d) + β
            Some(Correction { r, d, .. }) => {
                let (factor, offset) = match gamma {
                    Some(gamma) => ((r * gamma)?, (d * gamma)?),
                    None => (r.clone(), d.clone()),
                };
                let offset = (offset + beta.unwrap_or(&zeros))?;
                channels::normalize(&x, mean, &(factor * &inverse)?, &offset)?
            }
            None => {
                let factor = match gamma {
                    Some(gamma) => (gamma * &inverse)?,
                    None => inverse.clone(),
                };
                channels::normalize(&x, mean, &factor, beta.unwrap_or(&zeros))?
            }
        };
        if let Some(batch) = batch {
            let correction = match (batch.correction, &batch.counted) {
                (Some(Correction { r, d, .. }), _) => Some([r, d]),
                // One that corrects nothing, so that what counts has its place.
                (None, Some(_)) => Some([batch.mean.ones_like()?, zeros]),
                (None, None) => None,
            };
            pass.keep(batch.mean);
            pass.keep(inverse);
            let kept = correction.into_iter().flatten().chain(batch.counted);
            kept.for_each(|kept| pass.keep(kept));
        }
        last.back(&y)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::BatchNormalization {
            axis: self.axis,
            epsilon: self.epsilon,
        })
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for BatchNormalization {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let last = self.channels_last(step.inputs.dims())?;
        let (x, g) = (last.rows(step.inputs)?, last.rows(gradient)?); // (batch·.., channels)
        // The batch's moments, or none if the layer went by the moving ones.
        let (mean, inverse) = match step.kept {
            [mean, inverse, ..] => (mean.clone(), inverse.clone()),
            _ => {
                let inverse = self.inverse(step.weight("moving_variance")?)?;
                (step.weight("moving_mean")?.clone(), inverse)
            }
        };
        let [sums, along] = channels::gradient_sums(&x, &g, &mean)?;
        let along = (along * &inverse)?; // Σ g·x̂
        let (of_gamma, correction) = match step.kept {
            [_, _, r, d, ..] => (((r * &along)? + (d * &sums)?)?, Some(r)),
            _ => (along.clone(), None),
        };
        let inputs = if step.needs_input_gradient {
            let gamma = self.affine.gamma(|name| step.weight(name))?;
            let mut factor = inverse.clone();
            for more in gamma.into_iter().chain(correction) {
                factor = (factor * more)?;
            }
            let inputs = if step.kept.is_empty() {
                // dx = γ/√(..)·g
                let zeros = factor.zeros_like()?;
                channels::normalize(&g, &zeros, &factor, &zeros)?
            } else {
                // dx = γ/√(..)·(g - c·(Σ g + x̂·Σ g·x̂)/n), c = 1 for what counts and 0 for the rest
                let counted = step.kept.get(4);
                let rows = -1.0 / x.dim(0)?.max(1) as f64;
                let shared = |sums: &Tensor| match counted {
                    Some(counted) => Ok(sums.div(&channels::count(counted)?)?.neg()?),
                    None => Ok::<_, Error>((sums * rows)?),
                };
                let of_input = ((&factor * &inverse)? * shared(&along)?)?;
                let offset = (&factor * shared(&sums)?)?;
                let gradient = |[of_g, of_x, offset]: [&Tensor; 3]| {
                    channels::input_gradient(&x, &g, &mean, [of_g, of_x, offset])
                };
                let all = gradient([&factor, &of_input, &offset])?;
                match counted {
                    Some(counted) => {
                        let zeros = factor.zeros_like()?;
                        let alone = gradient([&factor, &zeros, &zeros])?;
                        counted.ne(0.0)?.where_cond(&all, &alone)?
                    }
                    None => all,
                }
            };
            Some(last.back(&inputs)?)
        } else {
            None
        };
        Ok(Gradients {
            inputs,
            weights: self.affine.gradients(of_gamma, sums),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::alone::{Alone, flat, fused_as_plain, numbers};
    use candle_core::{DType, Device};

    const TRAINING: Option<u64> = Some(1);

    fn alone(layer: BatchNormalization, input_shape: &[usize], dtype: DType) -> Alone {
        let alone = Alone::new(layer, input_shape, dtype).unwrap();
        alone.randomize();
        alone
    }

    fn column(numbers: &[f32]) -> Tensor {
        Tensor::new(numbers, &Device::Cpu)
            .unwrap()
            .unsqueeze(1)
            .unwrap()
    }

    fn assert_near(got: &[f64], expected: &[f64]) {
        assert_eq!(got.len(), expected.len());
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() <= 1e-6, "{got}, {expected}");
        }
    }

    #[test]
    fn gradients_are_those_of_differences_by_the_batchs_moments_and_by_the_moving_ones() {
        let new = BatchNormalization::new;
        // The correction is no part of a gradient, as if it were constant, which differences see
        // only where it is.
        let clipping = RenormClipping::new().rmin(1.5).rmax(1.5).dmax(0.0);
        let constant = |layer: BatchNormalization| layer.renorm(true).renorm_clipping(clipping);
        for (make, shape) in [
            (&new as &dyn Fn() -> BatchNormalization, &[5, 3][..]),
            (&|| new().axis(1), &[3, 4, 2]),
            (&|| new().epsilon(0.1), &[2, 3, 2, 2]),
            (&|| new().center(false), &[4, 3]),
            (&|| new().scale(false), &[4, 3]),
            (&|| constant(new()), &[4, 3]),
            (&|| constant(new()).scale(false).center(false), &[4, 3]),
        ] {
            let x = numbers("x", shape);
            alone(make(), &shape[1..], DType::F64).check_gradients(&x, TRAINING);
            alone(make(), &shape[1..], DType::F64).check_gradients(&x, None);
            let frozen = make().trainable(false);
            alone(frozen, &shape[1..], DType::F64).check_gradients(&x, TRAINING);
        }
    }

    #[test]
    fn fused_outputs_and_gradients_are_the_plain_ones() {
        for shape in [
            &[2, 1][..],
            &[7, 3],
            &[64, 128],
            &[33, 100],
            &[500, 65],
            &[3000, 2],
            &[20, 9, 33],
            &[3, 17, 5, 6],
        ] {
            for axis in [1, -1] {
                for trainable in [true, false] {
                    let layer = || BatchNormalization::new().axis(axis).trainable(trainable);
                    let what = format!("{shape:?} along {axis}, trainable {trainable}");
                    let x = numbers("x", shape);
                    fused_as_plain(&what, || layer().into(), &x, TRAINING);
                }
            }
        }
    }

    #[test]
    fn the_moving_moments_follow_those_of_the_batches() {
        let layer = Alone::new(BatchNormalization::new(), &[1], DType::F32).unwrap();
        let x = column(&[1.0, 2.0, 3.0, 6.0]); // mean 3, variance 3.5
        layer.outputs(&x, TRAINING).unwrap();
        assert_near(&layer.weight("moving_mean"), &[0.03]);
        assert_near(&layer.weight("moving_variance"), &[1.025]);
        let x = column(&[-1.0, 1.0]); // mean 0, variance 1
        layer.outputs(&x, TRAINING).unwrap();
        assert_near(&layer.weight("moving_mean"), &[0.0297]);
        assert_near(&layer.weight("moving_variance"), &[1.02475]);
        // Outside training they stay, and what is given goes by them.
        let y = flat(&layer.outputs(&x, None).unwrap());
        let root = (1.02475f64 + 1e-3).sqrt();
        assert_near(&y, &[-1.0297 / root, 0.9703 / root]);
        assert_near(&layer.weight("moving_mean"), &[0.0297]);
    }

    #[test]
    fn a_frozen_layer_goes_by_the_moving_moments_and_leaves_them() {
        let frozen = BatchNormalization::new().trainable(false);
        let layer = Alone::new(frozen, &[1], DType::F32).unwrap();
        let y = layer.outputs(&column(&[1.0, 3.0]), TRAINING).unwrap();
        let root = 1.001f64.sqrt();
        assert_near(&flat(&y), &[1.0 / root, 3.0 / root]);
        assert_near(&layer.weight("moving_mean"), &[0.0]);
    }

    #[test]
    fn a_batch_that_is_not_finite_leaves_the_moving_moments() {
        let layer = Alone::new(BatchNormalization::new(), &[1], DType::F32).unwrap();
        for number in [f32::NAN, f32::INFINITY] {
            let y = layer.outputs(&column(&[number, 1.0]), TRAINING).unwrap();
            assert!(!ops::all_finite(&y).unwrap());
            assert_eq!(layer.weight("moving_mean"), [0.0]);
            assert_eq!(layer.weight("moving_variance"), [1.0]);
        }
    }

    #[test]
    fn weights_are_in_keras_order_without_those_that_are_left_out() {
        let names = |layer: BatchNormalization| {
            let layer = Alone::new(layer, &[2], DType::F32).unwrap();
            layer.names().join(" ")
        };
        let new = BatchNormalization::new;
        assert_eq!(names(new()), "gamma beta moving_mean moving_variance");
        let plain = new().center(false).scale(false);
        assert_eq!(names(plain), "moving_mean moving_variance");
        assert_eq!(
            names(new().center(false).renorm(true)),
            "gamma moving_mean moving_variance moving_stddev renorm_mean renorm_stddev"
        );
    }

    /// Keras 3.15.1 on TensorFlow 2.21.0:
    /// `BatchNormalization(momentum=.9, renorm=True, renorm_momentum=.8, renorm_clipping={"rmax": 3.,
    /// "rmin": .5, "dmax": 1.})` with gamma (1.5, .5) and beta (.25, -1), called on two batches.
    #[test]
    fn a_renormalization_is_that_of_keras() {
        let clipping = RenormClipping::new().rmax(3.0).rmin(0.5).dmax(1.0);
        let layer = BatchNormalization::new().momentum(0.9).renorm(true);
        let layer = layer.renorm_momentum(0.8).renorm_clipping(clipping);
        let layer = Alone::new(layer, &[2], DType::F32).unwrap();
        let tensor = |numbers: &[f32], shape: &[usize]| {
            Tensor::from_slice(numbers, shape, &Device::Cpu).unwrap()
        };
        layer.weights[0].set(&tensor(&[1.5, 0.5], &[2])).unwrap();
        layer.weights[1].set(&tensor(&[0.25, -1.0], &[2])).unwrap();
        let first = tensor(&[1.0, 2.0, 2.0, -1.0, 3.0, 0.0, 6.0, 3.0], &[4, 2]);
        let x = tensor(&[0.0, 1.0, -1.0, 4.0, 2.0, 2.0, 1.0, -3.0], &[4, 2]);
        let c = tensor(&[1.0, -0.5, 0.25, 2.0, -1.0, 0.75, 0.5, 1.0], &[4, 2]);
        layer.outputs(&first, TRAINING).unwrap();
        let run = layer.run(&x, &c, TRAINING).unwrap();
        layer.outputs(&x, TRAINING).unwrap();
        assert_near(
            &flat(&run.outputs),
            &[
                -0.5164668, -0.6416704, -1.7939115, 0.7020651, 2.0384225, -0.1937586, 0.7609778,
                -2.4333179,
            ],
        );
        assert_near(
            &flat(&run.gradients[0]),
            &[
                0.7666838, -0.5878843, -0.7338797, 0.3897913, -0.7032456, -0.0753625, 0.6704415,
                0.2734555,
            ],
        );
        assert_near(&flat(&run.gradients[1]), &[-1.8735856, 4.7926569]);
        assert_near(&flat(&run.gradients[2]), &[0.75, 3.25]);
        assert_near(&layer.weight("moving_mean"), &[0.32, 0.19]);
        assert_near(&layer.weight("moving_variance"), &[1.1876378, 1.4565768]);
        assert_near(&layer.weight("moving_stddev"), &[1.0902467, 1.2073015]);
        assert_near(&layer.weight("renorm_mean"), &[0.58, 0.36]);
        assert_near(&layer.weight("renorm_stddev"), &[1.1630716, 1.4029740]);
    }

    #[test]
    fn arguments_out_of_range_are_errors_that_name_them() {
        let new = BatchNormalization::new;
        let renorm = |clipping| new().renorm(true).renorm_clipping(clipping);
        for (layer, shape, message) in [
            (
                new().momentum(1.5),
                &[3][..],
                "`momentum`: expected a number from 0 to 1, got 1.5",
            ),
            (
                new().momentum(f64::NAN),
                &[3],
                "`momentum`: expected a number from 0 to 1, got NaN",
            ),
            (
                new().renorm_momentum(-1.0),
                &[3],
                "`renorm_momentum`: expected a number from",
            ),
            (
                new().epsilon(0.0),
                &[3],
                "`epsilon`: expected a number above 0, got 0",
            ),
            (
                new().axis(0),
                &[3],
                "`axis`: expected an axis of the samples, got the batch's",
            ),
            (
                new().axis(-2),
                &[3],
                "`axis`: expected an axis of the samples, got the batch's",
            ),
            (
                new().axis(2),
                &[3],
                "`axis`: expected an axis of 2: -2 to 1, got 2",
            ),
            (
                new(),
                &[],
                "`axis`: expected an axis of the samples, got the batch's",
            ),
            (
                new(),
                &[4, 0],
                "expected an input of shape (None, .., at least 1, ..), got (None, 4, 0)",
            ),
            (
                renorm(RenormClipping::new().rmin(2.0).rmax(1.0)),
                &[3],
                "`renorm_clipping`: expected rmin up to rmax, and a dmax of at least 0",
            ),
            (
                renorm(RenormClipping::new().dmax(-1.0)),
                &[3],
                "`renorm_clipping`: expected rmin",
            ),
        ] {
            let error = Alone::new(layer, shape, DType::F32)
                .err()
                .unwrap()
                .to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
