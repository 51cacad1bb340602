use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
};
use crate::{Error, Result, error::batched, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// A sample's axes in another order: output axis i is input axis `dims`\[i\].
///
/// # Shapes
/// Inputs (batch, ..), outputs (batch, the same lengths in the order of `dims`).
///
/// ```
/// use candle_keras::{layers::Permute, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new((10, 64)))
///     .add(Permute::new([2, 1]))
///     .build(&Device::Cpu)?;
/// assert_eq!(model.output_shape(), [64, 10]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails where `dims` do not name every axis of a sample once.
///
/// Keras: `Permute`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Permute {
    dims: Vec<usize>,
    #[serde(flatten)]
    base: Base,
}

impl Permute {
    /// A layer that orders a sample's axes as in `dims`, counted from 1.
    pub fn new(dims: impl IntoIterator<Item = usize>) -> Self {
        Self {
            dims: dims.into_iter().collect(),
            base: Base::default(),
        }
    }

    layer_setters!();

    /// Where each axis of the outputs, the batch's included, comes from.
    fn order(&self) -> Vec<usize> {
        std::iter::once(0)
            .chain(self.dims.iter().copied())
            .collect()
    }
}

impl Layer for Permute {
    layer_access!("Permute");

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        let mut sorted = self.dims.clone();
        sorted.sort_unstable();
        if sorted.iter().copied().eq(1..=self.dims.len()) {
            return Ok(());
        }
        Err(Error::argument(
            "dims",
            format!("the axes 1 to {}, each once", self.dims.len()),
            format!("{:?}", self.dims),
            "1 is a sample's first axis, as 0 is the batch's, which stays",
        ))
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        if input_shape.len() != self.dims.len() {
            return Err(Error::shape(
                format!("of {} axes after the batch's", self.dims.len()),
                batched(input_shape),
                "give as many dims as a sample has axes",
            ));
        }
        let lengths = self
            .dims
            .iter()
            .filter_map(|dim| input_shape.get(dim.checked_sub(1)?));
        Ok(lengths.copied().collect())
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        Ok(inputs.permute(self.order())?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Permute(&self.dims))
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Permute {
    fn gradients(&self, _step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        Ok(Gradients {
            inputs: Some(gradient.permute(inverse(&self.order()))?.contiguous()?),
            weights: Vec::new(),
        })
    }
}

/// The order of axes that undoes `order`, in which every index comes once.
pub(super) fn inverse(order: &[usize]) -> Vec<usize> {
    let mut places: Vec<usize> = (0..order.len()).collect();
    places.sort_unstable_by_key(|place| order.get(*place));
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn an_order_and_its_inverse_undo_each_other() {
        let order = [0, 3, 1, 2];
        let inverse = inverse(&order);
        assert_eq!(inverse, [0, 2, 3, 1]);
        let undone: Vec<usize> = inverse.iter().map(|place| order[*place]).collect();
        assert_eq!(undone, [0, 1, 2, 3]);
    }

    #[test]
    fn dims_that_are_no_permutation_of_the_axes_are_an_error() {
        let text = |dims: &[usize]| {
            let layer = Permute::new(dims.to_vec());
            let model = Sequential::new().add(Input::new((3, 4))).add(layer);
            model.build(&Device::Cpu).unwrap_err().to_string()
        };
        assert_eq!(
            text(&[0, 1]),
            "layer `permute` (Permute): `dims`: expected the axes 1 to 2, each once, got [0, 1]: 1 \
             is a sample's first axis, as 0 is the batch's, which stays"
        );
        assert!(text(&[1, 1]).contains("expected the axes 1 to 2, each once, got [1, 1]"));
        assert_eq!(
            text(&[1, 3, 2]),
            "layer `permute` (Permute): expected an input of shape of 3 axes after the batch's, got \
             (None, 3, 4): give as many dims as a sample has axes"
        );
    }
}
