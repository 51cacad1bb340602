use super::{Backward, Forward, Gradients, Layer, Pass};
use crate::{Error, Result, weights::WeightBuilder};
use candle_core::Tensor;

/// Zeroes a random fraction `rate` of the inputs while training and divides the others by
/// 1 - rate, so that their sum is expected to stay. Does nothing outside training.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(64))
///     .add(Dropout::new(0.5))
///     .build(&Device::Cpu)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a rate outside 0..=1.
///
/// Keras: `Dropout` (Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks
/// from overfitting"). The same inputs are dropped on every device, though not Keras's.
#[derive(Debug)]
pub struct Dropout {
    rate: f64,
    name: Option<String>,
}

impl Dropout {
    /// A layer that drops a fraction `rate`, from 0 to 1.
    pub fn new(rate: f64) -> Self {
        Self { rate, name: None }
    }

    /// The layer's name, in place of `dropout`, `dropout_1`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// 0 for what is dropped, 1 / (1 - rate) for what is kept.
    fn mask(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        let mut stream = pass.stream();
        let (rate, kept) = (self.rate as f32, (1.0 / (1.0 - self.rate)) as f32);
        let factors: Vec<f32> = (0..inputs.elem_count())
            .map(|_| if stream.uniform() < rate { 0.0 } else { kept })
            .collect();
        let mask = Tensor::from_vec(factors, inputs.shape(), inputs.device())?;
        Ok(mask.to_dtype(inputs.dtype())?)
    }
}

impl Layer for Dropout {
    fn class_name(&self) -> &str {
        "Dropout"
    }

    fn given_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        if (0.0..=1.0).contains(&self.rate) {
            return Ok(());
        }
        Err(Error::argument(
            "rate",
            "a fraction from 0 to 1",
            self.rate,
            "0.2 drops a fifth of the inputs",
        ))
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        if !pass.training() || self.rate == 0.0 {
            return Ok(inputs.clone());
        }
        let mask = self.mask(inputs, pass)?;
        let outputs = (inputs * &mask)?;
        pass.keep(mask);
        Ok(outputs)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Dropout {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let inputs = match step.kept.first() {
            Some(mask) => (gradient * mask)?,
            None => gradient.clone(),
        };
        Ok(Gradients {
            inputs: Some(inputs),
            weights: Vec::new(),
        })
    }
}
