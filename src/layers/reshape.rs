use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
};
use crate::{Error, Result, error::tuple, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Every sample's numbers, in their order, in another shape.
///
/// # Shapes
/// Inputs (batch, ..), outputs (batch, target_shape), of as many numbers. One length of
/// `target_shape` may be -1: what is left for it.
///
/// ```
/// use candle_keras::{layers::Reshape, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(12))
///     .add(Reshape::new([-1, 2, 2]))
///     .build(&Device::Cpu)?;
/// assert_eq!(model.output_shape(), [3, 2, 2]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a length of 0 or below -1, for more than one -1, and for inputs of another
/// count of numbers.
///
/// Keras: `Reshape`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reshape {
    target_shape: Vec<i64>,
    #[serde(flatten)]
    base: Base,
}

impl Reshape {
    /// A layer that gives samples of `target_shape`, which does not count the batch's axis.
    pub fn new(target_shape: impl IntoIterator<Item = i64>) -> Self {
        Self {
            target_shape: target_shape.into_iter().collect(),
            base: Base::default(),
        }
    }

    layer_setters!();

    fn misfit(&self, expected: impl Into<String>, advice: impl Into<String>) -> Error {
        let got = format!("{:?}", self.target_shape);
        Error::argument("target_shape", expected, got, advice)
    }
}

impl Layer for Reshape {
    layer_access!("Reshape");

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        if self
            .target_shape
            .iter()
            .any(|length| *length == 0 || *length < -1)
        {
            let advice = "give the lengths of a sample's axes, without the batch's";
            return Err(self.misfit("lengths of at least 1, or -1", advice));
        }
        if self
            .target_shape
            .iter()
            .filter(|length| **length == -1)
            .count()
            > 1
        {
            let advice = "only one length can be told from the others";
            return Err(self.misfit("at most one -1", advice));
        }
        Ok(())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        let count: usize = input_shape.iter().product();
        let known = self.target_shape.iter().filter(|length| **length != -1);
        let known = known.fold(1, |product: usize, length| {
            product.saturating_mul(length.unsigned_abs() as usize)
        });
        let has_unknown = self.target_shape.contains(&-1);
        let fits = match has_unknown {
            true => known > 0 && count.is_multiple_of(known),
            false => count == known,
        };
        if !fits {
            let expected = format!(
                "a shape of {count} numbers, as samples of shape {} have",
                tuple(input_shape)
            );
            let advice = match has_unknown {
                true => {
                    format!("{count} is no multiple of {known}, the product of the other lengths")
                }
                false => format!("these are {known}; -1 in one place stands for what is left"),
            };
            return Err(self.misfit(expected, advice));
        }
        let length = |length: &i64| match length {
            -1 => count / known,
            length => length.unsigned_abs() as usize,
        };
        Ok(self.target_shape.iter().map(length).collect())
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        let (batch, sample) = inputs.dims().split_at(1);
        let shape = [batch, &self.output_shape(sample)?].concat();
        Ok(inputs.reshape(shape)?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Reshape)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Reshape {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        Ok(Gradients {
            inputs: Some(gradient.reshape(step.inputs.shape())?),
            weights: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn reshaped(input_shape: (usize, usize), target_shape: &[i64]) -> Result<Vec<usize>> {
        let layer = Reshape::new(target_shape.to_vec());
        let model = Sequential::new().add(Input::new(input_shape)).add(layer);
        Ok(model.build(&Device::Cpu)?.output_shape().to_vec())
    }

    #[test]
    fn an_unknown_length_is_what_is_left() {
        assert_eq!(reshaped((3, 4), &[2, -1, 3]).unwrap(), [2, 2, 3]);
        assert_eq!(reshaped((3, 4), &[-1]).unwrap(), [12]);
        assert!(reshaped((1, 1), &[]).unwrap().is_empty());
    }

    #[test]
    fn a_shape_that_does_not_fit_is_an_error_with_the_numbers() {
        let text = |shape: &[i64]| reshaped((3, 4), shape).unwrap_err().to_string();
        assert_eq!(
            text(&[2, 5]),
            "layer `reshape` (Reshape): `target_shape`: expected a shape of 12 numbers, as samples \
             of shape (3, 4) have, got [2, 5]: these are 10; -1 in one place stands for what is left"
        );
        assert_eq!(
            text(&[-1, 5]),
            "layer `reshape` (Reshape): `target_shape`: expected a shape of 12 numbers, as samples \
             of shape (3, 4) have, got [-1, 5]: 12 is no multiple of 5, the product of the other \
             lengths"
        );
        assert_eq!(
            text(&[-1, -1]),
            "layer `reshape` (Reshape): `target_shape`: expected at most one -1, got [-1, -1]: only \
             one length can be told from the others"
        );
        assert!(text(&[0, 12]).contains("expected lengths of at least 1, or -1, got [0, 12]"));
        assert!(text(&[-2, 6]).contains("expected lengths of at least 1, or -1, got [-2, 6]"));
        assert!(text(&[i64::MAX, 4]).contains("a shape of 12 numbers"));
    }
}
