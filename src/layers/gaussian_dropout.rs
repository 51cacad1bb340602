use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters, noise,
};
use crate::{Result, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Multiplies every input by a normal random number of mean 1 and standard deviation
/// √(rate/(1 - rate)) while training, which is that of [`Dropout`](super::Dropout)'s factors. Does
/// nothing outside training.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// ```
/// use candle_keras::{layers::GaussianDropout, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(64))
///     .add(GaussianDropout::new(0.5))
///     .build(&Device::Cpu)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a rate outside 0..1.
///
/// Keras: `GaussianDropout` (Srivastava et al., 2014, "Dropout: a simple way to prevent neural
/// networks from overfitting"), which takes a rate of 1 and fails when it trains. The numbers are
/// the same on every device, though not Keras's.
#[derive(Debug, Serialize, Deserialize)]
pub struct GaussianDropout {
    rate: f64,
    #[serde(flatten)]
    base: Base,
}

impl GaussianDropout {
    /// A layer of noise as of dropping a fraction `rate`, from 0 to below 1.
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            base: Base::default(),
        }
    }

    layer_setters!();
}

impl Layer for GaussianDropout {
    layer_access!("GaussianDropout");

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        noise::check_rate(self.rate, false)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        if !pass.training() || self.rate == 0.0 {
            return Ok(inputs.clone());
        }
        let stddev = (self.rate / (1.0 - self.rate)).sqrt();
        let factors = noise::normal(inputs, 1.0, stddev, pass.stream())?;
        let outputs = noise::multiply(inputs, &factors)?;
        pass.keep(factors);
        Ok(outputs)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Identity)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for GaussianDropout {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let inputs = match step.kept.first() {
            Some(factors) => noise::multiply(gradient, factors)?,
            None => gradient.clone(),
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
    use crate::layers::alone::{Alone, flat, numbers};
    use candle_core::{DType, Device};

    #[test]
    fn factors_have_mean_1_and_the_variance_of_dropout_and_multiply_gradients_as_well() {
        let x = Tensor::ones((1000, 200), DType::F32, &Device::Cpu).unwrap();
        for (rate, dtype) in [(0.2, DType::F32), (0.5, DType::F64)] {
            let layer = Alone::new(GaussianDropout::new(rate), &[200], dtype).unwrap();
            let run = layer.run(&x, &x, Some(1)).unwrap();
            let factors = flat(&run.outputs);
            assert_eq!(flat(&run.gradients[0]), factors);
            let mean = factors.iter().sum::<f64>() / 200_000.0;
            let variance = factors.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 200_000.0;
            let expected = rate / (1.0 - rate);
            // Four standard deviations: 1/√200,000 of the factors', and √2 times that.
            assert!((mean - 1.0).abs() < 0.009 * expected.sqrt(), "{mean}");
            assert!((variance / expected - 1.0).abs() < 0.013, "{variance}");
        }
    }

    #[test]
    fn nothing_happens_outside_training_and_other_steps_have_other_factors() {
        let x = numbers("x", &[9, 7]);
        let layer = Alone::new(GaussianDropout::new(0.5), &[7], DType::F32).unwrap();
        let run = layer.run(&x, &x, None).unwrap();
        assert_eq!(flat(&run.outputs), flat(&x));
        assert_eq!(flat(&run.gradients[0]), flat(&x));
        let outputs = |step| flat(&layer.outputs(&x, Some(step)).unwrap());
        assert_eq!(outputs(1), outputs(1));
        assert_ne!(outputs(1), outputs(2));
    }

    #[test]
    fn a_rate_outside_0_to_below_1_is_an_error() {
        for rate in [-0.1, 1.0, f64::NAN] {
            let error = Alone::new(GaussianDropout::new(rate), &[3], DType::F32)
                .err()
                .unwrap();
            let message = format!("`rate`: expected a fraction from 0 to below 1, got {rate}");
            assert!(error.to_string().starts_with(&message), "{error}");
        }
    }
}
