use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
};
use crate::{
    Error, Result, activations::ActivationFunction, error::batched, weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// An activation function as a layer of its own.
///
/// # Shapes
/// Outputs have the shape of the inputs, but for [`Glu`](crate::activations::Glu), which halves the
/// last axis.
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(2))
///     .add(Activation::new(Relu))
///     .build(&Device::Cpu)?;
/// let x = Tensor::new(&[[-1f32, 1.0]], &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[0.0, 1.0]]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a parameter that is not finite, for functions along the last axis
/// where samples have none, and for `Glu` where it is odd.
///
/// Keras: `Activation`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Activation {
    #[serde(rename = "activation")]
    function: ActivationFunction,
    #[serde(flatten)]
    base: Base,
}

impl Activation {
    /// A layer that applies `function`.
    pub fn new(function: ActivationFunction) -> Self {
        Self {
            function,
            base: Base::default(),
        }
    }

    layer_setters!();
}

impl Layer for Activation {
    layer_access!("Activation");

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        self.function.check()
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        let mut shape = input_shape.to_vec();
        match shape.last_mut() {
            Some(width) => *width = self.function.output_width(*width)?,
            None if self.function.works_along_axis() => {
                return Err(Error::shape(
                    "(None, .., classes)",
                    batched(input_shape),
                    format!(
                        "{} works along the last axis, so give samples one",
                        self.function.name()
                    ),
                ));
            }
            None => {}
        }
        Ok(shape)
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        if pass.without_activation() {
            return Ok(inputs.clone());
        }
        self.function.call_owned(inputs.force_contiguous()?)
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Function(self.function))
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }

    fn final_activation(&self) -> ActivationFunction {
        self.function
    }
}

impl Backward for Activation {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let inputs = if step.without_activation {
            gradient.clone()
        } else {
            self.function
                .backward(Some(step.inputs), step.outputs, gradient)?
        };
        Ok(Gradients {
            inputs: Some(inputs),
            weights: Vec::new(),
        })
    }
}
