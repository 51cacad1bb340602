use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
    noise::{self, NoiseShape},
};
use crate::{Result, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Sets a random fraction `rate` of the inputs to α' = -1.7581, to which selu saturates, while
/// training, and scales and shifts all: a·x + b, or a·α' + b, with
/// a = 1/√((1 - rate)·(1 + rate·α'²)) and b = -a·α'·rate. Inputs of mean 0 and variance 1 keep both.
/// Does nothing outside training.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// ```
/// use candle_keras::{layers::AlphaDropout, prelude::*};
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(64))
///     .add(AlphaDropout::new(0.1))
///     .build(&Device::Cpu)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a rate outside 0..1 and for a noise_shape that does not fit the inputs.
///
/// Keras: `AlphaDropout` (Klambauer et al., 2017, "Self-normalizing neural networks"), which takes
/// a rate of 1 and fails when it trains. The same inputs are dropped on every device, though not
/// Keras's.
#[derive(Debug, Serialize, Deserialize)]
pub struct AlphaDropout {
    rate: f64,
    noise_shape: NoiseShape,
    #[serde(flatten)]
    base: Base,
}

/// selu's limit for x → -∞: -scale·α.
const SATURATION: f64 = -1.050_700_987_355_480_5 * 1.673_263_242_354_377_2;

impl AlphaDropout {
    /// A layer that drops a fraction `rate`, from 0 to below 1.
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            noise_shape: None,
            base: Base::default(),
        }
    }

    /// The shape in which it is drawn what is dropped, the batch's axis first: `None` stands for the
    /// input's length, and 1 drops all numbers along an axis or none. `[None, Some(1), None]` of
    /// (batch, time, features) drops a feature at all times.
    pub fn noise_shape(mut self, lengths: impl Into<Vec<Option<usize>>>) -> Self {
        self.noise_shape = Some(lengths.into());
        self
    }

    layer_setters!();

    /// a
    fn factor(&self) -> f64 {
        let squares = 1.0 + self.rate * SATURATION * SATURATION;
        1.0 / ((1.0 - self.rate) * squares).sqrt()
    }
}

impl Layer for AlphaDropout {
    layer_access!("AlphaDropout");

    fn build(&mut self, input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        noise::check_rate(self.rate, false)?;
        noise::check_shape(&self.noise_shape, input_shape)
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
        let a = self.factor();
        let mask = noise::mask(inputs, &self.noise_shape, self.rate, a, &pass.stream())?;
        // (x - α')·a or (x - α')·0, to which a·α' + b is added, which is a·α'·(1 - rate).
        let outputs = noise::multiply(&(inputs - SATURATION)?, &mask)?;
        pass.keep(mask);
        Ok((outputs + a * SATURATION * (1.0 - self.rate))?)
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Identity)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for AlphaDropout {
    fn gradients(&self, step: &Forward<'_>, gradient: &Tensor) -> Result<Gradients> {
        let inputs = match step.kept.first() {
            Some(mask) => noise::multiply(gradient, mask)?,
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
    use crate::{
        layers::alone::{Alone, flat, numbers},
        seed::Stream,
    };
    use candle_core::{DType, Device};

    const TRAINING: Option<u64> = Some(3);

    #[test]
    fn standardised_inputs_keep_their_mean_and_variance() {
        let mut stream = Stream::new(1, "inputs", 0);
        let x: Vec<f32> = (0..200_000).map(|_| stream.normal() as f32).collect();
        let x = Tensor::from_vec(x, (1000, 200), &Device::Cpu).unwrap();
        for rate in [0.1, 0.5] {
            let layer = Alone::new(AlphaDropout::new(rate), &[200], DType::F32).unwrap();
            let y = flat(&layer.outputs(&x, TRAINING).unwrap());
            let mean = y.iter().sum::<f64>() / 200_000.0;
            let variance = y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / 200_000.0;
            // Standard deviations 1/√200,000 = 0.0022 and at most √2 times that.
            assert!(mean.abs() < 0.009, "{mean}");
            assert!((variance - 1.0).abs() < 0.013, "{variance}");
        }
    }

    #[test]
    fn kept_and_dropped_inputs_are_scaled_and_shifted_as_in_keras() {
        let (x, c) = (numbers("x", &[50, 8]), numbers("c", &[50, 8]));
        for dtype in [DType::F32, DType::F64] {
            let layer = Alone::new(AlphaDropout::new(0.3), &[8], dtype).unwrap();
            let run = layer.run(&x, &c, TRAINING).unwrap();
            // a = ((1 - .3)·(1 + .3·1.7580993²))^-.5, b = a·1.7580993·.3
            let a = (0.7 * (1.0 + 0.3 * 1.758_099_340_847_376_f64.powi(2))).powf(-0.5);
            let b = a * 1.758_099_340_847_376 * 0.3;
            let both = flat(&run.outputs).into_iter().zip(flat(&run.gradients[0]));
            let mut dropped = 0;
            for ((y, g), (x, c)) in both.zip(flat(&x).into_iter().zip(flat(&c))) {
                let (expected, slope) = match g == 0.0 {
                    true => (a * -1.758_099_340_847_376 + b, 0.0),
                    false => (a * x + b, a * c),
                };
                dropped += usize::from(g == 0.0);
                assert!((y - expected).abs() <= 1e-6, "{y}, {expected}");
                assert!((g - slope).abs() <= 1e-6, "{g}, {slope}");
            }
            // 120 of 400 with a standard deviation of 9.
            assert!((85..=155).contains(&dropped), "{dropped}");
        }
    }

    #[test]
    fn a_noise_shape_drops_together_and_nothing_is_dropped_outside_training() {
        let x = Tensor::zeros((6, 5, 8), DType::F32, &Device::Cpu).unwrap();
        let layer = AlphaDropout::new(0.5).noise_shape([None, Some(1), None]);
        let layer = Alone::new(layer, &[5, 8], DType::F32).unwrap();
        let y = layer.outputs(&x, TRAINING).unwrap();
        for sample in y.to_vec3::<f32>().unwrap() {
            assert!(sample.iter().all(|row| row == &sample[0]));
        }
        let run = layer.run(&x, &x, None).unwrap();
        assert_eq!(flat(&run.outputs), flat(&x));
    }

    #[test]
    fn a_rate_outside_0_to_below_1_is_an_error() {
        for rate in [-0.1, 1.0, f64::NAN] {
            let error = Alone::new(AlphaDropout::new(rate), &[3], DType::F32)
                .err()
                .unwrap();
            let message = format!("`rate`: expected a fraction from 0 to below 1, got {rate}");
            assert!(error.to_string().starts_with(&message), "{error}");
        }
    }
}
