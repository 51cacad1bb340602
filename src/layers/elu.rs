use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, function_layer::function_layer,
    layer_access, layer_setters,
};
use crate::{
    Result,
    activations::ActivationFunction::{self, Elu},
    weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// A rectifier that bends smoothly below 0: f(x) = x for x > 0, else `alpha`·(eˣ - 1).
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// # Defaults
/// An alpha of 1.
///
/// ```
/// use candle_keras::{layers::ELU, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(2))
///     .add(ELU::new().alpha(0.5))
///     .build(&Device::Cpu)?;
/// let x = Tensor::new(&[[-100f32, 1.0]], &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[-0.5, 1.0]]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for an alpha that is not finite.
///
/// Keras: `ELU` (Clevert et al., 2016, "Fast and accurate deep network learning by exponential
/// linear units").
#[derive(Debug, Serialize, Deserialize)]
pub struct ELU {
    alpha: f64,
    #[serde(flatten)]
    base: Base,
}

impl Default for ELU {
    fn default() -> Self {
        Self::new()
    }
}

impl ELU {
    /// With an alpha of 1.
    pub fn new() -> Self {
        Self {
            alpha: 1.0,
            base: Base::default(),
        }
    }

    /// How far the output goes below 0.
    pub fn alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    layer_setters!();

    fn check(&self) -> Result<()> {
        Ok(()) // whatever the function takes
    }

    fn function(&self) -> ActivationFunction {
        Elu { alpha: self.alpha }
    }
}

function_layer!(ELU, "ELU");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Device, Input, Sequential};

    #[test]
    fn an_alpha_that_is_not_finite_is_an_error() {
        let layer = ELU::new().alpha(f64::NAN);
        let model = Sequential::new().add(Input::new(1)).add(layer);
        assert_eq!(
            model.build(&Device::Cpu).unwrap_err().to_string(),
            "layer `elu` (ELU): `alpha`: expected a finite number, got NaN: Keras's default is 1"
        );
    }
}
