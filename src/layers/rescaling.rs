use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Numbers, Pass, layer_access,
    layer_setters, numbers::spread,
};
use crate::{Error, Result, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Brings numbers into another range: y = x·`scale` + `offset`, while training and after.
///
/// # Shapes
/// Outputs have the shape of the inputs. `scale` and `offset` are numbers, or lists for the last
/// axis (or lists of lists for the last axes).
///
/// # Defaults
/// An offset of 0.
///
/// ```
/// use candle_keras::{layers::Rescaling, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(3))
///     .add(Rescaling::new(1.0 / 127.5).offset(-1.0))
///     .build(&Device::Cpu)?;
/// let bytes = Tensor::new(&[[0u8, 255, 255]], &Device::Cpu)?;
/// assert_eq!(model.predict(&bytes)?.to_vec2::<f32>()?, [[-1.0, 1.0, 1.0]]);
/// Rescaling::new([0.5, 2.0, 1.0]); // another factor for each feature
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for numbers that are not finite, and for lists that do not fit the inputs.
///
/// Keras: `Rescaling`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Rescaling {
    scale: Numbers,
    offset: Numbers,
    /// Scale and offset in the inputs' rank, once it is built.
    #[serde(skip)]
    built: Option<(Tensor, Tensor)>,
    #[serde(flatten)]
    base: Base,
}

impl Rescaling {
    /// A layer that multiplies by `scale`.
    pub fn new(scale: impl Into<Numbers>) -> Self {
        Self {
            scale: scale.into(),
            offset: Numbers::One(0.0),
            built: None,
            base: Base::default(),
        }
    }

    /// What is added to every product.
    pub fn offset(mut self, offset: impl Into<Numbers>) -> Self {
        self.offset = offset.into();
        self
    }

    layer_setters!();

    fn tensors(&self) -> Result<&(Tensor, Tensor)> {
        let method = "forward";
        self.built.as_ref().ok_or(Error::NotBuilt { method })
    }
}

impl Layer for Rescaling {
    layer_access!("Rescaling");

    fn build(&mut self, input_shape: &[usize], weights: &mut WeightBuilder<'_>) -> Result<()> {
        let made = |argument, numbers: &Numbers| {
            let place = (weights.dtype, weights.device);
            spread(argument, &numbers.tensor(argument)?, input_shape, place)
        };
        self.built = Some((made("scale", &self.scale)?, made("offset", &self.offset)?));
        Ok(())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        if let (Numbers::One(scale), Numbers::One(offset)) = (&self.scale, &self.offset) {
            return Ok(inputs.affine(*scale, *offset)?);
        }
        let (scale, offset) = self.tensors()?;
        Ok(inputs.broadcast_mul(scale)?.broadcast_add(offset)?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        let (scale, offset) = self.built.as_ref()?;
        Some(Inference::Rescaling { scale, offset })
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Rescaling {
    fn gradients(&self, _step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let inputs = match &self.scale {
            Numbers::One(scale) => gradient.affine(*scale, 0.0)?,
            Numbers::Several(_) => gradient.broadcast_mul(&self.tensors()?.0)?,
        };
        Ok(Gradients {
            inputs: Some(inputs),
            weights: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    fn build(layer: Rescaling) -> Result<Sequential> {
        let model = Sequential::new().add(Input::new((2, 3))).add(layer);
        model.build(&Device::Cpu)
    }

    #[test]
    fn lists_of_lists_are_for_the_last_axes() -> Result<()> {
        let scale = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]];
        let model = build(Rescaling::new(scale).offset([[10.0], [20.0]]))?;
        let y = model.predict(&Tensor::ones((1, 2, 3), DType::F32, &Device::Cpu)?)?;
        assert_eq!(
            y.to_vec3::<f32>()?,
            [[[11.0, 12.0, 13.0], [24.0, 25.0, 26.0]]]
        );
        Ok(())
    }

    #[test]
    fn numbers_that_do_not_fit_are_errors() {
        let text = |layer| build(layer).unwrap_err().to_string();
        assert_eq!(
            text(Rescaling::new([1.0, 2.0])),
            "layer `rescaling` (Rescaling): `scale`: expected a number, or numbers for the last axes \
             of samples of shape (2, 3), got numbers of shape (2,): give one number for each place \
             along these axes"
        );
        assert!(text(Rescaling::new(1.0).offset([1.0; 4])).contains("`offset`: expected a number"));
        let ragged = Rescaling::new(vec![vec![1.0], vec![1.0, 2.0]]);
        assert!(text(ragged).contains("`scale`: expected a number, or lists that are all of one"));
        let empty: [f64; 0] = [];
        assert!(text(Rescaling::new(empty)).contains("lists that are all of one length"));
        assert_eq!(
            text(Rescaling::new(f64::NAN)),
            "layer `rescaling` (Rescaling): `scale`: expected finite numbers, got NaN: every output \
             would be no number"
        );
    }
}
