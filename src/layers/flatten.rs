use super::{Backward, Forward, Gradients, Layer, Pass};
use crate::Result;
use candle_core::Tensor;

/// Every sample as one row.
///
/// # Shapes
/// Inputs (batch, ..), outputs (batch, product of ..).
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new((28, 28)))
///     .add(Flatten::new())
///     .build(&Device::Cpu)?;
/// assert_eq!(model.output_shape(), [784]);
/// # Ok(()) }
/// ```
///
/// Keras: `Flatten`.
#[derive(Debug, Default)]
pub struct Flatten {
    name: Option<String>,
}

impl Flatten {
    /// A layer that flattens.
    pub fn new() -> Self {
        Self::default()
    }

    /// The layer's name, in place of `flatten`, `flatten_1`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Layer for Flatten {
    fn class_name(&self) -> &str {
        "Flatten"
    }

    fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(vec![input_shape.iter().product()])
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        let width: usize = inputs.dims().iter().skip(1).product();
        Ok(inputs.reshape(((), width))?)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Flatten {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        Ok(Gradients {
            inputs: Some(gradient.reshape(step.inputs.shape())?),
            weights: Vec::new(),
        })
    }
}
