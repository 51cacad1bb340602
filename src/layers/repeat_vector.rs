use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
};
use crate::{Error, Result, error::batched, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Every sample `n` times, one below the other: the same vector at each of `n` times.
///
/// # Shapes
/// Inputs (batch, features), outputs (batch, n, features).
///
/// ```
/// use candle_keras::{layers::RepeatVector, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(2))
///     .add(RepeatVector::new(3))
///     .build(&Device::Cpu)?;
/// let y = model.predict(&Tensor::new(&[[1f32, 2.0]], &Device::Cpu)?)?;
/// assert_eq!(y.to_vec3::<f32>()?, [[[1.0, 2.0], [1.0, 2.0], [1.0, 2.0]]]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for 0 times, and for samples that are not vectors.
///
/// Keras: `RepeatVector`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RepeatVector {
    n: usize,
    #[serde(flatten)]
    base: Base,
}

impl RepeatVector {
    /// A layer that repeats `n` times.
    pub fn new(n: usize) -> Self {
        Self {
            n,
            base: Base::default(),
        }
    }

    layer_setters!();
}

impl Layer for RepeatVector {
    layer_access!("RepeatVector");

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        if self.n == 0 {
            let advice = "1 adds an axis of length 1";
            return Err(Error::argument("n", "at least 1", 0, advice));
        }
        Ok(())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        match input_shape {
            [features] => Ok(vec![self.n, *features]),
            _ => Err(Error::shape(
                "(None, features)",
                batched(input_shape),
                "RepeatVector repeats vectors: a Flatten layer makes them of samples of more axes",
            )),
        }
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        let (batch, features) = inputs.dims2()?;
        Ok(inputs.unsqueeze(1)?.expand((batch, self.n, features))?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::RepeatVector)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for RepeatVector {
    fn gradients(&self, _step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        Ok(Gradients {
            inputs: Some(gradient.sum(1)?),
            weights: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn no_times_and_samples_of_two_axes_are_errors() {
        let text = |input: Input, n| {
            let model = Sequential::new().add(input).add(RepeatVector::new(n));
            model.build(&Device::Cpu).unwrap_err().to_string()
        };
        assert_eq!(
            text(Input::new(2), 0),
            "layer `repeat_vector` (RepeatVector): `n`: expected at least 1, got 0: 1 adds an axis \
             of length 1"
        );
        assert_eq!(
            text(Input::new((2, 3)), 2),
            "layer `repeat_vector` (RepeatVector): expected an input of shape (None, features), got \
             (None, 2, 3): RepeatVector repeats vectors: a Flatten layer makes them of samples of \
             more axes"
        );
    }
}
