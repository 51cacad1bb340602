use super::{
    Backward, Base, Forward, Gradients, Inference, Layer, Pass, layer_access, layer_setters,
    noise::{self, NoiseShape},
};
use crate::{Result, weights::WeightBuilder};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// Zeroes a random fraction `rate` of the inputs while training and divides the others by
/// 1 - rate, so that their sum is expected to stay. Does nothing outside training.
///
/// # Shapes
/// Outputs have the shape of the inputs.
///
/// ```
/// use candle_keras::prelude::*;
/// # fn main() -> anyhow::Result<()> {
/// let model = Sequential::new()
///     .add(Input::new(64))
///     .add(Dropout::new(0.5))
///     .build(&Device::Cpu)?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// `build` fails for a rate outside 0..=1 and for a noise_shape that does not fit the inputs.
///
/// Keras: `Dropout` (Srivastava et al., 2014, "Dropout: a simple way to prevent neural networks
/// from overfitting"). The same inputs are dropped on every device, though not Keras's.
#[derive(Debug, Serialize, Deserialize)]
pub struct Dropout {
    rate: f64,
    noise_shape: NoiseShape,
    #[serde(flatten)]
    base: Base,
}

impl Dropout {
    /// A layer that drops a fraction `rate`, from 0 to 1.
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
}

impl Layer for Dropout {
    layer_access!("Dropout");

    fn build(&mut self, input_shape: &[usize], _weights: &mut WeightBuilder<'_>) -> Result<()> {
        noise::check_rate(self.rate, true)?;
        noise::check_shape(&self.noise_shape, input_shape)
    }

    fn output_shape(&self, input_shape: &[usize]) -> Result<Vec<usize>> {
        Ok(input_shape.to_vec())
    }

    fn forward(&self, inputs: &Tensor, pass: &mut Pass<'_>) -> Result<Tensor> {
        if !pass.training() || self.rate == 0.0 {
            return Ok(inputs.clone());
        }
        // Where all is dropped, 1 / (1 - rate) is no number.
        let kept = if self.rate < 1.0 {
            1.0 / (1.0 - self.rate)
        } else {
            0.0
        };
        let mask = noise::mask(inputs, &self.noise_shape, self.rate, kept, &pass.stream())?;
        let outputs = noise::multiply(inputs, &mask)?;
        pass.keep(mask);
        Ok(outputs)
    }

    fn passes_mask(&self) -> bool {
        true
    }

    fn inference(&self) -> Option<Inference<'_>> {
        Some(Inference::Identity)
    }

    fn backward(&self) -> Option<&dyn Backward> {
        Some(self)
    }
}

impl Backward for Dropout {
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
    fn what_is_dropped_is_drawn_in_order_from_the_stream_of_the_layer_and_step() {
        let x = Tensor::ones((700, 50), DType::F32, &Device::Cpu).unwrap();
        for rate in [0.1, 0.5, 0.999] {
            let layer = Alone::new(Dropout::new(rate), &[50], DType::F32).unwrap();
            let outputs = flat(&layer.outputs(&x, TRAINING).unwrap());
            let mut stream = Stream::new(1, "layers/layer/1", 3);
            let kept = (1.0 / (1.0 - rate)) as f32;
            for (index, y) in outputs.into_iter().enumerate() {
                let expected = if stream.uniform() < rate as f32 {
                    0.0
                } else {
                    kept
                };
                assert_eq!(y as f32, expected, "{index} of rate {rate}");
            }
        }
    }

