use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass,
    axes_last::{AxesLast, axes_of_samples, check_epsilon},
    layer_access, layer_setters,
    row_normalization::NormalizedRows,
};
use crate::{Axes, Error, Result, error::tuple, initializers::Ones, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Divides every sample's numbers along some axes by the root of their mean square:
/// y = γ·x/√(mean(x²) + ε). It does the same in training as elsewhere.
///
/// # Shapes
/// Outputs have the shape of the inputs. Weight `scale`, the γ: the lengths of the axes.
///
/// # Defaults
/// `axis` -1, the last one; `epsilon` 1e-6, the ε. γ starts with ones.
///
/// ```
/// use candle_keras::{layers::RMSNormalization, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(2))
///     .add(RMSNormalization::new())
///     .build(&Device::Cpu)?;
/// let x = Tensor::new(&[[1f32, 7.0]], &Device::Cpu)?; // a mean square of 25
/// let y = model.predict(&x)?.to_vec2::<f32>()?;
/// assert!((y[0][0] - 0.2).abs() < 1e-6 && (y[0][1] - 1.4).abs() < 1e-6);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for axes that the inputs do not have, that come twice or that are the batch's, for
/// axes of other lengths than the last ones, and for an epsilon that is not above 0.
///
/// Keras: `RMSNormalization` (Zhang and Sennrich, 2019, "Root mean square layer normalization"). As
/// there, γ has the lengths of `axis`, yet lies along the last axes, whichever are normalised.
#[derive(Debug, Serialize, Deserialize)]
pub struct RMSNormalization {
    axis: Axes,
    epsilon: f64,
    #[serde(flatten)]
    base: Base,
}

impl Default for RMSNormalization {
    fn default() -> Self {
        Self::new()
    }
}

impl RMSNormalization {
    /// A layer that normalises along the last axis.
    pub fn new() -> Self {
        Self {
            axis: Axes::One(-1),
            epsilon: 1e-6,
            base: Base::default(),
        }
    }

    /// The axes along which numbers are normalised together; 0 is the batch's, -1, the default, the
    /// last one.
    pub fn axis(mut self, axis: impl Into<Axes>) -> Self {
        self.axis = axis.into();
        self
    }

    /// What is added to the mean square, so that its root is not 0; 1e-6 by default.
    pub fn epsilon(mut self, epsilon: f64) -> Self {
        self.epsilon = epsilon;
        self
    }

    layer_setters!();

    /// The axes at the end of tensors of shape `dims`.
    fn axes_last(&self, dims: &[usize]) -> Result<AxesLast> {
        Ok(AxesLast::new(&self.axis.resolve(dims.len())?, dims))
    }

    /// Rows along the axes, scaled by γ if it lies along them.
    fn normalized<'a>(&self, x: &'a Tensor, gamma: Option<&'a Tensor>) -> NormalizedRows<'a> {
        NormalizedRows {
            x,
            gamma,
            beta: None,
            epsilon: self.epsilon,
            centered: false,
        }
    }

    /// The gradients where γ lies along the last axes and numbers are normalised along others.
    fn gradients_across(
        &self,
        step: &Forward<'_>,
        gradient: &Tensor,
        last: &AxesLast,
    ) -> Result<Gradients> {
        let scale = step.weight("scale")?;
        let x = last.rows(step.inputs)?;
        let rows = self.normalized(&x, None);
        let inputs = rows
            .gradients(&last.rows(&gradient.broadcast_mul(scale)?)?)?
            .x;
        let normalized = last.back(&rows.outputs()?)?;
        let terms = (gradient * normalized)?;
        let before = terms.rank() - scale.rank();
        let repeats = scale.dims().iter().enumerate();
        let repeats = repeats.filter(|(_, length)| **length == 1);
        let axes = (0..before).chain(repeats.map(|(axis, _)| before + axis));
        let sums = terms.sum_keepdim(axes.collect::<Vec<_>>())?;
        Ok(Gradients {
            inputs: Some(last.back(&inputs)?),
            weights: vec![sums.reshape(scale.shape())?],
        })
    }
}

/// An error where γ of shape `scale` cannot be repeated along the last axes.
fn check_scale(axis: &Axes, scale: &[usize], input_shape: &[usize]) -> Result<()> {
    let lengths = &input_shape[input_shape.len() - scale.len()..];
    let fits = |(scale, input): (&usize, &usize)| *scale == 1 || scale == input;
    if scale.iter().zip(lengths).all(fits) {
        return Ok(());
    }
    Err(Error::argument(
        "axis",
        format!("axes as long as the last ones, {}", tuple(lengths)),
        format!("{axis:?}, {}", tuple(scale)),
        "the weight `scale` lies along the last axes, so normalize along those",
    ))
}

impl Layer for RMSNormalization {
    layer_access!("RMSNormalization");

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        check_epsilon(self.epsilon)?;
        let axes = axes_of_samples(&self.axis, input_shape)?;
        let shape: Vec<usize> = axes.iter().map(|axis| input_shape[axis - 1]).collect();
        check_scale(&self.axis, &shape, input_shape)?;
        weights.add("scale", &shape, &Ones)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let last = self.axes_last(inputs.dims())?;
        let (x, scale) = (last.rows(inputs)?, pass.weight("scale")?);
        if last.are_last() {
            let gamma = scale.flatten_all()?;
            return last.back(&self.normalized(&x, Some(&gamma)).outputs()?);
        }
        let normalized = last.back(&self.normalized(&x, None).outputs()?)?;
        Ok(normalized.broadcast_mul(scale)?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::RMSNormalization {
            axis: &self.axis,
            epsilon: self.epsilon,
        })
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for RMSNormalization {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let last = self.axes_last(step.inputs.dims())?;
        if !last.are_last() {
            return self.gradients_across(step, gradient, &last);
        }
        let scale = step.weight("scale")?;
        let (x, gamma) = (last.rows(step.inputs)?, scale.flatten_all()?);
        let rows = self.normalized(&x, Some(&gamma));
        let gradients = rows.gradients(&last.rows(gradient)?)?;
        Ok(Gradients {
            inputs: Some(last.back(&gradients.x)?),
            weights: vec![gradients.gamma.reshape(scale.shape())?],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::alone::{Alone, fused_as_plain, numbers};
    use candle_core::DType;

    #[test]
    fn gradients_are_those_of_differences() {
        let new = RMSNormalization::new;
        for (layer, shape) in [
            (new(), &[3, 5][..]),
            (new().epsilon(0.1), &[2, 3, 4]),
            (new().axis([1, 2]), &[2, 3, 4]),
            (new().axis(1), &[2, 4, 4]),
            (new().axis([1, 2]), &[2, 3, 1, 3, 1]),
            (new().axis(1), &[2, 1, 3]), // one γ for all
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
            &[64, 128],
            &[33, 100],
            &[7, 1000],
            &[3, 40, 40],
        ] {
            let what = format!("{shape:?}");
            let x = numbers("x", shape);
            fused_as_plain(&what, || RMSNormalization::new().into(), &x, Some(1));
            let first = || RMSNormalization::new().axis(1).into();
            fused_as_plain(&what, first, &x, Some(1));
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors_that_name_them() {
        let new = RMSNormalization::new;
        for (layer, message) in [
            (
                new().epsilon(0.0),
                "`epsilon`: expected a number above 0, got 0",
            ),
            (
                new().axis(0),
                "`axis`: expected an axis of the samples, got the batch's",
            ),
            (
                new().axis(1),
                "`axis`: expected axes as long as the last ones, (3,), got One(1), (2,)",
            ),
        ] {
            let error = Alone::new(layer, &[2, 3], DType::F32).err().unwrap();
            assert!(error.to_string().starts_with(message), "{error}");
        }
    }
}
