use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass,
    function_layer::{check_not_negative, function_layer},
    layer_access, layer_setters,
};
use crate::{
    Result,
    activations::ActivationFunction::{self, Relu, ReluWith},
    weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Numbers above a threshold as they are, up to a greatest one: f(x) = min(x, `max_value`) for
/// x > `threshold`, else `negative_slope`·(x - `threshold`).
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// # Defaults
/// No greatest number, a slope of 0 and a threshold of 0: f(x) = max(x, 0).
///
/// ```
/// use candle_keras::{layers::ReLU, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(3))
///     .add(ReLU::new().max_value(6.0).negative_slope(0.5))
///     .build(&Device::Cpu)?;
/// let x = Tensor::new(&[[-2f32, 1.0, 9.0]], &Device::Cpu)?;
/// assert_eq!(model.predict(&x)?.to_vec2::<f32>()?, [[-1.0, 1.0, 6.0]]);
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for an argument below 0 or not finite.
///
/// Keras: `ReLU`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ReLU {
    max_value: Option<f64>,
    negative_slope: f64,
    threshold: f64,
    #[serde(flatten)]
    base: Base,
}

impl ReLU {
    /// max(x, 0).
    pub fn new() -> Self {
        Self::default()
    }

    /// The greatest output.
    pub fn max_value(mut self, max_value: f64) -> Self {
        self.max_value = Some(max_value);
        self
    }

    /// The slope up to the threshold.
    pub fn negative_slope(mut self, negative_slope: f64) -> Self {
        self.negative_slope = negative_slope;
        self
    }

    /// Up to here the output is that of the slope.
    pub fn threshold(mut self, threshold: f64) -> Self {
        self.threshold = threshold;
        self
    }

    layer_setters!();

    fn check(&self) -> Result<()> {
        check_not_negative("max_value", self.max_value.unwrap_or_default(), "none")?;
        check_not_negative("negative_slope", self.negative_slope, "0")?;
        check_not_negative("threshold", self.threshold, "0")
    }

    fn function(&self) -> ActivationFunction {
        match (self.max_value, self.negative_slope, self.threshold) {
            (None, 0.0, 0.0) => Relu,
            (max_value, negative_slope, threshold) => ReluWith {
                negative_slope,
                max_value,
                threshold,
            },
        }
    }
}

function_layer!(ReLU, "ReLU");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Device, Input, Sequential};

    #[test]
    fn arguments_below_zero_or_not_finite_are_errors() {
        let text = |layer: ReLU| {
            let model = Sequential::new().add(Input::new(1)).add(layer);
            model.build(&Device::Cpu).unwrap_err().to_string()
        };
        assert_eq!(
            text(ReLU::new().negative_slope(-0.5)),
            "layer `re_lu` (ReLU): `negative_slope`: expected at least 0, got -0.5: Keras's default \
             is 0"
        );
        assert_eq!(
            text(ReLU::new().max_value(-1.0)),
            "layer `re_lu` (ReLU): `max_value`: expected at least 0, got -1: Keras's default is none"
        );
        assert!(text(ReLU::new().threshold(-1.0)).contains("`threshold`: expected at least 0"));
        assert!(text(ReLU::new().threshold(f64::NAN)).contains("`threshold`"));
        assert!(text(ReLU::new().max_value(f64::INFINITY)).contains("a finite number, got inf"));
    }
}
