use super::{Backward, Forward, Gradients, Layer, Pass};
use crate::{
    Error, Result, activations::ActivationFunction, error::batched, weights::WeightBuilder,
};
use candle_core::Tensor;

/// An activation function as a layer of its own.
///
/// # Shapes
/// Outputs have the shape of the inputs.
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
/// `build` fails for a parameter that is not finite, and for softmax where samples have no axis.
///
/// Keras: `Activation`.
#[derive(Debug)]
pub struct Activation {
    function: ActivationFunction,
    name: Option<String>,
}

impl Activation {
    /// A layer that applies `function`.
    pub fn new(function: ActivationFunction) -> Self {
        Self {
            function,
            name: None,
        }
    }

    /// The layer's name, in place of `activation`, `activation_1`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Layer for Activation {
    fn class_name(&self) -> &str {
        "Activation"
    }

    fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        self.function.check()
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        if self.function == ActivationFunction::Softmax && input_shape.is_empty() {
            return Err(Error::shape(
                "(None, .., classes)",
                batched(input_shape),
                "softmax works along the last axis, so give samples one",
            ));
        }
        Ok(input_shape.to_vec())
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        if pass.without_activation() {
            return Ok(inputs.clone());
        }
        self.function.call_owned(inputs.force_contiguous()?)
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
