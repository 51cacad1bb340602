use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass,
    affine::{Affine, affine_setters},
    axes_last::{AxesLast, axes_of_samples, check_epsilon},
    layer_access, layer_setters,
    row_normalization::NormalizedRows,
};
use crate::{
    Axes, Error, Result, constraints::Constraint, initializers::Initializer,
    regularizers::Regularizer, weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Brings every sample's numbers along some axes to a mean near 0 and a standard deviation near 1:
/// y = γ·(x - mean)/√(variance + ε) + β, with the mean and the biased variance along these axes. It
/// does the same in training as elsewhere.
///
/// # Shapes
/// Outputs have the shape of the inputs. Weights `gamma` and `beta`: the lengths of the axes.
///
/// # Defaults
/// `axis` -1, the last one; `epsilon` 0.001, the ε; `center` and `scale`: β, which starts with
/// zeros, and γ, which starts with ones.
///
/// ```
/// use candle_keras::{layers::LayerNormalization, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new((5, 8)))
///     .add(LayerNormalization::new().name("normal"))
///     .build(&Device::Cpu)?;
/// assert_eq!(model.weight("normal/gamma")?.dims(), [8]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for axes that the inputs do not have, that come twice or that are the batch's, and
/// for an epsilon that is not above 0.
///
/// Keras: `LayerNormalization` (Ba, Kiros and Hinton, 2016, "Layer normalization"), without its
/// deprecated `rms_scaling`, for which [`RMSNormalization`](super::RMSNormalization) is there. Axes
/// are taken in ascending order, counted from 0, where Keras sorts `[-1, 1]` as numbers.
#[derive(Debug, Serialize, Deserialize)]
pub struct LayerNormalization {
    axis: Axes,
    epsilon: f64,
    #[serde(flatten)]
    affine: Affine,
    rms_scaling: bool,
    #[serde(flatten)]
    base: Base,
}

impl Default for LayerNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl LayerNormalization {
    /// A layer that normalises along the last axis.
    pub fn new() -> Self {
        Self {
            axis: Axes::One(-1),
            epsilon: 1e-3,
            affine: Affine::default(),
            rms_scaling: false,
            base: Base::default(),
        }
    }

    /// The axes along which numbers are normalised together; 0 is the batch's, -1, the default, the
    /// last one.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
        self
    }

    /// What is added to the variance, so that its root is not 0; 0.001 by default.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    affine_setters!();
    layer_setters!();

    /// The axes at the end of tensors of shape `dims`.
    fn axes_last(&self, dims: &[usize]) -> Result<AxesLast> {
        Ok(AxesLast::new(&self.axis.resolve(dims.len())?, dims))
    }
}

impl Layer for LayerNormalization {
    layer_access!("LayerNormalization");

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        if self.rms_scaling {
            let advice = "take RMSNormalization";
            return Err(Error::argument("rms_scaling", "false", true, advice));
        }
        check_epsilon(self.epsilon)?;
        let axes = axes_of_samples(&self.axis, input_shape)?;
        let shape: Vec<usize> = axes.iter().map(|axis| input_shape[axis - 1]).collect();
        self.affine.build(&shape, weights)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let last = self.axes_last(inputs.dims())?;
        let gamma = self.affine.gamma(|name| pass.weight(name))?;
        let beta = self.affine.beta(|name| pass.weight(name))?;
        let y = NormalizedRows {
            x: &last.rows(inputs)?,
            gamma: gamma.map(Tensor::flatten_all).transpose()?.as_ref(),
            beta: beta.map(Tensor::flatten_all).transpose()?.as_ref(),
            epsilon: self.epsilon,
            centered: true,
        }
        .outputs()?;
        last.back(&y)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::LayerNormalization {
            axis: &self.axis,
            epsilon: self.epsilon,
        })
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for LayerNormalization {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let last = self.axes_last(step.inputs.dims())?;
        let gamma = self.affine.gamma(|name| step.weight(name))?;
        let gradients = NormalizedRows {
            x: &last.rows(step.inputs)?,
            gamma: gamma.map(Tensor::flatten_all).transpose()?.as_ref(),
            beta: None,
            epsilon: self.epsilon,
            centered: true,
        }
        .gradients(&last.rows(gradient)?)?;
        let axes = self.axis.resolve(step.inputs.rank())?;
        let shape: Vec<usize> = axes.iter().map(|axis| step.inputs.dims()[*axis]).collect();
        let [gamma, beta] = [gradients.gamma, gradients.beta].map(|sums| sums.reshape(&shape[..]));
        Ok(Gradients {
            inputs: Some(last.back(&gradients.x)?),
            weights: self.affine.gradients(gamma?, beta?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::alone::{Alone, flat, fused_as_plain, numbers};
    use candle_core::{DType, Device};

    #[test]
    fn gradients_are_those_of_differences() {
        let new = LayerNormalization::new;
        for (layer, shape) in [
            (new(), &[3, 5][..]),
            (new().axis(1), &[2, 3, 4]),
            (new().axis([1, 3]), &[2, 3, 2, 2]),
            (new().axis([-1, -2]).epsilon(0.1), &[2, 3, 4]),
            (new().center(false), &[3, 4]),
            (new().scale(false), &[3, 4]),
            (new().center(false).scale(false), &[3, 1]),
        ] {
            let layer = Alone::new(layer, &shape[1..], DType::F64).unwrap();
            layer.randomize();
            layer.check_gradients(&numbers("x", shape), Some(1));
        }
    }

    #[test]
    fn fused_outputs_and_gradients_are_the_plain_ones() {
        for shape in [
            &[1, 1][..],
            &[5, 3],
            &[64, 128],
            &[33, 100],
            &[7, 1000],
            &[700, 17],
            &[3, 11, 40],
        ] {
            let what = format!("{shape:?}");
            let x = numbers("x", shape);
            fused_as_plain(&what, || LayerNormalization::new().into(), &x, Some(1));
            let first = || LayerNormalization::new().axis(1).into();
            fused_as_plain(&what, first, &x, Some(1));
        }
    }

    #[test]
    fn a_row_far_from_zero_keeps_its_digits() {
        let layer = Alone::new(LayerNormalization::new(), &[1000], DType::F32).unwrap();
        let x: Vec<f32> = (0..1000).map(|i| 4096.0 + (i % 2) as f32).collect();
        let x = Tensor::from_vec(x, (1, 1000), &Device::Cpu).unwrap();
        let y = flat(&layer.outputs(&x, None).unwrap());
        let expected = 0.5 / (0.25f64 + 1e-3).sqrt();
        for (index, y) in y.iter().enumerate() {
            let expected = if index % 2 == 0 { -expected } else { expected };
            assert!((y - expected).abs() < 1e-6, "{y}, {expected}");
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors_that_name_them() {
        let new = LayerNormalization::new;
        let mut deprecated = new();
        deprecated.rms_scaling = true;
        for (layer, message) in [
            (
                new().epsilon(-1.0),
                "`epsilon`: expected a number above 0, got -1",
            ),
            (
                new().axis(0),
                "`axis`: expected an axis of the samples, got the batch's",
            ),
            (new().axis([1, -2]), "`axis`: expected different axes"),
            (
                new().axis(3),
                "`axis`: expected an axis of 3: -3 to 2, got 3",
            ),
            (
                deprecated,
                "`rms_scaling`: expected false, got true: take RMSNormalization",
            ),
        ] {
            let error = Alone::new(layer, &[2, 3], DType::F32).err().unwrap();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }
}