    #[test]
    fn every_number_type_drops_the_same_and_the_gradient_as_well() {
        let (x, c) = (numbers("x", &[40, 6]), numbers("c", &[40, 6]));
        let runs = [DType::F32, DType::F64].map(|dtype| {
            let layer = Alone::new(Dropout::new(0.3), &[6], dtype).unwrap();
            let run = layer.run(&x, &c, TRAINING).unwrap();
            (flat(&run.outputs), flat(&run.gradients[0]))
        });
        for (single, double) in runs[0].0.iter().zip(&runs[1].0) {
            assert!((single - double).abs() <= 1e-6);
        }
        let both = runs[0].0.iter().zip(&runs[0].1);
        for ((y, g), (x, c)) in both.zip(flat(&x).iter().zip(flat(&c))) {
            assert_eq!(*y == 0.0, *g == 0.0);
            assert!(*y == 0.0 || (y - x / 0.7).abs() <= 1e-6 && (g - c / 0.7).abs() <= 1e-6);
        }
    }

    #[test]
    fn a_noise_shape_drops_along_its_axes_of_length_1_together() {
        let x = Tensor::ones((6, 5, 8), DType::F32, &Device::Cpu).unwrap();
        let outputs = |lengths: [Option<usize>; 3]| {
            let layer = Dropout::new(0.5).noise_shape(lengths);
            let layer = Alone::new(layer, &[5, 8], DType::F32).unwrap();
            let y = layer.outputs(&x, TRAINING).unwrap();
            let run = layer.run(&x, &x, TRAINING).unwrap();
            assert_eq!(flat(&run.gradients[0]), flat(&y));
            y.to_vec3::<f32>().unwrap()
        };
        let y = outputs([None, Some(1), None]);
        for sample in &y {
            assert!(sample.iter().all(|row| row == &sample[0]));
        }
        assert!(y.iter().any(|sample| sample[0] != y[0][0]));
        let y = outputs([Some(1), Some(5), Some(1)]);
        for sample in &y {
            assert_eq!(sample, &y[0]);
            assert!(sample.iter().all(|row| row.iter().all(|x| x == &row[0])));
        }
        assert!(y[0].iter().any(|row| row[0] != y[0][0][0]));
    }

    #[test]
    fn a_rate_of_1_gives_zeros_and_nothing_is_dropped_outside_training() {
        let x = numbers("x", &[9, 7]);
        for dtype in [DType::F32, DType::F64] {
            let layer = Alone::new(Dropout::new(1.0), &[7], dtype).unwrap();
            let run = layer.run(&x, &x, TRAINING).unwrap();
            assert!(flat(&run.outputs).iter().all(|y| *y == 0.0));
            assert!(flat(&run.gradients[0]).iter().all(|g| *g == 0.0));
            let run = layer.run(&x, &x, None).unwrap();
            assert_eq!(flat(&run.outputs), flat(&x));
            assert_eq!(flat(&run.gradients[0]), flat(&x));
        }
    }

    #[test]
    fn arguments_out_of_range_are_errors_that_name_them() {
        for rate in [-0.1, 1.1, f64::NAN] {
            let error = Alone::new(Dropout::new(rate), &[3], DType::F32)
                .err()
                .unwrap();
            let message = format!("`rate`: expected a fraction from 0 to 1, got {rate}");
            assert!(error.to_string().starts_with(&message), "{error}");
        }
        for lengths in [
            vec![None],
            vec![None, Some(2)],
            vec![Some(0), None],
            vec![None; 3],
        ] {
            let layer = Dropout::new(0.1).noise_shape(lengths);
            let error = Alone::new(layer, &[3], DType::F32).err().unwrap();
            let message =
                "`noise_shape`: expected for each axis of (None, 3) its length, 1 or None";
            assert!(error.to_string().starts_with(message), "{error}");
        }
        // A batch's length may be given, for batches that have it.
        let layer = Dropout::new(0.1).noise_shape([Some(4), None]);
        let layer = Alone::new(layer, &[3], DType::F32).unwrap();
        assert!(layer.outputs(&numbers("x", &[4, 3]), TRAINING).is_ok());
        let error = layer
            .outputs(&numbers("x", &[2, 3]), TRAINING)
            .err()
            .unwrap();
        let message = "`noise_shape`: expected a noise_shape that fits a batch of 2, got (4, 3)";
        assert!(error.to_string().starts_with(message), "{error}");
    }
}
