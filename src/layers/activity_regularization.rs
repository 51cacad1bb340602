use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
};
use crate::{
    Error, Result,
    regularizers::{L1L2, Regularizer},
    weights::WeightBuilder,
};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Adds a penalty on its inputs to the loss, `l1`·Σ |x| + `l2`·Σ x², divided by the samples in the
/// batch. The outputs are the inputs.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// # Defaults
/// Both factors are 0.
///
/// ```
/// use candle_keras::{layers::ActivityRegularization, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let mut model = Sequential::new()
///     .add(Input::new(2))
///     .add(ActivityRegularization::new().l1(0.1))
///     .build(&Device::Cpu)?;
/// model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
/// let x = Tensor::new(&[[1f32, -3.0]], &Device::Cpu)?;
/// let loss = model.evaluate(&x, &x)?["loss"];
/// assert!((loss - 0.4).abs() < 1e-6); // 0.1·(1 + 3)
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a factor below 0 or not finite.
///
/// Keras: `ActivityRegularization`.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ActivityRegularization {
    l1: f64,
    l2: f64,
    /// Of these factors, once it is built.
    #[serde(skip)]
    regularizer: L1L2,
    #[serde(flatten)]
    base: Base,
}

impl ActivityRegularization {
    /// A layer without a penalty: give it `l1`, `l2` or both.
    pub fn new() -> Self {
        Self::default()
    }

    /// The factor of Σ |x|.
    pub fn l1(mut self, l1: f64) -> Self {
        self.l1 = l1;
        self
    }

    /// The factor of Σ x².
    pub fn l2(mut self, l2: f64) -> Self {
        self.l2 = l2;
        self
    }

    layer_setters!();
}

impl Layer for ActivityRegularization {
    layer_access!("ActivityRegularization");

    fn activity_regularizer(&self) -> Option<&dyn Regularizer> {
        Some(&self.regularizer)
    }

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        for (argument, factor) in [("l1", self.l1), ("l2", self.l2)] {
            if !(factor.is_finite() && factor >= 0.0) {
                let advice = "0 adds nothing to the loss";
                let expected = "a finite number of at least 0";
                return Err(Error::argument(argument, expected, factor, advice));
            }
        }
        self.regularizer = L1L2::new(self.l1, self.l2);
        Ok(())
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, _pass: &mut Pass<'_>) -> Result<Tensor> {
        Ok(inputs.clone())
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Identity)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for ActivityRegularization {
    // The model adds the penalty's gradient to `gradient`.
    fn gradients(&self, _step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        Ok(Gradients {
            inputs: Some(gradient.clone()),
            weights: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    #[test]
    fn a_penalty_reaches_the_layers_before_it() -> Result<()> {
        let network = Sequential::new().add(Input::new(1)).add(Dense::new(1));
        let layer = ActivityRegularization::new().l1(0.5).l2(0.25);
        let mut model = network.add(layer).build(&Device::Cpu)?;
        model.set_weight("dense/kernel", &Tensor::new(&[[2f32]], &Device::Cpu)?)?;
        model.compile(Sgd::new(0.1), MeanSquaredError::new(), ())?;
        let x = Tensor::new(&[[1f32], [3.0]], &Device::Cpu)?;
        let y = model.predict(&x)?; // of which the loss itself has no gradient
        let gradients = model.gradients(&x, &y)?;
        // Of (0.5·Σ |k·x| + 0.25·Σ (k·x)²) / 2 at k = 2: 0.25·(1 + 3) + 0.25·2·(1 + 9).
        assert_eq!(gradients[0].1.to_vec2::<f32>()?, [[6.0]]);
        Ok(())
    }

    #[test]
    fn factors_below_zero_or_not_finite_are_errors() {
        let text = |layer: ActivityRegularization| {
            let model = Sequential::new().add(Input::new(1)).add(layer);
            model.build(&Device::Cpu).unwrap_err().to_string()
        };
        assert_eq!(
            text(ActivityRegularization::new().l1(-1.0)),
            "layer `activity_regularization` (ActivityRegularization): `l1`: expected a finite \
             number of at least 0, got -1: 0 adds nothing to the loss"
        );
        let infinite = ActivityRegularization::new().l2(f64::INFINITY);
        assert!(text(infinite).contains("`l2`: expected a finite number of at least 0, got inf"));
    }
}
