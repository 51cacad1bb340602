use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass,
    function_layer::{check_not_negative, function_layer},
    layer_access, layer_setters,
};
use crate::{
    Result,
    activations::ActivationFunction::{self, LeakyRelu},
    weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// A rectifier that lets a little through below 0: f(x) = x for x > 0, else `negative_slope`·x.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// # Defaults
/// A slope of 0.3; the activation function's is 0.2.
///
/// ```
/// use candle_keras::{layers::LeakyReLU, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(2))
///     .add(LeakyReLU::new().negative_slope(0.5))
///     .build(&Device::Cpu)?;
/// let x = Tensor::new(&[[-2f32, 1.0]], &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[-1.0, 1.0]]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a slope below 0 or not finite.
///
/// Keras: `LeakyReLU`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LeakyReLU {
    negative_slope: f64,
    #[serde(flatten)]
    base: Base,
}

impl Default for LeakyReLU {
    fn default() -> Self {
        Self::new()
    }
}

impl LeakyReLU {
    /// With a slope of 0.3.
    pub fn new() -> Self {
        Self {
            negative_slope: 0.3,
            base: Base::default(),
        }
    }

    /// The slope below 0.
    pub fn negative_slope(mut self, negative_slope: f64) -> Self {
        self.negative_slope = negative_slope;
        self
    }

    layer_setters!();

    fn check(&self) -> Result<()> {
        check_not_negative("negative_slope", self.negative_slope, "0.3")
    }

    fn function(&self) -> ActivationFunction {
        LeakyRelu {
            negative_slope: self.negative_slope,
        }
    }
}

function_layer!(LeakyReLU, "LeakyReLU");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Device, Input, Sequential};

    #[test]
    fn a_slope_below_zero_is_an_error() {
        let layer = LeakyReLU::new().negative_slope(-0.5);
        let model = Sequential::new().add(Input::new(1)).add(layer);
        assert_eq!(
            model.build(&Device::Cpu).unwrap_err().to_string(),
            "layer `leaky_re_lu` (LeakyReLU): `negative_slope`: expected at least 0, got -0.5: \
             Keras's default is 0.3"
        );
    }
}
