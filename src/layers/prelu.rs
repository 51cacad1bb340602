use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
};
use crate::{
    Error, Result,
    activations::ActivationFunction::Relu,
    constraints::Constraint,
    initializers::{Initializer, Zeros},
    regularizers::Regularizer,
    weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A rectifier whose slope below 0 is learned, for every feature its own: f(x) = x for x > 0, else
/// `alpha`·x; its gradients at 0 are 0.
///
/// # Shapes
/// Outputs have the shape of the inputs. Weight: `alpha`, of a sample's shape, with length 1 along
/// the axes that share one.
///
/// # Defaults
/// The slopes start with [`Zeros`]; no axis shares them.
///
/// ```
/// use candle_keras::{layers::PReLU, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new((8, 8, 3)))
///     .add(PReLU::new().shared_axes([1, 2])) // one slope for each channel
///     .build(&Device::Cpu)?;
/// assert_eq!(model.weight("p_re_lu/alpha")?.dims(), [1, 1, 3]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a shared axis that a sample does not have.
///
/// Keras: `PReLU` (He et al., 2015, "Delving deep into rectifiers"). Keras counts a shared axis
/// below 1 from the end, one off; here it is an error.
#[derive(Debug, Serialize, Deserialize)]
pub struct PReLU {
    alpha_initializer: Box<dyn Initializer>,
    #[serde(with = "crate::config::shared")]
    alpha_regularizer: Option<Arc<dyn Regularizer>>,
    #[serde(with = "crate::config::shared")]
    alpha_constraint: Option<Arc<dyn Constraint>>,
    shared_axes: Option<Vec<usize>>,
    #[serde(flatten)]
    base: Base,
}

impl Default for PReLU {
    fn default() -> Self {
        Self::new()
    }
}

impl PReLU {
    /// A layer whose slopes start with 0.
    pub fn new() -> Self {
        Self {
            alpha_initializer: Box::new(Zeros),
            alpha_regularizer: None,
            alpha_constraint: None,
            shared_axes: None,
            base: Base::default(),
        }
    }

    /// What the slopes start with.
    pub fn alpha_initializer(mut self, initializer: impl Initializer + 'static) -> Self {
        self.alpha_initializer = Box::new(initializer);
        self
    }

    /// What the slopes add to the loss.
    pub fn alpha_regularizer(mut self, regularizer: impl Regularizer + 'static) -> Self {
        self.alpha_regularizer = Some(Arc::new(regularizer));
        self
    }

    /// What every update brings the slopes back to.
    pub fn alpha_constraint(mut self, constraint: impl Constraint + 'static) -> Self {
        self.alpha_constraint = Some(Arc::new(constraint));
        self
    }

    /// The axes along which all features have one slope; 1 is a sample's first.
    pub fn shared_axes(mut self, axes: impl IntoIterator<Item = usize>) -> Self {
        self.shared_axes = Some(axes.into_iter().collect());
        self
    }

    layer_setters!();

    fn shared(&self) -> &[usize] {
        self.shared_axes.as_deref().unwrap_or_default()
    }
}

impl Layer for PReLU {
    layer_access!("PReLU");

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        let mut shape = input_shape.to_vec();
        for axis in self.shared() {
            let length = axis.checked_sub(1).and_then(|index| shape.get_mut(index));
            let length = length.ok_or_else(|| {
                Error::argument(
                    "shared_axes",
                    format!("axes of a sample, from 1 to {}", input_shape.len()),
                    axis,
                    "1 is a sample's first axis, as 0 is the batch's",
                )
            })?;
            *length = 1;
        }
        weights.add("alpha", &shape, &*self.alpha_initializer)?;
        weights.regularize("alpha", self.alpha_regularizer.clone())?;
        weights.constrain("alpha", self.alpha_constraint.clone())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let above = Relu.call(inputs)?;
        let below = Relu.call(&inputs.neg()?)?;
        Ok((above - below.broadcast_mul(pass.weight("alpha")?)?)?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::PReLU)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for PReLU {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let x = step.inputs;
        // What alpha is multiplied by; every sample and every place along a shared axis counts.
        let below = Relu.call(&x.neg()?)?.neg()?;
        let along: Vec<usize> = std::iter::once(0)
            .chain(self.shared().iter().copied())
            .collect();
        let of_alpha = (&below * gradient)?.sum_keepdim(along)?.squeeze(0)?;
        let inputs = if step.needs_input_gradient {
            let zeros = x.zeros_like()?;
            let sloped = gradient.broadcast_mul(step.weight("alpha")?)?;
            let up_to_zero = x.lt(&zeros)?.where_cond(&sloped, &zeros)?;
            Some(x.gt(&zeros)?.where_cond(gradient, &up_to_zero)?)
        } else {
            None
        };
        Ok(Gradients {
            inputs,
            weights: vec![of_alpha],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn at_zero_nothing_has_a_gradient() -> Result<()> {
        let network = Sequential::new().add(Input::new(1));
        let network = network.add(Dense::new(1).use_bias(false)).add(PReLU::new());
        let mut model = network.build(&Device::Cpu)?;
        model.set_weight(
            "dense/kernel",
            &Tensor::zeros((1, 1), DType::F32, &Device::Cpu)?,
        )?;
        model.set_weight("p_re_lu/alpha", &Tensor::ones(1, DType::F32, &Device::Cpu)?)?;
        model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
        let ones = Tensor::ones((1, 1), DType::F32, &Device::Cpu)?;
        for (path, gradient) in model.gradients(&ones, &ones)? {
            assert_eq!(gradient.flatten_all()?.to_vec1::<f32>()?, [0.0], "{path}");
        }
        Ok(())
    }

    #[test]
    fn a_constraint_holds_after_every_step() -> Result<()> {
        use crate::constraints::NonNeg;
        let layer = PReLU::new().alpha_constraint(NonNeg);
        let mut model = Sequential::new()
            .add(Input::new(1))
            .add(layer)
            .build(&Device::Cpu)?;
        model.compile(Sgd::new(1.0), MeanSquaredError::new(), ())?;
        let x = Tensor::new(&[[-1f32]], &Device::Cpu)?;
        model.train_on_batch(&x, &Tensor::new(&[[3f32]], &Device::Cpu)?)?;
        assert_eq!(model.weight("p_re_lu/alpha")?.to_vec1::<f32>()?, [0.0]);
        Ok(())
    }

    #[test]
    fn shared_axes_that_a_sample_does_not_have_are_errors() {
        let text = |axis| {
            let layer = PReLU::new().shared_axes([axis]);
            let model = Sequential::new().add(Input::new((2, 3))).add(layer);
            model.build(&Device::Cpu).unwrap_err().to_string()
        };
        assert_eq!(
            text(0),
            "layer `p_re_lu` (PReLU): `shared_axes`: expected axes of a sample, from 1 to 2, got 0: 1 \
             is a sample's first axis, as 0 is the batch's"
        );
        assert!(text(3).contains("from 1 to 2, got 3"));
    }
}
