use super::{Layer, Pass};
use crate::Result;
use candle_core::{Shape, Tensor};

/// The shape of one sample; the first layer of every model. Keras: `Input`, or the `InputLayer`
/// that it makes, which is in no list of layers.
///
/// ```
/// use candle_keras::prelude::*;
/// Input::new(784); // 784 features
/// Input::new((28, 28)); // an image
/// ```
#[derive(Debug)]
pub struct Input {
    shape: Vec<usize>,
}

impl Input {
    /// An input of samples of `shape`, without the batch's axis.
    pub fn new(shape: impl Into<Shape>) -> Self {
        Self {
            shape: shape.into().into_dims(),
        }
    }

    /// The shape of one sample.
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }
}

impl Layer for Input {
    fn class_name(&self) -> &str {
        "InputLayer"
    }

    fn as_input(&self) -> Option<&Input> {
        Some(self)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        Ok(inputs.clone())
    }
}
