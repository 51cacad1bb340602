use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters, noise,
};
use crate::{Error, Result, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Adds a normal random number of mean 0 and standard deviation `stddev` to every input while
/// training. Does nothing outside training.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// ```
/// use candle_keras::{layers::GaussianNoise, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(64))
///     .add(GaussianNoise::new(0.1))
///     .build(&Device::Cpu)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a standard deviation below 0 or one that is not finite.
///
/// Keras: `GaussianNoise`, which takes standard deviations up to 1 only. The numbers are the same on
/// every device, though not Keras's.
#[derive(Debug, Serialize, Deserialize)]
pub struct GaussianNoise {
    stddev: f64,
    #[serde(flatten)]
    base: Base,
}

impl GaussianNoise {
    /// A layer of noise of standard deviation `stddev`.
    pub fn new(stddev: f64) -> Self {
        Self {
            stddev,
            base: Base::default(),
        }
    }

    layer_setters!();
}

impl Layer for GaussianNoise {
    layer_access!("GaussianNoise");

    fn build(&mut self, _input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        if self.stddev >= 0.0 && self.stddev.is_finite() {
            return Ok(());
        }
        let advice = "0.1 is a tenth of what standardised inputs vary by";
        let expected = "a finite number of at least 0";
        Err(Error::argument("stddev", expected, self.stddev, advice))
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        if !pass.training() || self.stddev == 0.0 {
            return Ok(inputs.clone());
        }
        let noise = noise::normal(inputs, 0.0, self.stddev, pass.stream())?;
        Ok((inputs + noise)?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Identity)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for GaussianNoise {
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
    use crate::layers::alone::{Alone, flat, numbers};
    use candle_core::{DType, Device};

    #[test]
    fn the_noise_has_mean_0_and_its_standard_deviation_and_gradients_pass() {
        let x = Tensor::ones((1000, 200), DType::F32, &Device::Cpu).unwrap();
        for dtype in [DType::F32, DType::F64] {
            let layer = Alone::new(GaussianNoise::new(0.2), &[200], dtype).unwrap();
            let run = layer.run(&x, &x, Some(1)).unwrap();
            let noise = flat(&run.outputs).into_iter().map(|y| y - 1.0);
            let noise: Vec<f64> = noise.collect();
            assert_eq!(flat(&run.gradients[0]), flat(&x));
            let mean = noise.iter().sum::<f64>() / 200_000.0;
            let variance = noise.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 200_000.0;
            // Four standard deviations: 1/√200,000 of the noise's, and √2 times that.
            assert!(mean.abs() < 0.009 * 0.2, "{mean}");
            assert!((variance / 0.04 - 1.0).abs() < 0.013, "{variance}");
        }
    }

    #[test]
    fn nothing_happens_outside_training() {
        let x = numbers("x", &[9, 7]);
        let layer = Alone::new(GaussianNoise::new(3.0), &[7], DType::F32).unwrap();
        assert_eq!(flat(&layer.outputs(&x, None).unwrap()), flat(&x));
        assert_ne!(flat(&layer.outputs(&x, Some(1)).unwrap()), flat(&x));
    }

    #[test]
    fn a_standard_deviation_that_is_no_number_of_at_least_0_is_an_error() {
        for stddev in [-0.1, f64::INFINITY, f64::NAN] {
            let error = Alone::new(GaussianNoise::new(stddev), &[3], DType::F32)
                .err()
                .unwrap();
            let message = format!("`stddev`: expected a finite number of at least 0, got {stddev}");
            assert!(error.to_string().starts_with(&message), "{error}");
        }
    }
}
